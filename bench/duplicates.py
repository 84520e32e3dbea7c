"""Likely duplicates: precision and recall on a made-up network with planted ones, and time and memory on many persons.

The people are those of `adapter/demo`. Some get a second record with errors of one or two kinds; beside them live twins, fathers
and sons of one name, and newborns without names, who must not be proposed. Every record goes through the mapping of `members`.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapter.demo.chance import Calendar
from adapter.demo.generate import DEMO_START
from adapter.demo.names import FEMALE, MALE, STREETS, surname
from adapter.demo.people import make_members
from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.identity.likeness import Row, row_of
from adapter.identity.linkage import likely_pairs
from adapter.identity.linkage_model import LinkageModel, read_model
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Json
from adapter.pipeline import compose_all, microseconds

COLUMNS = ("member_id", "first_name", "middle_name", "last_name", "birth_date", "gender", "phone", "email", "address_line",
           "city", "state", "postal_code")
AT_ONCE = 1000
Cells = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Records, and the pairs of them (by place) that are one person, or look alike and are not, each with its kind."""

    records: Sequence[Cells]
    same: Mapping[tuple[int, int], str]
    alike: Mapping[tuple[int, int], str]


def typing_error(text: str, rng: random.Random) -> str:
    """One letter left out, doubled, or exchanged with the next."""
    at = rng.randrange(1, max(2, len(text) - 1))
    return rng.choice([text[:at] + text[at + 1:], text[:at] + text[at] + text[at:],
                       text[:at] + text[at + 1:at + 2] + text[at:at + 1] + text[at + 2:]])


def spoilt(cells: Cells, kind: str, rng: random.Random) -> Cells:
    """A record with one kind of error."""
    year, month, day = cells["birth_date"].split("-")
    changes: dict[str, Cells] = {
        "surname mistyped": {"last_name": typing_error(cells["last_name"], rng)},
        "first name mistyped": {"first_name": typing_error(cells["first_name"], rng)},
        "day and month swapped": {"birth_date": f"{year}-{day}-{month}" if int(day) <= 12 else f"{year}-{month}-{day}"},
        "one digit of the date": {"birth_date": f"{year[:3]}{(int(year[3]) + 3) % 10}-{month}-{day}"},
        "another surname": {"last_name": surname(rng)},
        "moved": {"phone": f"312-555-0{rng.randint(100, 199)}", "address_line": f"{rng.randint(1, 900)} {rng.choice(STREETS)}",
                  "postal_code": "60601", "city": "Elsewhere", "email": ""},
        "no address or telephone": dict.fromkeys(("phone", "email", "address_line", "city", "state", "postal_code"), ""),
        "no gender, no middle name": {"gender": "unknown", "middle_name": ""},
    }
    return {**cells, **changes[kind]}


KINDS = ("surname mistyped", "first name mistyped", "day and month swapped", "one digit of the date", "another surname", "moved",
         "no address or telephone", "no gender, no middle name")


