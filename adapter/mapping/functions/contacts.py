"""Where and how to reach somebody: XAD as Address, XTN as ContactPoint.

Source: v2-to-FHIR maps XAD[Address], SAD[Address], XTN[ContactPoint]; extensions of FHIR R4; tables 0190, 0201, 0202.
"""

from __future__ import annotations

from adapter.mapping.functions.codes import alternate_code, cwe_coding
from adapter.mapping.functions.identifiers import told
from adapter.mapping.functions.names import validity
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.reading import components, words
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.tables import V2_TABLES
from adapter.model import Json

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_NO_HOME = "drop: neither FHIR nor the guide has a place for it"


@function("xad_address", {
    "1": "line[0]", "1.1": "line[0]", "1.2": "line[1]", "1.3": "line[2]", "2": "line[3]", "3": "city", "4": "state",
    "5": "postalCode", "6": "country", "7": "use", "8": "extension(iso21090-ADXP-precinct)", "9": "district",
    "9.1": "district.extension(iso21090-SC-coding)", "9.2": "district", "9.3": "district.extension(iso21090-SC-coding)",
    "9.9": "district", "10": "line[0].extension(iso21090-ADXP-censusTract)", "11": _NO_HOME, "12": "period",
    "12.1": "period.start unless 13", "12.2": "period.end unless 14", "13": "period.start", "14": "period.end", "15": _NO_HOME,
    "16": "use", "17": "use", "18": "type", "19": "line[4]", "20": _NO_HOME, "21": _NO_HOME, "22": _NO_HOME,
    "23": _NO_HOME}, kept=True)
def xad_address(rep: Rep, ctx: Context, use: str = "") -> Json | None:
    """An XAD as Address. use: where neither XAD.7, .16, .17 nor .18 gives one."""
    part = components(rep, 19)
    street = (part[1], rep.sub(1, 2), rep.sub(1, 3)) if rep.d.sub in rep.parts[0] else (part[1],)
    lines = words(*street, part[2])
    address: Json = {}
    _put_kind(part, ctx, address)
    if len(rep.parts) > 7:
        _put_rest(rep, part, ctx, address, lines)
    if lines:
        address["line"] = lines
    for n, element in ((3, "city"), (4, "state"), (5, "postalCode"), (6, "country")):
        if part[n]:
            address[element] = part[n]
    if use and address and "use" not in address:
        address["use"] = use
    return address if address.keys() - _ABOUT else None


_SAME_PLACE = frozenset(("H", "B", "O", "BI", "M"))
"""Address types that FHIR's use or type says without loss; of all others the code stays beside it."""
_ABOUT = frozenset(("use", "type", "period", "extension"))
"""Elements that say something about an address and are none by themselves."""


def _put_kind(part: list[str], ctx: Context, address: Json) -> None:
    """Address type, usage and the indicators of a temporary or bad address, as use and type (tables 0190, 0617)."""
    kind = part[7]
    use = ctx.code("address-use", kind) if kind else None
    sort = ctx.code("address-type", kind) if kind else None
    extra = ctx.code("address-use-entity", kind) if kind else None
    if kind and not (use or sort or extra) and kind not in V2_TABLES["0190"]:
        ctx.issue("unknown-code", "address-use")
    if part[17] == "Y":
        address["use"] = "old"
    elif part[16] == "Y":
        address["use"] = "temp"
    elif use:
        address["use"] = use["code"]
    if sort:
        address["type"] = sort["code"]
    elif part[18] == "M":
        address["type"] = "postal"
    elif part[18] == "V":
        address["type"] = "physical"
    extension: list[Json] = [{"url": _CORE + "iso21090-AD-use", "valueCode": extra["code"]}] if extra else []
    if kind and kind not in _SAME_PLACE:
        extension += alternate_code("0190", kind)["extension"]
    if extension:
        address["extension"] = extension


def _put_rest(rep: Rep, part: list[str], ctx: Context, address: Json, lines: list[str]) -> None:
    """Components 8 to 19: geography, validity, addressee."""
    precinct, district, tract, addressee = part[8], told(rep, 9), told(rep, 10), part[19]
    if precinct:
        address.setdefault("extension", []).append({"url": _CORE + "iso21090-ADXP-precinct", "valueString": precinct})
    if district:
        address["district"] = district
        if part[9] and part[9] != district:
            address["_district"] = {"extension": [{"url": _CORE + "iso21090-SC-coding", "valueCoding": cwe_coding(
                rep.component(9), ctx)}]}
    valid = validity(rep, 12, part[13], part[14], ctx)
    if valid:
        address["period"] = valid
    if addressee:
        lines.append(addressee)
    if tract:
        address["_line"] = [{"extension": [{"url": _CORE + "iso21090-ADXP-censusTract", "valueString": tract}]}]
        address["_line"] += [None] * (len(lines) - 1)


