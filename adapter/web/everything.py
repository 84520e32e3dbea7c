"""`/fhir/Patient/<id>/$everything`: all that is known of a person as one search set (R4), by GET and by POST of Parameters."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from adapter.engine.everything import Wanted, everything
from adapter.errors import Rejected
from adapter.fhirserver.query import LARGEST_PAGE
from adapter.store.engine import reading
from adapter.store.resources import read_resource
from adapter.store.search_index import date_range
from adapter.web.fhir import check_form, searchset
from adapter.web.operation_parameters import Asked, read_asked
from adapter.web.services import services

BLUEPRINT = Blueprint("everything", __name__, url_prefix="/fhir/Patient")
BLUEPRINT.before_request(check_form)

_PARAMETERS = ("start", "end", "_since", "_type*", "_count", "_page")


@BLUEPRINT.route("/<patient_id>/$everything", methods=["GET", "POST"])
def of_patient(patient_id: str) -> Response:
    """The Patient, what is theirs, and what that refers to; 404 and 410 as a read of the Patient."""
    asked = read_asked(request, _PARAMETERS)
    wanted, count, after = _wanted(asked), _count(asked), _after(asked)
    with reading(services().gateway.engine) as connection:
        stored = read_resource(connection, "Patient", patient_id)
        if stored is None or stored.body is None:
            raise Rejected("gone" if stored else "not-found", "Patient")
        found = everything(connection, patient_id, wanted, count, after)
    path = f"/Patient/{patient_id}/$everything"
    given = [(name, value) for name, values in asked.values.items() for value in values if name != "_page"]
    here = [*given, ("_page", after)] if after else given
    return searchset(found, f"{path}?{urlencode(here)}" if here else path,
                     lambda last: f"{path}?{urlencode([*given, ('_page', last)])}")


def _wanted(asked: Asked) -> Wanted:
    """What is asked for, checked. Raises Rejected (bad-parameter)."""
    types = {name for value in asked.many("_type") for name in value.split(",")}
    if not types <= services().gateway.embedded.capabilities().types:
        raise Rejected("bad-parameter", "_type", "types that are kept here, separated by commas")
    start, end, since = (_date(asked, name) for name in ("start", "end", "_since"))
    return Wanted(types=frozenset(types), start=start, end=end, since=since)


def _date(asked: Asked, name: str) -> str:
    text = asked.one(name).replace(" ", "+")  # a + that was not percent-encoded
    if text and not date_range(text):
        raise Rejected("bad-parameter", name, "write a date or a time, as 2026-03-31")
    return text


def _count(asked: Asked) -> int:
    text = asked.one("_count")
    if text and not re.fullmatch("[0-9]{1,9}", text):
        raise Rejected("bad-parameter", "_count", "not a number")
    return min(int(text), LARGEST_PAGE) if text else LARGEST_PAGE


def _after(asked: Asked) -> str:
    text = asked.one("_page")
    if text and not re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9\-.]{1,64}", text):
        raise Rejected("bad-parameter", "_page", "follow the next link as it stands")
    return text
