"""What is known of all rules: the subjects that people are drawn about, and the answers of every oracle.

A rule's own oracle and its subjects stand in modules of their own; each is named here in one line.
"""

from __future__ import annotations

from datetime import datetime

from tests.unit import (
    gap_network,
    gap_network_needs,
    gap_network_organizations,
    gap_network_plans,
    gap_network_providers,
    gap_network_requests,
    gap_network_review,
    gap_network_transitions,
    gap_oracle_loop,
    gap_oracle_needs,
    gap_oracle_organizations,
    gap_oracle_plans,
    gap_oracle_providers,
    gap_oracle_requests,
    gap_oracle_review,
    gap_oracle_transitions,
)
from tests.unit.gap_network import Resource, Subjects
from tests.unit.gap_oracle import Answer, Oracle, Organizations

SUBJECTS: Subjects = {
    **gap_network.SUBJECTS,
    **gap_network_plans.SUBJECTS,
    **gap_network_transitions.SUBJECTS,
    **gap_network_requests.SUBJECTS,
    **gap_network_organizations.SUBJECTS,
    **gap_network_needs.SUBJECTS,
    **gap_network_review.SUBJECTS,
    **gap_network_providers.SUBJECTS,
}

ABOUT_MEMBERS = (
    Oracle.answers,
    gap_oracle_plans.answers,
    gap_oracle_transitions.answers,
    gap_oracle_loop.g18,
    gap_oracle_requests.answers,
    gap_oracle_needs.answers,
    gap_oracle_review.g22,
    gap_oracle_providers.answers,
)
"""Answers about one member, of all that is known of them at one instant."""


def expected(resources: list[Resource], now: datetime) -> list[Answer]:
    """Every answer about every organization, and then about every person, merged records apart."""
    people = [r["id"] for r in resources if r["resourceType"] == "Patient"
              and not any(link["type"] in ("replaced-by", "refer") for link in r.get("link", []))]
    members = [Oracle(resources, person, now) for person in people]
    mine = (a for one in members for about in ABOUT_MEMBERS for a in about(one))
    organizations = Organizations(resources, now)
    ours = [*organizations.answers(), *gap_oracle_organizations.answers(organizations, members)]
    return [a for found in (ours, mine) for a in sorted(found, key=lambda a: (a.member, a.rule, a.item))]
