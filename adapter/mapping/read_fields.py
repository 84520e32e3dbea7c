"""Which fields an element came from where one row reads a whole segment (or CSV row): its function's account knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from adapter.mapping.rules import Row
from adapter.parse.er7 import NULL


def fields_read(row: Row, source: Any, symbol: str, slot: str) -> list[int | str]:
    """The valued fields (numbers, or columns) of which a row made an element of a resource, in order; [] where none is known.

    Those whose account names the element; else those that name the resource's type; else, for the row's own element (a
    reference to what is made of them), all that go somewhere.
    """
    if row.function is None or not row.whole:
        return []
    resource_type = symbol.partition("?")[0].partition("@")[0]
    element = slot.partition("#")[0].partition(".")[0].lstrip("_")
    going = [(part, went) for part, went in row.function.parts.items() if not went.startswith("drop: ")]
    exact = [part for part, went in going if re.search(rf"\b{resource_type}\.{element}\b", went)]
    own = row.target.partition("[")[0].partition(".")[0].lstrip("_") == element
    inside = [part for part, went in going if (own and not went[:1].isupper()) or re.search(rf"\b{resource_type}\b", went)]
    for parts in (exact + (inside if own else []), inside, [part for part, _ in going] if own else []):
        if fields := list(dict.fromkeys(_valued(parts, source))):
            return sorted(fields, key=lambda field: (isinstance(field, str), field))
    return []


def _valued(parts: list[str], source: Any) -> Iterator[int | str]:
    """The fields of parts (`3.2`, or a column) that hold something here."""
    for part in parts:
        number = part.partition(".")[0]
        field: int | str = part if source.name == "ROW" else int(number) if number.isdigit() else 0
        if field and source.raw(field) not in ("", NULL):
            yield field
