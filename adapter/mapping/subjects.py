"""Whose record, visit and account a message is about, and what its event says of these numbers.

Source: HL7 v2 chapter 3, merges, moves and changes of identifier; HL7 table of MRG fields by level; COMPOSE, identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapter.errors import Rejected
from adapter.identity.links import INFERRED, Tie
from adapter.mapping.context import MapContext
from adapter.mapping.header import Event
from adapter.mapping.rules import parse_place
from adapter.model import Issue
from adapter.parse.er7 import Message, Rep, Segment

_MRG = {"patient": 1, "account": 3, "visit": 5}
"""MRG field that holds the prior number of a level."""


@dataclass(slots=True)
class Group:
    """The segments about one patient: PID and what follows it, up to the next PID (or the next MRG of the same PID)."""

    segments: list[Segment]

    def find(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next((s for s in self.segments if s.name == name), None)


def groups_of(message: Message) -> tuple[list[Segment], list[Group]]:
    """The segments before the first PID, and the groups."""
    top: list[Segment] = []
    groups: list[Group] = []
    for segment in message.segments:
        if segment.name == "PID":
            groups.append(Group([segment]))
        elif not groups:
            top.append(segment)
        elif segment.name == "MRG" and groups[-1].find("MRG"):
            groups.append(Group([groups[-1].segments[0], segment]))
        else:
            groups[-1].segments.append(segment)
    return top, groups


def identify(ctx: MapContext, group: Group, event: Event) -> None:
    """Set patient, visit, account and merged for a group, and note what its numbers and its event tie. Raises Rejected."""
    pid = group.segments[0]
    primary = primary_identifier(pid.reps(3), ctx)
    if primary is None:
        raise Rejected("no-patient", "PID-3")
    ctx.patient = primary
    for rep in pid.reps(3):
        key = identifier_key(rep, ctx)
        if key and key != primary and rep.get(5) in ctx.feed.strong:
            ctx.links.append(Tie(primary, key, INFERRED))
    ctx.account = identifier_key(pid.first(18), ctx)
    ctx.visit = next((k for k in (_visit_key(name, group, ctx) for name in ctx.feed.visit) if k), "")
    ctx.merged = ""
    ctx.latest = {}
    for action in event.identity:
        _act(ctx, group, event, *action.split())


def pair(ctx: MapContext, event: Event, patients: Sequence[str]) -> None:
    """What an event says of the two patients it names: A24 links them, A37 unlinks them."""
    for action in {"link", "unlink"} & set(event.identity):
        if len(patients) > 1 and patients[0] != patients[1]:
            ctx.links.append(Tie(patients[0], patients[1], event.code, "link" if action == "link" else "unlink"))
        else:
            ctx.issues.append(Issue(code="required-missing", place="PID[2]-3"))


def _act(ctx: MapContext, group: Group, event: Event, what: str, level: str = "") -> None:
    mrg = group.find("MRG")
    if what == "renumber" and (mrg is None or not mrg.raw(_MRG[level])):
        return
    if what == "delete":
        if level == "visit" and not ctx.visit:
            ctx.issues.append(Issue(code="no-visit-number", place="PV1"))
        else:
            body = {"level": "delete", **({"old": ctx.visit} if level == "visit" else {})}
            ctx.links.append(Tie(ctx.patient, "", event.code, "withdraw", body))
    elif what in ("merge", "change", "move") and mrg is None:
        ctx.issues.append(Issue(code="required-missing", place="MRG"))
    elif mrg is not None and level == "patient":
        (_move_patient if what == "move" else _merge_patient)(ctx, group.segments[0], mrg, event)
    elif mrg is not None and what in ("merge", "change", "move", "renumber"):
        _renumber(ctx, mrg, event, level, moves=what == "move")


def _merge_patient(ctx: MapContext, pid: Segment, mrg: Segment, event: Event) -> None:
    """MRG-1 goes by PID-3 now; where a sender of old versions gives only MRG-4, that by PID-2."""
    before, now = primary_identifier(mrg.reps(1), ctx), ctx.patient
    if before is None or (before == now and mrg.first(4).get(1)):
        before, outer = identifier_key(mrg.first(4), ctx), identifier_key(pid.first(2), ctx)
        if before and outer:
            now = outer
            ctx.links.append(Tie(ctx.patient, outer, INFERRED))
    if not before:
        ctx.issues.append(Issue(code="required-missing", place="MRG-1"))
    elif before != now:
        ctx.merged = before
        system = before.rpartition("|")[0]
        also = [key for key in (identifier_key(r, ctx) for r in mrg.reps(1)) if key.rpartition("|")[0] == system]
        ctx.links.extend(Tie(now, key, event.code) for key in dict.fromkeys((before, *also)) if key != now)


def _move_patient(ctx: MapContext, pid: Segment, mrg: Segment, event: Event) -> None:
    """A43: the record of PID-3 is not of the person MRG-4 but of PID-2."""
    before, now = identifier_key(mrg.first(4), ctx), identifier_key(pid.first(2), ctx)
    if not before:
        before = next((k for k in (identifier_key(r, ctx) for r in mrg.reps(1)) if k and k != ctx.patient), "")
    if not before:
        ctx.issues.append(Issue(code="required-missing", place="MRG-4"))
        return
    if before != ctx.patient:
        ctx.links.append(Tie(ctx.patient, before, event.code, "unlink"))
    if now and now != ctx.patient:
        ctx.links.append(Tie(now, ctx.patient, event.code))


def _renumber(ctx: MapContext, mrg: Segment, event: Event, level: str, *, moves: bool) -> None:
    """An account or visit goes by another number, and perhaps to another patient: the one in MRG-1."""
    now = ctx.account if level == "account" else ctx.visit
    before = identifier_key(mrg.first(_MRG[level]), ctx) or (now if moves else "")
    owner = primary_identifier(mrg.reps(1), ctx) or ""
    if not now or not before:
        ctx.issues.append(Issue(code="required-missing", place=f"MRG-{_MRG[level]}"))
    elif before != now or owner not in ("", ctx.patient):
        other = owner if owner != ctx.patient else ""
        ctx.links.append(Tie(ctx.patient, other, event.code, body={"level": level, "old": before, "new": now}))


def identifier_key(rep: Rep, ctx: MapContext) -> str:
    """A CX as the key `system|value`, '' where it has no value."""
    value = rep.get(1)
    if not value:
        return ""
    system = ctx.system(rep.get(4), rep.sub(4, 2), rep.sub(4, 3), rep.get(5))
    return f"{system}|{value}"


def primary_identifier(reps: Sequence[Rep], ctx: MapContext) -> str | None:
    """The record's primary identifier: the first of the feed's `primary` types in order, else the first that has a value."""
    valued = [r for r in reps if r.get(1)]
    for kind in ctx.feed.primary:
        for rep in valued:
            if rep.get(5) == kind:
                return identifier_key(rep, ctx)
    return identifier_key(valued[0], ctx) if valued else None


def _visit_key(name: str, group: Group, ctx: MapContext) -> str:
    place = parse_place(name)
    segment = group.find(place.segment)
    return identifier_key(segment.first(int(place.field)), ctx) if segment else ""
