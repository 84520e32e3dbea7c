"""How much of each message of a folder stands in the Bundle it is converted to, and what became of the rest.

`python -m bench.coverage [FOLDER] [--bundles FOLDER]`: prints places, never values. --bundles: what another converter wrote
(`<message>.json`), instead of converting. Exit 1 where --least is not reached or a leaf is unmapped.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.model import Received
from adapter.pipeline import convert
from bench.found import haystack, values

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("CARELOOP_SHARED", ROOT.parent / "shared")) / "samples" / "hl7v2"
ARRIVAL = datetime(2026, 1, 1, tzinfo=UTC)
_NUMBERS = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One message: how many values it has, the places of each that was not found, its loss report, why it was refused."""

    name: str
    values: int
    missing: tuple[tuple[str, ...], ...]
    loss: Any
    refused: str = ""

    @property
    def found(self) -> int:
        """How many of its values were found."""
        return self.values - len(self.missing)


def score(name: str, raw: bytes, bundle: Any, loss: Any = None, refused: str = "") -> Score:
    """Score a message against the Bundle (None: there is none) that a converter made of it."""
    wanted, hay = values(raw), haystack(bundle or {})
    missing = tuple(tuple(places) for value, places in wanted.items() if not hay.holds(value))
    return Score(name=name, values=len(wanted), missing=missing, loss=loss or {"counts": {}, "leaves": []}, refused=refused)


def ours(path: Path, feeds: Feeds, feed: str | None = None) -> Score:
    """Convert a message and score it."""
    raw = path.read_bytes()
    try:
        made = convert(Received(raw=raw, arrival=ARRIVAL, feed=feed), feeds, b"benchmark", trace=True)
    except Rejected as refusal:
        return score(path.stem, raw, None, refused=refusal.issue.code)
    return score(path.stem, raw, orjson.loads(orjson.dumps(made.bundle)), made.loss)


def theirs(path: Path, bundles: Path) -> Score:
    """Score what another converter made of a message."""
    written = bundles / f"{path.stem}.json"
    bundle = orjson.loads(written.read_bytes()) if written.is_file() and written.stat().st_size else None
    return score(path.stem, path.read_bytes(), bundle, refused="" if bundle else "no Bundle")


def percent(part: float, whole: float) -> float:
    """part of whole in percent; of nothing all is there."""
    return 100 * part / whole if whole else 100.0


def found_percent(scores: Iterable[Score]) -> float:
    """Values found, in percent of all values."""
    scores = list(scores)
    return percent(sum(s.found for s in scores), sum(s.values for s in scores))


def counts(scores: Iterable[Score]) -> Counter[str]:
    """Leaves by what became of them: mapped, dropped, unmapped."""
    total: Counter[str] = Counter()
    for one in scores:
        total.update(one.loss["counts"])
    return total


def places(scores: Iterable[Score]) -> Counter[tuple[str, str]]:
    """Values not found by (place, what the loss report says of it); a value of several places counts at each."""
    total: Counter[tuple[str, str]] = Counter()
    for one in scores:
        said = {_NUMBERS.sub("", leaf["place"]): leaf for leaf in one.loss["leaves"]}
        total.update((place, _told(said.get(place), one.refused)) for missing in one.missing for place in missing)
    return total


def _told(leaf: Any, refused: str) -> str:
    if leaf is None:
        return f"refused: {refused}" if refused else "not in the loss report"
    return f"{leaf['status']} {leaf.get('element', leaf.get('reason', ''))}".strip()


def show(scores: list[Score], *, listed: int) -> None:
    """Print the score of each file, of all, and the places that were not found."""
    for one in scores:
        told = " ".join(f"{status} {n}" for status, n in one.loss["counts"].items())
        print(f"{one.name:<16} {one.found:5} of {one.values:5}  {percent(one.found, one.values):6.1f} %  {one.refused or told}")
    gone = places(scores)
    if listed:
        print(f"\nplaces of values not found ({min(listed, len(gone))} of {len(gone)}):")
        for (place, told), n in sorted(gone.items(), key=lambda item: (-item[1], item[0]))[:listed]:
            print(f"{n:5}  {place:<14} {told}")
    leaves = counts(scores)
    print(f"\nfound {found_percent(scores):.1f} % of {sum(s.values for s in scores)} values in {len(scores)} messages"
          f" ({sum(bool(s.refused) for s in scores)} refused)")
    if leaves:
        print(f"leaves: {leaves['mapped']} mapped, {leaves['dropped']} dropped "
              f"({percent(leaves['dropped'], leaves.total()):.1f} %), {leaves['unmapped']} unmapped")


def main() -> None:
    """Score a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES if SAMPLES.is_dir() else ROOT / "fixtures" / "hl7v2")
    parser.add_argument("--bundles", type=Path, help="what another converter wrote: <message>.json")
    parser.add_argument("--feed", help="the feed to map by; without it the sender decides")
    parser.add_argument("--places", type=int, default=1000, help="how many places to list")
    parser.add_argument("--least", type=float, default=0.0, help="percent that must be found")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.hl7"))
    if options.bundles:
        scores = [theirs(path, options.bundles) for path in files]
    else:
        feeds = open_feeds(ROOT / "mappings")
        scores = [ours(path, feeds, options.feed) for path in files]
    show(scores, listed=options.places)
    raise SystemExit(found_percent(scores) < options.least or (options.least > 0 and counts(scores)["unmapped"] > 0))


if __name__ == "__main__":
    main()
