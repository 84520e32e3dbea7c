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
from adapter.store.schema import RESOURCE, RESOURCE_VERSION

_AT_ONCE = 2_000


def known_resources(connection: Connection, known_at: datetime, member: str | None = None) -> Iterator[Json]:
    """Every resource in its latest version of that instant, those deleted then left out.

    member: a Patient id, and then only that person's resources (by what is known now) and those of nobody.
    """
    v, after = RESOURCE_VERSION.c, ("", "")
    latest = (select(v.resource_type, v.id, func.max(v.version).label("version"))
              .where(v.updated <= int(known_at.timestamp() * 1_000_000)).group_by(v.resource_type, v.id))
    if member is not None:
        person = select(RESOURCE.c.person).where(RESOURCE.c.resource_type == "Patient", RESOURCE.c.id == member)
        latest = (latest.join(RESOURCE, (RESOURCE.c.resource_type == v.resource_type) & (RESOURCE.c.id == v.id))
                  .where((RESOURCE.c.person == "") | RESOURCE.c.person.in_(person)))
    while rows := connection.execute(
            latest.where(tuple_(v.resource_type, v.id) > after).order_by(v.resource_type, v.id).limit(_AT_ONCE)).all():
        keys = tuple_(v.resource_type, v.id, v.version).in_([tuple(row) for row in rows])
        for row in connection.execute(select(v.resource_type, v.id, v.body).where(keys, v.body.is_not(None))):
            yield {**orjson.loads(row.body), "resourceType": row.resource_type, "id": row.id}
        after = (rows[-1].resource_type, rows[-1].id)


def known_arrivals(connection: Connection, known_at: datetime | None = None) -> list[Row]:
    """The rows of the table `arrival`, up to that instant."""
    rows: list[Any] = list(connection.execute(text(ARRIVAL)))
    return [tuple(row) for row in rows if known_at is None or row.arrived_at <= known_at.timestamp()]
