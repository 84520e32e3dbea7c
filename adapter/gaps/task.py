"""A gap as a Task for who is responsible, on the FHIR server; pure. Source: R4 Task; DEQM gaps in care.

The Task tells the life of the gap, so unlike all other resources it goes by what was known when, not by the messages alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from adapter.gaps.life import Life, owner_of, status_of
from adapter.gaps.rules import Rule
from adapter.model import Contribution, Json, Order

KEY = "urn:x-careloop:gap"
"""System of a gap Task's identifier and business key: `rule|subject|item`."""
SOURCE = "careloop"
RULES = "urn:x-careloop:rule"
STATES = "urn:x-careloop:gap-state"
_PRIORITY = {"urgent": "urgent", "soon": "asap", "routine": "routine"}


def key_of(life: Life) -> str:
    """The business key of a gap's Task."""
    return f"{KEY}|{life.rule}|{life.subject}|{life.item}"


def at_of(key: str) -> tuple[str, str, str] | None:
    """Subject, rule and item of a gap whose Task has this business key; None where it is no gap's."""
    parts = key.split("|", 3)
    return (parts[2], parts[1], parts[3]) if len(parts) == 4 and parts[0] == KEY else None


OURS = frozenset({"identifier", "status", "statusReason", "businessStatus", "intent", "priority", "code", "description", "for",
                  "focus", "owner", "authoredOn", "lastModified", "restriction", "executionPeriod", "input", "output"})
"""Elements that the life of a gap decides: another client's word on them is taken as a wish, and answered by the next version."""


def task_of(life: Life, rule: Rule, patient: str, now: int, seq: int) -> Contribution:
    """The statement of a gap's Task as its life is now. patient: key of the member's Patient, '' for an organization's gap.

    seq: number of the last thing that happened; it orders the statements, whatever the clock does.
    """
    order = Order(occurred=now, stated=now, sequence=seq, rank=0, arrival=now, by="sequence")
    return Contribution(source=SOURCE, resource_type="Task", key=key_of(life), scope="own" if patient else "reference",
                        patient=patient, kind="snapshot", event="", order=order, body=_body(life, rule),
                        message=f"{key_of(life)}|{seq}|{now}", mapping="")


def _body(life: Life, rule: Rule) -> Json:
    verdict = rule.verdicts.get(life.verdict)
    words = "" if verdict is None else f"{verdict.text}; closed by: {verdict.closes}" if verdict.closes else verdict.text
    owner = owner_of(life)
    named = life.item.partition("#")[0]  # behind # stands which part of it is meant: `ServiceRequest/1#loop`
    focus = named if named.count("/") == 1 and ">" not in named else ""
    evidence = [{"type": {"text": "evidence"}, "valueReference": {"reference": one}} for one in life.evidence.split()] or None
    return {
        "identifier#gap": [{"system": KEY, "value": f"{life.rule}|{life.subject}|{life.item}"}],
        "status": status_of(life),
        "statusReason": {"text": life.snooze_reason} if life.snoozed is not None and life.snooze_reason else None,
        "businessStatus": {"coding": [{"system": STATES, "code": life.state}]},
        "intent": "order",
        "priority": _PRIORITY[rule.urgency],
        "code": {"coding": [{"system": RULES, "code": rule.id}], "text": rule.title},
        "description": words or rule.title,
        "for": {"reference": life.subject},
        "focus": {"reference": focus} if focus else None,
        "owner": {"reference": owner} if owner else None,
        "authoredOn": _moment(life.opened or life.since),
        "lastModified": _moment(life.since),
        "restriction": {"period": {"end": _moment(life.due)}} if life.due is not None else None,
        "executionPeriod": {"start": _moment(life.snoozed)} if life.snoozed is not None else None,
        "input#evidence": None if life.state == "closed" else evidence,
        "output#evidence": evidence if life.state == "closed" else None,
    }


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).isoformat()
