"""What mappings and functions say of the parts of a field, and the leaves of a message that it is said of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapter.conformance.dictionary import Version, versions
from adapter.conformance.fields import PLAIN
from adapter.mapping.rules import Map, Row
from adapter.parse.er7 import NULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value of a segment or row. n: field or column; rep, component, sub: 1-based, sub 0 where there are none."""

    place: str
    n: Any
    rep: int = 1
    component: int = 1
    sub: int = 0
    text: str = ""


def element_of(one: Map, row: Row, part: str) -> str:
    """Where a row has a part go, as an element: of its own resource, or of the one that the part begins with."""
    if part[:1].isupper():
        return part
    name = f"({row.url.rpartition('/')[2].rpartition(':')[2]}).{row.value}" if row.url else ""
    return f"{one.resource}.{row.target.replace('[]', '')}{name}" + (part if part[:1] in ("", "(", " ") else f".{part}")


def part_of(row: Row, leaf: Leaf) -> str | None:
    """Where a row's function puts a part; None where it does not account for it; '' for the whole."""
    if row.function is None:
        return ""
    parts = row.function.parts
    place = row.place
    assert place is not None
    c, s = leaf.component, leaf.sub
    if row.whole:
        names = [f"{leaf.n}.{c}.{s}", f"{leaf.n}.{c}", f"{leaf.n}"]
    elif place.component:
        names = [f"{s or 1}", "*"]
    else:
        names = [f"{c}.{s or 1}", f"{c}", "*"]
    return next((parts[name] for name in names if name in parts), None)


_CONDITION = re.compile(r"(.*) (unless|with) ([0-9]+(?: or [0-9]+)*)(\)*)")


def conditional(part: str, source: Any, leaf: Leaf) -> str:
    """Where a part goes whose account names others: `period.start unless 12`, `system with 10 or 3`; or why it does not."""
    found = _CONDITION.fullmatch(part)
    if found is None:
        return part
    target, how, those, closing = found.groups()  # `organization(Organization.identifier.system with 10 or 3)`
    target += closing
    valued = any(source.reps(leaf.n)[leaf.rep - 1].get(int(number)) for number in those.split(" or "))
    if how == "unless":
        return f"drop: component {those} says it in the newer form" if valued else target
    return target if valued else f"drop: it is about component {those}, which is empty"


def leaves_of(source: Any) -> Iterator[Leaf]:
    """Every valued leaf of a segment or row; a field of `""` is one."""
    if source.name == "ROW":
        for column in source.valued():
            yield Leaf(place=f"row {source.number}, {column}", n=column)
        return
    name = source.name if source.number == 1 else f"{source.name}[{source.number}]"
    for n in range(1, len(source.fields)):
        if source.name == "MSH" and n in (1, 2):
            continue
        if source.raw(n) == NULL:
            yield Leaf(place=f"{name}-{n}.1", n=n, text=NULL)
        for number, rep in enumerate(source.reps(n), 1):
            for c, s, text in rep.leaves():
                again = f"[{number}]" if number > 1 else ""
                place = f"{name}-{n}{again}.{c}" + (f".{s}" if s else "")
                yield Leaf(place=place, n=n, rep=number, component=c, sub=s, text=text)


def beyond(segment: str, leaf: Leaf) -> bool:
    """Whether no version of HL7 v2 that knows the segment gives it such a field, component or subcomponent."""
    known = [one for one in versions().values() if segment in one.segments]
    return bool(known) and not any(_has(one, segment, leaf) for one in known)


def _has(version: Version, segment: str, leaf: Leaf) -> bool:
    types = version.segments[segment].types
    n: int = leaf.n
    datatype = types[n] if n < len(types) else ""
    for number in (leaf.component, leaf.sub or 1):
        inner = version.datatypes.get(datatype, ("",) if datatype in PLAIN else None)
        if inner is None:  # a datatype that varies
            return bool(datatype)
        if number > len(inner):
            return False
        datatype = inner[number - 1] or "ST"
    return True
