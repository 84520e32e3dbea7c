"""Functions for rows of the utilization feed: a payer's claim, the visit it tells of, and what it cost."""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import symbol
from adapter.mapping.functions.organization_rows import number
from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import practitioner
from adapter.mapping.functions.rows import identifier_type, moment
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json
from adapter.validate.needs import absent

PAYER_VISIT = "urn:x-careloop:payer-visit"
_ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
_DIAGNOSIS_TYPE = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
_CPT = "http://www.ama-assn.org/go/cpt"
_HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_PLACES = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_STAYS = frozenset({"inpatient", "psychiatric-inpatient", "detox", "crisis-stabilization", "skilled-nursing", "observation"})


@function("payer_claim_item", {
    "visit_type": "productOrService", "place_of_service": "locationCodeableConcept", "visit_number": "encounter",
    "visit_system": "encounter", "started_at": "servicedPeriod.start", "ended_at": "servicedPeriod.end"})
def payer_claim_item(row: Any, ctx: Any) -> Json:
    """The visit as the one item of its claim, with the place that the claim names; it makes it the row's `visit`.

    The hospital's own number, where the row has one with its system, makes it the hospital's Encounter.
    """
    ctx.visit = _visit(row, ctx)
    found: Json = {"sequence": 1, "productOrService": {"coding": [{"system": "urn:x-careloop:visit-type",
                                                                    "code": row.first("visit_type").plain()}]}}
    start, end = (moment(row.first(column).plain(), ctx) for column in ("started_at", "ended_at"))
    days = (("start", start), ("end", ended(start, end, ctx, "ended_at")))
    found["servicedPeriod"] = {part: text for part, text in days if text}
    if place := row.first("place_of_service").plain():
        found["locationCodeableConcept"] = {"coding": [{"system": _PLACES, "code": place}]}
    if row.first("claim_status").plain() != "reversed":
        found["encounter"] = [{"reference": symbol("Encounter", ctx.visit)}]
    return found


def _visit(row: Any, ctx: Any) -> str:
    own = f"{PAYER_VISIT}|{row.first('payer_id').plain()}/{row.first('visit_id').plain()}"
    value, system = row.first("visit_number").plain(), row.first("visit_system").plain()
    if value and system:
        ctx.withdrawn.append(("Encounter", own))  # an earlier row may have told of it without the hospital's number
        return f"{system}|{value}"
    if value:
        doubt(ctx, "visit_system", "required-missing", "visit_number joins no visit without it")
    return own


@function("claim_visit_identifiers", {"visit_id": "value", "visit_number": "value", "visit_system": "system"})
def claim_visit_identifiers(row: Any, ctx: Any) -> list[Json]:
    """The payer's number of the visit, and the hospital's own where the row has it with its system."""
    found: list[Json] = [{"system": PAYER_VISIT, "value": f"{row.first('payer_id').plain()}/{row.first('visit_id').plain()}"}]
    system, _, value = ctx.visit.rpartition("|")
    if system != PAYER_VISIT:
        found.append({"type": identifier_type("VN"), "system": system, "value": value})
    return found


@function("claim_visit_status", {"ended_at": "", "visit_type": ""})
def claim_visit_status(row: Any, ctx: Any) -> str:
    """Finished; of a stay in a bed without end nobody can tell from a claim, which may be billed while it lasts."""
    del ctx
    open_stay = row.first("visit_type").plain() in _STAYS and not row.first("ended_at").plain()
    return "unknown" if open_stay else "finished"


@function("payer_claim_created", {"submitted_date": ""})
def payer_claim_created(row: Any, ctx: Any) -> str | None:
    """The day on which the claim was made."""
    del ctx
    return row.first("submitted_date").plain() or None


@function("payer_claim_created_absent", {"submitted_date": ""})
def payer_claim_created_absent(row: Any, ctx: Any) -> Json | None:
    """The mark that nobody says when the claim was made (R4 asks for it)."""
    del ctx
    return None if row.first("submitted_date").plain() else absent()


