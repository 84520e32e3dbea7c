"""Reading a composite at once, which is cheaper than component by component."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.primitives import period
from adapter.model import Json
from adapter.parse.er7 import NULL, Rep


def components(rep: Rep, least: int) -> list[str]:
    """Every component as `Rep.get` reads it, index 0 unused, at least as many as `least` ('' where absent)."""
    d = rep.d
    sub, escape = d.sub, d.escape
    found = [""]
    for n, part in enumerate(rep.parts, 1):
        if not part or part == NULL:
            found.append("")
        elif sub in part or escape in part:
            found.append(rep.get(n))
        else:
            found.append(part.strip())
    if len(found) <= least:
        found += [""] * (least + 1 - len(found))
    return found


def words(*values: str) -> list[str]:
    """Those that are not empty."""
    return [v for v in values if v]


def segment_period(segment: Any, ctx: Any, start: int, end: int) -> Json:
    """`{period: ...}` of two DTM fields of a segment, empty where neither has a time."""
    found = period(segment.first(start).get(1), segment.first(end).get(1), ctx)
    return {"period": found} if found else {}
