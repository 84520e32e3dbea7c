"""The web side as one Flask application: FHIR, intake, operations, and the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Flask

from adapter.web import errors, fhir, findings, gap_tasks, guard, intake, measures, metrics, operations, pages, subscriptions
from adapter.web.everything import BLUEPRINT as EVERYTHING
from adapter.web.readiness import free_bytes
from adapter.web.services import Services

if TYPE_CHECKING:
    from adapter.gateway import Gateway


def create_app(gateway: Gateway, wake: Callable[[], None] = lambda: None) -> Flask:
    """The application on an open gateway; `wake` is called after each intake."""
    app = Flask(__name__)
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    meters = metrics.Meters(gateway.engine, lambda: len(gateway.mappings.files.changed()), gateway.silence.heard)
    meters.disk(lambda: free_bytes(gateway.settings.data_dir))
    app.extensions["careloop"] = Services(gateway=gateway, wake=wake, meters=meters)
    metrics.install(app, meters)
    guard.install(app)
    app.register_error_handler(Exception, errors.answer)
    for blueprint in (fhir.BLUEPRINT, EVERYTHING, measures.BLUEPRINT, subscriptions.BLUEPRINT, gap_tasks.BLUEPRINT,
                      intake.BLUEPRINT, operations.BLUEPRINT, pages.BLUEPRINT, findings.BLUEPRINT):
        app.register_blueprint(blueprint)
    return app