_SAME_EQUIPMENT = frozenset(("PH", "FX", "BP", "CP"))
"""Equipment that FHIR's system (for CP: and use) says without loss; of all other the code stays beside it."""
_COMMENT = _CORE + "contactpoint-comment"
_NUMBER_PARTS = ((5, _CORE + "contactpoint-country"), (6, _CORE + "contactpoint-area"),
                 (7, _CORE + "contactpoint-local"), (8, _CORE + "contactpoint-extension"))


@function("xtn_contact_point", {
    "1": "value", "2": "use", "3": "system", "4": "value", "5": "extension(contactpoint-country)",
    "6": "extension(contactpoint-area)", "7": "extension(contactpoint-local)", "8": "extension(contactpoint-extension)",
    "9": "extension(contactpoint-comment)", "10": _NO_HOME, "11": _NO_HOME, "12": "value", "13": "period.start",
    "14": "period.end", "15": _NO_HOME, "16": _NO_HOME, "17": _NO_HOME, "18": "rank"}, kept=True)
def xtn_contact_point(rep: Rep, ctx: Context, use: str = "") -> Json | None:
    """An XTN as ContactPoint, its system always named. use: where XTN.2 gives none.

    value: the address of an Internet point (XTN.4); else the unformatted number (XTN.12), the number of its parts
    (XTN.5 to 8, which stand in extensions too), or the old formatted one (XTN.1). A second, different value stands
    beside it as a comment.
    """
    part = components(rep, 18)
    use_code, equipment, address = part[2], part[3], part[4]
    built = _built(part)
    numbers = _different(words(part[12], built, part[1]))
    internet = equipment in ("Internet", "X.400") or (not equipment and (use_code == "NET" or "@" in address))
    values = words(address, *numbers) if internet else words(*numbers, address)
    if not values:
        return None
    point: Json = {}
    extension: list[Json] = [{"url": url, "valueString": part[n]} for n, url in _NUMBER_PARTS if part[n]]
    extension += [{"url": _COMMENT, "valueString": text} for text in words(*values[1:], part[9]) if text != built]
    if extension:
        point["extension"] = extension
    point["system"] = _system(use_code, equipment, internet, values[0], ctx)
    if equipment and equipment not in _SAME_EQUIPMENT:
        point["_system"] = alternate_code("0202", equipment)
    point["value"] = values[0]
    _put_use(use_code, equipment, use, ctx, point)
    valid = period(part[13], part[14], ctx)
    if valid:
        point["period"] = valid
    if part[18]:
        _put_rank(part[18], ctx, point)
    return point


def _put_rank(rank: str, ctx: Context, point: Json) -> None:
    """Preference order as ContactPoint.rank."""
    if rank.isascii() and rank.isdigit() and int(rank) > 0:
        point["rank"] = int(rank)
    else:
        ctx.issue("bad-number")


def _built(part: list[str]) -> str:
    """The number of its parts: country, area, local number, extension; '' without a local number."""
    if not part[7]:
        return ""
    number = " ".join(words("+" + part[5].lstrip("+") if part[5] else "", part[6], part[7]))
    return f"{number} X{part[8]}" if part[8] else number


def _different(written: list[str]) -> list[str]:
    """Numbers in their order, without those that differ from an earlier one in punctuation only."""
    if len(written) < 2:
        return written
    first: dict[str, str] = {}
    for number in written:
        first.setdefault(_digits(number), number)
    return list(first.values())


def _digits(number: str) -> str:
    return "".join(filter(str.isalnum, number))


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
    """ContactPoint.use: a cellular phone is mobile, else by the use code (table 0201), which stays beside it."""
    coded = ctx.code("telecom-use", code) if code else None
    if equipment == "CP":
        point["use"] = "mobile"
    elif coded:
        point["use"] = coded["code"]
    elif default:
        point["use"] = default
    if not code:
        return
    if not coded and code not in V2_TABLES["0201"]:
        ctx.issue("unknown-code", "telecom-use")
    if "use" in point:
        point["_use"] = alternate_code("0201", code)
    else:
        point["extension"] = [*point.get("extension", ()), *alternate_code("0201", code)["extension"]]
