"""Functions for MSH, SFT and EVN that tell who sent a message, over what, and in which form.

Source: v2-to-FHIR segment maps MSH[MessageHeader], MSH[Provenance-Source], SFT[Device], SFT[MessageHeader]; tables 0076, 0354.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter.mapping.functions.header import AGENT_TYPES, hd_endpoint, hd_organization, own_organization, sending_organization
from adapter.mapping.functions.identifiers import hd_identifier, universal_identifier
from adapter.mapping.functions.organizations import xon_organization
from adapter.mapping.functions.registry import FUNCTIONS, Rep, function
from adapter.mapping.functions.systems import V2, coding_system
from adapter.mapping.times import fhir_instant
from adapter.model import Json

NOWHERE = "urn:x-careloop:unknown"


@function("msh_sender", {"4": "Organization.name", "4.1": "Organization.name or alias", "4.2": "Organization.identifier.value",
                         "4.3": "Organization.identifier.type", "17": "Organization.address.country",
                         "17.1": "Organization.address.country"})
def msh_sender(segment: Any, ctx: Any) -> Json:
    """The sending facility (MSH-4), stated as Organization in the country of MSH-17."""
    sender = sending_organization(segment.first(4), ctx)
    country = segment.first(17).get(1)
    if country:
        ctx.emit("Organization", sender["reference"].partition("?")[2], {"address#MSH-17": [{"country": country}]})
    return sender


@function("msh_endpoint", {"24": "", "24.1": "", "24.2": "", "24.3": "form of the universal id", "3.2": "",
                           "3.3": "form of the universal id"})
def msh_endpoint(segment: Any, ctx: Any) -> str:
    """Where the sender is found: its network address (MSH-24), else what MSH-3 gives."""
    return _address(segment, 24, ctx) or _address(segment, 3, ctx) or NOWHERE


def _address(segment: Any, n: int, ctx: Any) -> str:
    return hd_endpoint(segment.first(n), ctx) if segment.first(n).text else ""


@function("msh_destinations", {
    "5": "name", "5.1": "name", "5.2": "endpoint or target.identifier", "5.3": "form of the universal id",
    "6": "receiver(Organization.name)",
    "6.1": "receiver(Organization.name)", "6.2": "receiver(Organization.identifier)", "6.3": "receiver(Organization.identifier)",
    "23": "receiver(Organization.name)", "23.1": "receiver(Organization.name)",
    "23.2": "drop: what kind of name it is; the name stands, an alias in alias", "23.3": "receiver(Organization.identifier)",
    "23.4": "receiver(Organization.identifier)", "23.5": "receiver(Organization.identifier)",
    "23.6": "receiver(Organization.identifier.system)", "23.6.1": "receiver(Organization.identifier.assigner)",
    "23.6.2": "receiver(Organization.identifier.system)", "23.6.3": "receiver(Organization.identifier.system)",
    "23.7": "receiver(Organization.identifier.type)", "23.8": "receiver(Organization.identifier.assigner)",
    "23.8.1": "receiver(Organization.identifier.assigner)", "23.8.2": "receiver(Organization.identifier.assigner)",
    "23.8.3": "receiver(Organization.identifier.assigner)", "23.9": "drop: neither FHIR nor the guide has a place for it",
    "23.10": "receiver(Organization.identifier)", "25.1": "target.display", "25.2": "endpoint",
    "25": "target.display", "25.3": "form of the universal id"})
def msh_destinations(segment: Any, ctx: Any) -> list[Json]:
    """MessageHeader.destination: the application (MSH-5) at its address (MSH-25), once for each receiver (MSH-6, MSH-23)."""
    application = segment.first(5)
    address = _address(segment, 25, ctx) or _address(segment, 5, ctx)
    facility = hd_organization(segment.first(6), ctx) if segment.raw(6) else None
    owner = xon_organization(segment.first(23), ctx) if segment.raw(23) else None
    receivers = [r for r in (facility, owner) if r]
    if not address and not receivers:
        return []
    found: Json = {"endpoint": address or NOWHERE}
    if application.get(1):
        found["name"] = application.get(1)
    known = hd_identifier(application, ctx) if segment.raw(25) and application.get(2) else None
    if known or segment.first(25).get(1):
        node = segment.first(25).get(1)
        found["target"] = {"type": "Device", **({"identifier": known} if known else {}), **({"display": node} if node else {})}
    return [{**found, "receiver": r} for r in receivers] or [found]


@function("msh_activity", {"9.1": "coding[0].code", "9.3": "coding[1].code", "9": "coding", "9.2": "coding[0].display",
                           "12": "coding[1].version", "12.1": "coding[1].version",
                           "12.2": "drop: a country's own version of HL7", "12.3": "drop: a country's own version of HL7"})
def msh_activity(segment: Any, ctx: Any) -> Json | None:
    """The kind of message (table 0076) and its structure (table 0354) in the version of MSH-12."""
    kind, structure, version = segment.first(9).get(1), segment.first(9).get(3), segment.first(12).get(1)
    codings: list[Json] = [{"system": V2 + "0076", "code": kind}] if kind else []
    if structure:
        system = coding_system("HL70354", structure, ctx)
        codings.append({"system": system, **({"version": version} if version else {}), "code": structure})
    elif version:
        codings.append({"system": V2 + "0104", "code": version})
    return {"coding": codings} if codings else None


@function("msh_recorded", {"7": "", "7.1": "", "7.2": "drop: degree of precision of a 2.1 TS; the value's own length says it"})
def msh_recorded(segment: Any, ctx: Any) -> str:
    """When the message was made (MSH-7) as instant, else when it was stated (UTC)."""
    return instant_at(segment.first(7).get(1), ctx)


def instant_at(text: str, ctx: Any) -> str:
    """A DTM as instant; where it is none, when the message was stated (UTC)."""
    found = fhir_instant(text, ctx.feed.zone) if text else None
    return found or datetime.fromtimestamp(ctx.order.stated / 1_000_000, UTC).isoformat(timespec="seconds")


@function("author_agent", {})
def author_agent(segment: Any, ctx: Any) -> Json:
    """The sending facility as author of the message."""
    return {"type": {"coding": [{"system": AGENT_TYPES, "code": "author"}]}, "who": own_organization(segment, ctx)}


@function("hd_source_entity", {"1": "what.display", "2": "what.identifier.value", "3": "what.identifier.type"})
def hd_source_entity(rep: Rep, ctx: Any, type: str = "Device") -> Json | None:
    """The sending application or its network address (an HD) as Provenance.entity of role source. type: what it is."""
    name, identifier = rep.get(1), hd_identifier(rep, ctx)
    if not identifier:
        return None
    return {"role": "source", "what": {"type": type, "identifier": identifier, **({"display": name} if name else {})}}


@function("ei_policy", {"1": "", "2": "drop: the profile's namespace; a policy is a URI", "3": "",
                        "4": "form of the universal id"})
def ei_policy(rep: Rep, _ctx: Any) -> str | None:
    """A message profile (MSH-21) as URI: its universal id, or an identifier that is a URI itself; else nothing."""
    found = universal_identifier(rep.get(3), rep.get(4)) or {}
    if str(found.get("value", "")).startswith("urn:") or "://" in str(found.get("value", "")):
        return found["value"]
    text = rep.get(1)
    return text if text.startswith(("http://", "https://", "urn:")) and " " not in text else None


@function("sft_first", {"2": "", "3": ""})
def sft_first(segment: Any, _ctx: Any, part: int) -> str | None:
    """A field of the first SFT, the software in which the message was made; later ones only passed it on."""
    return (segment.first(part).plain() or None) if segment.number == 1 else None


@function("st_device_version", {"*": "value"}, kept=True)
def st_device_version(rep: Rep, _ctx: Any) -> Json | None:
    """A release as Device.version."""
    return {"value": rep.plain()} if rep.plain() else None


@function("st_device_name", {"*": "name"}, kept=True)
def st_device_name(rep: Rep, _ctx: Any, type: str = "manufacturer-name") -> Json | None:
    """The name of a product as Device.deviceName. type: code of device-nametype."""
    return {"name": rep.plain(), "type": type} if rep.plain() else None


@function("st_device_property", {"*": "valueCode.text"}, kept=True)
def st_device_property(rep: Rep, _ctx: Any, type: str) -> Json | None:
    """Free text as Device.property. type: what it tells, in words."""
    return {"type": {"text": type}, "valueCode": [{"text": rep.plain()}]} if rep.plain() else None


@function("sft_agent", {})
def sft_agent(segment: Any, ctx: Any) -> Json | None:
    """The software of an SFT as agent that assembled the message for its sender."""
    device = ctx.refs.get("Device")
    return {"type": {"coding": [{"system": AGENT_TYPES, "code": "assembler"}]}, "who": {"reference": device},
            "onBehalfOf": own_organization(segment, ctx)} if device else None


@function("msh_security", {
    "8": "display", "8.1": "display", "26": "code", **{f"26.{n}": "code" for n in range(1, 23)}, "27": "code",
    **{f"27.{n}": "code" for n in range(1, 23)}, "28": "display", "28.1": "display"})
def msh_security(segment: Any, ctx: Any) -> list[Json]:
    """MSH-8 and MSH-28 as one label in words, MSH-26 (table 0952) and MSH-27 (table 0953) as labels with codes."""
    words = [rep.plain() for n in (8, 28) for rep in segment.reps(n) if rep.plain()]
    labels: list[Json] = [{"display": "; ".join(words)}] if words else []
    for n, options in ((26, {"table": "confidentiality"}), (27, {"source": "HL70953"})):
        labels += [c for rep in segment.reps(n) if (c := FUNCTIONS["cwe_coding"].call(rep, ctx, **options))]
    return labels
