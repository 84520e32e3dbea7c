"""Write docs/hl7-fields.md: where each field of each segment goes, by which function, or why it is left out.

`python tools/fields.py [--check]`: out of the mapping files of `common`, the functions' own accounts of their parts, and
hl7apy's names of fields. --check: exit 1 where the page is not what the tool makes.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapter.mapping.account import element_of
from adapter.mapping.feed import load_feeds
from adapter.mapping.functions import FUNCTIONS, Function
from adapter.mapping.lint_places import HL7_VERSIONS
from adapter.mapping.rules import Condition, Map, Row, compile_feed
from adapter.model import Json

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "hl7-fields.md"
_OWN_TABLE = re.compile(r"""ctx\.code\(["']([\w-]+)["']""")
FEED = "default"
"""The feed whose maps are told: it adds nothing to those that all senders share."""
SEGMENTS = (
    "MSH", "SFT", "UAC", "EVN", "PID", "PD1", "ARV", "ROL", "PRT", "NK1", "PV1", "PV2", "DB1", "OBX", "NTE", "AL1", "IAM",
    "IAR", "DG1", "DRG", "PR1", "GT1", "IN1", "IN2", "IN3", "RF1", "AUT", "ACC", "UB1", "UB2", "PDA", "MRG", "NPU", "CON")
"""What an ADT may carry, in the order of its structures."""
HEAD = """# Where each field goes

Made by `make fields` out of the mapping files in `mappings/common` and the functions' accounts of what they do with each part of
a datatype; do not edit it. A sender's own folder may say otherwise. For one message, `careloop convert --loss` says the same of
every value that it holds.

- *element*: where the field's value goes. `Type.element`; behind an extension stands its name.
- *by*: the function that reads it ([mappings.md](mappings.md)); its components are told [below](#components). Without one the
  value is a constant or text.
- *codes*: the HL7 table of the field, by its number, and the concept map (`mappings/common/conceptmaps`) by which its codes
  are translated; a feed's `codes` come before it. A number alone: the code stands as it was sent.
- *when*: the conditions, and the events in which it takes effect; in other events it is only what the sender repeats.
- *in other words*: the element says the value in terms of its own, a flag as a label.
- **dropped**: left out on purpose, and why. **not mapped**: told as `unmapped` by `--loss`.
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Line:
    """One decision about a field. n: its number; place: the field or a part of it."""

    n: int
    place: str
    element: str
    by: str = ""
    codes: str = ""
    when: str = ""


def page() -> str:
    """The whole page."""
    compiled = compile_feed(load_feeds(ROOT / "mappings")[FEED])
    parts = [HEAD]
    for segment in SEGMENTS:
        parts.append(_segment(segment, compiled.maps.get(segment, ())))
    used = sorted({line for maps in compiled.maps.values() for one in maps for line in _functions(one)})
    parts.append("## Components\n\nWhat each function does with the parts of a field: component, or component.subcomponent. "
                 "`*` is the whole text.\n")
    parts.extend(_account(FUNCTIONS[name]) for name in used)
    return "\n".join(parts)


def _segment(segment: str, maps: Iterable[Map]) -> str:
    names, tables = _names(segment), _tables(segment)
    lines: dict[int, list[Line]] = {}
    for one in maps:
        for row in _rows(one):
            for line in _told(one, row, names):
                lines.setdefault(line.n, []).append(line)
    rows = [f"## {segment}\n", "| field | name | element | by | codes | when |", "|---|---|---|---|---|---|"]
    for n in sorted(names.keys() | lines.keys()):
        said = _joined(f"{segment}-{n}", lines.get(n) or [Line(n=n, place=f"{segment}-{n}", element=_silent(segment, n))])
        for k, ((element, by, codes, when), places) in enumerate(said.items()):
            table = " ".join(filter(None, (tables.get(n, "") if k == 0 else "", codes)))
            rows.append(f"| {places} | {names.get(n, '') if k == 0 else ''} | {element} | {by} | {table} | {when} |")
    return "\n".join(rows) + "\n"


def _joined(field: str, lines: Iterable[Line]) -> dict[tuple[str, str, str, str], str]:
    """(element, by, codes, when) of a field's lines, each with the parts it holds for: the field alone where it is one."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for line in lines:
        found.setdefault((line.element, line.by, line.codes, line.when), []).append(line.place)
    return {said: field if field in places else " ".join([places[0], *(p.removeprefix(field) for p in dict.fromkeys(places[1:]))])
            for said, places in found.items()}


def _silent(segment: str, n: int) -> str:
    return "read as the delimiters of the message" if segment == "MSH" and n < 3 else "**not mapped**"


def _names(segment: str) -> dict[int, str]:
    """The names of a segment's fields, of the newest version that has each."""
    found: dict[int, str] = {}
    for version in HL7_VERSIONS:
        fields = importlib.import_module(f"hl7apy.{version}.segments").SEGMENTS.get(segment, ("", ()))
        for field in fields[1] if len(fields) > 1 else ():
            number = str(field[0]).rpartition("_")[2]
            if number.isdigit() and field[1][3]:
                found[int(number)] = str(field[1][3]).replace("_", " ").capitalize()
    return found


def _tables(segment: str) -> dict[int, str]:
    """The numbers of the HL7 tables of a segment's coded fields, by the newest version that says one: `0001`."""
    found: dict[int, str] = {}
    for version in HL7_VERSIONS:
        fields = importlib.import_module(f"hl7apy.{version}.segments").SEGMENTS.get(segment, ("", ()))
        for field in fields[1] if len(fields) > 1 else ():
            number, table = str(field[0]).rpartition("_")[2], str(field[1][4] or "")
            if number.isdigit() and table.startswith("HL7"):
                found[int(number)] = table[3:].rjust(4, "0")
    return found


def _codes(row: Row) -> str:
    """The concept maps by which a row translates: the one that it names, else those that its function has by itself."""
    table = str(row.options.get("table", ""))
    if not table and row.function is not None and not row.whole:
        return " ".join(f"`{name}`" for name in dict.fromkeys(_OWN_TABLE.findall(inspect.getsource(row.function.call))))
    return f"`{table}`" if table else ""


def _rows(one: Map) -> Iterator[Row]:
    yield from (row for rows in one.by_field.values() for row in rows)
    yield from (row for rows in one.drops.values() for row in rows)
    yield from (row for row in one.always if row.whole)


def _told(one: Map, row: Row, names: dict[int, str]) -> Iterator[Line]:
    """What a row says of fields; one that takes the whole segment says something of each field it reads."""
    assert row.place is not None
    when = _when((*one.when, *row.when), row.effect)
    if row.drop:
        yield Line(n=int(row.place.field), place=str(row.place), element=f"**dropped**: {_cell(row.drop)}", when=when)
        return
    by = f"`{row.function.name}`" if row.function else ""
    if not row.whole:
        yield Line(n=int(row.place.field), place=str(row.place), element=f"`{element_of(one, row, '')}`", by=by,
                   codes=_codes(row), when=when)
        return
    for part, element in (row.function.parts if row.function else {}).items():
        n = part.partition(".")[0]
        if n.isdigit() and int(n) in names:
            dropped = element.startswith("drop: ")
            yield Line(n=int(n), place=f"{row.place}-{part}", by=by, when=when,
                       element=f"**dropped**: {_cell(element[6:])}" if dropped else f"`{element_of(one, row, element)}`")


def _when(conditions: Iterable[Condition], effect: Iterable[str]) -> str:
    said = [f"{place} {want}" if isinstance(want, str) else f"{place} is {' or '.join(sorted(want))}"
            for place, want in conditions]
    events = " ".join(sorted(effect))
    return _cell(", ".join(said) + ("; " if said and events else "") + (f"takes effect in {events}" if events else ""))


def _functions(one: Map) -> Iterator[str]:
    yield from (row.function.name for row in _rows(one) if row.function and not row.whole)


def _account(function: Function) -> str:
    parts: Json = dict(function.parts)
    rows = [f"### {function.name}\n", "| part | goes to |", "|---|---|"]
    rows.extend(f"| {_cell(part)} | {_goes(element)} |" for part, element in parts.items())
    return "\n".join(rows) + "\n"


def _goes(element: str) -> str:
    if element.startswith("drop: "):
        return f"**dropped**: {_cell(element[6:])}"
    return f"`{element}`" if element.strip() == element and element else f"the element{element}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def main() -> None:
    """Write the page, or check it."""
    made = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != made:
            raise SystemExit(f"{PAGE.relative_to(ROOT)} is not what the mappings say: make fields")
        return
    PAGE.write_text(made, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {made.count('| **dropped**')} dropped, {made.count('| **not mapped**')} not mapped")


if __name__ == "__main__":
    main()
