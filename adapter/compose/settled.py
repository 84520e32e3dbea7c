"""Statements as they hold now: what its source deleted or left out is gone, what was moved or renumbered is at home.

Pure: a function of the statements and links alone. Source: COMPOSE, fold 4 and identity; HL7 v2 chapter 3, A23 and A29.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson

from adapter.compose.homes import at_home, homes_of
from adapter.identity.links import GROUPED, Link
from adapter.model import Contribution


def settled(statements: Sequence[Contribution], links: Sequence[Link]) -> list[Contribution]:
    """The statements that hold, where they belong."""
    alone = all(c.order is statements[0].order for c in statements)  # one message leaves nothing out of its own lists
    rows = _rows(links)
    if rows:
        statements = [kept for c in statements if (kept := _of_row(c, rows)) is not None]
    ends = [n for n in links if n.level == "delete" or (n.level == "list" and not alone)]
    homes = homes_of(statements, links)
    if homes is not None:
        statements, ends = [at_home(c, homes) for c in statements], [homes.of_list(n) for n in ends]
    if not ends:
        return list(statements)
    person = homes.person if homes is not None else str
    over = _ends(ends, person)
    said = [c for c in statements if _holds(c, over, person)]
    return [_inactive(c, said, ends) for c in said]


def _ends(ends: Sequence[Link], person: Callable[[str], str]) -> dict[tuple[str, str], list[Link]]:
    """(source, what it is about) -> what ends there: a patient's list, all of a person, or a visit."""
    over: dict[tuple[str, str], list[Link]] = {}
    for n in ends:
        about = n.patient if n.level == "list" else f"Encounter?{n.old}" if n.old else f"person {person(n.patient)}"
        over.setdefault((n.source, about), []).append(n)
    return over


def _rows(links: Sequence[Link]) -> dict[tuple[str, str, str], Link]:
    """(source, row, resource type) -> the latest word on where that row's statements stand."""
    rows: dict[tuple[str, str, str], Link] = {}
    for n in links:
        if n.level == "row":
            at = (n.source, n.other, n.new)
            if at not in rows or (n.order, n.message) > (rows[at].order, rows[at].message):
                rows[at] = n
    return rows


def _of_row(c: Contribution, rows: dict[tuple[str, str, str], Link]) -> Contribution | None:
    """A statement without what a later one of its row took elsewhere; None where nothing is left of it."""
    row = rows.get((c.source, c.other, c.resource_type)) if c.other else None
    if row is None or (tuple(c.order.of_snapshot()), c.message) >= (tuple(row.order), row.message):
        return c
    if (f"{c.key}?{c.patient}" if c.scope == "person" else c.key) not in row.members:
        return None
    body = {slot: value for slot, value in c.body.items() if GROUPED not in slot}  # the list member is stated anew by that row
    return c if len(body) == len(c.body) else replace(c, body=body)


def _holds(c: Contribution, over: dict[tuple[str, str], list[Link]], person: Callable[[str], str]) -> bool:
    if c.scope == "reference":
        return True
    order = tuple(c.order.of_snapshot())
    visit = c.key if c.resource_type == "Encounter" else c.visit
    for about in (c.patient, f"person {person(c.patient)}", f"Encounter?{visit}" if visit else ""):
        for n in over.get((c.source, about), ()):
            if order < tuple(n.order) and _ended(c, n):
                return False
    return True


def _ended(c: Contribution, end: Link) -> bool:
    """Whether a later deletion, or list without it, is about a statement. Of a deleted visit its course stays: it has been."""
    if end.level == "list":
        return c.key.startswith(end.old) and c.key not in end.members and c.resource_type == end.new
    if not end.old:
        return True
    if c.resource_type == "Encounter":
        return c.key == end.old and c.kind == "snapshot"
    return f'"Encounter?{end.old}"'.encode() in orjson.dumps(c.body)


def _inactive(c: Contribution, said: Sequence[Contribution], ends: Sequence[Link]) -> Contribution:
    """A deleted person's last statement says that the record is no longer in use, unless anybody goes on about it."""
    if c.resource_type != "Patient" or c.kind != "snapshot":
        return c
    for n in ends:
        if n.level == "delete" and not n.old and n.message == c.message and not any(
                o.resource_type == "Patient" and o.key == c.key and (
                    o.source != c.source or tuple(o.order.of_snapshot()) > tuple(n.order)) for o in said):
            return replace(c, body={**c.body, "active": False})
    return c


def records_of(statements: Sequence[Contribution]) -> set[str]:
    """The numbers that have a Patient record: stated by some source, and not taken back by it since."""
    patients = [c for c in statements if c.resource_type == "Patient"]
    back: dict[tuple[str, str], int] = {}
    for c in patients:
        if c.kind == "withdraw":
            back[c.key, c.source] = max(c.order.stated, back.get((c.key, c.source), c.order.stated))
    return {c.key for c in patients if c.kind != "withdraw" and (not back or c.order.stated > back.get((c.key, c.source), -1))}
