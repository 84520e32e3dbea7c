"""What happened to a member, newest first: visits, contacts, communications, referrals, decisions, assessments. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapter.model import Json
from adapter.store.search_index import date_range
from adapter.web import people
from adapter.web.record.decisions import kind, outcome, parties, reason, stands
from adapter.web.record.read import Record
from adapter.web.record.treatments import KINDS, TASKS, request_title, span
from adapter.web.record.words import Row, Section, Table, Words, codes, coding, concepts, named, standing

MOST = 50
"""Events that are shown."""
CONTACTS = "urn:x-careloop:contact-type"
_TYPES = ("Encounter", "Communication", "ServiceRequest", "ClaimResponse", "Task", "Procedure", "Observation", "Consent")
_FOUND = {"260385009": "negative", "10828004": "positive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """Something that happened. at: a FHIR date or time."""

    at: str
    what: str
    who: str
    status: str
    of: Json


def timeline(record: Record, words: Words) -> Section:
    """The newest events; those whose time is not known are left out."""
    found = sorted((event for event in _events(record, words) if date_range(event.at)), key=_newest)
    older = len(found) > MOST or record.rest(*_TYPES)
    rows = [Row(reference=named(one.of), title=one.what, cells=(words.time(one.at), one.who, one.status)) for one in found[:MOST]]
    caption = f"The newest {len(rows)}; there are more" if older else "All that is known, newest first"
    return Section(heading="Timeline", tables=(
        Table(caption=f"Visits, contacts, communications, referrals, decisions. {caption}", rows=rows,
              columns=("What", "When", "Who", "Status"), none="Nothing is known to have happened."),))


def _newest(event: _Event) -> tuple[int, str, str]:
    span = date_range(event.at)
    return (-span[0] if span else 0, event.what, named(event.of))


def _events(record: Record, words: Words) -> Iterator[_Event]:
    for one in record.of("Encounter"):
        yield _visit(one, words)
    for one in record.of("Communication"):
        yield _communication(one, words)
    for one in record.of("ServiceRequest"):
        asked = "Request" if codes(one.get("category", ()), KINDS) else "Referral"
        yield _Event(at=one.get("authoredOn", ""), what=f"{asked}: {request_title(one)}", status="", of=one,
                     who=_between(words.who(one.get("requester")), words.who(*one.get("performer", ()))))
    for one in record.of("ClaimResponse"):
        yield _Event(at=one.get("created", ""), what="Answer of a payer", who=words.who(one.get("insurer")),
                     status=": ".join(part for part in (outcome(one), reason(one)) if part), of=one)
    for one in record.of("Task"):
        yield from _steps(one, record, words)
    for one in record.of("Procedure"):
        yield _Event(at=span(one, "performed")[0], what=f"Procedure: {people.concept(one.get('code', {}))}", status=standing(one),
                     who=words.who(*(by.get("actor") for by in one.get("performer", ()))), of=one)
    for one in record.of("Observation"):
        yield _Event(at=span(one, "effective")[0], what=f"Assessment: {people.concept(one.get('code', {}))}",
                     who=words.who(*one.get("performer", ())), status=_found(one), of=one)
    for one in record.of("Consent"):
        yield from _consented(one, words)


def _consented(consent: Json, words: Words) -> Iterator[_Event]:
    """A consent that was given or refused, and one that was revoked or ended."""
    who, given = _between(*parties(consent, words)), consent.get("status") in ("active", "inactive")
    yield _Event(at=consent.get("dateTime", ""), what=kind(consent), who=who, status="given" if given else stands(consent, words),
                 of=consent)
    if consent.get("status") == "inactive":
        end = consent.get("provision", {}).get("period", {}).get("end", "")
        yield _Event(at=end, what=f"{kind(consent)} over", who=who, status=stands(consent, words), of=consent)


def _visit(encounter: Json, words: Words) -> _Event:
    contact = any(codes([one], CONTACTS) for one in encounter.get("type", ()))
    types = [people.concept(one) for one in encounter.get("type", ())]
    told = types if contact and any(types) else [coding(encounter.get("class", {})), *types]
    called = ", ".join(one for n, one in enumerate(told) if one and one.casefold() not in map(str.casefold, told[:n]))
    period = encounter.get("period", {})
    until = words.time(period.get("end", "")) if not contact and period.get("end") != period.get("start") else ""
    who = words.who(encounter.get("serviceProvider"), *(one.get("individual") for one in encounter.get("participant", ())))
    return _Event(at=period.get("start", ""), what=f"{'Contact' if contact else 'Visit'}: {called}", who=who,
                  status=standing(encounter) + (f", until {until}" if until else ""), of=encounter)


def _communication(communication: Json, words: Words) -> _Event:
    """A word between people; an attempt that reached nobody is one that was not done."""
    attempt = any(codes([one], CONTACTS) for one in communication.get("medium", ()))
    about = concepts([communication.get("topic", {})]) or concepts(communication.get("medium", ()))
    why = people.concept(communication.get("statusReason", {}))
    status = f"{standing(communication)}: {why}" if why else standing(communication)
    return _Event(at=communication.get("sent", "") or communication.get("received", ""), of=communication,
                  what=f"{'Contact attempted' if attempt else 'Communication'}: {about}", status=status,
                  who=_between(words.who(communication.get("sender")), words.who(*communication.get("recipient", ()))))


def _steps(task: Json, record: Record, words: Words) -> Iterator[_Event]:
    """What became of a referral, and the steps of an appeal; the decision itself is the payer's answer."""
    code, period = people.concept(task.get("code", {})), task.get("executionPeriod", {})
    status = people.concept(task.get("businessStatus", {})) or standing(task)
    owner = words.who(task.get("owner"))
    if codes([task.get("code", {})], TASKS) == ["fulfill"]:
        focus = task.get("focus", {}).get("reference")
        about = next((request_title(one) for one in record.of("ServiceRequest") if named(one) == focus), "not known")
        yield _Event(at=period.get("start", ""), what=f"Referral taken up: {about}", who=owner, status="", of=task)
        yield _Event(at=period.get("end", ""), what=f"Referral over: {about}", who=owner, status=status, of=task)
    elif not codes([task.get("code", {})], TASKS):
        yield _Event(at=task.get("authoredOn", ""), what=f"{code} filed".capitalize(), who=owner, status="", of=task)
        yield _Event(at=period.get("end", ""), what=f"{code} decided".capitalize(), who=owner, status=status, of=task)


def _found(observation: Json) -> str:
    quantity = observation.get("valueQuantity", {})
    amount = f"{quantity['value']} {quantity.get('unit', '')}".strip() if "value" in quantity else ""
    value = people.concept(observation.get("valueCodeableConcept", {})) or amount
    return _FOUND.get(value, value) or people.concept(observation.get("dataAbsentReason", {})) or standing(observation)


def _between(giver: str, taker: str) -> str:
    return f"{giver} to {taker}" if giver and taker else f"to {taker}" if taker else giver
