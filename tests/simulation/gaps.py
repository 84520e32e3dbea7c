"""Gaps in a simulated world: those that are kept, and their Tasks, against what the rules answer to the store as it is.

Whose gaps are to be looked at is noted where something is written, and looking is a step of its own; a note that is lost, or a
look that is cut off, would leave a gap as it was. Those of organizations wait for the next sweep where they hang on what is said
of members.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from adapter.deliver.read_back import moment_of
from adapter.engine.gap_keeping import lives_of
from adapter.gaps.engine import evaluate
from adapter.gaps.life import LIVING, Life, follow, subject_of
from adapter.gaps.task import KEY, key_of
from adapter.gateway import Gateway
from adapter.store.engine import reading
from adapter.store.gap_lives import Kept
from adapter.store.schema import RESOURCE
from adapter.store.schema_gaps import GAP
from tests.simulation.server import Key

Answers = dict[tuple[str, str, str], Life]
"""By subject, rule and item: what somebody has to do something about, without when it began."""


def answers(gateway: Gateway, now: datetime) -> Answers:
    """What the rules answer to all that stands in a store."""
    with reading(gateway.engine) as connection:
        found = evaluate(connection, now=now, states=tuple(LIVING))
    fresh = {(subject_of(gap), gap.rule, gap.item): follow(None, gap, moment_of(now))[0] for gap in found}
    return {at: _timeless(life) for at, life in fresh.items() if life is not None}


def untrue(gateway: Gateway, expected: Answers, *, swept: bool) -> Iterator[str]:
    """Where what is kept, or the Task of it, is something else than the rules answer. swept: everybody's were looked at."""
    with reading(gateway.engine) as connection:
        names = tuple(Kept.__dataclass_fields__)
        lives = lives_of([Kept(**{name: row[name] for name in names}) for row in connection.execute(select(GAP)).mappings()])
    kept = {life.at: _timeless(life) for life in lives if life.state in LIVING}
    different = sorted({" ".join(at) for at in {**kept, **expected}
                        if kept.get(at) != expected.get(at) and (swept or at[0].startswith("Patient/"))})
    if different:
        yield f"kept of gaps is not what the rules answer: {', '.join(different)}"
    told = {body["identifier"][0]["value"]: body["businessStatus"]["coding"][0]["code"] for body in tasks(gateway).values()}
    without = sorted(" ".join(life.at) for life in lives if told.get(key_of(life).removeprefix(f"{KEY}|")) != life.state)
    if without:
        yield f"the Task tells another state of {', '.join(without)}"


def tasks(gateway: Gateway) -> dict[Key, dict[str, Any]]:
    """The Tasks of gaps that stand in a store."""
    with reading(gateway.engine) as connection:
        query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body).where(
            RESOURCE.c.resource_type == "Task", RESOURCE.c.deleted == 0, RESOURCE.c.key.startswith(f"{KEY}|"))
        return {(row.resource_type, row.id): orjson.loads(row.body) for row in connection.execute(query)}


def _timeless(life: Life) -> Life:
    return Life(subject=life.subject, rule=life.rule, item=life.item, state=life.state, verdict=life.verdict, reason=life.reason,
                due=life.due, evidence=life.evidence, responsible_org=life.responsible_org,
                responsible_party=life.responsible_party, since=0)
