"""Golden cases: what goes in and what must come out, beside each mapping; run by pytest, the command line and the workbench.

A case is a folder `mappings/<feed>/cases/<case>/` with input.hl7 or input.csv, expected.json, and case.yaml: `why`,
`clock` (arrival of the first message; each further one comes a second later), `expect_issues` (codes, in any order),
`feed` where the folder's own is only there to be extended.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from adapter.errors import Rejected
from adapter.feeds import Feeds, contract_and_options
from adapter.mapping.bundle import entries
from adapter.mapping.rows import map_row
from adapter.mapping.yaml_lines import line_of, load_yaml
from adapter.model import Composed, Contribution, Issue, Json, Received
from adapter.parse.batch import split_messages
from adapter.parse.rows import RowError, open_csv
from adapter.pipeline import compose_all, map_received, microseconds
from adapter.validate.references import check_references

KEY = b"careloop-cases"
"""The key of ids in cases, so that they are the same everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of one case. diff: '' where all is as expected."""

    name: str
    ok: bool
    diff: str


def folders(mappings: Path, feed: str | None) -> list[Path]:
    """The case folders of one feed, or of all; complete or not."""
    return sorted(path for path in mappings.glob(f"{feed or '*'}/cases/*") if path.is_dir())


def _wanting(folder: Path) -> str:
    """What a case folder lacks, '' where it can be run."""
    if not (folder / "case.yaml").exists():
        return "no case.yaml: write one with `why`, `clock` (as 2026-03-01T08:00:00-05:00) and `expect_issues: []`"
    if not any(path.suffix in (".hl7", ".csv") for path in folder.glob("input.*")):
        return "no input.hl7 or input.csv: put what is sent there"
    case = load_yaml(folder / "case.yaml")
    try:
        datetime.fromisoformat(str(case.get("clock", "")))
    except ValueError:
        line = line_of(folder / "case.yaml", "clock")
        return f"case.yaml:{line}: `clock` is missing or no time: say when the first message arrives, 2026-03-01T08:00:00-05:00"
    return ""


def run(feeds: Feeds, mappings: Path, feed: str | None = None, accept: bool = False) -> list[CaseResult]:
    """Run the cases; with `accept` what came out becomes what is expected."""
    return [run_case(feeds, folder, accept) for folder in folders(mappings, feed)]


def run_case(feeds: Feeds, folder: Path, accept: bool) -> CaseResult:
    """Run one case twice (both runs must be equal to the byte) and compare."""
    name = f"{folder.parent.parent.name}/{folder.name}"
    if wanting := _wanting(folder):
        return CaseResult(name=name, ok=False, diff=wanting)
    case = load_yaml(folder / "case.yaml")
    feed = str(case.get("feed", folder.parent.parent.name))
    clock = datetime.fromisoformat(str(case["clock"]))
    composed, issues = outcome(feeds, folder, feed, clock)
    again, _ = outcome(feeds, folder, feed, clock)
    bundle: Json = {"resourceType": "Bundle", "type": "transaction", "entry": entries(composed)}
    text = orjson.dumps(bundle, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
    faults = [*_invariants(composed, [c.hash for c in composed] == [c.hash for c in again]), *_unexpected(case, issues)]
    expected = folder / "expected.json"
    if accept:
        expected.write_text(text, encoding="utf-8")
    before = expected.read_text(encoding="utf-8") if expected.exists() else ""
    if before != text:
        faults.extend(difflib.unified_diff(before.splitlines(), text.splitlines(), "expected.json", "now", lineterm="", n=2))
    return CaseResult(name=name, ok=not faults, diff="\n".join(faults))


def outcome(feeds: Feeds, folder: Path, feed: str, clock: datetime) -> tuple[list[Composed], list[Issue]]:
    """Everything that stands once all of a case's messages, or rows, are in; and what was noticed on the way."""
    said: list[Contribution] = []
    issues: list[Issue] = []
    for contributions, noticed in _mapped(feeds, folder, feed, clock):
        said.extend(contributions)
        issues.extend(noticed)
    composed = compose_all(said, (), feeds, KEY, lambda _: set())
    issues.extend(i for c in composed for i in c.issues)
    return [c for c in composed if not c.deleted], issues


def _mapped(feeds: Feeds, folder: Path, feed: str, clock: datetime) -> Iterator[tuple[Sequence[Contribution], Sequence[Issue]]]:
    source = next(path for path in sorted(folder.glob("input.*")) if path.suffix in (".hl7", ".csv"))
    raw = source.read_bytes()
    if source.suffix == ".csv":
        compiled = feeds.named(feed)
        contract, options = contract_and_options(compiled.feed)
        file = open_csv(raw, contract, options)
        yield (), file.issues
        for row in file.rows():
            if isinstance(row, RowError):
                yield (), row.issues
            else:
                for cells in row.every:
                    mapped = map_row(cells, row.number, f"{feed}|case|{row.number}", compiled, microseconds(clock),
                                     columns=file.binding.header.names)
                    yield mapped.contributions, mapped.issues
        return
    for n, message in enumerate(split_messages(raw).messages):
        try:
            mapped = map_received(Received(raw=message, arrival=clock + timedelta(seconds=n), feed=feed), feeds)
        except Rejected as error:
            yield (), (error.issue,)
        else:
            yield mapped.contributions, mapped.issues


def _invariants(composed: Sequence[Composed], repeatable: bool) -> Iterator[str]:
    names = [f"{c.resource_type}/{c.id}" for c in composed]
    if len(set(names)) != len(names):
        yield "two resources have one id"
    if not repeatable:
        yield "a second run gave other resources"
    for issue in check_references([c.body for c in composed], lambda _: False):
        yield f"{issue.place}: a reference has no target"
    for c in composed:
        if not c.sources:
            yield f"{c.resource_type}: nobody is known to have said it"


def _unexpected(case: Json, issues: Sequence[Issue]) -> Iterator[str]:
    """Codes of warnings and errors that were not expected, and expected ones that did not come."""
    from adapter.errors import kind_of

    found = {i.code for i in issues if kind_of(i).severity != "information"}
    wanted = set(case.get("expect_issues", []))
    for code in sorted(found - wanted):
        places = sorted({i.place for i in issues if i.code == code})
        yield f"unexpected issue {code} ({', '.join(places[:5])})"
    for code in sorted(wanted - found):
        yield f"expected issue {code} did not come"
