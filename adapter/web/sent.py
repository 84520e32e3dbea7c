"""A resource as a client sends it to be written, and the version that it means."""

from __future__ import annotations

import re

import orjson
from flask import request

from adapter.errors import Rejected
from adapter.model import Json, is_object

_LARGEST = 65536


def sent_resource(resource_type: str) -> Json:
    """The body of the request, a resource of this type. Raises Rejected (media-type, too-large, bad-request, fhir-structure)."""
    if request.mimetype not in ("application/fhir+json", "application/json"):
        raise Rejected("media-type", "Content-Type", "send application/fhir+json")
    if (request.content_length or 0) > _LARGEST:
        raise Rejected("too-large", resource_type)
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise Rejected("bad-request", "", "not JSON") from None
    if not is_object(body) or body.get("resourceType") != resource_type:
        raise Rejected("fhir-structure", "resourceType", f"send a {resource_type}")
    return body


def if_match() -> int | None:
    """The version that must still stand, None for any. Raises Rejected (bad-request)."""
    if "If-Match" not in request.headers:
        return None
    named = re.fullmatch(r'(?:W/)?"(\d{1,9})"', request.headers["If-Match"])
    if named is None:
        raise Rejected("bad-request", "If-Match", 'write W/"<version>"')
    return int(named[1])
