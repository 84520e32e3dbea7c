"""Functions for AL1, IAM and IAR: allergies. Source: v2-to-FHIR segment maps AL1[AllergyIntolerance], IAM[AllergyIntolerance]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.clinical import current
from adapter.mapping.functions.codes import CWE_PARTS, alternates, cwe_alternate_codes, cwe_codeable_concept
from adapter.mapping.functions.names import shown, xpn_human_name
from adapter.mapping.functions.registry import Rep, below, function
from adapter.mapping.functions.related import described, is_patient, related_person
from adapter.model import Json

_SYSTEM = "http://terminology.hl7.org/CodeSystem/allergyintolerance-"
_IN_ERROR = "entered-in-error"
_SENT = "severity.extension(alternate-codes)"


def _severity(rep: Rep, ctx: Any) -> Json:
    """`{severity: ...}` of a code of table 0128, with the words it was sent with; empty where R4 has no such severity."""
    found = ctx.code("allergy-severity", rep.get(1)) if rep.get(1) else None
    if not found:
        return {}
    sent = cwe_codeable_concept(rep, ctx, source="HL70128") if rep.get(2) else None
    return {"severity": found["code"], **({"_severity": {"extension": [alternates(sent)]}} if sent else {})}


_REACTION_PARTS = {"4": "severity", "4.1": "severity", **{f"4.{n}": _SENT for n in range(2, 23)},
                   "5": "manifestation.text"}


@function("al1_reaction", _REACTION_PARTS)
def al1_reaction(segment: Any, ctx: Any) -> list[Json]:
    """AL1-5 (IAM-5), each repetition, as AllergyIntolerance.reaction; AL1-4 (IAM-4) gives its severity."""
    severity = _severity(segment.first(4), ctx)
    return [{"manifestation": [{"text": rep.plain()}], **severity} for rep in segment.reps(5) if rep.plain()]


@function("allergy_criticality", {at: f"extension(alternate-codes).{text}" for at, text in CWE_PARTS.items()
                                  if not text.startswith("drop: ")})
def allergy_criticality(rep: Rep, ctx: Any) -> Json | None:
    """The severity code as it was sent, to stand beside the criticality that it gives; None where it gives none."""
    known = rep.get(1) and ctx.code("allergy-criticality", rep.get(1))
    return cwe_alternate_codes(rep, ctx, table="allergy-criticality") if known else None


@function("iar_reaction", {"1": "manifestation", **{f"1.{n}": "manifestation" for n in range(1, 23)}, "2": "severity",
                           "2.1": "severity", **{f"2.{n}": _SENT for n in range(2, 23)}, "4": "description"})
def iar_reaction(segment: Any, ctx: Any) -> Json | None:
    """An IAR as a reaction of the allergy before it: manifestation, severity, and what was done about it."""
    manifestation = cwe_codeable_concept(segment.first(1), ctx) if segment.raw(1) else None
    if not manifestation:
        return None
    management = segment.first(4).plain()
    return {"manifestation": [manifestation], **_severity(segment.first(2), ctx),
            **({"description": management} if management else {})}


@function("iam_code", below(CWE_PARTS, 3) | below(CWE_PARTS, 27))
def iam_code(segment: Any, ctx: Any) -> Json | None:
    """The allergen: IAM-3, and beside it the code that the clinician chose (IAM-27)."""
    sent: list[Json] = [cwe_codeable_concept(segment.first(n), ctx) or {} for n in (3, 27) if segment.raw(n)]
    codings: list[Json] = []
    for one in sent:
        codings.extend(c for c in one.get("coding", ()) if c not in codings)
    text = next((str(one["text"]) for one in sent if one.get("text")), "")
    return {**({"coding": codings} if codings else {}), **({"text": text} if text else {})} or None


@function("iam_verification", {"6": "drop: what was done: decides whether the allergy stands",
                               "17.1": "coding.code", "17.2": "text", "17.9": "text",
                               "17": "drop: the status is one of FHIR's own codes, with the sender's words"})
def iam_verification(segment: Any, ctx: Any) -> Json | None:
    """verificationStatus: entered in error where IAM-6 deletes the allergy (R4 ait-2: no clinicalStatus then), else by IAM-17."""
    deleted = segment.first(6).get(1) == "D"
    concept: Json | None = None
    if not deleted and segment.raw(17):
        concept = _verified(segment.first(17), ctx)
        deleted = concept is not None and concept["coding"][0]["code"] == _IN_ERROR
    builder = current("AllergyIntolerance", ctx)
    if builder is not None:
        builder.snapshot["clinicalStatus"] = None if deleted else _clinical(segment.first(17).get(1))
        builder.snapshot.setdefault("verificationStatus", None)
    return concept or ({"coding": [{"system": f"{_SYSTEM}verification", "code": _IN_ERROR}]} if deleted else None)


def _verified(rep: Rep, ctx: Any) -> Json | None:
    """IAM-17 as verificationStatus, in FHIR's code and the sender's words; None (and an issue) for a code not of table 0438."""
    target = ctx.code("allergy-verification", rep.get(1)) if rep.get(1) else None
    if target is None:
        ctx.issue("unknown-code", "allergy-verification")
        return None
    words = rep.get(9) or rep.get(2)
    return {"coding": [target], **({"text": words} if words else {})}


def _clinical(status: str) -> Json:
    """Active, or inactive by IAM-17 `I`."""
    return {"coding": [{"system": f"{_SYSTEM}clinical", "code": "inactive" if status == "I" else "active"}]}


@function("iam_reporter", {"14": "RelatedPerson.name", **{f"14.{n}": "RelatedPerson.name" for n in range(1, 16)},
                           **{f"14.1.{n}": "RelatedPerson.name" for n in range(1, 6)}, "15": "RelatedPerson.relationship",
                           **{f"15.{n}": "RelatedPerson.relationship" for n in range(1, 23)}})
def iam_reporter(segment: Any, ctx: Any) -> Json | None:
    """Who reported the allergy (IAM-14): the patient, a RelatedPerson by IAM-15, else a name alone."""
    name = xpn_human_name(segment.first(14), ctx) if segment.raw(14) else None
    if is_patient(segment.first(15).get(1), ctx):
        return {"reference": f"Patient?{ctx.patient}"}
    if not name:
        return None
    if not segment.raw(15):
        return {"display": shown(name)}
    builder = related_person(f"{ctx.local}:RelatedPerson|{ctx.patient}/reporter/{segment.first(14).plain()}", ctx)
    described(builder, ctx, segment, {14: "name", 15: "relationship"})
    return {"reference": builder.symbol, "display": shown(name)}


@function("iam_type", {"1": "", **{str(n): "drop: the type of an allergy is one code of FHIR's own" for n in range(2, 23)}})
def iam_type(rep: Rep, ctx: Any) -> str | None:
    """IAM-9 as allergy or intolerance; adverse reaction and contraindication are neither, and leave what IAM-2 says."""
    found = ctx.code("allergy-sensitivity", rep.get(1)) if rep.get(1) else None
    return found["code"] if found else None
