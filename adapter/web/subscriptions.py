"""`/fhir/Subscription`: create, read, update, delete, search, `$status`, `$events`; the topic-based backport for R4."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Blueprint, Response, request

from adapter.errors import Rejected
from adapter.model import Json
from adapter.notices import bundle
from adapter.notices.subscription import CONTENTS, Content, shown
from adapter.store.queries import moment
from adapter.store.subscriptions import Subscribed
from adapter.web.fhir import answer, check_form, server_base
from adapter.web.operation_parameters import read_asked
from adapter.web.sent import if_match, sent_resource
from adapter.web.services import services

BLUEPRINT = Blueprint("subscriptions", __name__, url_prefix="/fhir/Subscription")
BLUEPRINT.before_request(check_form)


@BLUEPRINT.post("")
def create() -> Response:
    """Take a Subscription under a new id; 201."""
    return _put(None)


@BLUEPRINT.put("/<subscription_id>")
def update(subscription_id: str) -> Response:
    """Take a Subscription under this id; 201 where there was none. It is sent a handshake again."""
    return _put(subscription_id)


def _put(subscription_id: str | None) -> Response:
    one, new = services().gateway.subscriptions.put(subscription_id, sent_resource("Subscription"), server_base(), if_match())
    services().wake()
    response = _stood(one)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"{server_base()}/Subscription/{one.id}/_history/{one.version}"
    return response


@BLUEPRINT.get("/<subscription_id>")
def read(subscription_id: str) -> Response:
    """A subscription, without its headers."""
    return _stood(services().gateway.subscriptions.read(subscription_id))


def _stood(one: Subscribed) -> Response:
    response = answer(shown(one))
    response.set_etag(str(one.version), weak=True)
    response.last_modified = moment(one.updated)
    return response


@BLUEPRINT.delete("/<subscription_id>")
def delete(subscription_id: str) -> Response:
    """End a subscription; 204."""
    services().gateway.subscriptions.delete(subscription_id)
    return Response(status=204)


@BLUEPRINT.get("")
def search() -> Response:
    """All of them, or those with a status, id, endpoint (`url`) or topic; on one page."""
    found = services().gateway.subscriptions.listed()
    for name in request.args:
        found = [one for one in found if _is(one, name, request.args[name].split(","))]
    return _searchset(request.full_path.rstrip("?").removeprefix("/fhir"),
                      [(f"{server_base()}/Subscription/{one.id}", shown(one)) for one in found])


def _is(one: Subscribed, name: str, asked: Sequence[str]) -> bool:
    values = {"status": one.status, "_id": one.id, "url": one.body["channel"].get("endpoint", ""), "topic": one.body["criteria"]}
    if name in ("_count", "_format", "_pretty"):
        return True
    if name not in values:
        raise Rejected("bad-search", name)
    return values[name] in asked


@BLUEPRINT.route("/$status", methods=["GET", "POST"])
def status_of_all() -> Response:
    """The status of all subscriptions, or of those named by `id` or `status`."""
    asked = read_asked(request, ("id*", "status*"))
    ids, states = asked.many("id"), asked.many("status")
    return _statuses([one for one in services().gateway.subscriptions.listed()
                      if (not ids or one.id in ids) and (not states or one.status in states)])


@BLUEPRINT.route("/<subscription_id>/$status", methods=["GET", "POST"])
def status_of_one(subscription_id: str) -> Response:
    """The status of one subscription."""
    return _statuses([services().gateway.subscriptions.read(subscription_id)])


def _statuses(found: Sequence[Subscribed]) -> Response:
    told = [bundle.status("query-status", subscription=one.id, base=server_base(), topic=one.body["criteria"], state=one.status,
                          count=one.events, error=one.error) for one in found]
    return _searchset(request.full_path.rstrip("?").removeprefix("/fhir"), [(f"urn:uuid:{one['id']}", one) for one in told])


def _searchset(path: str, found: Sequence[tuple[str, Json]]) -> Response:
    body: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found),
                  "link": [{"relation": "self", "url": f"{server_base()}{path}"}],
                  "entry": [{"fullUrl": url, "resource": one, "search": {"mode": "match"}} for url, one in found]}
    if not found:
        del body["entry"]
    return answer(body)


@BLUEPRINT.route("/<subscription_id>/$events", methods=["GET", "POST"])
def events(subscription_id: str) -> Response:
    """Events that there were, by number, as they would be sent: what was missed can be fetched."""
    asked = read_asked(request, ("eventsSinceNumber", "eventsUntilNumber", "content"))
    content: Content | None = next((one for one in CONTENTS if one == asked.one("content")), None)
    if asked.one("content") and content is None:
        raise Rejected("bad-parameter", "content", f"one of {', '.join(CONTENTS)}")
    since, until = asked.one("eventsSinceNumber"), asked.one("eventsUntilNumber")
    return answer(services().gateway.subscriptions.events(
        subscription_id, _number("eventsSinceNumber", since) if since else None,
        _number("eventsUntilNumber", until) if until else None, content, server_base()))


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,15}", text):
        raise Rejected("bad-parameter", name, "a number")
    return int(text)
