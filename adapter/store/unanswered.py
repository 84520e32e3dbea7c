"""What was sent to a FHIR server for the first time and has no answer yet: it may be committed there late, over what came after.

Such a creation carries no If-Match. All SQL of this subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, delete, insert, tuple_

from adapter.model import Delivery, Json
from adapter.store.contributions import chunks
from adapter.store.schema import UNANSWERED as U
from adapter.store.server_state import content

_CHUNK = 200
_ROW = tuple_(U.c.resource_type, U.c.id, U.c.hash)


def note(connection: Connection, target: str, sent: Sequence[Delivery]) -> None:
    """Note what is about to be created there."""
    for chunk in chunks([d for d in sent if d.body is not None], _CHUNK):
        rows = [(d.resource_type, d.id, _hash(d.body or {})) for d in chunk]
        connection.execute(delete(U).where(U.c.target == target, _ROW.in_(rows)))
        connection.execute(insert(U), [{"target": target, "resource_type": t, "id": i, "hash": h} for t, i, h in rows])


def answered(connection: Connection, target: str, sent: Sequence[Delivery]) -> None:
    """The server has answered these. What was sent before without an answer may yet come."""
    for chunk in chunks([d for d in sent if d.body is not None and not d.attempts], _CHUNK):
        rows = [(d.resource_type, d.id, _hash(d.body or {})) for d in chunk]
        connection.execute(delete(U).where(U.c.target == target, _ROW.in_(rows)))


def take(connection: Connection, target: str, resource_type: str, resource_id: str, body: Json) -> bool:
    """Whether a version says just what was sent without an answer; it is that one, and the next alike is another client's."""
    return connection.execute(delete(U).where(
        U.c.target == target, _ROW.in_([(resource_type, resource_id, _hash(body))]))).rowcount > 0


def _hash(body: Json) -> str:
    return hashlib.sha256(orjson.dumps(content(body), option=orjson.OPT_SORT_KEYS)).hexdigest()
