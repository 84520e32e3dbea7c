"""Rows of a CSV feed: from file to validated resources in memory, and into the embedded store; on one core.

The file is made up and streamed. `contacts`: ten a member, forty organizations, two hundred practitioners. `members`: each is
attributed to one of ten organizations, so that ten Groups list them all. Beside both figures, in the same run, the bare loop:
the same file read by Python's csv module alone. Each figure is of a process of its own, so that its memory is its own.

With `--kill` the file is loaded a second time by a process that is killed (SIGKILL) again and again at random moments and
started anew; the end state must be that of the load that nothing disturbed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from adapter.feeds import Feeds, contract_and_options, open_feeds
from adapter.gateway import Gateway
from adapter.mapping.rows import map_row
from adapter.memory import tune_memory
from adapter.model import Contribution
from adapter.parse.rows import Row, open_csv
from adapter.pipeline import compose_all, microseconds
from adapter.settings import Settings
from adapter.store.engine import open_engine, reading
from adapter.validate.numbers import valid_npi

ROOT = Path(__file__).parent.parent
KEY = "00" * 32
HEADER = ("contact_id,member_id,organization_id,organization_name,npi,first_name,last_name,contact_type,started_at,ended_at,"
          "outcome,setting,present_orgs,referral_id,warm_handoff,updated_at\n")
MEMBERS = ("member_id,first_name,last_name,birth_date,gender,phone,address_line,city,state,postal_code,language,payer_id,"
           "payer_name,coverage_id,coverage_start,program,enrollment_status,enrollment_date,attributed_org,attributed_org_name,"
           "attribution_start,risk_level,updated_at\n")
NPIS = [n for n in map(str, range(2000001018, 2000003018)) if valid_npi(n)]
AT_ONCE = 1000
BEGUN = time.monotonic()


def write_file(path: Path, rows: int) -> None:
    """A file of so many rows, of the feed that it is named for."""
    header, line = {"contacts": (HEADER, contact), "members": (MEMBERS, member)}[path.stem]
    with path.open("w", encoding="utf-8") as file:
        file.write(header)
        file.writelines(line(n) for n in range(rows))


def member(n: int) -> str:
    """Row n of a members file, one a member."""
    day = f"2026-0{n % 3 + 1}-{n % 28 + 1:02d}"
    return (f"M{n:07d},First{n % 997},Last{n % 1009},{1930 + n % 70}-{n % 12 + 1:02d}-{n % 28 + 1:02d},"
            f"{('female', 'male')[n % 2]},518-555-{n % 10000:04d},{n % 300} Orchard Lane,Alderton,NY,12{n % 1000:03d},"
            f"en,PAYER-{n % 4},Payer {n % 4},C{n:07d},2026-01-01,care-coordination,enrolled,{day},ORG-{n % 10},"
            f"Made Up {n % 10},{day},{('', 'low', 'high')[n % 3]},2026-03-01T08:{n % 60:02d}:00-05:00\n")


def contact(n: int) -> str:
    """Row n of a contacts file."""
    day = f"2026-03-{n % 28 + 1:02d}T{n % 10 + 8:02d}"
    return (f"CT-{n:07d},M{n // 10:06d},ORG-{n % 40},Made Up {n % 40},{NPIS[n % 200]},First{n % 200},"
            f"Last{n % 200},{('face-to-face', 'telephone', 'video')[n % 3]},{day}:10:00-05:00,{day}:45:00-05:00,"
            f"{'no-answer' if n % 4 == 3 else 'reached'},{'' if n % 3 else 'hospital'},,,{'N' if n % 5 else 'Y'},"
            f"{day}:50:00-05:00\n")


def bare(path: Path) -> int:
    """The floor: the csv module alone."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def in_memory(path: Path, feeds: Feeds) -> int:
    """Parse, map, compose and check, a thousand rows at a time; resources made."""
    compiled = feeds.named(path.stem)
    arrival = microseconds(datetime(2026, 4, 1, tzinfo=UTC))
    made = 0
    with path.open("rb") as stream:
        file = open_csv(stream, *contract_and_options(compiled.feed))
        names = file.binding.header.names
        for rows in _thousands(file.rows()):
            said: list[Contribution] = []
            for row in rows:
                said.extend(map_row(row.cells, row.number, f"{path.stem}|bench|{row.number}", compiled, arrival, None,
                                    names).contributions)
            made += len(compose_all(said, (), feeds, KEY.encode(), lambda _: set(), lean=True))
    return made


def _thousands(rows: Iterator[object]) -> Iterator[Sequence[Row]]:
    good = (row for row in rows if isinstance(row, Row))
    while chunk := list(islice(good, AT_ONCE)):
        yield chunk


