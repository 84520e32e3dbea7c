"""Three gap rules beside a CQL engine (cql-execution of npm), over the same made-up members.

    python -m bench.cql

The members are those of the demonstration network, as FHIR. The engine has each as a Bundle in memory, its CQL
(cqlengine/gaps.cql) translated ahead, and answers rule by rule who has an open gap; both must name the same members. Ours are the
rules of profiles/rules on DuckDB, over many copies of the same members: over their view rows, and from FHIR JSON to the answer.
Both are pinned to one core and take turns; rates are members a second of CPU time of the whole process, medians of the passes.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson

from adapter.commands.demonstration import load_demonstration
from adapter.demo import DEMO_AS_OF
from adapter.gaps import population, snapshot
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.reads import everything_read
from adapter.gaps.rules import Rules, open_rules
from adapter.gateway import Gateway
from adapter.model import Json
from adapter.settings import Settings
from adapter.store.engine import reading

START = Path(__file__).parent / "cqlengine" / "peer"
RULES = ("G01", "G07", "G28")
SHARED = ("Practitioner", "PractitionerRole", "Organization")
_OF_A_PERSON = re.compile(rb'"(?:%s)/([0-9A-Za-z.-]+)"|"id":"([0-9A-Za-z.-]+)"' % b"|".join(
    one.encode() for one in ("Patient", "EpisodeOfCare", "CareTeam", "Encounter", "ServiceRequest", "Task", "Procedure")))


@dataclass(slots=True)
class Members:
    """Everybody as FHIR: each member's own resources, and what is shared."""

    own: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    shared: dict[str, Json] = field(default_factory=dict[str, Json])

    def bundles(self) -> Iterator[bytes]:
        """A line for each member: what is theirs, and the PractitionerRoles that it names."""
        for own in self.own.values():
            named = {f"PractitionerRole/{one.decode()}" for one in re.findall(rb'"PractitionerRole/([^"]+)"', orjson.dumps(own))}
            found = [*own, *(self.shared[name] for name in sorted(named & self.shared.keys()))]
            yield orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in found]})

    def lines(self, copies: int) -> Iterator[bytes]:
        """Every resource as JSON: the shared ones once, those of the members so often, each time under other ids."""
        yield from map(orjson.dumps, self.shared.values())
        own = [orjson.dumps(one) for resources in self.own.values() for one in resources]
        for n in range(copies):
            mark = b"%d." % n
            for line in own:
                yield _OF_A_PERSON.sub(lambda found, mark=mark: _renamed(found, mark), line) if n else line


def _renamed(found: re.Match[bytes], mark: bytes) -> bytes:
    name = found[1] or found[2]
    return found[0].replace(name, mark + name)


