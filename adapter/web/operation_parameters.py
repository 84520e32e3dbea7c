"""The parameters of a FHIR operation, from a query or a Parameters resource, checked against those that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask import Request

from adapter.errors import Rejected

_JSON = ("application/fhir+json", "application/json")
_PASSED_OVER = ("_format", "_pretty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The values of each parameter, in order, as text."""

    values: Mapping[str, Sequence[str]]

    def one(self, name: str) -> str:
        """The one value, '' without."""
        return next(iter(self.values.get(name, ())), "")

    def many(self, name: str) -> Sequence[str]:
        """All values."""
        return self.values.get(name, ())


def read_asked(request: Request, known: Sequence[str]) -> Asked:
    """The parameters of a request, of its address and of its body. known: their names, with `*` where several may be.

    Raises Rejected: bad-parameter (unknown, empty, twice where one may be, not text), media-type.
    """
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name not in _PASSED_OVER]
    if request.method == "POST" and request.content_length:
        pairs += _of_body(request)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known and f"{name}*" not in known:
            raise Rejected("bad-parameter", name, f"it takes {', '.join(one.rstrip('*') for one in known)}")
        if not value or (name in values and name in known):
            raise Rejected("bad-parameter", name, "has no value" if not value else "stands there twice")
        values.setdefault(name, []).append(value)
    return Asked(values=values)


def _of_body(request: Request) -> list[tuple[str, str]]:
    if request.mimetype not in _JSON:
        raise Rejected("media-type", "Content-Type", "send application/fhir+json")
    body = request.get_json(silent=True, force=True)
    if not isinstance(body, dict) or cast("dict[str, Any]", body).get("resourceType") != "Parameters":
        raise Rejected("bad-parameter", "Parameters", "send a Parameters resource")
    parameters = cast("dict[str, Any]", body).get("parameter", [])
    if not isinstance(parameters, list):
        raise Rejected("bad-parameter", "Parameters.parameter", "it is a list")
    return [_pair(one, n) for n, one in enumerate(cast("list[Any]", parameters))]


def _pair(parameter: Any, number: int) -> tuple[str, str]:
    """Name and value of one parameter; a value is text of any type (`valueString`, `valueDate`, ...), or a whole number."""
    place = f"Parameters.parameter[{number}]"
    if not isinstance(parameter, dict) or not isinstance(cast("dict[str, Any]", parameter).get("name"), str):
        raise Rejected("bad-parameter", place, "it has no name")
    members = cast("dict[str, Any]", parameter)
    values = [value for name, value in members.items() if name.startswith("value")]
    if len(values) != 1 or not isinstance(values[0], str | int) or isinstance(values[0], bool):
        raise Rejected("bad-parameter", place, "its value is text or a whole number")
    return members["name"], str(values[0])
