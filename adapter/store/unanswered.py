"""What was sent to a FHIR server and has no answer yet: where its history tells it, it is ours and no other client's.

An update stands on the version that it was sent on, or nowhere. A creation without If-Match may be committed late, over what came
after. All SQL of this subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, delete, insert, or_, tuple_

from adapter.model import Delivery, Json
from adapter.store.contributions import chunks
from adapter.store.schema import UNANSWERED as U
from adapter.store.server_state import content

_CHUNK = 200
_SENT = tuple_(U.c.resource_type, U.c.id, U.c.hash, U.c.base)
_ON = tuple_(U.c.resource_type, U.c.id, U.c.base)
Key = tuple[str, str]


def note(connection: Connection, target: str, sent: Sequence[Delivery], bases: Mapping[Key, str]) -> None:
    """Note what is about to be sent there. bases: versions it builds on; what was sent on others before cannot come any more."""
    for chunk in chunks([d for d in sent if d.body is not None or (d.resource_type, d.id) in bases], _CHUNK):
        rows = [_row(d, bases) for d in chunk]
        here, keys = U.c.target == target, {row[:2] for row in rows}
        connection.execute(delete(U).where(here, _SENT.in_(rows)))
        connection.execute(delete(U).where(here, tuple_(U.c.resource_type, U.c.id).in_(keys), U.c.base != "",
                                           _ON.not_in([(t, i, base) for t, i, _, base in rows])))
        connection.execute(insert(U), [{"target": target, "resource_type": t, "id": i, "hash": h, "base": base}
                                       for t, i, h, base in rows])


def answered(connection: Connection, target: str, sent: Sequence[Delivery], bases: Mapping[Key, str]) -> None:
    """The server has taken these, so nothing else that was sent on the same version. An earlier creation may yet come."""
    for chunk in chunks(sent, _CHUNK):
        updates = [(*key, base) for d in chunk if (base := bases.get(key := (d.resource_type, d.id), ""))]
        created = [row for d in chunk if d.body is not None and not d.attempts and not (row := _row(d, bases))[3]]
        connection.execute(delete(U).where(U.c.target == target, or_(_ON.in_(updates), _SENT.in_(created))))


def take(connection: Connection, target: str, key: Key, body: Json | None, noted: str) -> bool:
    """Whether a version says just what was sent without an answer; it is that one, and the next alike is another client's.

    body: None of a deletion. noted: the version that stood there before it, '' where none is known. What was sent on that one
    is looked for first.
    """
    said = _hash(body or {})
    return any(connection.execute(delete(U).where(U.c.target == target, _SENT.in_([(*key, said, base)]))).rowcount > 0
               for base in dict.fromkeys((noted, "")))


def _row(d: Delivery, bases: Mapping[Key, str]) -> tuple[str, str, str, str]:
    return d.resource_type, d.id, _hash(d.body or {}), bases.get((d.resource_type, d.id), "")


def _hash(body: Json) -> str:
    return hashlib.sha256(orjson.dumps(content(body), option=orjson.OPT_SORT_KEYS)).hexdigest()
