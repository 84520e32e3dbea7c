"""Reading a composite at once, which is cheaper than component by component."""

from __future__ import annotations

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
