"""Which key the ids of a store are made with. By another key all that stands would be made a second time, under other ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from adapter.errors import Unavailable
from adapter.store.engine import reading, writing
from adapter.store.journal import cursor, set_cursor

_CURSOR = "id-key"


def held(engine: Engine, key: bytes | None, make: Callable[[], bytes]) -> bytes:
    """The key of a store's ids, noted at its first opening. key: that which is there; make: makes one for a store that has none.

    Raises Unavailable (id-key-other) where the store's is another: no new one is made then.
    """
    if not fits(engine, key):
        raise Unavailable("id-key-other", "CARELOOP_KEY")
    if key is not None and noted(engine):
        return key
    made = key if key is not None else make()
    with suppress(IntegrityError), writing(engine) as connection:  # another process may note one in the same moment
        if not cursor(connection, _CURSOR):
            set_cursor(connection, _CURSOR, _name(made))
    return held(engine, made, make)


def fits(engine: Engine, key: bytes | None) -> bool:
    """Whether a store's ids are made with this key, or it has none yet."""
    name = noted(engine)
    return not name or (key is not None and _name(key) == name)


def noted(engine: Engine) -> str:
    """What the key of a store is called, '' where none was noted; the key cannot be told from it."""
    with reading(engine) as connection:
        return cursor(connection, _CURSOR)


def _name(key: bytes) -> str:
    return hashlib.sha256(b"careloop id key|" + key).hexdigest()[:16]
