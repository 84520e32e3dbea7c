"""Persons whom a segment names beside the patient: insured, guarantor, who reported an allergy. Each is a RelatedPerson.

They are made inside the functions of their segments, since whether they are another person than the patient goes by a code.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from adapter.mapping.functions.codes import cwe_alternate_codes, cwe_code, cwe_codeable_concept
from adapter.mapping.functions.contacts import xad_address, xtn_contact_point
from adapter.mapping.functions.identifiers import cx_identifier, ssn_identifier
from adapter.mapping.functions.names import xpn_human_name
from adapter.mapping.functions.patient import cwe_bcp47, us_core_ethnicity, us_core_race
from adapter.mapping.functions.primitives import dtm_date, dtm_datetime
from adapter.mapping.functions.registry import FUNCTIONS, below
from adapter.model import Json

SELF = "self"


def is_patient(code: str, ctx: Any, table: str = "insured-relationship") -> bool:
    """Whether a code of relationship says that the person is the patient."""
    found = ctx.code(table, code) if code else None
    return bool(found) and found["code"] == SELF


def related_person(key: str, ctx: Any) -> Any:
    """The builder of the RelatedPerson of a key, beside the patient of the message."""
    builder = ctx.build("RelatedPerson", key, "own")
    builder.snapshot.update({"patient": {"reference": f"Patient?{ctx.patient}"}, "active": True})
    return builder


def described(builder: Any, ctx: Any, segment: Any, fields: dict[int, str]) -> None:
    """What a segment says of a person, by field number: what kind of statement it is, a key of `_MAKES`."""
    for n, kind in fields.items():
        element, make, listed = _MAKES[kind]
        reps = [rep for rep in (segment.reps(n) if listed else [segment.first(n)]) if rep.text]
        made = ([make(reps, ctx)] if reps else []) if kind in _WHOLE else [make(rep, ctx) for rep in reps]
        kept = [one for one in made if one not in (None, {}, "")]
        if kept and listed:
            builder.snapshot[f"{element}#{segment.name}-{n}"] = kept
        elif kept:
            builder.snapshot[element] = kept[0]
        as_sent = cwe_alternate_codes(reps[0], ctx, **GENDER) if kept and kind == "gender" else None
        if as_sent:
            builder.snapshot["_gender"] = as_sent


def _language(rep: Any, ctx: Any) -> Json | None:
    language = cwe_bcp47(rep, ctx)
    return {"language": language} if language else None


GENDER = {"table": "administrative-sex", "default": "unknown"}
"""Options of a gender: a code that no concept map knows stands beside `unknown`."""
_MAKES: dict[str, tuple[str, Any, bool]] = {
    "name": ("name", xpn_human_name, True),
    "address": ("address", xad_address, True),
    "telecom": ("telecom", xtn_contact_point, True),
    "home": ("telecom", partial(xtn_contact_point, use="home"), True),
    "work": ("telecom", partial(xtn_contact_point, use="work"), True),
    "identifier": ("identifier", cx_identifier, True),
    "employee": ("identifier", partial(cx_identifier, kind="EI"), True),
    "military": ("identifier", partial(cx_identifier, kind="MI"), True),
    "ssn": ("identifier", ssn_identifier, True),
    "birth": ("birthDate", dtm_date, False),
    "gender": ("gender", partial(cwe_code, **GENDER), False),
    "relationship": ("relationship", partial(cwe_codeable_concept, table="relationship"), True),
    "language": ("communication", _language, True),
    "race": ("extension", us_core_race, True),
    "ethnicity": ("extension", us_core_ethnicity, True),
    "start": ("period.start", dtm_datetime, False),
    "end": ("period.end", dtm_datetime, False),
}


_WHOLE = frozenset(("race", "ethnicity"))
"""Kinds whose function takes all repetitions at once."""


def parts_of(fields: dict[int, str]) -> dict[str, str]:
    """The account of fields that `described` puts into a RelatedPerson: every component goes where its field goes."""
    found: dict[str, str] = {}
    for n, kind in fields.items():
        element, make, _ = _MAKES[kind]
        inner = f"{element}.language" if kind == "language" else element
        name = "cwe_bcp47" if kind == "language" else getattr(make, "func", make).__name__
        parts = {**FUNCTIONS["cwe_alternate_codes"].parts, "1": ""} if kind == "gender" else FUNCTIONS[name].parts
        found |= below(parts, n, f"RelatedPerson.{inner}.{{}}")
    return found