def alike(cells: Cells, kind: str, rng: random.Random) -> tuple[Cells, Cells]:
    """Two people who look alike: of one home, surname and day, or of one name."""
    if kind == "twins":
        names = FEMALE if cells["gender"] == "female" else MALE
        other = rng.choice([n for n in names if n != cells["first_name"] and n[:2] != cells["first_name"][:2]])
        return cells, {**cells, "first_name": other}
    if kind == "father and son":
        year = int(cells["birth_date"][:4]) - 28
        return cells, {**cells, "birth_date": f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"}
    born = {"birth_date": "2026-01-17", "gender": "male"}
    other = rng.choice(["BABY BOY", "Babyboy", "Boy B"])
    return {**cells, **born, "first_name": "BABY BOY"}, {**cells, **born, "first_name": other}


ALIKE = ("twins", "father and son", "newborns")


def network(count: int, share: float, seed: int) -> Network:
    """About `count` records; of `share` of the people a second one, and as many who look alike."""
    rng = random.Random(seed)
    people = make_members(seed, count, Calendar(DEMO_START))
    records: list[Cells] = []
    same: dict[tuple[int, int], str] = {}
    like: dict[tuple[int, int], str] = {}
    for m in people:
        cells = {"first_name": m.first, "middle_name": m.middle, "last_name": m.last, "birth_date": m.born.isoformat(),
                 "gender": m.gender, "phone": m.phone, "email": m.email, "address_line": m.street, "city": m.town[0],
                 "state": m.town[1], "postal_code": m.town[2]}
        chance = rng.random()
        if chance < share:
            kinds = rng.sample(KINDS, rng.choice([1, 1, 2]))
            twin = cells
            for kind in kinds:
                twin = spoilt(twin, kind, rng)
            same[len(records), len(records) + 1] = kinds[0] if len(kinds) == 1 else "two of these"
            records += [cells, twin]
        elif chance < 2 * share:
            kind = rng.choice(ALIKE)
            like[len(records), len(records) + 1] = kind
            records += alike(cells, kind, rng)
        else:
            records.append(cells)
    return Network(records=records, same=same, alike=like)


def patients(records: Sequence[Cells], feeds: Feeds) -> Iterator[Json]:
    """Each record as the Patient that its row of `members` becomes, in the same order."""
    compiled = feeds.named("members")
    arrival = microseconds(datetime(2026, 4, 1, tzinfo=UTC))
    for start in range(0, len(records), AT_ONCE):
        said: list[Contribution] = []
        for number, cells in enumerate(records[start:start + AT_ONCE], start):
            row = {"member_id": f"D{number:07d}", "updated_at": "2026-03-01T08:00:00-05:00", **cells}
            said.extend(map_row(row, number + 2, f"members|bench|{number}", compiled, arrival, None,
                                ("updated_at", *COLUMNS)).contributions)
        made = {c.key: c.body for c in compose_all(said, (), feeds, b"bench", lambda _: set(), lean=True)
                if c.resource_type == "Patient"}
        yield from (made[key] for key in sorted(made))


def rows_of(records: Sequence[Cells], model: LinkageModel) -> list[Row]:
    """The rows that are compared."""
    feeds = open_feeds(HOME / "mappings")
    rows = [row_of(p, model.nothing, model.identifiers) for p in patients(records, feeds)]
    assert len(rows) == len(records)
    return rows


def told(made: Network, rows: list[Row], model: LinkageModel) -> None:
    """Precision and recall at the threshold, by kind."""
    pairs = {(p.first, p.second) for p in likely_pairs(rows, model)}
    true = pairs & made.same.keys()
    print(f"{len(made.records):,} records, {len(made.same)} planted duplicates: {len(pairs)} pairs proposed, "
          f"precision {len(true) / max(1, len(pairs)):.3f}, recall {len(true) / max(1, len(made.same)):.3f}")
    planted, found = Counter(made.same.values()), Counter(made.same[pair] for pair in true)
    for kind in sorted(planted):
        print(f"  {kind}: {found[kind]} of {planted[kind]}")
    proposed = Counter(made.alike[pair] for pair in pairs & made.alike.keys())
    for kind, count in sorted(Counter(made.alike.values()).items()):
        print(f"  not one person, {kind}: {proposed[kind]} of {count} proposed")


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=2000, help="people of the network that is scored")
    parser.add_argument("--scale", type=int, default=100_000, help="people of the network that is timed; 0 for none")
    parser.add_argument("--share", type=float, default=0.05, help="share of people who get a second record")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    model = read_model()
    for count in filter(None, (chosen.people, chosen.scale)):
        made = network(count, chosen.share, chosen.seed)
        rows = rows_of(made.records, model)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clock, cpu = time.perf_counter(), time.process_time()
        told(made, rows, model)
        print(f"  search: {time.perf_counter() - clock:.1f} s, {time.process_time() - cpu:.1f} s of CPU; peak "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB ({before / 1024:.0f} MB before)")


if __name__ == "__main__":
    main()
