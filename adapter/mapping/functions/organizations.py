"""Organizations: XON as Organization, said once as a shared resource and referred to.

Without an identifier the name is the key, within the sender's own names. Source: v2-to-FHIR map XON[Organization].
"""

from __future__ import annotations

from adapter.mapping.functions.identifiers import assigner, check_digit, hd_parts, identifier, number_system
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.model import Json

_NO_HOME = "drop: neither FHIR nor the guide has a place for it"
_ABOUT_IT = {"4": "extension(identifier-checkDigit)", "5": "extension(namingsystem-checkDigit)", "6": "system",
             "6.1": "assigner.display", "6.2": "system", "6.3": "assigner.identifier.type", "7": "type", "8": "assigner",
             "8.1": "assigner.display", "8.2": "assigner.identifier.value", "8.3": "assigner.identifier.type"}
_XON_IDENTIFIER = {"3": "identifier.value", **{at: f"identifier.{to} with 10 or 3" for at, to in _ABOUT_IT.items()},
                   "10": "identifier.value"}


def _identifier(rep: Rep, ctx: Context) -> Json | None:
    """XON.10, or the older XON.3, with its authority, as Identifier."""
    count = len(rep.parts)
    value = (rep.get(10) if count > 9 else "") or (rep.get(3) if count > 2 else "")
    if not value:
        return None
    authority, facility, kind = hd_parts(rep, 6), hd_parts(rep, 8), rep.get(7)
    system = number_system(value, authority, kind, ctx)
    return identifier(value, system, kind, extension=check_digit(rep.get(4), rep.get(5)),
                      by=assigner(authority, facility))


@function("xon_organization", {"1": "Organization.name",
                               "2": "drop: what kind of name it is; the name stands, an alias in alias",
                               **{at: f"Organization.{text}" for at, text in _XON_IDENTIFIER.items()}, "9": _NO_HOME},
          kept=True)
def xon_organization(rep: Rep, ctx: Context) -> Json | None:
    """An XON as Reference to an Organization that is stated too, as active, for somebody acts with it."""
    name = rep.get(1)
    found = _identifier(rep, ctx)
    if not name and not found:
        return None
    body: Json = {"active": True}
    if name and rep.get(2) == "A":
        body["alias#XON"] = [name]
    elif name:
        body["name"] = name
    if found:
        body["identifier#XON"] = [found]
        older = rep.get(3)
        if older and older != found["value"]:
            body["identifier#XON"] = [found, identifier(older, found["system"])]
        key = f"{found['system']}|{found['value']}"
    else:
        key = f"{ctx.system('', '', '', 'organization-name')}|{name.casefold()}"
    reference: Json = {"reference": ctx.emit("Organization", key, body)}
    if name:
        reference["display"] = name
    return reference


@function("xon_identifier", {"1": "drop: the name; an identifier has none", "2": "drop: the kind of name",
                             **{at: text.removeprefix("identifier.") for at, text in _XON_IDENTIFIER.items()},
                             "9": _NO_HOME})
def xon_identifier(rep: Rep, ctx: Context) -> Json | None:
    """The identifier of an XON alone; XON.3 only where XON.10 is empty."""
    return _identifier(rep, ctx)


@function("xon_string", {"1": "", "2": "drop: what kind of name it is; the name stands", "3": "", "10": "", **dict.fromkeys(
    (str(n) for n in range(4, 10)), "drop: it is about the number; the element is one text")}, kept=True)
def xon_string(rep: Rep, _ctx: Context) -> str | None:
    """The name of an XON, else its identifier."""
    return rep.get(1) or rep.get(10) or rep.get(3) or None
