"""What is known of all rules: which are held to their oracle together, on people drawn about what, and every oracle's answers.

A rule's own oracle and its subjects stand in modules of their own; each is named here in one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tests.unit import (
    gap_network,
    gap_network_needs,
    gap_network_organizations,
    gap_network_plans,
    gap_network_providers,
    gap_network_purchases,
    gap_network_reporting,
    gap_network_requests,
    gap_network_review,
    gap_network_transitions,
    gap_oracle_loop,
    gap_oracle_needs,
    gap_oracle_organizations,
    gap_oracle_plans,
    gap_oracle_providers,
    gap_oracle_purchases,
    gap_oracle_reporting,
    gap_oracle_requests,
    gap_oracle_review,
    gap_oracle_transitions,
)
from tests.unit.gap_network import Resource, Subjects
from tests.unit.gap_oracle import Answer, Oracle, Organizations


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that read the same things. subjects: what people are drawn about so that each verdict comes about."""

    name: str
    rules: tuple[str, ...]
    subjects: Subjects


GROUPS = (
    Group(name="first", rules=("G01", "G02", "G07", "G13", "O04"), subjects=gap_network.SUBJECTS),
    Group(name="plans", rules=("G03", "G04", "G05", "G11", "G12"), subjects=gap_network_plans.SUBJECTS),
    Group(name="transitions", rules=("G06", "G08", "G09", "G10", "G28"), subjects=gap_network_transitions.SUBJECTS),
    Group(name="requests", rules=("G18", "G19", "G20", "G21"), subjects=gap_network_requests.SUBJECTS),
    Group(name="organizations", rules=("O01", "O02", "O03", "O05"), subjects=gap_network_organizations.SUBJECTS),
    Group(name="needs", rules=("G14", "G15", "G16", "G17"), subjects=gap_network_needs.SUBJECTS),
    Group(name="review", rules=("G22",), subjects=gap_network_review.SUBJECTS),
    Group(name="providers", rules=("G23", "G24", "G26", "G27"), subjects=gap_network_providers.SUBJECTS),
    Group(name="purchases", rules=("G25",), subjects=gap_network_purchases.SUBJECTS),
    Group(name="reporting", rules=("O06",), subjects=gap_network_reporting.SUBJECTS),
)

SUBJECTS: Subjects = {name: subject for group in GROUPS for name, subject in group.subjects.items()}
"""Everything that people can be drawn about."""

ABOUT_MEMBERS = (
    Oracle.answers,
    gap_oracle_plans.answers,
    gap_oracle_transitions.answers,
    gap_oracle_loop.g18,
    gap_oracle_requests.answers,
    gap_oracle_needs.answers,
    gap_oracle_review.g22,
    gap_oracle_providers.answers,
    gap_oracle_purchases.g25,
)
"""Answers about one member, of all that is known of them at one instant."""


ABOUT_ORGANIZATIONS = ("O01", "O02", "O03", "O04", "O05", "O06")
"""Rules about organizations and pairs; none of them asks anything of an organization that is not in use."""


def expected(resources: list[Resource], now: datetime) -> list[Answer]:
    """Every answer about every organization, and then about every person, merged records apart."""
    people = [r["id"] for r in resources if r["resourceType"] == "Patient"
              and not any(link["type"] in ("replaced-by", "refer") for link in r.get("link", []))]
    members = [Oracle(resources, person, now) for person in people]
    mine = (a for one in members for about in ABOUT_MEMBERS for a in about(one))
    organizations = Organizations(resources, now)
    ours = [*organizations.answers(), *gap_oracle_organizations.answers(organizations, members),
            *gap_oracle_reporting.answers(organizations)]
    unused = {o["id"] for o in resources if o["resourceType"] == "Organization" and not o.get("active", True)}
    ours = [a for a in ours if a.member not in unused] + [
        Answer(rule, o, "", "not-applicable", None, None, o, "") for o in unused for rule in ABOUT_ORGANIZATIONS]
    return [a for found in (ours, mine) for a in sorted(found, key=lambda a: (a.member, a.rule, a.item))]
