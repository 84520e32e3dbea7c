"""Places: PL as a chain of Locations, from the facility down to the bed.

Each level is keyed by its path within the facility (or the sender, where it names none). Floor and building are no part
of a bed's path: senders leave them out. Source: v2-to-FHIR maps PL[Location], HD[Location]; tables 0116, 0305.
"""

from __future__ import annotations

from functools import lru_cache

from adapter.mapping.functions.identifiers import NOBODY, assigner, hd_parts, identifier, universal_identifier
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.model import Json

_PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_DISPLAYS = {"si": "Site", "bu": "Building", "lvl": "Level", "wa": "Ward", "ro": "Room", "bd": "Bed"}
_LEVELS = ((4, "si"), (7, "bu"), (8, "lvl"), (1, "wa"), (2, "ro"), (3, "bd"))
"""Component and physical type of each level, from the widest to the narrowest."""

PL_PARTS = {
    **{str(n): "Location.name" for n in (1, 2, 3, 4, 7, 8)},
    **{f"{n}.1": "Location.name" for n in (1, 2, 3, 4, 7, 8)},
    **{f"{n}.2": "Location.identifier.value" for n in (1, 2, 3, 4, 7, 8)},
    **{f"{n}.3": "Location.identifier.type" for n in (1, 2, 3, 4, 7, 8)},
    "5": "Location.operationalStatus", "6": "Location.type", "9": "Location.description", "10": "Location.identifier",
    "10.1": "Location.identifier.value", "10.2": "Location.identifier.assigner.display",
    "10.3": "Location.identifier.system", "10.4": "Location.identifier.system",
    "11": "Location.identifier.system", "11.1": "Location.identifier.assigner.display", "11.2": "Location.identifier.system",
    "11.3": "Location.identifier.assigner.identifier.type"}


@lru_cache(maxsize=16)
def physical_type(code: str) -> Json:
    """A CodeableConcept of location-physical-type. Shared: never change it."""
    return {"coding": [{"system": _PHYSICAL, "code": code, "display": _DISPLAYS[code]}]}


@function("pl_location", PL_PARTS, kept=True)
def pl_location(rep: Rep, ctx: Context) -> Json | None:
    """A PL as Reference to its most specific Location; each level is stated, with the next wider one as partOf.

    A PL that names no level and has no PL.10 is its description alone.
    """
    if len(rep.parts) == 1:
        return _only(rep, ctx)
    levels = [(kind, n, parts) for n, kind in _LEVELS if any(parts := hd_parts(rep, n))]
    authority = hd_parts(rep, 11)
    system = ctx.system(*(authority if any(authority) else hd_parts(rep, 4)))
    by = assigner(authority, NOBODY) if any(authority) else None
    if not levels:
        return _described(rep, system, ctx)
    reference = ""
    name = ""
    wide = ""
    path = ""
    for at, (kind, n, parts) in enumerate(levels):
        name = parts[0] or parts[1]
        if n in (1, 2, 3):
            path = value = f"{path}/{name}" if path else name if n == 1 else f"{kind}:{name}"
        else:
            wide = value = f"{wide}/{kind}:{name}" if n != 4 else f"si:{name}"
        body = _level(kind, name, parts, system, value, by)
        if reference:
            body["partOf"] = {"reference": reference}
        if at == len(levels) - 1:
            _put_details(rep, ctx, body, system)
        reference = ctx.emit("Location", f"{system}|{value}", body)
    return {"reference": reference, "display": name}


def _only(rep: Rep, ctx: Context) -> Json | None:
    """A PL that is a point of care and nothing else, the commonest."""
    parts = hd_parts(rep, 1)
    name = parts[0] or parts[1]
    if not name:
        return None
    system = ctx.system("")
    body = _level("wa", name, parts, system, name)
    return {"reference": ctx.emit("Location", f"{system}|{name}", body), "display": name}


def _level(kind: str, name: str, parts: tuple[str, str, str], system: str, value: str, by: Json | None = None) -> Json:
    """The Location of one level: name, physical type, and its identifiers. by: who assigned them."""
    identifiers = [identifier(value, system, by=by)]
    universal = universal_identifier(parts[1], parts[2])
    if universal:
        identifiers.append(universal)
    return {"identifier#PL": identifiers, "name": name, "mode": "instance", "physicalType": physical_type(kind)}


def _put_details(rep: Rep, ctx: Context, body: Json, system: str) -> None:
    """Status, kind, description and comprehensive identifier: of the most specific level."""
    if len(rep.parts) < 5:
        return
    status, kind, description = rep.get(5), rep.get(6), rep.get(9)
    if status:
        body["operationalStatus"] = ctx.code("bed-status", status) or {
            "system": ctx.system("HL70306", "", "", "code-system"), "code": status}
    if kind:
        body["type#PL"] = [{"coding": [ctx.code("location-type", kind) or {
            "system": ctx.system("HL70305", "", "", "code-system"), "code": kind}]}]
    if description:
        body["description"] = description
    entity = hd_parts(rep, 10)
    if entity[0]:
        owner = (entity[1], entity[2], rep.sub(10, 4)) if entity[1] or entity[2] else None
        found = identifier(entity[0], ctx.system(*owner) if owner else system,
                           by={"display": entity[1]} if entity[1] else None)
        body.setdefault("identifier#PL", []).append(found)


def _described(rep: Rep, system: str, ctx: Context) -> Json | None:
    """A PL without any level: keyed by its comprehensive identifier, else words only."""
    body: Json = {"mode": "instance"}
    _put_details(rep, ctx, body, system)
    identifiers = body.get("identifier#PL")
    words = rep.get(9) or rep.get(6) or rep.get(5)
    if not identifiers:
        return {"display": words} if words else None
    body["name"] = rep.get(9) or identifiers[0]["value"]
    key = f"{identifiers[0]['system']}|{identifiers[0]['value']}"
    return {"reference": ctx.emit("Location", key, body), "display": body["name"]}


@function("pl_string", {"*": ""})
def pl_string(rep: Rep, _ctx: Context) -> str | None:
    """A place in one line, the narrowest level first."""
    words = [text for n, _ in reversed(_LEVELS) if (text := rep.get(n))]
    return ", ".join(words) or rep.get(9) or None