@function("payer_claim_insurance", {"coverage_id": "coverage(Coverage.identifier)", "payer_id": "", "payer_name": ""})
def payer_claim_insurance(row: Any, ctx: Any) -> Json:
    """The coverage that the claim was made to; without its number the payer's name alone."""
    name = row.first("payer_name").plain() or row.first("payer_id").plain()
    coverage = {"reference": ctx.refs["Coverage"]} if "Coverage" in ctx.refs else {"display": name}
    return {"sequence": 1, "focal": True, "coverage": coverage}


@function("payer_claim_care_team", {"npi": "provider(Practitioner.identifier)", "first_name": "provider(Practitioner.name)",
                                    "last_name": "provider(Practitioner.name)"})
def payer_claim_care_team(row: Any, ctx: Any) -> Json | None:
    """Who cared for the member, as Claim.careTeam."""
    who = practitioner(row, ctx)
    return {"sequence": 1, "provider": who} if who else None


@function("icd10cm_concept", {"*": "coding"})
def icd10cm_concept(rep: Rep, ctx: Any) -> Json:
    """A diagnosis of ICD-10-CM as CodeableConcept."""
    del ctx
    return {"coding": [{"system": _ICD10CM, "code": rep.plain()}]}


@function("icd10cm_concepts", {"*": "coding"})
def icd10cm_concepts(rep: Rep, ctx: Any) -> list[Json]:
    """Several diagnoses of ICD-10-CM in one cell, separated by semicolons, each as CodeableConcept."""
    del ctx
    return [{"coding": [{"system": _ICD10CM, "code": code}]} for code in _several(rep.plain())]


@function("payer_claim_diagnoses", {"diagnosis": "diagnosisCodeableConcept", "other_diagnoses": "diagnosisCodeableConcept"})
def payer_claim_diagnoses(row: Any, ctx: Any) -> list[Json]:
    """The diagnoses of a claim in order, the principal one first and named so."""
    del ctx
    principal = row.first("diagnosis").plain()
    codes = dict.fromkeys((*_several(principal), *_several(row.first("other_diagnoses").plain())))
    kind = {"type": [{"coding": [{"system": _DIAGNOSIS_TYPE, "code": "principal"}]}]}
    return [{"sequence": n, "diagnosisCodeableConcept": {"coding": [{"system": _ICD10CM, "code": code}]},
             **(kind if code == principal else {})} for n, code in enumerate(codes, 1)]


@function("payer_claim_procedures", {"*": "procedureCodeableConcept"})
def payer_claim_procedures(rep: Rep, ctx: Any) -> list[Json]:
    """What a claim says was done, CPT or HCPCS codes by their form, separated by semicolons, as Claim.procedure."""
    del ctx
    return [{"sequence": n, "procedureCodeableConcept": {
        "coding": [{"system": _HCPCS if code[:1].isalpha() else _CPT, "code": code}]}}
        for n, code in enumerate(_several(rep.plain()), 1)]


def _several(text: str) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in text.split(";") if one.strip()))


@function("amount")
def amount(rep: Rep, ctx: Any) -> Json:
    """An amount in the row's currency as Money."""
    return {"value": number(rep.plain()), "currency": ctx.segment.first("currency").plain()}


@function("adjudicated_total", {"*": "amount"})
def adjudicated_total(rep: Rep, ctx: Any, system: str, code: str) -> Json:
    """An amount as ClaimResponse.total of a category."""
    return {"category": {"coding": [{"system": system, "code": code}]}, "amount": amount(rep, ctx)}


@function("payer_payment", {"paid_amount": "amount", "processed_date": "date"})
def payer_payment(row: Any, ctx: Any) -> Json | None:
    """What the payer paid, and when, of a claim that is paid."""
    if row.first("claim_status").plain() != "paid" or not row.first("paid_amount").plain():
        return None
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/ex-paymenttype", "code": "complete"}]}
    return {"type": kind, "date": row.first("processed_date").plain(), "amount": amount(row.first("paid_amount"), ctx)}
