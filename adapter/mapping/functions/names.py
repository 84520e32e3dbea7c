"""Names of persons: XPN as HumanName, and the name parts that XCN and CNN share with it.

Source: v2-to-FHIR maps XPN[HumanName], FN[HumanName]; extensions of FHIR R4 itself; tables 0200, 0444, 0465.
"""

from __future__ import annotations

from functools import lru_cache

from adapter.mapping.functions.codes import alternate_code
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.reading import components, words
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.tables import V2_TABLES
from adapter.model import Json

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_FAMILY = ((2, _CORE + "humanname-own-prefix"), (3, _CORE + "humanname-own-name"),
           (4, _CORE + "humanname-partner-prefix"), (5, _CORE + "humanname-partner-name"))
_SAME_USE = frozenset(("L", "D", "M", "N", "TEMP"))
"""Name types that FHIR's use says without loss; of all others the code stays beside it."""
_CALLED_BY = [{"url": _CORE + "iso21090-EN-qualifier", "valueCode": "CL"}]


def put_family(rep: Rep, n: int, name: Json) -> None:
    """Component n, an FN, as family with the extensions of its own and its partner's parts."""
    family = rep.get(n)
    if family:
        name["family"] = family
    if rep.d.sub in rep.parts[n - 1]:
        extension = [{"url": url, "valueString": text} for m, url in _FAMILY if (text := rep.sub(n, m))]
        if extension:
            name["_family"] = {"extension": extension}


@lru_cache(maxsize=1024)
def _extensions(order: str, representation: str, kind: str) -> tuple[Json, ...]:
    """The extensions of codes already mapped: assembly order, representation, and a use that FHIR has no code for."""
    pairs = (("humanname-assembly-order", order), ("iso21090-EN-representation", representation),
             ("iso21090-EN-use", kind))
    return tuple({"url": _CORE + url, "valueCode": code} for url, code in pairs if code)


def put_codes(kind: str, representation: str, order: str, ctx: Context, name: Json) -> None:
    """Name type (table 0200) as use, or as extension where R4 has no such use; representation and assembly order."""
    extra = ""
    if kind:
        use = ctx.code("name-use", kind)
        if use:
            name["use"] = use["code"]
            if kind not in _SAME_USE:
                name["_use"] = alternate_code("0200", kind)
        else:
            entity = ctx.code("name-use-entity", kind)
            extra = entity["code"] if entity else ""
            if not entity and kind not in V2_TABLES["0200"]:
                ctx.issue("unknown-code", "name-use")
    if kind and "use" not in name:
        name["extension"] = [*alternate_code("0200", kind)["extension"]]
    if extra or representation or order:
        extension = _extensions(_mapped("name-assembly", order, ctx),
                                _mapped("name-representation", representation, ctx), extra)
        if extension:
            name["extension"] = [*extension, *name.get("extension", ())]


def _mapped(table: str, code: str, ctx: Context) -> str:
    """The code that a concept map gives, '' and the issue unknown-code where it has none."""
    coding = ctx.code(table, code) if code else None
    if code and coding is None:
        ctx.issue("unknown-code", table)
    return coding["code"] if coding else ""


def shown(name: Json) -> str:
    """A HumanName in one line, for Reference.display."""
    return " ".join([*name.get("prefix", ()), *name.get("given", ()), *words(name.get("family", "")),
                     *name.get("suffix", ())])


@function("xpn_human_name", {
    "1": "family", "1.1": "family", "1.2": "family.extension(humanname-own-prefix)",
    "1.3": "family.extension(humanname-own-name)", "1.4": "family.extension(humanname-partner-prefix)",
    "1.5": "family.extension(humanname-partner-name)", "2": "given[0]", "3": "given[1]", "4": "suffix[0]",
    "5": "prefix[0]", "6": "suffix[1]", "7": "use", "8": "extension(iso21090-EN-representation)",
    "9": "drop: the context a name is meant for; R4 has use alone", "10": "period", "10.1": "period.start unless 12",
    "10.2": "period.end unless 13", "11": "extension(humanname-assembly-order)", "12": "period.start", "13": "period.end",
    "14": "suffix[2]", "15": "given[2].extension(iso21090-EN-qualifier CL)"}, kept=True)
def xpn_human_name(rep: Rep, ctx: Context, use: str = "") -> Json | None:
    """An XPN as HumanName. use: where XPN.7 gives none. A name that a person is called by is a given name marked CL."""
    name: Json = {}
    put_family(rep, 1, name)
    part = components(rep, 15)
    given = words(part[2], part[3])
    suffix = words(part[4], part[6], part[14])
    prefix = part[5]
    if part[7] or part[8] or part[11]:
        put_codes(part[7], part[8], part[11], ctx, name)
    valid = validity(rep, 10, part[12], part[13], ctx)
    if valid:
        name["period"] = valid
    if part[15]:
        name["_given"] = [*[None] * len(given), {"extension": _CALLED_BY}]
        given.append(part[15])
    for element, values in (("given", given), ("suffix", suffix), ("prefix", [prefix] if prefix else None)):
        if values:
            name[element] = values
    if use and name and "use" not in name:
        name["use"] = use
    return name if "family" in name or given or suffix or prefix or "_family" in name else None


def validity(rep: Rep, at: int, start: str, end: str, ctx: Context) -> Json | None:
    """Effective and expiration date, each else by the older validity range (a DR, component `at`), as Period."""
    if at <= len(rep.parts) and rep.parts[at - 1]:
        start, end = start or rep.sub(at, 1), end or rep.sub(at, 2)
    return period(start, end, ctx) if start or end else None


@function("xpn_string", {"*": ""}, kept=True)
def xpn_string(rep: Rep, ctx: Context) -> str | None:
    """A name in one line."""
    name = xpn_human_name(rep, ctx)
    return (shown(name) or None) if name else None
