"""One ADT message as contributions: decode, read, run the feed's maps over its segments, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter.conformance.check import conform
from adapter.conformance.profile import Agreed
from adapter.errors import Rejected
from adapter.mapping.context import Builder, MapContext, slug
from adapter.mapping.feed import Feed
from adapter.mapping.header import Event, read_header
from adapter.mapping.ledger import Ledger
from adapter.mapping.rules import Rules
from adapter.mapping.segment import gathered, join, map_segment
from adapter.mapping.subjects import Group, groups_of, identify, pair
from adapter.mapping.terminology import Terminology
from adapter.model import Contribution, Issue, Mapped, Order
from adapter.parse.charset import decode
from adapter.parse.er7 import Message

SEGMENTS = 2000
"""Segments of one message, at most; what has more is a batch that lost its headers."""
ANCHORS = frozenset({"PID", "PV1", "PR1", "IN1"})
"""Segments after which ROL, PRT and ARV mean something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A feed ready to run: its rules, terminology and events, and what its functions keep, by source and delimiters."""

    feed: Feed
    rules: Rules
    terminology: Terminology
    events: Mapping[str, Event]
    memory: dict[Any, Any] = field(default_factory=dict[Any, Any])


def read_message(raw: bytes, feed: Feed, issues: list[Issue]) -> Message:
    """Bytes as a Message, strictly decoded. Raises Rejected (empty, binary, charset, not-hl7, bad-delimiters)."""
    decoded = decode(raw, feed.charset)
    issues.extend(decoded.issues)
    message = Message(decoded.text, decoded.charset)
    if len(message.segments) > SEGMENTS:
        raise Rejected("too-large", f"segment {SEGMENTS + 1}", f"a message has at most {SEGMENTS} segments")
    issues.extend(Issue(code="segment-malformed", place=f"line {n}") for n in message.stray)
    issues.extend(Issue(code="bad-escape", place=place) for place in message.misread())
    return message


def _agreed(compiled: Compiled) -> Agreed:
    """The sender's own codes by the place that they are translated at, worked out once, where a profile may ask."""
    if compiled.feed.conformance.profile is None:
        return {}
    agreed: dict[str, set[str]] | None = compiled.memory.get("agreed")
    if agreed is None:
        agreed = compiled.memory["agreed"] = {}
        for one in (one for maps in compiled.rules.maps.values() for one in maps):
            for row in (*one.always, *(row for rows in one.by_field.values() for row in rows)):
                if row.place is not None and (own := compiled.feed.codes.get(str(row.options.get("table", "")))):
                    agreed.setdefault(str(row.place), set()).update(own)
    return agreed


def map_message(raw: bytes, compiled: Compiled, arrival_us: int, ledger: Ledger | None = None) -> Mapped:
    """The contributions of one message. Raises Rejected where the message cannot be taken at all."""
    feed = compiled.feed
    issues: list[Issue] = []
    message = read_message(raw, feed, issues)
    header = read_header(message, raw, feed, compiled.events, arrival_us, issues)
    issues.extend(conform(message, header.event.code, header.version, feed.conformance, _agreed(compiled)))
    shared = "*" in feed.sender.values()
    source = f"{feed.name}/{slug(header.facility or header.application or 'unnamed')}" if shared else feed.name
    ctx = MapContext(feed, compiled.terminology, source=source, local=f"urn:x-careloop:{source.replace('/', ':')}",
                     event=header.event.code, message=header.identity, order=header.order, issues=issues,
                     sender=message.msh.first(4),
                     memory=compiled.memory.setdefault((source, message.d), {}))
    top, groups = groups_of(message)
    if not groups and header.event.patient:
        raise Rejected("no-patient", "PID-3")
    patients: list[str] = []
    for n, group in enumerate(groups or [Group([])]):
        if groups:
            identify(ctx, group, header.event)
            patients.append(ctx.patient)
        maps = compiled.rules.maps
        for segment in (*(top if n == 0 else ()), *group.segments):
            if segment.name in ANCHORS:
                ctx.anchor = segment.name
            found = maps.get(segment.name, ())
            if ledger:
                ledger.see(segment, found, ctx)
            if found:
                if ledger:
                    join(gathered(found, segment, ctx, ledger.step), ctx)
                else:
                    map_segment(found, segment, ctx)
            elif n == 0 or segment not in top:
                issues.append(Issue(code="segment-unknown", place=segment.name))
    pair(ctx, header.event, patients)
    contributions = [*finished(ctx, compiled.rules.version), *_cancels(ctx, header.event, compiled.rules.version)]
    return Mapped(identity=header.identity, feed=feed.name, source=source, event=header.event.code,
                  control_id=header.control_id, contributions=tuple(contributions), issues=tuple(issues),
                  test=header.test and not feed.test)


