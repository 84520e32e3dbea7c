"""Drawing from a seed: one stream of random numbers for each topic, so that a change in one leaves the others alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NETWORK_ZONE = ZoneInfo("America/New_York")
"""Zone of the network's own calendar."""

DAYS = 90
"""Days of hospital traffic; the last ends at noon, when everything is looked at."""


def stream(seed: int, topic: str) -> random.Random:
    """The random numbers of one topic."""
    return random.Random(f"{seed}:{topic}")


def deal(rng: random.Random, weights: Mapping[str, int], count: int) -> list[str]:
    """`count` cards in the proportions of `weights`, shuffled; each kind at least once where there are enough cards."""
    total = sum(weights.values())
    least = 1 if count >= len(weights) else 0
    cards = [kind for kind, weight in weights.items() for _ in range(max(least, count * weight // total))]
    kinds = list(weights)
    cards += rng.choices(kinds, [weights[k] for k in kinds], k=max(0, count - len(cards)))
    rng.shuffle(cards)
    return cards[:count]


class Calendar:
    """The time that the network lives in: day 0 is `start`, `as_of` is noon of day 90, New York time. All in UTC."""

    def __init__(self, start: date) -> None:
        self.start = start
        self.as_of = self.at(DAYS, 12)

    def day(self, number: int) -> date:
        """The day with this number; days before the start are negative."""
        return self.start + timedelta(days=number)

    def at(self, day: float, hour: float = 0.0) -> datetime:
        """A moment by day and hour of the clock in New York, whole minutes."""
        midnight = datetime(self.start.year, self.start.month, self.start.day, tzinfo=NETWORK_ZONE)
        return (midnight + timedelta(minutes=round((day * 24 + hour) * 60))).astimezone(UTC)

    def number(self, moment: datetime) -> int:
        """The number of the day that a moment lies on."""
        return (moment.astimezone(NETWORK_ZONE).date() - self.start).days


def iso(moment: datetime, zone: ZoneInfo = NETWORK_ZONE) -> str:
    """A moment as the CSV contracts write it, to the minute, with the offset of its place."""
    return moment.astimezone(zone).replace(second=0, microsecond=0).isoformat()
