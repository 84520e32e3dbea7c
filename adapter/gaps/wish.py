"""Another client's update of a gap's Task, as a wish: whether it can be read, and what of it was not taken. Pure.

What a client means is told before anything is written, and what the gap's life decided otherwise in the answer: a Task that
was said to be completed and is not is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from adapter.errors import Rejected
from adapter.gaps.life import LIVING, Life, instant_of, owner_of, words_of
from adapter.model import Issue, Json
from adapter.validate.check import check

OWNERS = ("Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService", "Patient", "RelatedPerson")
"""Who a Task may be given to (R4 Task.owner, without devices)."""
_TAKEN_UP = ("received", "accepted", "in-progress")
"""Statuses by which a client takes a gap on; the Task is `accepted` then."""
_GIVEN_BACK = ("rejected", "cancelled", "failed")
_NOT_SAID = frozenset({"resourceType", "id", "meta", "status", "statusReason", "owner", "executionPeriod", "lastModified"})
"""Elements that are not compared one by one: the server's own, and what is read as a wish."""


def check_wish(task: Json, life: Life, now: int, stands: Callable[[str], bool]) -> None:
    """That a client's update can be read. stands: whether a reference is to one of OWNERS who stands here.

    Raises Rejected (fhir-structure, gap-task-invalid) with its place.
    """
    if issues := check(task):
        raise Rejected("fhir-structure", issues[0].place, issues[0].detail, tuple(issues))
    owner: Json | None = task.get("owner")
    named: str = (owner or {}).get("reference", "")
    if owner is not None and named != owner_of(life) and not stands(named):
        raise _invalid("owner", f"name by reference one of {', '.join(OWNERS)} who stands here")
    if task["status"] == "on-hold" and life.state in LIVING:
        if not words_of(task.get("statusReason")):
            raise _invalid("statusReason", "say why it is put off")
        start: str | None = task.get("executionPeriod", {}).get("start")
        until = None if start is None else instant_of(start)
        if start is not None and (until is None or until <= now):
            raise _invalid("executionPeriod.start", "write a day or a time that is still to come")


def _invalid(place: str, detail: str) -> Rejected:
    return Rejected("gap-task-invalid", f"Task.{place}", detail)


def not_taken(task: Json, standing: Json) -> list[Issue]:
    """What a client said in its update and what the Task does not say after it, each a warning at its place."""
    return [Issue(code="gap-task-kept", place=f"Task.{name}", detail=words) for name, words in _differences(task, standing)]


def _differences(task: Json, standing: Json) -> Iterator[tuple[str, str]]:
    asked, status = task["status"], standing["status"]
    if status not in (asked, "accepted" if asked in _TAKEN_UP else asked):
        yield "status", _why(asked, status)
    owner: str | None = task.get("owner", {}).get("reference")
    if owner not in (None, standing.get("owner", {}).get("reference")) and (asked == status or asked not in _GIVEN_BACK):
        yield "owner", "who sees to it was not changed"
    for name in sorted(task.keys() - _NOT_SAID):
        if _comparable(task[name]) != _comparable(standing.get(name)):
            yield name, "it stands otherwise"


def _why(asked: str, status: str) -> str:
    """Why a Task has not the status that was asked for."""
    if status in ("completed", "failed", "cancelled"):
        return "the gap is settled: its status is the rule's answer"
    if asked == "completed":
        return "it was noted that somebody says it is done; evidence alone closes a gap"
    if asked in _GIVEN_BACK:
        return "it was given back to who is responsible, and goes on"
    if asked in _TAKEN_UP:
        return "nobody took it on; name an owner"
    return "a gap's Task never has it"


def _comparable(value: Any) -> Any:
    """A list without its order, for it has none in what several say."""
    return sorted(orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
