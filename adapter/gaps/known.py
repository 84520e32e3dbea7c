"""What was known at an instant: the resources as they stood then in our own store, and what had arrived.

As-of asks what was so at an instant by what is known now; known-at takes away what was learned later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, text, tuple_

from adapter.gaps.tables import ARRIVAL
from adapter.gaps.views import Row
from adapter.model import Json
from adapter.store.engine import among
from adapter.store.schema import LATER, RESOURCE, RESOURCE_VERSION

_AT_ONCE = 2_000


def known_resources(connection: Connection, known_at: datetime, member: str | None = None) -> Iterator[Json]:
    """Every resource in its latest version of that instant, those deleted then left out.

    member: a Patient id, and then only that person's resources (by what is known now) and those of nobody.
    """
    r, v, after = RESOURCE.c, RESOURCE_VERSION.c, ("", "")
    own = (v.seq == r.first_version) | ((v.resource_type == r.resource_type) & (v.id == r.id) & LATER)
    latest = (select(r.resource_type, r.id, func.max(v.seq).label("seq")).select_from(RESOURCE).join(RESOURCE_VERSION, own)
              .where(v.updated <= int(known_at.timestamp() * 1_000_000)).group_by(r.resource_type, r.id))
    if member is not None:
        named = RESOURCE.alias()
        person = select(named.c.person).where(named.c.resource_type == "Patient", named.c.id == member)
        latest = latest.where((r.person == "") | r.person.in_(person))
    while rows := connection.execute(
            latest.where(tuple_(r.resource_type, r.id) > after).order_by(r.resource_type, r.id).limit(_AT_ONCE)).all():
        last = among(connection, v.seq, [row.seq for row in rows])
        for row in connection.execute(select(v.resource_type, v.id, v.body).where(last, v.body.is_not(None))):
            yield {**orjson.loads(row.body), "resourceType": row.resource_type, "id": row.id}
        after = (rows[-1].resource_type, rows[-1].id)


def known_arrivals(connection: Connection, known_at: datetime | None = None) -> list[Row]:
    """The rows of the table `arrival`, up to that instant."""
    rows: list[Any] = list(connection.execute(text(ARRIVAL)))
    return [tuple(row) for row in rows if known_at is None or row.arrived_at <= known_at.timestamp()]
