"""Coded values: CWE, CE, CNE, IS and ID as CodeableConcept, Coding, code or text.

Options: `table` names a concept map, whose target comes first while the sender's own coding stays beside it: in an element
of one code by FHIR's extension `alternate-codes`, as the guide has it for AL1-2. The name of a coding system, which the URI
replaces, stays by the extension `originalText`. `source` names the coding system of a code that brings none (`HL70069`);
without it the table's own source stands.
Source: v2-to-FHIR datatype maps CWE[CodeableConcept], CWE[Coding], CWE[code], CWE[string], CE, IS, ID.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.functions.systems import TABLE_SOURCES, V2, coding_system, is_standard
from adapter.mapping.tables import V2_TABLES
from adapter.mapping.uris import is_oid
from adapter.model import Json

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_VERSION = "drop: version of a value set; the extension valueset-reference has no place for it"

CWE_PARTS = {
    "1": "coding[0].code", "2": "coding[0].display", "3": "coding[0].system", "4": "coding[1].code",
    "5": "coding[1].display", "6": "coding[1].system", "7": "coding[0].version", "8": "coding[1].version", "9": "text",
    "10": "coding[2].code", "11": "coding[2].display", "12": "coding[2].system", "13": "coding[2].version",
    "14": "coding[0].system", "15": "coding[0].extension(valueset-reference)", "16": _VERSION, "17": "coding[1].system",
    "18": "coding[1].extension(valueset-reference)", "19": _VERSION, "20": "coding[2].system",
    "21": "coding[2].extension(valueset-reference)", "22": _VERSION,
}
"""What becomes of each component of a CWE; the same of those that CE, CNE, IS and ID have of them."""

_CODE_ONLY = "drop: the element holds a bare code; a row `as: cwe_alternate_codes` keeps what was sent beside it"

_TRIPLETS = ((1, 2, 3, 7, 14), (4, 5, 6, 8, 17), (10, 11, 12, 13, 20))


@lru_cache(maxsize=4096)
def named(name: str) -> Json:
    """What stands beside a URI: the name it replaces. Shared: never change it."""
    return {"extension": [{"url": _CORE + "originalText", "valueString": name}]}


@lru_cache(maxsize=4096)
def alternate_code(table: str, code: str) -> Json:
    """What stands beside a translated code: the code of an HL7 table that was sent. Shared: never change it."""
    known = V2_TABLES.get(table)
    sent: Json = {"text": code} if known is not None and code not in known else {"coding": [{"system": V2 + table, "code": code}]}
    return {"extension": [alternates(sent)]}


def alternates(concept: Json) -> Json:
    """The extension that holds a coded value as it was sent."""
    return {"url": _CORE + "alternate-codes", "valueCodeableConcept": concept}


def _coding(rep: Rep, triplet: tuple[int, int, int, int, int], default: str, ctx: Context) -> Json | None:
    """One of the three codings of a CWE. default: name of the coding system where the sender gives none."""
    code, display = rep.get(triplet[0]), rep.get(triplet[1])
    if not code and not display:
        return None
    coding: Json = {}
    if code:
        oid = rep.get(triplet[4])
        sent = rep.get(triplet[2])
        name = sent or oid or default
        version = rep.get(triplet[3])
        picked = rep.get(triplet[4] + 1)
        if picked and is_oid(picked):
            coding["extension"] = [{"url": _CORE + "valueset-reference", "valueUri": f"urn:oid:{picked}"}]
        if name:
            coding["system"] = coding_system(name, code, ctx, oid)
            if sent and sent not in coding["system"]:
                coding["_system"] = named(sent)
        if version:
            coding["version"] = version
        coding["code"] = code
    if display:
        coding["display"] = display
    return coding


def _default(table: str, source: str) -> str:
    if source:
        return source
    number = TABLE_SOURCES.get(table)
    return f"HL7{number}" if number else ""


def _target(rep: Rep, ctx: Context, table: str) -> Json | None:
    """The target Coding of the first of the three codes that the concept map knows."""
    for at in (1, 4, 10):
        code = rep.get(at)
        if code:
            target = ctx.code(table, code)
            if target is not None:
                return target
    return None


def _unmapped(rep: Rep, ctx: Context, table: str, source: str) -> None:
    code = rep.get(1)
    if code and not is_standard(rep.get(3) or _default(table, source), code):
        ctx.issue("unknown-code", table)


_TRANSLATED_ONLY = frozenset(("language",))
"""Tables whose elements R4 allows no other coding than the target's (Patient.communication.language: BCP 47); beside the
codes, not among them, stands what was sent."""


def _translated(rep: Rep, ctx: Context, table: str) -> Json | None:
    """Each of the three codes in translation, the value as it was sent as its alternate codes, its words in the text."""
    codings: list[Json] = []
    for at in (1, 4, 10):
        code = rep.get(at)
        target = ctx.code(table, code) if code else None
        if target is not None and target not in codings:
            codings.append(target)
    if not codings:
        _unmapped(rep, ctx, table, "")
    words = dict.fromkeys(rep.get(n) for n in (9, 2, 5, 11))
    text = ", ".join(w for w in words if w) or rep.get(1) or rep.get(4)
    sent = {k: v for k, v in _sent(rep, ctx, table, "").items() if k == "coding"}
    if [(c.get("system"), c.get("code")) for c in sent.get("coding", ())] == [(c["system"], c["code"]) for c in codings]:
        sent = {}
    concept: Json = {"extension": [alternates(sent)]} if sent else {}
    if codings:
        concept["coding"] = codings
    if text:
        concept["text"] = text
    return concept or None


@function("cwe_codeable_concept", CWE_PARTS, kept=True)
def cwe_codeable_concept(rep: Rep, ctx: Context, table: str = "", source: str = "") -> Json | None:
    """A coded value as CodeableConcept: the mapped coding, then the sender's one to three, and the original text.

    text: CWE.9, else the text of a value that has no code or whose code the concept map does not know.
    """
    if table in _TRANSLATED_ONLY:
        return _translated(rep, ctx, table)
    target = _target(rep, ctx, table) if table else None
    codings: list[Json] = [target] if target is not None else []
    text = rep.get(9)
    default = _default(table, source) if table or source else ""
    for triplet in _TRIPLETS:
        if triplet[0] > len(rep.parts):
            break
        coding = _coding(rep, triplet, default if triplet[0] == 1 else "", ctx)
        if coding is None:
            continue
        if target is not None and coding.get("code") == target["code"] and coding.get("system") == target["system"]:
            codings[0] = {**target, **coding}
        elif "code" in coding or text:
            codings.append(coding)
        else:
            text = coding["display"]
    if table and target is None:
        _unmapped(rep, ctx, table, source)
        text = text or rep.get(2) or rep.get(1)
    concept: Json = {"coding": codings} if codings else {}
    if text:
        concept["text"] = text
    return concept or None


def _sent(rep: Rep, ctx: Context, table: str, source: str) -> Json:
    """A coded value as it was sent, nothing translated: a CodeableConcept, perhaps empty."""
    return cwe_codeable_concept(rep, ctx, source=_default(table, source) if table or source else "") or {}


@function("cwe_coding", {at: text if at in ("1", "2", "3", "7", "14", "15") or text.startswith("drop: ") else
                         f"extension(alternate-codes).{text}" for at, text in CWE_PARTS.items()}
          | {"1": "code", "2": "display", "3": "system", "7": "version", "14": "system",
             "15": "extension(valueset-reference)"}, kept=True)
def cwe_coding(rep: Rep, ctx: Context, table: str = "", source: str = "") -> Json | None:
    """A coded value as one Coding: the concept map's target, else the sender's first; all others as its alternate codes."""
    target = _target(rep, ctx, table) if table else None
    if table and target is None:
        _unmapped(rep, ctx, table, source)
    sent = _sent(rep, ctx, table, source)
    codings: list[Json] = sent.get("coding", [])
    own = codings[0] if codings else None
    if target is None or (own and (own.get("system"), own.get("code")) == (target["system"], target["code"])):
        codings = codings[1:]
        coding: Json = {**(target or {}), **(own or {})}
    else:
        coding = dict(target)
    words = sent.get("text", "")
    if not coding:
        return {"display": words} if words else None
    rest: Json = {"coding": codings} if codings else {}
    if words and words != coding.get("display"):
        rest["text"] = words
    if rest:
        coding["extension"] = [*coding.get("extension", ()), alternates(rest)]
    return coding


@function("cwe_alternate_codes", {at: text if text.startswith("drop: ") else f"extension(alternate-codes).{text}"
                                  for at, text in CWE_PARTS.items()}, kept=True)
def cwe_alternate_codes(rep: Rep, ctx: Context, table: str = "", source: str = "", default: str = "") -> Json | None:
    """What was sent, to stand beside an element that holds a bare code (`to: _gender`); None where the code says it all.

    default: what the element holds where the concept map knows no code; without it the element is empty then, and nothing
    can stand beside it (a validator asks for the code).
    """
    sent = _sent(rep, ctx, table, source)
    if not sent:
        return None
    target = _target(rep, ctx, table) if table else None
    if table and target is None and not default:
        return None
    codings: list[Json] = sent.get("coding", [])
    if target is not None and len(codings) == 1 and "text" not in sent and codings[0].keys() <= {"system", "code"} \
            and codings[0].get("code") == target["code"]:
        return None
    return {"extension": [alternates(sent)]}


@function("cwe_code", {"1": "", **dict.fromkeys(
    (str(n) for n in range(2, 23) if n not in (4, 10)), _CODE_ONLY), "4": "", "10": ""}, kept=True)
def cwe_code(rep: Rep, ctx: Context, table: str = "", default: str = "") -> str | None:
    """A coded value as a bare code: the concept map's target, else `default` and the issue unknown-code.

    Without `table` the code stands as it was sent (an alternate where CWE.1 is empty).
    """
    if not table:
        return rep.get(1) or rep.get(4) or rep.get(10) or None
    target = _target(rep, ctx, table)
    if target is not None:
        return target["code"]
    _unmapped(rep, ctx, table, "")
    return default or None


@function("cwe_string", {"1": "", "2": "", "9": "", **dict.fromkeys(
    (str(n) for n in range(3, 23) if n != 9), "drop: the element is one text")}, kept=True)
def cwe_string(rep: Rep, _ctx: Context) -> str | None:
    """The words of a coded value: original text, else text, else the code itself."""
    return rep.get(9) or rep.get(2) or rep.get(1) or rep.get(5) or None


for _name in ("ce_codeable_concept", "cne_codeable_concept", "is_codeable_concept", "id_codeable_concept"):
    function(_name, CWE_PARTS)(cwe_codeable_concept)
for _name in ("is_code", "id_code"):
    function(_name, {"1": ""})(cwe_code)


@function("fc_codeable_concept", {"1": "coding[0]",
                                  "2": "drop: since when a class applies; its period is the coverage's"})
def fc_codeable_concept(rep: Rep, ctx: Context, table: str = "", source: str = "HL70064") -> Json | None:
    """Financial class (FC) as CodeableConcept; FC.1 is a CWE of its own since 2.7, its parts subcomponents."""
    return cwe_codeable_concept(rep.component(1), ctx, table=table, source=source)


@function("jcc_codeable_concept", {"1": "coding[0]", "2": "coding[1]", "3": "text"})
def jcc_codeable_concept(rep: Rep, ctx: Context) -> Json | None:
    """Job code and class (JCC) as CodeableConcept: code of table 0327, class of table 0328, description as text."""
    codings = [c for c in (_coding(rep.component(1), _TRIPLETS[0], "HL70327", ctx),
                           _coding(rep.component(2), _TRIPLETS[0], "HL70328", ctx)) if c]
    text = rep.get(3)
    concept: Json = {"coding": codings} if codings else {}
    if text:
        concept["text"] = text
    return concept or None


@function("spd_codeable_concept", {"1": "text", "2": "drop: who certified it; a qualification's issuer holds it",
                                   "3": "drop: how certified; a qualification's status holds it",
                                   "4": "drop: when certified; a qualification's period holds it"})
def spd_codeable_concept(rep: Rep, _ctx: Context) -> Json | None:
    """The specialty of an SPD as CodeableConcept with text."""
    text = rep.get(1)
    return {"text": text} if text else None


def status_of(segment: Any, ctx: Any, field: int, action: int, table: str) -> str:
    """A resource's status by a coded field, unknown without one; entered-in-error where the action code deletes it (D)."""
    if segment.first(action).get(1) == "D":
        return "entered-in-error"
    code = segment.first(field).get(1)
    found = ctx.code(table, code) if code else None
    if code and not found:
        ctx.issue("unknown-code", table)
    return found["code"] if found else "unknown"