def members() -> Members:
    """The demonstration network, loaded and read back. A member's resources are those that rules may read."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Settings(data_dir=Path(folder), key="00" * 32), lambda: DEMO_AS_OF)  # pyright: ignore
        load_demonstration(gateway)
        with reading(gateway.engine) as connection:
            rows = connection.exec_driver_sql("SELECT resource_type, id, body FROM resource WHERE deleted = 0").all()
            main = {row[0] for row in connection.exec_driver_sql("SELECT resource_id FROM view_member")}
        gateway.close()
    found = Members(own={f"Patient/{one}": [] for one in main})
    for row in rows:
        body: Json = {"resourceType": row.resource_type, "id": row.id, **orjson.loads(row.body)}
        if row.resource_type in SHARED:
            found.shared[f"{row.resource_type}/{row.id}"] = body
        elif (whose := f"Patient/{row.id}" if row.resource_type == "Patient" else _subject(body)) in found.own:
            found.own[whose].append(body)
    return found


def _subject(resource: Json) -> str:
    named: list[Any] = [resource[name] for name in ("subject", "patient", "for", "beneficiary") if name in resource]
    return str(cast("Json", named[0]).get("reference", "")) if named and isinstance(named[0], dict) else ""


class Peer:
    """The engine: a process that takes its turn when it is asked. answers: rule to the members who have an open gap."""

    def __init__(self, bundles: Path) -> None:
        """Start it, built where need be, and let it answer once. Raises RuntimeError where it does not come up."""
        self._process = subprocess.Popen([str(START), str(bundles), DEMO_AS_OF.isoformat(timespec="milliseconds")],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers: dict[str, set[str]] = {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self._told = self._process.stdin, self._process.stdout
        for line in self._told:
            word, *rest = line.split()
            if word == "ready":
                return
            self.answers[rest[0]] = set(rest[1:])
        raise RuntimeError(f"the engine ended with exit {self._process.wait()}; try {START} --build-only")

    def rate(self, seconds: float) -> float:
        """Members a second of CPU time over one pass."""
        print(seconds, file=self._asked, flush=True)
        count, used = self._told.readline().split()
        return int(count) / float(used)

    def stop(self) -> None:
        """Let it end."""
        self._asked.close()
        self._process.wait()


def question() -> population.Question:
    """The three rules, of those that are open or missed."""
    rules = open_rules()
    three = replace(rules, rules={name: rules.rules[name] for name in RULES})
    return population.question(now=DEMO_AS_OF, states=["open", "missed"], rules=three, threads=1, catalog=views_read(three))


def views_read(rules: Rules) -> Catalog:
    """The views that rules read, and no others: the engine looks at no more either."""
    everything = open_catalog()
    needed, _ = everything_read(rules, everything, [*rules.rules.values()])
    views = {name: view for name, view in everything.views.items() if name in needed}
    by_type = {kind: tuple(view for view in found if view.name in needed) for kind, found in everything.by_type.items()}
    tables = {name: columns for name, columns in everything.tables.items() if name in needed or name not in everything.views}
    return replace(everything, views=views, by_type=by_type, tables=tables)


def flattened(lines: list[bytes], folder: Path) -> snapshot.Snapshot:
    """FHIR JSON to view rows."""
    return snapshot.of_resources(map(orjson.loads, lines), folder, question().catalog)


def compare(copies: int, passes: int, seconds: float) -> None:
    """Run both in turns and print their figures side by side."""
    everybody = members()
    lines = list(everybody.lines(copies))
    count = len(everybody.own) * copies
    with tempfile.TemporaryDirectory() as folder:
        once = flattened(list(everybody.lines(1)), Path(folder) / "once")
        ours = {rule: {gap.member_id for gap in population.evaluate(once, question()) if gap.rule == rule} for rule in RULES}
        (Path(folder) / "bundles.ndjson").write_bytes(b"\n".join(everybody.bundles()))
        peer = Peer(Path(folder) / "bundles.ndjson")
        try:
            for rule in RULES:
                told = f"{rule}: {len(ours[rule])} of {len(everybody.own)} members have an open gap"
                print(f"{told}, by both" if ours[rule] == peer.answers[rule]
                      else f"{told}; THE PEER DIFFERS about {sorted(ours[rule] ^ peer.answers[rule])}")
            peer.rate(seconds)
            rates: dict[str, list[float]] = {"rules": [], "whole": [], "peer": []}
            for n in range(passes):
                began = time.process_time()
                flat = flattened(lines, Path(folder) / f"{n}")
                read = time.process_time()
                population.write(flat, question(), Path(folder) / f"out{n}")
                done = time.process_time()
                rates["rules"].append(count / (done - read))
                rates["whole"].append(count / (done - began))
                rates["peer"].append(peer.rate(seconds))
        finally:
            peer.stop()
    tell(rates, count, len(everybody.own), len(lines))


def tell(rates: dict[str, list[float]], count: int, bundles: int, resources: int) -> None:
    """Print rates and ratios."""
    names = {"rules": f"ours, over view rows of {count:,} members", "whole": f"ours, from JSON of {resources:,} resources",
             "peer": f"cql-execution 3.3.2, {bundles} Bundles in memory"}
    print(f"\n{'members a second of CPU time':<52}{'median':>12}{'lowest':>12}{'highest':>12}")
    for name, found in rates.items():
        print(f"{names[name]:<52}{statistics.median(found):12,.0f}{min(found):12,.0f}{max(found):12,.0f}")
    for name in ("rules", "whole"):
        ratios = [a / b for a, b in zip(rates[name], rates["peer"], strict=True)]
        print(f"{names[name]}: {statistics.median(ratios):.0f} x the peer (lowest {min(ratios):.0f})")


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=250, help="how often each member of the network stands in ours")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of CPU time, each pass of the peer")
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    compare(asked.copies, asked.passes, asked.seconds)


if __name__ == "__main__":
    main()