def stored(path: Path, folder: Path, every: int = 0) -> int:
    """Into the embedded store, as `careloop load` does it; entries processed. every: rows after which to tell how far it is."""
    tune_memory()
    gateway = Gateway(Settings(data_dir=folder, key=KEY))  # pyright: ignore[reportCallIssue] - pydantic-settings fills the fields
    with path.open("rb") as stream:
        rows = gateway.load(path.stem, stream, path.name).rows
    _tell("journalled", rows, every)
    done = 0
    while count := gateway.work(1000):
        done += count
        _tell("composed", done, every)
    gateway.lists.compose()
    _tell("lists composed", done, 1 if every else 0)
    gateway.close()
    return rows


def _tell(what: str, rows: int, every: int) -> None:
    """How far a load is: seconds of CPU and of the clock since the process began, and its memory at the most."""
    if every and rows % every == 0:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"  {what:<16} {rows:9d} rows, {time.process_time():7.0f} s of CPU, {time.monotonic() - BEGUN:7.0f} of the clock, "
              f"{memory} MB", flush=True)


def killed(path: Path, folder: Path, pauses: Iterator[float]) -> int:
    """Load a file in processes that are killed after these seconds, until one comes to its end; how many were killed."""
    command = (sys.executable, "-m", "bench.rows", "--load", str(path), "--into", str(folder))
    for count, seconds in enumerate(pauses):
        child = subprocess.Popen(command)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            continue
        if child.returncode:
            raise SystemExit(f"the load ended with {child.returncode}")
        return count
    return 0


def end_state(folder: Path) -> tuple[int, str]:
    """How many resources stand, and a digest of them, of the statements and of what became of each row."""
    engine = open_engine(f"sqlite:///{folder / 'careloop.db'}")
    digest, count = hashlib.sha256(), 0
    with reading(engine) as connection:
        for query in ("SELECT resource_type, id, key, person, hash, deleted, body FROM resource ORDER BY resource_type, id",
                      "SELECT identity, message, times FROM contribution ORDER BY identity",
                      "SELECT identity, state FROM journal ORDER BY identity",
                      "SELECT resource_type, id, param, value, low, high FROM search_index ORDER BY 1, 2, 3, 4, 5, 6"):
            for row in connection.exec_driver_sql(query):
                digest.update(repr(tuple(row)).encode())
                count += query.startswith("SELECT resource_type, id, key")
    engine.dispose()
    return count, digest.hexdigest()


def _compare(path: Path, rows: int) -> None:
    folder = path.parent
    begun = time.monotonic()
    stored(path, folder / "whole")
    whole = time.monotonic() - begun
    chance = random.Random(7)
    times = killed(path, folder / "killed", iter(lambda: 2 + chance.random() * whole / 3, None))
    left, right = end_state(folder / "whole"), end_state(folder / "killed")
    print(f"{rows} rows, killed {times} times: {'the same' if left == right else 'ANOTHER'} end state, {right[0]} resources",
          flush=True)
    if left != right:
        raise SystemExit(1)


def _timed(name: str, rows: int, run: Callable[[], int], floor: float = 0) -> float:
    begun, wall = time.process_time(), time.monotonic()
    run()
    seconds = time.process_time() - begun
    beside = f", {seconds / floor:.0f} bare loops" if floor else ""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name:<42} {rows / seconds:8.0f} rows/s of CPU, {rows / (time.monotonic() - wall):8.0f} of the clock, "
          f"{memory} MB{beside}", flush=True)
    return seconds


def _measure(name: str, feed: str, rows: int) -> None:
    """One figure, in this process, beside the bare loop."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{feed}.csv"
        write_file(path, rows)
        floor = _timed("bare csv loop", rows, lambda: bare(path))
        if name == "memory":
            feeds = open_feeds(ROOT / "mappings")
            tune_memory()
            _timed("file to validated resources, in memory", rows, lambda: in_memory(path, feeds), floor)
        elif name == "store":
            _timed("into the embedded store", rows, lambda: stored(path, Path(folder) / "store", rows // 10), floor)
        else:
            _compare(path, rows)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--feed", choices=("contacts", "members"), default="contacts")
    parser.add_argument("--only", choices=("memory", "store"), help="measure one of the two, in this process")
    parser.add_argument("--kill", action="store_true", help="load once undisturbed and once killed again and again; compare")
    parser.add_argument("--load", type=Path, help="load this file and end; for --kill")
    parser.add_argument("--into", type=Path, help="folder of the store, for --load")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {(max if options.kill or options.load else min)(os.sched_getaffinity(0))})
    if options.load:
        stored(options.load, options.into)
    elif options.only or options.kill:
        _measure(options.only or "kill", options.feed, options.rows)
    else:
        print(f"{options.rows} rows, one core, validation on", flush=True)
        for name in ("memory", "store"):
            subprocess.run((sys.executable, "-m", "bench.rows", "--rows", str(options.rows), "--feed", options.feed,
                            "--only", name), check=True)


if __name__ == "__main__":
    main()
