"""Deliveries that were begun and never answered: a server may have them, and another client may have written on them since."""

from __future__ import annotations

from sqlalchemy import Engine

from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import FhirServer
from adapter.model import Delivery
from adapter.store import server_state, unanswered
from adapter.store.engine import writing
from adapter.store.resources import without_meta


def may_go(engine: Engine, server: FhirServer, d: Delivery) -> bool:
    """Whether such a one may be sent again; where it stands on the server as we sent it, that is noted.

    It may not where another client has written on it, or may have before: that comes in first, by the server's history or by
    looking again; nor where the server fails over it (HTTP 500). Raises Unavailable where it is away.
    """
    try:
        there = server.read(d.resource_type, d.id)
    except Rejected:  # it lets nobody read it: nothing can be known
        return True
    except Unavailable as error:
        if not error.issue.detail.startswith("HTTP 500"):
            raise
        return False
    if there is None:
        return True
    version = str(there.get("meta", {}).get("versionId", ""))
    if version.isdigit() and version != "1":
        return False
    with writing(engine) as connection:
        key = (d.resource_type, d.id)
        unanswered.take(connection, server.name, key, there, "")
        return server_state.adopt(connection, server.name, *key, without_meta(there), version)
