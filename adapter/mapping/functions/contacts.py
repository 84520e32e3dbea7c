"""Where and how to reach somebody: XAD as Address, XTN as ContactPoint.

Source: v2-to-FHIR maps XAD[Address], SAD[Address], XTN[ContactPoint]; extensions of FHIR R4; tables 0190, 0201, 0202.
"""

from __future__ import annotations

from adapter.mapping.functions.names import put_validity, texts
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.tables import V2_TABLES
from adapter.model import Json

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_NO_HOME = "drop: neither FHIR nor the guide has a place for it"


def _words(rep: Rep, n: int) -> str:
    """The text of component n, a CWE of which the element holds the words: original text, else text, else code."""
    if n > len(rep.parts) or not rep.parts[n - 1]:
        return ""
    return rep.sub(n, 9) or rep.sub(n, 2) or rep.get(n)


@function("xad_address", {
    "1": "line[0]", "1.1": "line[0]", "1.2": "line[1]", "1.3": "line[2]", "2": "line[3]", "3": "city", "4": "state",
    "5": "postalCode", "6": "country", "7": "use", "8": "extension(iso21090-ADXP-precinct)", "9": "district",
    "10": "line[0].extension(iso21090-ADXP-censusTract)", "11": _NO_HOME, "12": "period", "12.1": "period.start",
    "12.2": "period.end", "13": "period.start", "14": "period.end", "15": _NO_HOME,
    "16": "use", "17": "use", "18": "type", "19": "line[4]", "20": _NO_HOME, "21": _NO_HOME, "22": _NO_HOME,
    "23": _NO_HOME})
def xad_address(rep: Rep, ctx: Context, use: str = "") -> Json | None:
    """An XAD as Address. use: where neither XAD.7, .16, .17 nor .18 gives one."""
    count = len(rep.parts)
    lines = texts(rep.get(1), rep.sub(1, 2), rep.sub(1, 3)) if rep.d.sub in rep.parts[0] else texts(rep.get(1))
    address: Json = {}
    if count > 1:
        other = rep.get(2)
        if other:
            lines.append(other)
    if count > 6:
        _put_kind(rep, ctx, address)
        if count > 7:
            _put_rest(rep, ctx, address, lines)
    if lines:
        address["line"] = lines
    for n, element in ((3, "city"), (4, "state"), (5, "postalCode"), (6, "country")):
        if n > count:
            break
        text = rep.get(n)
        if text:
            address[element] = text
    if use and address and "use" not in address:
        address["use"] = use
    return address if address.keys() - _ABOUT else None


_ABOUT = frozenset(("use", "type", "period", "extension"))
"""Elements that say something about an address and are none by themselves."""


def _put_kind(rep: Rep, ctx: Context, address: Json) -> None:
    """Address type, usage and the indicators of a temporary or bad address, as use and type (tables 0190, 0617)."""
    kind = rep.get(7)
    use = ctx.code("address-use", kind) if kind else None
    sort = ctx.code("address-type", kind) if kind else None
    extra = ctx.code("address-use-entity", kind) if kind else None
    if kind and not (use or sort or extra) and kind not in V2_TABLES["0190"]:
        ctx.issue("unknown-code", "address-use")
    if rep.get(17) == "Y":
        address["use"] = "old"
    elif rep.get(16) == "Y":
        address["use"] = "temp"
    elif use:
        address["use"] = use["code"]
    if sort:
        address["type"] = sort["code"]
    elif rep.get(18) == "M":
        address["type"] = "postal"
    elif rep.get(18) == "V":
        address["type"] = "physical"
    if extra:
        address["extension"] = [{"url": _CORE + "iso21090-AD-use", "valueCode": extra["code"]}]


def _put_rest(rep: Rep, ctx: Context, address: Json, lines: list[str]) -> None:
    """Components 8 to 19: geography, validity, addressee."""
    precinct, district, tract, addressee = rep.get(8), _words(rep, 9), _words(rep, 10), rep.get(19)
    if precinct:
        address.setdefault("extension", []).append({"url": _CORE + "iso21090-ADXP-precinct", "valueString": precinct})
    if district:
        address["district"] = district
    put_validity(rep, (12, 13, 14), ctx, address)
    if addressee:
        lines.append(addressee)
    if tract:
        address["_line"] = [{"extension": [{"url": _CORE + "iso21090-ADXP-censusTract", "valueString": tract}]}]
        address["_line"] += [None] * (len(lines) - 1)


