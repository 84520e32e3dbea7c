"""`/fhir`: read, version read and search over the gateway's own store, after FHIR R4 http.html and search.html."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

import orjson
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from adapter.errors import Rejected
from adapter.fhirserver.port import Page
from adapter.model import Json
from adapter.store.engine import reading
from adapter.store.queries import moment
from adapter.store.resources import Stored, read_resource, read_version, with_meta
from adapter.web import capability
from adapter.web.errors import FHIR_JSON
from adapter.web.services import services

BLUEPRINT = Blueprint("fhir", __name__, url_prefix="/fhir")

_JSON_NAMES = ("json", "application/json", "application/fhir+json", "text/json")


@BLUEPRINT.before_request
def check_form() -> None:
    """JSON is the one form written here. Raises Rejected (not-acceptable)."""
    asked = request.args.get("_format")
    if asked is not None:
        if asked.partition(";")[0].strip().replace(" ", "+") not in _JSON_NAMES:
            raise Rejected("not-acceptable", "_format")
    elif request.accept_mimetypes and not request.accept_mimetypes.best_match([*_JSON_NAMES[1:], "text/html"]):
        raise Rejected("not-acceptable", "Accept")


@BLUEPRINT.get("/metadata")
def metadata() -> Response:
    """The CapabilityStatement."""
    return answer(capability.statement(server_base(), services().gateway.embedded.capabilities()))


@BLUEPRINT.get("/<resource_type>/<resource_id>")
def read(resource_type: str, resource_id: str) -> Response:
    """The current version; 404 where there never was one, 410 where it was deleted, 304 where the asker has it. Of a
    Provenance that is made for its readers: what holds now."""
    _check_type(resource_type)
    if resource_type == "Provenance" and (made := services().gateway.sources.provenance(resource_id)):
        return answer(made)
    with reading(services().gateway.engine) as connection:
        return _stored(resource_type, read_resource(connection, resource_type, resource_id))


@BLUEPRINT.get("/<resource_type>/<resource_id>/_history/<version_id>")
def vread(resource_type: str, resource_id: str, version_id: str) -> Response:
    """One version, as it was written."""
    _check_type(resource_type)
    if not re.fullmatch("[0-9]{1,9}", version_id):
        raise Rejected("not-found", resource_type)
    with reading(services().gateway.engine) as connection:
        return _stored(resource_type, read_version(connection, resource_type, resource_id, int(version_id)))


def _stored(resource_type: str, found: Stored | None) -> Response:
    if found is None or found.body is None:
        raise Rejected("gone" if found else "not-found", resource_type)
    response = answer(with_meta(found.body, found.version, found.updated))
    response.set_etag(str(found.version), weak=True)
    response.last_modified = moment(found.updated)
    response.make_conditional(request)
    return response


@BLUEPRINT.get("/<resource_type>")
def search(resource_type: str) -> Response:
    """Search by query string."""
    return _search(resource_type, request.args)


@BLUEPRINT.post("/<resource_type>/_search")
def search_by_post(resource_type: str) -> Response:
    """Search by form, so that no identifier stands in an address. Raises Rejected (media-type)."""
    if request.mimetype != "application/x-www-form-urlencoded" and request.content_length:
        raise Rejected("media-type", "Content-Type", "send application/x-www-form-urlencoded")
    return _search(resource_type, MultiDict([*request.args.items(multi=True), *request.form.items(multi=True)]))


@BLUEPRINT.get("")
def page() -> Response:
    """The page of a search that a `next` link names."""
    token = request.args.get("_page")
    if token is None:
        raise Rejected("bad-search", "", "a search names a type: /fhir/Patient?...")
    return searchset(services().gateway.embedded.search_page(token), request.full_path.removeprefix("/fhir"), _next)


def _search(resource_type: str, asked: MultiDict[str, str]) -> Response:
    _check_type(resource_type)
    params = [(name, value) for name, value in asked.items(multi=True) if name not in ("_format", "_pretty")]
    gateway = services().gateway
    found = gateway.embedded.search(resource_type, params)
    made = gateway.sources.provenances(*_target(params)) if resource_type == "Provenance" and _target(params) else []
    return searchset(found, f"/{resource_type}?{urlencode(params)}", _next, made)


def _next(token: str) -> str:
    return f"?_page={quote(token, safe='')}"


def _target(params: Sequence[tuple[str, str]]) -> tuple[str, str] | tuple[()]:
    """Type and id where a search asks by one `target` alone; other criteria choose among the stored ones only."""
    asked = [(name, value) for name, value in params if not name.startswith("_")]
    if len(asked) != 1 or asked[0][0] != "target":
        return ()
    named = re.fullmatch(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})", asked[0][1])
    return (named[1], named[2]) if named else ()


def _check_type(resource_type: str) -> None:
    if resource_type not in services().gateway.embedded.capabilities().types:
        raise Rejected("unknown-type")


def searchset(found: Page, self_path: str, next_path: Callable[[str], str], made: Sequence[Json] = ()) -> Response:
    """A search set. next_path: of the page that a token names. made: resources that are not stored, made for this answer."""
    links = [{"relation": "self", "url": f"{server_base()}{self_path}"}]
    if found.next:
        links.append({"relation": "next", "url": f"{server_base()}{next_path(found.next)}"})
    body: Json = {"resourceType": "Bundle", "type": "searchset", "link": links,
                  "entry": [*_entries([*found.resources, *made], "match"), *_entries(found.included, "include")]}
    if found.total is not None:
        body["total"] = found.total + len(made)
    if not body["entry"]:
        del body["entry"]
    return answer(body)


def _entries(resources: Sequence[Json], mode: str) -> list[Json]:
    return [
        {"resource": one, "search": {"mode": "outcome"}} if one["resourceType"] == "OperationOutcome" else
        {"fullUrl": f"{server_base()}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": mode}}
        for one in resources
    ]


def answer(body: Json) -> Response:
    """A resource as the answer."""
    option = orjson.OPT_INDENT_2 if request.args.get("_pretty") == "true" else 0
    return Response(orjson.dumps(body, option=option), content_type=FHIR_JSON)


def server_base() -> str:
    """The URL of this FHIR server, as the asker knows it."""
    return f"{request.host_url}fhir"
