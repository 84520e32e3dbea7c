"""When a stay begins or ends, read off an Encounter as it is composed and what was told of it last. Pure.

Source: Da Vinci Unsolicited Notifications 1.1.0, admit, transfer and discharge use case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapter.model import Json
from adapter.notices.topics import ENCOUNTER
from adapter.store.notices import Notice
from adapter.store.search_index import date_range

NEWS_US = 72 * 3600 * 1_000_000
"""How long after it began, or ended, a stay of which nothing was told yet is news: what is older came late, or from old files."""
STAYS = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "SS", "EMER"})
"""Classes of Encounter that are stays: inpatient, observation, short stay, emergency."""
_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
_THERE = frozenset({"arrived", "triaged", "in-progress", "onleave"})
_BEGUN = frozenset({"admitted", "transferred", "discharge-cancelled"})


def happened(encounter: Json | None, told: Notice | None, now_us: int) -> str:
    """What is to be told of an Encounter now (None: it was deleted), after what was told last; '' for nothing.

    Each step is told once, however often and in whatever order messages come.
    """
    last = told.what if told is not None else ""
    status: str = encounter["status"] if encounter is not None else "cancelled"
    if encounter is None or status in ("cancelled", "entered-in-error"):
        return "admission-cancelled" if last in _BEGUN or last == "discharged" else ""
    code = _class(encounter)
    period: Json = encounter.get("period", {})
    if status == "finished":
        new = last in ("", "admission-cancelled") and code in STAYS and _is_news(period.get("end", ""), now_us)
        return "discharged" if new or last in _BEGUN else ""
    if status not in _THERE:
        return ""
    if last == "discharged":
        return "discharge-cancelled"
    if told is not None and last in _BEGUN:
        return "transferred" if code in _INPATIENT and any(one.endswith("|EMER") for one in told.keys.get("class", ())) else ""
    return "admitted" if code in STAYS and _is_news(period.get("start", ""), now_us) else ""


def stay_notice(encounter: Json | None, what: str, focus: str, organizations: Iterable[str], told: Notice | None,
                now_us: int) -> Notice:
    """The notice of it. organizations: to whom it matters, beside those who were told before; each `Organization/<id>`."""
    before: Mapping[str, Sequence[str]] = told.keys if told is not None else {}
    known: Json = encounter or {}
    subject: str = known.get("subject", {}).get("reference", "") or (told.subject if told is not None else "")
    provider: str = known.get("serviceProvider", {}).get("reference", "")
    kind: Json = known.get("class", {})
    keys: dict[str, Sequence[str]] = {
        "organization": sorted({*organizations, *before.get("organization", ())}),
        "service-provider": [provider] if provider else before.get("service-provider", ()),
        "class": [f"{kind.get('system', '')}|{kind['code']}"] if kind.get("code") else before.get("class", ()),
        "patient": [subject],
        "subject": [subject],
        "event": [what],
    }
    return Notice(at=now_us, topic=ENCOUNTER.name, what=what, focus=focus, subject=subject, keys=keys)


def members_of(team: Json, now_us: int) -> set[str]:
    """Organizations and PractitionerRoles (`Type/id`) of an active CareTeam who are on it now."""
    if team.get("status") != "active" or not _covers(team, now_us):
        return set()
    found: set[str] = set()
    for participant in team.get("participant", ()):
        if _covers(participant, now_us):
            found.update(participant.get(name, {}).get("reference", "") for name in ("member", "onBehalfOf"))
    return {one for one in found if one.startswith(("Organization/", "PractitionerRole/"))}


def _covers(element: Json, now_us: int) -> bool:
    period: Json = element.get("period", {})
    start, end = date_range(period.get("start", "")), date_range(period.get("end", ""))
    return (start is None or start[0] <= now_us) and (end is None or now_us <= end[1])


def _is_news(text: str, now_us: int) -> bool:
    moment = date_range(text)
    return moment is not None and now_us - NEWS_US <= moment[1] and moment[0] <= now_us + NEWS_US


def _class(encounter: Json) -> str:
    code: str = encounter.get("class", {}).get("code", "")
    return code
