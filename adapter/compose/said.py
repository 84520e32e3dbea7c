"""One slot's value with who said it: what a fold gives and composition takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
