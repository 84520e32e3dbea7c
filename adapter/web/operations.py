"""`/healthz` the process answers, `/readyz` it can take messages, `/metrics` figures for Prometheus."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from adapter.web.readiness import notes, unready
from adapter.web.services import services

BLUEPRINT = Blueprint("operations", __name__)


@BLUEPRINT.get("/healthz")
def healthz() -> Response:
    """200 as long as the process answers."""
    return Response(b'{"status":"ok"}', content_type="application/json")


@BLUEPRINT.get("/readyz")
def readyz() -> Response:
    """200 when messages can be taken; else 503 with the reasons: code and next step. notes: what hinders no message."""
    gateway = services().gateway
    reasons = unready(gateway)
    body = {"status": "unready" if reasons else "ready", "reasons": reasons, "notes": notes(gateway)}
    return Response(orjson.dumps(body), 503 if reasons else 200, content_type="application/json")


@BLUEPRINT.get("/metrics")
def metrics() -> Response:
    """The figures in Prometheus' text form."""
    return Response(services().meters.text(), content_type=CONTENT_TYPE_LATEST)
