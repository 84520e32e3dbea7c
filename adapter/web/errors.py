"""What a failed request answers: OperationOutcome below /fhir, JSON for programs, a page for people; never a value."""

from __future__ import annotations

import orjson
from flask import Response, render_template, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from adapter.errors import Defect, Rejected, Unavailable, kind_of, message, operation_outcome
from adapter.logs import log
from adapter.model import Issue, Json

FHIR_JSON = "application/fhir+json; charset=utf-8"

_LOG = log("web")
_OF_STATUS = {400: "bad-request", 404: "unknown-route", 405: "not-allowed", 406: "not-acceptable", 413: "too-large",
              415: "media-type"}
_PROGRAMS = ("/hl7v2", "/feeds", "/healthz", "/readyz", "/metrics")


def issue_of(error: Exception) -> tuple[Issue, int]:
    """The issue that tells an error, and its HTTP status; what is unforeseen is a defect, logged by type and place."""
    if isinstance(error, Rejected | Unavailable | Defect):
        if isinstance(error, Defect):
            _LOG.error("request failed", code=error.issue.code, place=error.issue.place, route=route())
        return error.issue, kind_of(error.issue).http
    if isinstance(error, HTTPException) and error.code and error.code < 500:
        code = _OF_STATUS.get(error.code, "bad-request")
        return Issue(code=code, place=""), error.code
    _LOG.error("request failed", route=route(), method=request.method, exc_info=error)
    if isinstance(error, DBAPIError):
        return Issue(code="store-unavailable", place=""), 503
    return Issue(code="defect", place=""), 500


def answer(error: Exception) -> Response:
    """The answer to a failed request, in the form its address speaks."""
    issue, status = issue_of(error)
    response = _body(issue, status)
    if isinstance(error, HTTPException):
        response.headers.extend([h for h in error.get_headers() if h[0] == "Allow"])
    if status == 503:
        response.headers["Retry-After"] = retry_after(error)
    return response


def retry_after(error: Exception) -> str:
    """Seconds to wait before asking again, for the header of that name."""
    named = error.retry_after if isinstance(error, Unavailable) else None
    return str(max(1, round(named))) if named else "5"


def _body(issue: Issue, status: int) -> Response:
    if request.path == "/fhir" or request.path.startswith("/fhir/"):
        return Response(orjson.dumps(operation_outcome([issue])), status, content_type=FHIR_JSON)
    if request.path.startswith(_PROGRAMS):
        return Response(orjson.dumps({"errors": [told(issue)]}), status, content_type="application/json")
    kind = kind_of(issue)
    return Response(render_template("error.html", kind=kind, issue=issue, status=status), status)


def told(issue: Issue) -> Json:
    """One issue as JSON for programs."""
    return {"code": issue.code, "place": issue.place, "message": message(issue), "next_step": kind_of(issue).next_step}


def route() -> str:
    """The rule that answers the request (`/fhir/<resource_type>/<resource_id>`), never its address."""
    return request.url_rule.rule if request.url_rule else "none"
