"""G14 to G17 once more, in plain Python over FHIR resources: written from the requirement, not the SQL."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Span, codes, key, span
from tests.unit.gap_oracle_days import Who, ended, past

BENEFITS = ("ssi", "ssdi", "va", "housing", "public-benefits")
POSITIVE, NEGATIVE = "10828004", "260385009"


def answers(one: Oracle) -> list[Answer]:
    """Of one member."""
    return [g14(one), *g15(one), *g16(one), *g17(one)]


def today(one: Oracle) -> date:
    return one.now.astimezone(ZONE).date()


def patient(one: Oracle) -> Resource:
    return next(r for r in one.resources if r["resourceType"] == "Patient" and r["id"] == one.member)


def code(concept: Any) -> str | None:
    return next((c["code"] for c in (concept or {}).get("coding", [])), None)


# --- G14
def g14(one: Oracle) -> Answer:
    who = one.responsible(one.manager)
    conditions = [c[:3] for c in behavioral(one)] if one.enrollments else []
    if not conditions:
        return one.answer("G14", "not-applicable", **who)
    tools = right_tools(one, any(c <= "F19" for c in conditions))
    found = [(o, codes(o.get("code"), NETWORK + "assessment-tool")[:1], span(o.get("effectiveDateTime")))
             for o in one.mine("Observation", "subject") if o["status"] != "cancelled"]
    known = [(o, tool[0], when) for o, tool, when in found if tool and tool[0] in ("locus", "calocus-casii", "ecsii", "asam")
             and (when is None or past(one, when))]
    right = [(o, when) for o, tool, when in known if tool in tools]
    dated = [(o, when) for o, when in right if when]
    last = max((when.first for _, when in dated), default=None)
    if last and max(when.day for _, when in dated) + 180 * DAY >= today(one):
        return one.answer("G14", *offered([o for o, when in dated if when.first == last]), **who)
    if len(right) > len(dated):
        return one.answer("G14", "open", "missing-element", **who)
    return one.answer("G14", "open", "date-out-of-range" if dated else "not-found", **who)


def behavioral(one: Oracle) -> list[str]:
    """ICD-10-CM codes of mental health and substance use that the person has."""
    found: list[str] = []
    for c in one.mine("Condition", "subject"):
        begun = [span(c.get(name)) for name in ("onsetDateTime", "recordedDate")]
        over = span(c.get("abatementDateTime"))
        if code(c.get("verificationStatus")) in ("refuted", "differential", "entered-in-error") \
                or code(c.get("clinicalStatus")) not in (None, "active", "recurrence", "relapse") \
                or any(b and b.first > one.now for b in begun) or (over and over.first <= one.now):
            continue
        found += [i for i in codes(c.get("code"), "http://hl7.org/fhir/sid/icd-10-cm") if "F10" <= i[:3] <= "F99"]
    return found


def right_tools(one: Oracle, substance_use: bool) -> set[str]:
    tools = {"asam"} if substance_use else set[str]()
    born = patient(one).get("birthDate")
    if born is None:
        return tools | {"locus", "calocus-casii", "ecsii"}
    birth, day = date.fromisoformat(born), today(one)
    age = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    if age < 6:
        return tools | {"ecsii"}
    return tools | ({"calocus-casii"} if age <= 18 else set[str]()) | ({"locus"} if age >= 18 else set[str]())


def offered(latest: list[Resource]) -> tuple[str, str | None]:
    """State and reason of the latest assessments, of one instant."""
    pairs = [(code(o.get("valueCodeableConcept")), next((code(c["valueCodeableConcept"]) for c in o.get("component", [])), None))
             for o in latest]
    if any(level and offer and restrictive(offer) > restrictive(level) for level, offer in pairs):
        return "open", "count-out-of-range"
    if any(level is None or offer is None for level, offer in pairs):
        return "open", "missing-element"
    return "closed", None


def restrictive(level: str) -> tuple[float, bool]:
    number, _, management = level.partition("-")
    return float(number), bool(management)


# --- G15
def g15(one: Oracle) -> list[Answer]:
    if not one.enrollments:
        return [one.answer("G15", "not-applicable", organization=one.manager, party=one.lead)]
    return [benefit(one, name) for name in BENEFITS]


ORDER = ("outcome known", "not eligible", "awaited", "method?", "not soar", "not applied", "eligible?", "nothing")
SAID = {"outcome known": ("closed", None), "not eligible": ("closed", None), "awaited": ("open", "not-found"),
        "method?": ("open", "missing-element"), "not soar": ("missed", "not-found"), "not applied": ("open", "not-found"),
        "eligible?": ("open", "missing-element"), "nothing": ("open", "not-found")}


def benefit(one: Oracle, name: str) -> Answer:
    cases = [t for t in one.mine("Task", "for") if codes(t.get("code"), NETWORK + "benefit") == [name]]
    steps = [(ORDER.index(furthest(one, t, name)), t["id"], t) for t in cases]
    if not steps:
        return one.answer("G15", "open", "not-found", item=name, organization=one.manager, party=one.lead)
    best = min(step for step, _, _ in steps)
    owners = [o for o in (key(t.get("owner"), "Organization") for step, _, t in steps if step == best) if o]
    who: Who = one.responsible(min(owners)) if owners else {"organization": one.manager, "party": one.lead}
    return one.answer("G15", *SAID[ORDER[best]], item=name, **who)


def furthest(one: Oracle, case: Resource, name: str) -> str:
    out = {code(o["type"]): o for o in case.get("output", [])}
    day = {kind: span(out[kind]["valueDate"]) for kind in ("screened", "applied", "decided") if kind in out}
    if past(one, day.get("applied")):
        method = code(out.get("application-method", {}).get("valueCodeableConcept"))
        if name in ("ssi", "ssdi") and method != "soar":
            return "not soar" if method else "method?"
        outcome = code(out.get("outcome", {}).get("valueCodeableConcept"))
        decided = "decided" not in day or past(one, day["decided"])
        return "outcome known" if outcome not in (None, "pending") and decided else "awaited"
    if "screened" in day and not past(one, day["screened"]):
        return "nothing"
    if "eligible" in out:
        return "not applied" if out["eligible"]["valueBoolean"] else "not eligible"
    return "eligible?" if "screened" in day else "nothing"


# --- G16
def g16(one: Oracle) -> list[Answer]:
    who: Who = {"organization": one.manager, "party": one.lead}
    if not one.enrollments:
        return [one.answer("G16", "not-applicable", **who)]
    person = patient(one)
    language = next((code(c["language"]) for c in person.get("communication", []) if c.get("preferred")), None)
    needed = next((e["valueBoolean"] for e in person.get("extension", [])), None)
    known = language is not None and needed is not None
    found = [one.answer("G16", "closed" if known else "open", None if known else "missing-element", **who)]
    return found + ([a for c in one.contacts() for a in spoken(one, c, language, who)] if needed else [])


def spoken(one: Oracle, contact: Resource, language: str | None, who: Who) -> list[Answer]:
    if not past(one, span(contact["period"]["start"])):
        return []
    told = {e["url"].removeprefix(NETWORK): e for e in contact.get("extension", [])}
    used = told.get("language-used", {}).get("valueCode")
    interpreter = told.get("interpreter-used", {}).get("valueBoolean")
    translated = any(code(t) == "translator" for p in contact["participant"] for t in p.get("type", []))
    maker = key(contact.get("serviceProvider"), "Organization")
    who = one.responsible(maker) if maker else who
    state: tuple[str, str | None] = ("open", "missing-element")
    if interpreter or translated or (used and used == language):
        state = ("closed", None)
    elif interpreter is False and used and language:
        state = ("missed", "not-found")
    return [one.answer("G16", *state, item=f"Encounter/{contact['id']}", **who)]


# --- G17
def g17(one: Oracle) -> list[Answer]:
    who: Who = {"organization": one.manager, "party": one.lead}
    if not one.enrollments:
        return [one.answer("G17", "not-applicable", **who)]
    results = [(o, need[0], when) for o in one.mine("Observation", "subject")
               for need, when in [(codes(o.get("code"), NETWORK + "need"), span(o.get("effectiveDateTime")))]
               if need and code(o.get("valueCodeableConcept")) in (POSITIVE, NEGATIVE) and (when is None or past(one, when))]
    found = [one.answer("G17", *screened(one, results), **who)]
    for need in sorted({n for _, n, _ in results}):
        recent = [(o, when) for o, n, when in results if n == need and when and when.day + 365 * DAY >= today(one)]
        last = max((when.first for _, when in recent), default=None)
        found += [answered(one, o, need, when, who) for o, when in recent
                  if when.first == last and code(o["valueCodeableConcept"]) == POSITIVE]
    return found


def screened(one: Oracle, results: list[tuple[Resource, str, Span | None]]) -> tuple[str, str | None]:
    asked = [(need, when) for _, need, when in results if need in ("housing", "transport", "food")]
    recent = {need for need, when in asked if when and when.day + 365 * DAY >= today(one)}
    undated = {need for need, when in asked if when is None}
    if len(recent) == 3:
        return "closed", None
    if len(recent | undated) == 3:
        return "open", "missing-element"
    if len({need for need, _ in asked}) == 3:
        return "open", "date-out-of-range"
    return "open", "count-out-of-range" if asked else "not-found"


def answered(one: Oracle, result: Resource, need: str, when: Span, who: Who) -> Answer:
    asked = [r for r in one.mine("ServiceRequest", "subject") if answers_need(one, r, result["id"], need, when)]
    to = [k for k in (next((k for k in (key(p, "Organization") for p in r.get("performer", [])) if k), None) for r in asked) if k]
    who = one.responsible(min(to)) if to else who
    met = any(completed(one, r) for r in asked)
    return one.answer("G17", "closed" if met else "open", None if met else "not-found", item=f"Observation/{result['id']}", **who)


def answers_need(one: Oracle, referral: Resource, result: str, need: str, when: Span) -> bool:
    made = span(referral.get("authoredOn"))
    if made and made.first > one.now:
        return False
    if result in [key(r, "Observation") for r in referral.get("reasonReference", [])]:
        return True
    return codes(referral.get("reasonCode"), NETWORK + "need")[:1] == [need] and made is not None and made.day >= when.day


def completed(one: Oracle, referral: Resource) -> bool:
    tasks = [t for t in one.mine("Task", "for") if key(t.get("focus"), "ServiceRequest") == referral["id"]]
    if not tasks:
        return referral["status"] == "completed"
    ends = [(t["status"], ended(t) or span(t.get("lastModified"))) for t in tasks]
    return any(status == "completed" and (end is None or past(one, end)) for status, end in ends)
