"""Prior authorizations and consents in words: what was asked and answered, and who may be told what until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.consent.decision import LIMITS, covers, is_over, recipients
from adapter.model import Json
from adapter.store.search_index import microseconds
from adapter.web import people
from adapter.web.record.read import Record
from adapter.web.record.treatments import TASKS, request_title
from adapter.web.record.words import Row, Section, Table, Words, codes, coding, concepts, named, plain, standing

_APPEALS = ("internal-appeal", "external-appeal")
_KINDS = "urn:x-careloop:task-code"
_PURPOSES = {"TREAT": "treatment", "ETREAT": "emergency treatment", "CAREMGT": "care management", "HPAYMT": "payment",
             "HOPERAT": "operations"}


def authorizations(record: Record, words: Words) -> Section:
    """What was asked of payers, with answers and appeals; and answers to requests that nobody sent."""
    claims = record.of("Claim")
    answers = {named(claim): [one for one in record.of("ClaimResponse") if _answers(one) == named(claim)] for claim in claims}
    lone = [one for one in record.of("ClaimResponse") if _answers(one) not in answers]
    requests = {named(one): one for one in record.of("ServiceRequest")}
    rows = [_asked(claim, answers[named(claim)], requests.get(claim.get("referral", {}).get("reference", ""), {}), record, words)
            for claim in claims]
    return Section(heading="Prior authorizations", tables=(
        Table(caption="What was asked of payers, newest first", more=record.rest("Claim", "ClaimResponse"),
              none="No prior authorization is known.", rows=[*rows, *(_answered(one, words) for one in lone)],
              columns=("Asked for", "Of", "Asked", "Status", "Decided", "Why", "Number", "Until", "Appeals")),))


def consents(record: Record, words: Words) -> Section:
    """Who may tell whom what."""
    return Section(heading="Consents", tables=(
        Table(caption="What the member allows or refuses, newest first", more=record.rest("Consent"),
              none="No consent is known.", rows=[_consent(one, words) for one in record.of("Consent")],
              columns=("Consent", "Status", "Who may tell", "Whom", "What", "For", "From", "Until")),))


def outcome(answer: Json) -> str:
    """What a ClaimResponse decides: the payer's word, else that of FHIR."""
    return concepts(one.get("category", {}) for one in answer.get("adjudication", ())) or answer.get("disposition", "") or {
        "queued": "pended", "complete": "authorized" if answer.get("preAuthRef") else "decided"}.get(
        answer.get("outcome", ""), plain(answer.get("outcome", "")))


def reason(answer: Json) -> str:
    """Why a ClaimResponse says so."""
    notes = [one["text"] for one in answer.get("processNote", ()) if one.get("text")]
    return ", ".join(part for part in (concepts(one.get("reason", {}) for one in answer.get("adjudication", ())), *notes) if part)


def _answers(answer: Json) -> str:
    return answer.get("request", {}).get("reference", "")


def _asked(claim: Json, answers: Sequence[Json], request: Json, record: Record, words: Words) -> Row:
    tasks = [one for one in record.of("Task") if request and one.get("focus", {}).get("reference") == named(request)]
    approve = next((one for one in tasks if "approve" in codes([one.get("code", {})], TASKS)), Json())
    decided = next((one for one in answers if one.get("outcome") != "queued"), Json())
    last = decided or next(iter(answers), Json())
    status = people.concept(approve.get("businessStatus", {})) or (outcome(last) if last else standing(claim))
    items = concepts(one.get("productOrService", {}) for one in claim.get("item", ()))
    return Row(reference=named(claim), title=request_title(request) if request else items or "authorization", cells=(
        words.who(claim.get("insurer")), words.time(claim.get("created", "")), status,
        words.time(decided.get("created", "")) or "not yet", reason(last), decided.get("preAuthRef", ""),
        words.day(decided.get("preAuthPeriod", {}).get("end", "")), "; ".join(_appeal(one, words) for one in _appeals(tasks))))


def _answered(answer: Json, words: Words) -> Row:
    decided = "not yet" if answer.get("outcome") == "queued" else words.time(answer.get("created", ""))
    return Row(reference=named(answer), title="Request not known", cells=(
        words.who(answer.get("insurer")), "", outcome(answer), decided, reason(answer),
        answer.get("preAuthRef", ""), words.day(answer.get("preAuthPeriod", {}).get("end", "")), ""))


def _appeals(tasks: Sequence[Json]) -> list[Json]:
    return [one for level in _APPEALS for one in tasks if level in codes([one.get("code", {})], _KINDS)]


def _appeal(task: Json, words: Words) -> str:
    level, filed = people.concept(task.get("code", {})), words.day(task.get("authoredOn", ""))
    ended = words.day(task.get("executionPeriod", {}).get("end", ""))
    outcome_of = people.concept(task.get("businessStatus", {})) or standing(task)
    return f"{level} of {filed}: {outcome_of}" + (f" {ended}" if ended else "")


def _consent(consent: Json, words: Words) -> Row:
    provision = consent.get("provision", {})
    period, (teller, told) = provision.get("period", {}), parties(consent, words)
    return Row(reference=named(consent), title=kind(consent), cells=(
        stands(consent, words), teller, told, _shown(provision),
        ", ".join(_PURPOSES.get(one.get("code", ""), coding(one)) for one in provision.get("purpose", ())) or "any purpose",
        words.day(period.get("start", "") or consent.get("dateTime", "")), words.day(period.get("end", "")) or "no end"))


def parties(consent: Json, words: Words) -> tuple[str, str]:
    """Who may tell, and whom, by a consent. A refusal that names nobody is about everybody; a release must name them."""
    provision = consent.get("provision", {})
    unnamed = "anybody" if provision.get("type") == "deny" else "nobody named"
    told = ({"reference": one} for one in sorted(recipients(provision)))
    return words.who(*consent.get("organization", ())) or unnamed, words.who(*told) or unnamed


def kind(consent: Json) -> str:
    """What a consent says. One that is not about privacy says it in its scope."""
    provision = consent.get("provision", {})
    if "patient-privacy" not in {one.get("code") for one in consent.get("scope", {}).get("coding", ())}:
        return f"Consent: {people.concept(consent.get('scope', {})) or 'of a kind not known'}"
    said = {"deny": "Telling forbidden", "permit": "Release of information"}.get(provision.get("type", ""), "Consent")
    return f"{said}, with limits or exceptions" if any(provision.get(name) for name in LIMITS) else said


def _shown(provision: Json) -> str:
    """Classes of data; a consent that names none is about all."""
    classes = [*(people.concept(one) for one in provision.get("code", ())), *(coding(one) for one in provision.get("class", ()))]
    return ", ".join("all data" if one == "all" else one for one in dict.fromkeys(classes) if one) or "all data"


def stands(consent: Json, words: Words) -> str:
    """How a consent stands now: an active one may be over, or not have begun."""
    at = microseconds(words.now)
    if consent.get("status") == "active":
        return "ended" if is_over(consent, at) else "in force" if covers(consent, at) else "not begun"
    return {"inactive": "revoked or ended", "rejected": "refused"}.get(consent.get("status", ""), standing(consent))