_COMMENT = _CORE + "contactpoint-comment"
_NUMBER_PARTS = ((5, _CORE + "contactpoint-country"), (6, _CORE + "contactpoint-area"),
                 (7, _CORE + "contactpoint-local"), (8, _CORE + "contactpoint-extension"))


@function("xtn_contact_point", {
    "1": "value", "2": "use", "3": "system", "4": "value", "5": "extension(contactpoint-country)",
    "6": "extension(contactpoint-area)", "7": "extension(contactpoint-local)", "8": "extension(contactpoint-extension)",
    "9": "extension(contactpoint-comment)", "10": _NO_HOME, "11": _NO_HOME, "12": "value", "13": "period.start",
    "14": "period.end", "15": _NO_HOME, "16": _NO_HOME, "17": _NO_HOME, "18": "rank"})
def xtn_contact_point(rep: Rep, ctx: Context, use: str = "") -> Json | None:
    """An XTN as ContactPoint, its system always named. use: where XTN.2 gives none.

    value: the address of an Internet point (XTN.4); else the unformatted number (XTN.12), the number of its parts
    (XTN.5 to 8), or the old formatted one (XTN.1). A second, different value stands beside it as a comment.
    """
    count = len(rep.parts)
    equipment = rep.get(3) if count > 2 else ""
    address = rep.get(4) if count > 3 else ""
    numbers = _numbers(rep) if count > 4 else texts(rep.get(1))
    internet = equipment in ("Internet", "X.400") or (not equipment and (rep.get(2) == "NET" or "@" in address))
    values = texts(address, *numbers) if internet else [*numbers, *texts(address)]
    if not values:
        return None
    point: Json = {}
    extension = _number_extensions(rep) if count > 4 else []
    remarks = [*values[1:], *texts(rep.get(9))] if count > 8 else values[1:]
    extension += [{"url": _COMMENT, "valueString": text} for text in remarks]
    if extension:
        point["extension"] = extension
    point["system"] = _system(rep.get(2), equipment, internet, values[0], ctx)
    point["value"] = values[0]
    _put_use(rep.get(2), equipment, use, ctx, point)
    if count > 12:
        put_validity(rep, (99, 13, 14), ctx, point)
        rank = rep.get(18)
        if rank:
            if rank.isascii() and rank.isdigit() and int(rank) > 0:
                point["rank"] = int(rank)
            else:
                ctx.issue("bad-number")
    return point


def _numbers(rep: Rep) -> list[str]:
    """The number in each of the ways it is written, the best first, none twice."""
    country, area, local, extension = rep.get(5), rep.get(6), rep.get(7), rep.get(8)
    built = " ".join(texts(f"+{country.lstrip('+')}" if country else "", area, local)) if local else ""
    if built and extension:
        built = f"{built} X{extension}"
    found: list[str] = []
    for number in (rep.get(12), built, rep.get(1)):
        if number and _digits(number) not in [_digits(f) for f in found]:
            found.append(number)
    return found


def _digits(number: str) -> str:
    return "".join(c for c in number if c.isalnum())


def _number_extensions(rep: Rep) -> list[Json]:
    return [{"url": url, "valueString": text} for n, url in _NUMBER_PARTS if (text := rep.get(n))]


def _system(use: str, equipment: str, internet: bool, value: str, ctx: Context) -> str:
    """ContactPoint.system: by the equipment (table 0202); without any, or for the Internet, by what the value is."""
    if internet:
        if "@" in value:
            return "email"
        return "url" if "://" in value or value.lower().startswith("www.") else "other"
    if not equipment:
        return "pager" if use == "BPN" else "phone"
    coded = ctx.code("telecom-system", equipment)
    if coded is None:
        ctx.issue("unknown-code", "telecom-system")
        return "other"
    return coded["code"]


def _put_use(code: str, equipment: str, default: str, ctx: Context, point: Json) -> None:
    """ContactPoint.use: a cellular phone is mobile, else by the use code (table 0201)."""
    if equipment == "CP":
        point["use"] = "mobile"
        return
    coded = ctx.code("telecom-use", code) if code else None
    if coded:
        point["use"] = coded["code"]
    elif code and code not in V2_TABLES["0201"]:
        ctx.issue("unknown-code", "telecom-use")
    if default and "use" not in point:
        point["use"] = default
