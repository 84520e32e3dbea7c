"""Whether the gateway can take a message now: its database takes a write, its mappings are there."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, delete, insert

from adapter.errors import Unavailable
from adapter.logs import log
from adapter.model import Issue
from adapter.store.engine import BUSY_SECONDS, reading
from adapter.store.queries import moment
from adapter.store.schema import CURSOR
from adapter.web.errors import told

if TYPE_CHECKING:
    from adapter.gateway import Gateway
    from adapter.model import Json

_LOG = log("readiness")
_PATIENCE_MS = 300
_PROBE = 65_536
"""Characters that are written to see whether a write goes through: a smaller write finds room in a log that was used before."""


def unready(gateway: Gateway) -> list[Json]:
    """Why no message can be taken; empty when one can."""
    found: list[Issue] = []
    if not writable(gateway.engine):
        found.append(Issue(code="store-unavailable", place="database"))
    elif (lacks := _lacks_room(gateway)) is not None:
        found.append(lacks)
    if not gateway.feeds.compiled:
        found.append(Issue(code="unknown-feed", place="mappings", detail="no feed is loaded"))
    return [told(issue) for issue in found]


def _lacks_room(gateway: Gateway) -> Issue | None:
    """Told before a write fails, while what was begun can still be finished. A PostgreSQL server watches its own disk."""
    chosen = gateway.settings
    if chosen.database_url.startswith("postgresql") or free_bytes(chosen.data_dir) >= chosen.disk_free_mb * 1024 * 1024:
        return None
    return Issue(code="disk-full", place="CARELOOP_DATA_DIR", detail=f"less than {chosen.disk_free_mb} MB free")


def free_bytes(folder: Path) -> int:
    """The free space of the disk that a folder is on; 0 where it is away."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def notes(gateway: Gateway) -> list[Json]:
    """What hinders no message and yet wants somebody to act: changed mappings not in force, a key that lacks, silent feeds,
    targets that were taken out with what they have."""
    changed = gateway.mappings.files.changed()
    faults = gateway.mappings.faults
    detail = f"{faults[0]}{f' (and {len(faults) - 1} more)' if len(faults) > 1 else ''}" if faults else ""
    found = [Issue(code="mappings-changed", place=", ".join(changed), detail=detail)] if changed else []
    with suppress(Unavailable):  # of which `unready` tells
        if key := gateway.retention.lacking():
            found.append(Issue(code="raw-key-missing", place="CARELOOP_RAW_KEYS", detail=f"key {key}; nothing is composed"))
        found += [Issue(code="feed-silent", place=one.feed, detail=f"last heard {moment(one.last):%Y-%m-%d %H:%M} UTC")
                  for one in gateway.silence.silent()]
        found += [Issue(code="target-undeclared", place="CARELOOP_TARGETS", detail=f"{name} has {count} resources")
                  for name, count in sorted(gateway.disclosing.left_with().items())]
    return [told(issue) for issue in found]


def writable(engine: Engine) -> bool:
    """Whether the database commits a write (a full disk shows only then). That another one is writing is no fault."""
    lock_wait = engine.dialect.name == "sqlite"
    try:
        with reading(engine) as connection:  # begins without the write lock, so the question never waits for it
            if lock_wait:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE_MS}")
            try:
                connection.execute(delete(CURSOR).where(CURSOR.c.name == "readiness"))
                connection.execute(insert(CURSOR).values(name="readiness", position=f"{time.time_ns():{_PROBE}}"))
            finally:
                if lock_wait:
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    except Unavailable as error:
        if error.issue.detail.startswith("SQLITE_BUSY"):
            return True
        _LOG.warning("database does not take a write", code=error.issue.code, place=error.issue.detail)
        return False
    return True
