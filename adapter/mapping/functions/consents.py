"""Functions for CON and ARV: consents, and restrictions of access, as Consent.

Source: FHIR R4 Consent and its mapping to CON; HL7 v2.8.2 chapters 3 and 9; tables 0496, 0498, 0548, 0717, 0719.
"""

from __future__ import annotations

import base64
from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS
from adapter.mapping.functions.names import shown
from adapter.mapping.functions.registry import FUNCTIONS, OTHER_WORDS, Rep, below, function
from adapter.model import Json

SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
_PRIVACY = frozenset(("001", "003", "041", "057", "097", "098", "100", "102", "103", "110"))
"""Consent types (table 0496) about what may be told of a person."""
_RESEARCH = frozenset(("099", "109", "133", "134"))
"""Consent types about taking part in research."""
_SELF, _PRACTITIONERS = "1", frozenset(("6", "7"))
"""Relationships (table 0548): the person itself; a practitioner or committee that decides."""
_PERMITTING = frozenset(("NO", "OI"))
"""Restriction values (table 0717) that restrict nothing."""
_CHOSEN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}


@function("con_scope", {})
def con_scope(segment: Any, _ctx: Any) -> Json:
    """Consent.scope by the consent type (CON-2): treatment and research where table 0496 says so, else privacy."""
    kind = segment.first(2).get(1).zfill(3)
    if kind in _RESEARCH:
        code = "research"
    elif kind.isascii() and kind.isdigit() and kind != "000" and kind not in _PRIVACY:
        code = "treatment"
    else:
        code = "patient-privacy"
    return {"coding": [{"system": SCOPES, "code": code}]}


@function("con_policy", {"3": "text"})
def con_policy(segment: Any, _ctx: Any) -> Json:
    """The form that was agreed to (CON-3) as Consent.policyRule, else unknown (R4 ppc-1 asks for one)."""
    form = segment.first(3).plain()
    return {"text": form} if form else _CHOSEN


@function("con_source", {str(n): f"data{OTHER_WORDS}" for n in (5, 6, 7, 8)})
def con_source(segment: Any, _ctx: Any) -> Json | None:
    """The words of the consent and its background (CON-5 to CON-8) as attached text."""
    texts = [rep.plain() for n in (5, 6, 7, 8) for rep in segment.reps(n) if rep.plain()]
    if not texts:
        return None
    return {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode("\n\n".join(texts).encode()).decode("ascii")}


@function("limitation", {"*": "code.text"}, kept=True)
def limitation(rep: Rep, _ctx: Any) -> Json | None:
    """A limitation that the consenter imposed (CON-9) as an exception to what is permitted."""
    return {"type": "deny", "code": [{"text": rep.plain()}]} if rep.plain() else None


@function("con_performers", {
    **below(FUNCTIONS["xpn_human_name"].parts, 24, "RelatedPerson.name.{}"),
    **below(CWE_PARTS, 25, "RelatedPerson.relationship.{}")})
def con_performers(segment: Any, ctx: Any) -> list[Json]:
    """Who consented (CON-24) in what relationship (CON-25): the person, a practitioner by name, or a RelatedPerson."""
    relations: list[Rep] = segment.reps(25)
    found: list[Json] = []
    for n, rep in enumerate(segment.reps(24)):
        relation = relations[min(n, len(relations) - 1)] if relations else None
        performer = _performer(rep, relation, ctx)
        if performer:
            found.append(performer)
    return found


def _performer(rep: Rep, relation: Rep | None, ctx: Any) -> Json | None:
    name = FUNCTIONS["xpn_human_name"].call(rep, ctx)
    words = shown(name) if name else ""
    code = relation.get(1) if relation else ""
    if not words:
        return None
    if code == _SELF:
        return {"reference": f"Patient?{ctx.patient}", "display": words}
    if code in _PRACTITIONERS:
        return {"display": words}
    builder = ctx.build("RelatedPerson", f"{ctx.local}:consenter|{ctx.patient}/{words.casefold()}", "own")
    builder.snapshot.update({"patient": {"reference": f"Patient?{ctx.patient}"}, "active": True, "name#CON-24": [name]})
    relationship = FUNCTIONS["cwe_codeable_concept"].call(relation, ctx, source="HL70548") if relation else None
    if relationship:
        builder.snapshot["relationship#CON-25"] = [relationship]
    return {"reference": builder.symbol, "display": words}


@function("arv_type", {"1": ""}, kept=True)
def arv_type(rep: Rep, _ctx: Any) -> str:
    """Whether a restriction value (table 0717) denies access, or says that nothing is restricted."""
    return "permit" if rep.get(1) in _PERMITTING else "deny"


@function("arv_status", {"2": "drop: what was done: decides whether the restriction is in force"})
def arv_status(segment: Any, _ctx: Any) -> str:
    """Consent.status of an ARV: a restriction that is deleted (ARV-2) is inactive, any other in force."""
    return "inactive" if segment.first(2).get(1) == "D" else "active"


@function("arv_policy", {"5": "text", "5.1": "text"})
def arv_policy(segment: Any, _ctx: Any) -> Json:
    """Special instructions (ARV-5) as Consent.policyRule, else unknown (R4 ppc-1 asks for one)."""
    texts = [rep.plain() for rep in segment.reps(5) if rep.plain()]
    return {"text": "; ".join(texts)} if texts else _CHOSEN


@function("visit_restricted", {})
def visit_restricted(segment: Any, ctx: Any) -> Json | None:
    """The visit that a restriction after PV1 is about, and what belongs to it, as Consent.provision.data."""
    return {"meaning": "related", "reference": {"reference": f"Encounter?{ctx.visit}"}} if ctx.visit else None
