"""Who is below target, once more in plain Python: written from the words of the report on improvement."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from tests.unit.gap_oracle import Answer, Resource
from tests.unit.report_oracle import targets


def below_target(resources: list[Resource], answers: list[Answer], now: datetime) -> set[tuple[str, str]]:
    """(organization, rule) of which a smaller share is closed than the organization aims at."""
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for a in answers:
        if a.state in ("closed", "open", "missed"):
            about = a.organization or (a.member if a.rule.startswith("O") else "")
            counts[about, a.rule][0] += 1
            counts[about, a.rule][1] += a.state == "closed"
    aims = targets(resources, now)
    return {at for at, (whole, met) in counts.items()
            if (aim := aims.get((at[1], at[0]))) is not None and 100 * met < aim * whole}
