"""Coded values: CWE, CE, CNE, IS and ID as CodeableConcept, Coding, code or text.

Options: `table` names a concept map, whose target comes first while the sender's own coding stays beside it. `source`
names the coding system of a code that brings none (`HL70069`); without it the table's own source stands.
Source: v2-to-FHIR datatype maps CWE[CodeableConcept], CWE[Coding], CWE[code], CWE[string], CE, IS, ID.
"""

from __future__ import annotations

from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.functions.systems import TABLE_SOURCES, coding_system, is_standard
from adapter.model import Json

_NO_VALUE_SET = "drop: names a value set, and a Coding says which code, not from which list it was picked"

CWE_PARTS = {
    "1": "coding[0].code", "2": "coding[0].display", "3": "coding[0].system", "4": "coding[1].code",
    "5": "coding[1].display", "6": "coding[1].system", "7": "coding[0].version", "8": "coding[1].version", "9": "text",
    "10": "coding[2].code", "11": "coding[2].display", "12": "coding[2].system", "13": "coding[2].version",
    "14": "coding[0].system", "15": _NO_VALUE_SET, "16": _NO_VALUE_SET, "17": "coding[1].system", "18": _NO_VALUE_SET,
    "19": _NO_VALUE_SET, "20": "coding[2].system", "21": _NO_VALUE_SET, "22": _NO_VALUE_SET,
}
"""What becomes of each component of a CWE; the same of those that CE, CNE, IS and ID have of them."""

_ONE = "drop: the element holds one code, and the primary one is it"
_CODE_ONLY = "drop: the element holds a bare code of a required value set"

_TRIPLETS = ((1, 2, 3, 7, 14), (4, 5, 6, 8, 17), (10, 11, 12, 13, 20))


def _coding(rep: Rep, triplet: tuple[int, int, int, int, int], default: str, ctx: Context) -> Json | None:
    """One of the three codings of a CWE. default: name of the coding system where the sender gives none."""
    code, display = rep.get(triplet[0]), rep.get(triplet[1])
    if not code and not display:
        return None
    coding: Json = {}
    if code:
        oid = rep.get(triplet[4])
        name = rep.get(triplet[2]) or oid or default
        version = rep.get(triplet[3])
        if name:
            coding["system"] = coding_system(name, code, ctx)
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
"""Tables whose elements R4 allows no other coding than the target's (Patient.communication.language: BCP 47)."""


def _translated(rep: Rep, ctx: Context, table: str) -> Json | None:
    """Each of the three codes in translation, no coding of the sender's; what was sent stands in the text."""
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
    concept: Json = {"coding": codings} if codings else {}
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
            codings[0] = coding if "display" in coding else target
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


@function("cwe_coding", {**CWE_PARTS, "4": _ONE, "5": _ONE, "6": _ONE, "8": _ONE, "9": _ONE, "10": _ONE, "11": _ONE,
                         "12": _ONE, "13": _ONE, "17": _ONE, "20": _ONE,
                         "1": "code", "2": "display", "3": "system", "7": "version", "14": "system"}, kept=True)
def cwe_coding(rep: Rep, ctx: Context, table: str = "", source: str = "") -> Json | None:
    """A coded value as one Coding: the concept map's target, else the sender's own primary coding."""
    if table:
        target = _target(rep, ctx, table)
        if target is not None:
            return target
        _unmapped(rep, ctx, table, source)
    default = _default(table, source) if table or source else ""
    return _coding(rep, _TRIPLETS[0], default, ctx) or _coding(rep, _TRIPLETS[1], "", ctx)


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
