"""Benefits of the made-up members: screened or forgotten, applied for in the right way or not, known outcomes or none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS
from adapter.demo.teams import Team

CASES = {"all-done": 36, "one-missing": 20, "none": 14, "not-applied": 12, "not-soar": 8, "no-outcome": 10}
"""How the five benefits of an enrolled member stand, in hundredths; in all but `all-done` and `none` one is the odd one."""

_BENEFITS = ("ssi", "ssdi", "va", "housing", "public-benefits")
_ELIGIBLE = {"ssi": 0.3, "ssdi": 0.3, "va": 0.08, "housing": 0.35, "public-benefits": 0.6}
_SOAR = frozenset(("ssi", "ssdi"))


def benefit_rows(seed: int, teams: list[Team], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The benefits feed."""
    rng = stream(seed, "benefits")
    for team, case in zip(teams, deal(rng, CASES, len(teams)), strict=True):
        if case == "none":
            continue
        odd = rng.choice(("ssi", "ssdi") if case == "not-soar" else _BENEFITS)
        for benefit in _BENEFITS:
            if case != "one-missing" or benefit != odd:
                yield _row(rng, team, benefit, case if benefit == odd else "all-done", calendar)


def _row(rng: random.Random, team: Team, benefit: str, case: str, calendar: Calendar) -> dict[str, str]:
    enrolled = team.member.enrolled or calendar.start
    last = calendar.day(88)
    screened = min(enrolled + timedelta(days=rng.randint(2, 25)), last)
    eligible = case != "all-done" or rng.random() < _ELIGIBLE[benefit]
    applied: date | None = screened + timedelta(days=rng.randint(3, 20))
    if not eligible or case == "not-applied" or (applied and applied > last):
        applied = None
    decided: date | None = applied + timedelta(days=rng.randint(15, 60)) if applied else None
    if case == "no-outcome" or (decided and decided > last):
        decided = None
    organization = team.lead or team.member.practice
    lead = next((p.who for p in team.parts if p.who and p.organization == organization), None)
    outcome = rng.choices(["approved", "denied", "withdrawn"], [68, 26, 6])[0] if decided else ""
    return {
        "benefit_id": f"BN-{team.member.number:05d}-{benefit.upper()}", "member_id": team.member.id, "benefit": benefit,
        "organization_id": organization, "organization_name": ORGANIZATIONS[organization].name,
        "npi": lead.npi if lead else "", "first_name": lead.first if lead else "", "last_name": lead.last if lead else "",
        "screened_on": screened.isoformat(), "eligible": "Y" if eligible else "N",
        "applied_on": applied.isoformat() if applied else "",
        "application_method": "" if not applied else "soar" if benefit in _SOAR and case != "not-soar" else "standard",
        "outcome": outcome or ("pending" if applied and case != "no-outcome" else ""),
        "decided_on": decided.isoformat() if decided else "", "updated_at": iso(calendar.at(89, 11)),
    }
