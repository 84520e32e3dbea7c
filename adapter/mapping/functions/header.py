"""Functions for MSH and EVN: MessageHeader and the Provenance of a message.

Source: v2-to-FHIR segment maps MSH[MessageHeader], MSH[Provenance-Source], EVN[Provenance].
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from adapter.mapping.functions.identifiers import universal_identifier
from adapter.mapping.functions.practitioners import XCN_PARTS
from adapter.mapping.functions.registry import FUNCTIONS, Rep, below, function
from adapter.mapping.times import fhir_instant
from adapter.model import Json

AGENT_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


@function("hd_name", {"1": "", **dict.fromkeys(("2", "3"), "drop: the endpoint beside the name holds it")}, kept=True)
def hd_name(rep: Rep, ctx: Any) -> str | None:
    """The namespace of an HD."""
    return rep.get(1) or None


@function("hd_endpoint", {"1": "drop: stands in the name", "2": "", "3": "form of the universal id"}, kept=True)
def hd_endpoint(rep: Rep, ctx: Any) -> str:
    """The address an HD gives: its universal id as a URI, else a name of the sender's own, that id at its end."""
    kind, universal = rep.get(3).upper(), rep.get(2)
    if kind in ("URI", "URL", "DNS") and universal:
        return universal if ":" in universal else f"dns:{universal}"
    system = ctx.system(rep.get(1), universal, rep.get(3))
    own = universal and system.startswith(f"{ctx.local}:")
    return f"{system}:{quote(universal, safe='-._')}" if own else system


@function("hd_organization", {"1": "Organization.name", "2": "Organization.identifier.value",
                              "3": "Organization.identifier.type"}, kept=True)
def hd_organization(rep: Rep, ctx: Any) -> Json | None:
    """The facility that an HD names, stated as Organization."""
    name, universal = rep.get(1), rep.get(2)
    if not name and not universal:
        return None
    system = ctx.system(name, universal, rep.get(3))
    body: Json = {"active": True, "name": name or universal}
    body["identifier#HD"] = [universal_identifier(universal, rep.get(3)) or {"system": ctx.local, "value": name}]
    if "system" not in body["identifier#HD"][0]:
        body["identifier#HD"] = [{"system": ctx.local, **body["identifier#HD"][0]}]
    return {"reference": ctx.emit("Organization", f"{system}|facility", body)}


@function("hd_location", {"1": "Location.name", "2": "Location.identifier.value", "3": "Location.identifier.type"}, kept=True)
def hd_location(rep: Rep, ctx: Any) -> Json | None:
    """The facility that an HD names, stated as Location."""
    name, universal = rep.get(1), rep.get(2)
    if not name and not universal:
        return None
    body: Json = {"status": "active", "mode": "instance", "name": name or universal}
    identifier = universal_identifier(universal, rep.get(3))
    if identifier:
        body["identifier#HD"] = [identifier]
    return {"reference": ctx.emit("Location", f"{ctx.system(name, universal, rep.get(3))}|facility", body)}


@function("msh_destination", {
    "5.1": "name", "5.2": "endpoint", "5.3": "endpoint", "6.1": "receiver(Organization.name)",
    "6.2": "receiver(Organization.identifier)", "6.3": "receiver(Organization.identifier)"})
def msh_destination(segment: Any, ctx: Any) -> Json | None:
    """MessageHeader.destination out of MSH-5 (application) and MSH-6 (facility)."""
    application = segment.first(5)
    if not application.text and not segment.raw(6):
        return None
    found: Json = {"endpoint": hd_endpoint(application, ctx) if application.text else "urn:x-careloop:unknown"}
    if application.get(1):
        found["name"] = application.get(1)
    receiver = hd_organization(segment.first(6), ctx) if segment.raw(6) else None
    return {**found, "receiver": receiver} if receiver else found


@function("msg_coding", {"1": "drop: every message here is an ADT", "2": "code", "3": "drop: names the form of the message"})
def msg_coding(rep: Rep, ctx: Any) -> Json:
    """The trigger event as Coding of table 0003."""
    return {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": ctx.event}


@function("st_security_label", kept=True)
def st_security_label(rep: Rep, ctx: Any) -> Json | None:
    """Free text of MSH-8 as a security label without code."""
    return {"display": rep.plain()} if rep.plain() else None


@function("language_code", {"1": "", "2": "drop: display of the code", "3": "drop: system of the code"}, kept=True)
def language_code(rep: Rep, ctx: Any) -> str | None:
    """A BCP-47 language code; an issue for what is none."""
    code = rep.get(1)
    head = code.replace("_", "-").split("-")[0]
    if 2 <= len(head) <= 3 and head.isascii() and head.isalpha():
        return code.replace("_", "-")
    ctx.issue("unknown-code")
    return None


@function("evn_recorded", {"2": ""})
def evn_recorded(segment: Any, ctx: Any) -> str:
    """Provenance.recorded: EVN-2 as it stands, else when the message was stated (UTC)."""
    text = segment.first(2).get(1)
    instant = fhir_instant(text, ctx.feed.zone) if text else None
    return instant or datetime.fromtimestamp(ctx.order.stated / 1_000_000, UTC).isoformat(timespec="seconds")


@function("own_organization", {})
def own_organization(segment: Any, ctx: Any) -> Json:
    """The sender's own Organization: the one that feed.yaml names (`organization: system|value`), else by MSH-4."""
    return sending_organization(ctx.sender, ctx)


@function("sending_organization", {"1": "Organization.name or alias", "2": "Organization.identifier.value",
                                   "3": "Organization.identifier.type"}, kept=True)
def sending_organization(rep: Rep, ctx: Any) -> Json:
    """MSH-4 as Organization: that which feed.yaml names as the sender's own, else what the HD itself names."""
    key = ctx.feed.options.get("organization", "")
    stated = hd_organization(rep, ctx) if not key else None
    if stated:
        return stated
    system, _, value = (key or f"{ctx.local}|{ctx.source}").rpartition("|")
    body: Json = {"active": True, "identifier#sender": [{"system": system, "value": value}]}
    if not key:
        body["name"] = value
    elif rep.get(1):
        body["alias#MSH-4"] = [rep.get(1)]
    identifier = universal_identifier(rep.get(2), rep.get(3))
    if identifier and "system" in identifier:
        body["identifier#HD"] = [identifier]
    return {"reference": ctx.emit("Organization", f"{system}|{value}", body)}


@function("evn_agents", below(XCN_PARTS, 5, "who({})"))
def evn_agents(segment: Any, ctx: Any) -> list[Json]:
    """Provenance.agent: who entered the event (EVN-5), and the sending facility as author."""
    facility = own_organization(segment, ctx)
    agents: list[Json] = [{"type": {"coding": [{"system": AGENT_TYPES, "code": "author"}]}, "who": facility}]
    for rep in segment.reps(5):
        who = FUNCTIONS["xcn_practitioner"].call(rep, ctx)
        if who:
            agent: Json = {"type": {"coding": [{"system": AGENT_TYPES, "code": "enterer"}]}, "who": who}
            agents.append({**agent, "onBehalfOf": facility} if "reference" in who else agent)
    return agents