def finished(ctx: MapContext, mapping: str) -> list[Contribution]:
    """What stands in the context's builders and links, as contributions."""
    found: list[Contribution] = []
    everything = [{"reference": b.symbol} for b in ctx.builders.values()
                  if b.scope != "reference" and (b.snapshot or b.effect)
                  and b.resource_type not in ("Provenance", "MessageHeader")]
    for builder in ctx.builders.values():
        if "target#" in builder.snapshot:
            builder.snapshot = {**builder.snapshot, "target#": everything}
        if "focus#visit" in builder.snapshot and builder.snapshot["focus#visit"][0] not in everything:
            builder.snapshot = {k: v for k, v in builder.snapshot.items() if k != "focus#visit"}  # PID-18 alone names it
        if builder.snapshot:
            found.append(_contribution(ctx, builder, mapping, "snapshot"))
        if builder.effect:
            found.append(_contribution(ctx, builder, mapping, "effect"))
    found.extend(Contribution(source=ctx.source, resource_type=resource_type, key=key, scope="reference", patient="",
                              kind="snapshot", event=ctx.event, order=ctx.order, body=body, message=ctx.message,
                              mapping=mapping)
                 for (resource_type, key), body in ctx.shared.items())
    found.extend(Contribution(source=ctx.source, resource_type="Link", key=key, scope="own", patient=tie.patient,
                              kind=tie.kind, event=tie.event, order=ctx.order, other=tie.other, body=dict(tie.body),
                              message=ctx.message, mapping=mapping)
                 for tie in dict.fromkeys(ctx.links) for key in tie.found_by())
    found.extend(Contribution(source=ctx.source, resource_type="Link", key=patient, scope="own", patient=patient,
                              kind="withdraw", event=ctx.event, order=ctx.order, message=ctx.message, mapping=mapping,
                              body={"level": "list", "new": resource_type, "old": beginning, "members": sorted(members)})
                 for (patient, resource_type, beginning), members in ctx.lists.items())
    found.extend(Contribution(source=ctx.source, resource_type=resource_type, key=key, scope="own", patient=ctx.patient,
                              kind="withdraw", event=ctx.event, order=ctx.order, message=ctx.message, mapping=mapping)
                 for resource_type, key in dict.fromkeys(ctx.withdrawn) if (resource_type, key, "") not in ctx.builders)
    return found


def _cancels(ctx: MapContext, event: Event, mapping: str) -> list[Contribution]:
    if not event.cancels or ("Encounter", ctx.visit, "") not in ctx.builders:
        return []
    return [Contribution(
        source=ctx.source, resource_type="Encounter", key=ctx.visit, scope="own", patient=ctx.patient, visit=ctx.visit,
        kind="cancel", event=event.code, order=ctx.order, body={"status": event.alone}, cancels=event.cancels,
        message=ctx.message, mapping=mapping)]


def _contribution(ctx: MapContext, builder: Builder, mapping: str, kind: str) -> Contribution:
    return Contribution(
        source=ctx.source, resource_type=builder.resource_type, key=builder.key, scope=builder.scope,  # pyright: ignore[reportArgumentType]  # checked by the mapping schema
        patient=builder.patient, visit=builder.visit, kind=kind, event=ctx.event,  # pyright: ignore[reportArgumentType]  # two literals above
        order=ctx.order, body=builder.effect if kind == "effect" else builder.snapshot, message=ctx.message, mapping=mapping)


def order_of_row(stated_us: int | None, arrival_us: int, feed: Feed) -> Order:
    """The order of a CSV row: its own `updated_at` (None where it has none that can be taken), else arrival."""
    stated = arrival_us if stated_us is None else stated_us
    return Order(occurred=stated, stated=stated, sequence=0, rank=0, arrival=arrival_us, by=feed.order)
