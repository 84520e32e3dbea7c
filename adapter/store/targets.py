"""Each FHIR server that is pushed to: which process does it, whether it is left alone for a while. All SQL of this subject."""

from __future__ import annotations

import os
import socket

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from adapter.store.schema import TARGET as T

LEASE_US = 90_000_000
"""How long a process has a server to itself after its last exchange: longer than one exchange may take."""
LONGEST_US = 3600 * 1_000_000
"""Nothing is put off longer than this, whatever a server asks for; a time further ahead is of a clock that was wrong."""


def take(connection: Connection, name: str, owner: str, now_us: int) -> bool:
    """Whether this process may push to a server now: no other one does, and it is not left alone. It may for a lease then."""
    maker = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    connection.execute(maker(T).values(name=name).on_conflict_do_nothing())
    row = connection.execute(select(T).where(T.c.name == name).with_for_update()).one()
    if now_us < row.closed <= now_us + LONGEST_US:
        return False
    if row.owner not in ("", owner) and now_us < row.until <= now_us + LEASE_US and not ended(row.owner):
        return False
    renew(connection, name, owner, now_us)
    return True


def renew(connection: Connection, name: str, owner: str, now_us: int) -> bool:
    """Have a server for another lease; whether nobody else had it since the last one, by a clock that is far off."""
    before = connection.scalar(select(T.c.owner).where(T.c.name == name).with_for_update())
    connection.execute(update(T).where(T.c.name == name).values(owner=owner, until=now_us + LEASE_US))
    return before == owner


def answered(connection: Connection, name: str) -> None:
    """The server is there."""
    connection.execute(update(T).where(T.c.name == name, T.c.failures > 0).values(failures=0, closed=0))


def away(connection: Connection, name: str, until_us: int) -> None:
    """The server does not answer: leave it alone until then."""
    connection.execute(update(T).where(T.c.name == name).values(failures=T.c.failures + 1, closed=until_us))


def failures(connection: Connection, name: str) -> int:
    """How often in a row the server was away."""
    return connection.scalar(select(T.c.failures).where(T.c.name == name)) or 0


def owner_name(token: str) -> str:
    """How this process signs what it holds."""
    return f"{socket.gethostname()} {os.getpid()} {token}"


def ended(owner: str) -> bool:
    """Whether a process that held something was one of this machine and has ended."""
    host, _, rest = owner.partition(" ")
    number = rest.partition(" ")[0]
    if host != socket.gethostname() or not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
