"""Releases of information between the organizations of a team: given, missing, ending soon, ended, revoked, refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS
from adapter.demo.teams import Team

CASES = {"all": 42, "none": 14, "one-missing": 12, "ending-soon": 9, "expired": 7, "lapsed": 4, "revoked": 6,
         "refused": 4, "draft": 2}
"""How a team's releases stand, in hundredths; in all but `all` and `none` the first pair is the odd one. lapsed: still
called active, though its period is over."""

_CLASSES = {"substance-use": ("substance-use", "general"), "mental-health": ("mental-health", "all", "all")}

_EARLY = ("expired", "lapsed", "revoked", "ending-soon")


def consent_rows(seed: int, teams: list[Team], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The consents feed: one row each way between the lead's organization and each other one of the team."""
    rng = stream(seed, "releases")
    early = {"granted_at": iso(calendar.at(-150, 10)), "period_start": calendar.day(-150).isoformat()}
    for team, case in zip(teams, deal(rng, CASES, len(teams)), strict=True):
        organizations = team.organizations
        pairs = [pair for other in organizations[1:] for pair in ((other, organizations[0]), (organizations[0], other))]
        if case == "none":
            continue
        for n, (discloser, recipient) in enumerate(pairs, 1):
            odd = case if n == 1 else "all"
            if odd != "one-missing":
                row = _release(rng, team, n, (discloser, recipient), calendar)
                yield row | (early if odd in _EARLY else {}) | _standing(rng, odd, calendar)


def _release(rng: random.Random, team: Team, number: int, pair: tuple[str, str], calendar: Calendar) -> dict[str, str]:
    discloser, recipient = pair
    enrolled = team.member.enrolled or calendar.start
    granted = calendar.at((enrolled - calendar.start).days, 9 + number / 6)
    classes = _CLASSES.get(ORGANIZATIONS[discloser].kind, ("all", "all", "general"))
    end = calendar.day(90) + timedelta(days=rng.randint(60, 300))
    return {
        "consent_id": f"CN-{team.member.number:05d}-{number}", "member_id": team.member.id, "status": "active",
        "discloser_org": discloser, "discloser_org_name": ORGANIZATIONS[discloser].name, "recipient_org": recipient,
        "recipient_org_name": ORGANIZATIONS[recipient].name,
        "data_class": rng.choice(classes), "purpose": rng.choice(["TREAT", "CAREMGT", "CAREMGT"]),
        "granted_at": iso(granted), "period_start": granted.date().isoformat(),
        "period_end": "" if rng.random() < 0.3 else end.isoformat(),
        "revoked_at": "", "part2": "Y" if ORGANIZATIONS[discloser].kind == "substance-use" else "N",
        "updated_at": iso(max(granted, calendar.at(85, 12))),
    }


def _standing(rng: random.Random, case: str, calendar: Calendar) -> dict[str, str]:
    """What differs in a row of this case."""
    match case:
        case "ending-soon":
            return {"period_end": calendar.day(rng.randint(92, 118)).isoformat()}
        case "expired" | "lapsed":
            ended = calendar.day(rng.randint(40, 85)).isoformat()
            return {"status": "expired", "period_end": ended} if case == "expired" else {"period_end": ended}
        case "revoked":
            return {"status": "revoked", "revoked_at": iso(calendar.at(rng.randint(78, 84), 15))}
        case "refused" | "draft":
            return {"status": case, "period_start": "", "period_end": ""}
        case _:
            return {}
