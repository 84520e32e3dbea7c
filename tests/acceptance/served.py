"""A served gateway as a process of its own, as an operator has it; and the few questions tests ask of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from adapter.intake.send import send

Json = dict[str, Any]
T = TypeVar("T")
Key = tuple[str, str]
"""Resource type and id."""

ROOT = Path(__file__).parents[2]
CARELOOP = Path(sys.executable).with_name("careloop")
BANNER = re.compile(r"open  http://(\S+?)/gaps.*?send (\S+?):(\d+) .*?curl -N (\S+)", re.S)


def _of_a_gap(resource: Json) -> bool:
    return resource["resourceType"] == "Task" and any(
        one.get("system") == "urn:x-careloop:gap" for one in resource.get("identifier", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running gateway. seconds: from its start until it told its addresses."""

    process: subprocess.Popen[bytes]
    http: str
    mllp: tuple[str, int]
    events: str
    log: Path
    seconds: float

    def send(self, raw: bytes) -> str:
        """One message over MLLP; the acknowledgement's text."""
        return next(iter(send(*self.mllp, [raw], timeout=60))).decode("utf-8", "replace")

    def figures(self) -> dict[str, int]:
        """Every line of /metrics: name and labels to value."""
        text = requests.get(f"{self.http}/metrics", timeout=60).text
        return {name: int(float(value)) for name, _, value in
                (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}

    def settle(self, seconds: float = 120.0) -> dict[str, int]:
        """Wait until nothing waits to be composed or delivered; the figures then."""
        def settled() -> dict[str, int] | None:
            now = self.figures()
            waiting = now['careloop_journal_entries{state="waiting"}'] + now['careloop_outbox_entries{state="waiting"}']
            return None if waiting else now
        return until(settled, seconds)

    def resources(self) -> dict[Key, Json]:
        """Everything that messages made, in the embedded server, read through its search, page by page.

        A gateway that serves states its own definitions too, and Tasks of gaps, which go by the clock: these are left out.
        """
        statement: Json = requests.get(f"{self.http}/fhir/metadata", timeout=60).json()
        kinds: list[str] = [row["type"] for row in statement["rest"][0]["resource"]]
        found = (one for kind in kinds if kind not in ("Measure", "Questionnaire") for one in self.search(f"{kind}?_count=200"))
        return {(one["resourceType"], one["id"]): one for one in found if not _of_a_gap(one)}

    def search(self, asked: str) -> Iterator[Json]:
        """The matches of a search, all pages."""
        url: str | None = f"{self.http}/fhir/{asked}"
        while url:
            bundle: Json = requests.get(url, timeout=60).json()
            yield from (entry["resource"] for entry in bundle.get("entry", ()))
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)

    def told(self) -> str:
        """What it has written on standard error so far."""
        return self.log.read_text("utf-8")

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        self.process.kill()
        self.process.wait(30)

    def terminate(self, seconds: float = 60.0) -> int:
        """SIGTERM; the exit code. Raises TimeoutExpired where it goes on."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def served(folder: Path, environment: dict[str, str], *arguments: str) -> Generator[Served]:
    """`careloop serve` on free ports over the store in `folder`; killed at the end where it still runs.

    environment: its CARELOOP_ variables, beside folder and addresses; none of this process's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, log = folder / "stdout.txt", folder / "stderr.txt"
    own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "CARELOOP_DATA_DIR": str(folder / "data"),
           "CARELOOP_HTTP": "127.0.0.1:0", "CARELOOP_MLLP": "127.0.0.1:0", "CARELOOP_EVENTS": "127.0.0.1:0", **environment}
    began = time.monotonic()
    with out.open("wb") as told, log.open("ab") as complaints:
        process = subprocess.Popen([str(CARELOOP), "serve", *arguments], env=own, stdout=told, stderr=complaints)
    try:
        def started() -> re.Match[str] | None:
            assert process.poll() is None, log.read_text("utf-8")
            return BANNER.search(out.read_text("utf-8"))
        banner = until(started, 120)
        yield Served(process=process, http=f"http://{banner[1]}", mllp=(banner[2], int(banner[3])),
                     events=banner[4], log=log, seconds=time.monotonic() - began)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def until(ask: Callable[[], T | None], seconds: float) -> T:
    """Ask until there is an answer. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, f"not so within {seconds:.0f} s"
        time.sleep(0.05)
    return answer
