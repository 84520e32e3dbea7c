"""One slot's value with who said it: what a fold gives and composition takes; and what stands before what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from adapter.model import Contribution, Key


@dataclass(frozen=True, slots=True)
class Said:
    """One slot's value, where its statement stands, and who made it."""

    value: Any
    order: Key
    by: Contribution
    effect: bool = False

    @property
    def moment(self) -> Key:
        """Where it stands among what other sources say: by time first, also where its own source goes by MSH-13."""
        first, second, rank, stated, arrival = self.order
        return (second, first, rank, stated, arrival) if self.by.order.by == "sequence" else self.order


def in_time(statements: Sequence[Contribution], *, effect: bool = False) -> Sequence[Contribution]:
    """Statements in their order; effect: by what happened.

    A message that names two visits may say two things of one, once those are one: the patient's number and what is said
    decide then, never how the statements were read.
    """
    if len(statements) < 2:
        return statements
    ordered = sorted(statements, key=lambda c: _when(c, effect=effect))
    if any(a.message == b.message for a, b in pairwise(ordered)):
        ordered.sort(key=lambda c: (_when(c, effect=effect), c.patient, orjson.dumps(c.body, option=orjson.OPT_SORT_KEYS)))
    return ordered


def _when(c: Contribution, *, effect: bool) -> tuple[Key, str]:
    return c.order.of_effect() if effect else c.order.of_snapshot(), c.message
