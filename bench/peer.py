"""Our conversion beside LinuxForHealth hl7v2-fhir-converter 1.0.19, over the messages that both convert.

Both are pinned to one core and take turns, pass by pass, for a machine's speed varies; the JVM is warm. Rates are messages per
second of CPU time of the whole process, medians of the passes. Ours validates all that leaves; the peer, as by default, nothing.
Coverage of both is by the rules of found.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adapter.feeds import open_feeds
from bench.conversion import ROOT, SAMPLES, convert_all
from bench.coverage import Score, found_percent, ours, theirs

START = Path(__file__).parent / "linuxforhealth" / "peer"


@dataclass(slots=True)
class Peer:
    """The other converter: a JVM that takes its turn when it is asked."""

    process: subprocess.Popen[str]
    converted: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])

    @classmethod
    def start(cls, folder: Path, out: Path) -> Peer:
        """Build it if need be, start it, and let it convert a folder once. Raises RuntimeError where it does not come up."""
        process = subprocess.Popen([str(START), str(folder), str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        peer = cls(process)
        for line in peer._lines():
            told, _, name = line.partition(" ")
            if told == "ready":
                return peer
            (peer.converted if told == "converted" else peer.refused).append(name)
        raise RuntimeError(f"the peer ended with exit {process.wait()}; try {START} --build-only")

    def rate(self, seconds: float, names: list[str]) -> float:
        """Messages per second of CPU time over one pass."""
        assert self.process.stdin is not None
        print(seconds, *names, file=self.process.stdin, flush=True)
        count, used = next(self._lines()).split()
        return int(count) / float(used)

    def stop(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _lines(self) -> map[str]:
        assert self.process.stdout is not None
        return map(str.strip, self.process.stdout)


def own_rate(run: Callable[[], float], messages_a_run: int, seconds: float) -> float:
    """Messages per second of CPU time over one pass of ours."""
    used, converted = 0.0, 0
    while used < seconds:
        used += run()
        converted += messages_a_run
    return converted / used


def take_turns(runners: dict[str, Callable[[float], float]], passes: int, seconds: float) -> dict[str, list[float]]:
    """The rates of each, one after the other, again and again."""
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(passes):
        for name, run in runners.items():
            rates[name].append(run(seconds))
    return rates


def compare(folder: Path, passes: int, seconds: float, warm: float) -> None:
    """Run both and print their figures side by side."""
    files = {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.hl7"))}
    feeds = open_feeds(ROOT / "mappings")
    scores = {name: ours(path, feeds) for name, path in files.items()}
    with tempfile.TemporaryDirectory() as out:
        peer = Peer.start(folder, Path(out))
        try:
            both = [name for name in peer.converted if not scores[name].refused]
            raws = [files[name].read_bytes() for name in both]
            kept, streamed, first = convert_all(raws), convert_all(raws, stream=True), convert_all(raws, first=True)
            peer.rate(warm, both)
            own_rate(kept, len(raws), 1.0)
            own_rate(streamed, len(raws), 1.0)
            rates = take_turns({"ours": lambda s: own_rate(kept, len(raws), s),
                                "stream": lambda s: own_rate(streamed, len(raws), s),
                                "first": lambda s: own_rate(first, len(raws), s), "peer": lambda s: peer.rate(s, both)},
                               passes, seconds)
        finally:
            peer.stop()
        made = {name: theirs(path, Path(out)) for name, path in files.items()}
    tell(rates, scores, made, both)


def tell(rates: dict[str, list[float]], scores: dict[str, Score], made: dict[str, Score], both: list[str]) -> None:
    """Print rates, ratios and coverage."""
    told = {"ours": "ours, all validation on", "stream": "ours, a stream of other people each time",
            "first": "ours, nothing kept of the messages before", "peer": "LinuxForHealth 1.0.19"}
    print(f"{len(both)} messages that both convert, of {len(scores)}; one core, in turns\n")
    print(f"{'':<44}{'messages/s':>12}{'lowest':>9}{'highest':>9}{'found':>9}{'of all':>9}{'refused':>9}")
    for name, found in rates.items():
        by = made if name == "peer" else scores
        print(f"{told[name]:<44}{statistics.median(found):12.1f}{min(found):9.1f}{max(found):9.1f}"
              f"{found_percent(by[n] for n in both):8.1f}%{found_percent(by.values()):8.1f}%"
              f"{sum(bool(s.refused) for s in by.values()):9}")
    for name in ("ours", "stream", "first"):
        ratios = [a / b for a, b in zip(rates[name], rates["peer"], strict=True)]
        print(f"\n{told[name]}: {statistics.median(ratios):.1f} x the peer (lowest {min(ratios):.1f})", end="")
    print()


def main() -> None:
    """Compare over a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES if SAMPLES.is_dir() else ROOT / "fixtures" / "hl7v2")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of CPU time, each pass of each")
    parser.add_argument("--warm", type=float, default=30.0, help="seconds of CPU time for the JVM before anything counts")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    compare(options.folder, options.passes, options.seconds, options.warm)


if __name__ == "__main__":
    main()
