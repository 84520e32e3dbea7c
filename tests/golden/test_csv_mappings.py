"""The CSV mappings over the demonstration network: every row maps, composes and is valid; nothing is lost unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapter.cases import folders, outcome
from adapter.demo.chance import Calendar, stream
from adapter.demo.generate import DEMO_AS_OF, DEMO_SEED, DEMO_START, generate
from adapter.demo.organizations import Staff
from adapter.demo.people import make_members
from adapter.demo.teams import make_teams
from adapter.errors import kind_of
from adapter.feeds import Feeds, contract_and_options, open_feeds
from adapter.gaps.engine import evaluate
from adapter.gateway import Gateway
from adapter.mapping.ledger import Ledger
from adapter.mapping.rows import map_row
from adapter.model import Composed, Contribution, Json, Mapped
from adapter.parse.rows import Row, open_csv
from adapter.pipeline import compose_all, microseconds
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.validate.check import check
from tests.validator import hapi_errors

MAPPINGS = Path(__file__).parents[2] / "mappings"
FEEDS = ("members", "care_team", "care_plans", "goals", "consents", "referrals", "contacts", "communications",
         "service_requests", "assessments", "benefits", "conditions", "organizations", "trainings", "surveys",
         "medications", "utilization")
PROFILED = {"CarePlan", "CareTeam", "Coverage", "Encounter", "Goal", "Location", "MedicationRequest", "Organization",
            "Patient", "Practitioner", "PractitionerRole", "Procedure", "QuestionnaireResponse", "RelatedPerson",
            "ServiceRequest"}
"""Types that US Core has a profile of, whatever they say; a goal or survey of an organization is outside it."""
VERDICT = {"one-lead": "one-lead", "one-organization": "one-lead", "no-lead": "no-lead", "no-team": "no-lead",
           "lead-left": "no-lead", "two-leads": "several-leads", "hand-off": "handed-off", "no-hand-off": "no-handoff",
           "hand-off-due": "handoff-due",
           "days-between": "days-without-lead"}
"""What rule G01 finds of each way a lead coordinator stands in the demonstration network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The demonstration network as mapped, and (a tenth of it) what became of each cell."""

    feeds: Feeds
    csv: Path
    mapped: Sequence[Mapped]
    leaves: Sequence[tuple[str, Json]]

    @property
    def contributions(self) -> list[Contribution]:
        """All that was said."""
        return [c for m in self.mapped for c in m.contributions]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("demo")
    generate(folder)
    feeds = open_feeds(MAPPINGS)
    mapped: list[Mapped] = []
    leaves: list[tuple[str, Json]] = []
    for feed in FEEDS:
        for row, columns in _rows(feeds, feed, folder / "csv" / f"{feed}.csv"):
            ledger = Ledger() if row.number % 10 == 2 else None
            mapped.append(map_row(row.cells, row.number, f"{feed}|demo|{row.number}", feeds.named(feed),
                                  microseconds(DEMO_AS_OF), ledger, columns))
            leaves += [(feed, leaf) for leaf in ledger.loss(mapped[-1])["leaves"]] if ledger else []
    return Network(feeds=feeds, csv=folder / "csv", mapped=mapped, leaves=leaves)


@pytest.fixture(scope="module")
def composed(network: Network) -> list[Composed]:
    return compose_all(network.contributions, (), network.feeds, b"test", lambda _: set())


def _rows(feeds: Feeds, feed: str, path: Path) -> Iterator[tuple[Row, Sequence[str]]]:
    contract, options = contract_and_options(feeds.named(feed).feed)
    file = open_csv(path.read_bytes(), contract, options)
    for row in file.rows():
        assert isinstance(row, Row), row.issues
        yield row, file.binding.header.names


def test_every_row_maps_without_a_finding(network: Network) -> None:
    assert len(network.mapped) > 2000
    assert [i for m in network.mapped for i in m.issues] == []


def test_every_resource_stands_and_is_valid(composed: list[Composed]) -> None:
    assert [c.resource_type for c in composed if c.deleted] == []
    issues = [(c.resource_type, i) for c in composed for i in c.issues if kind_of(i).severity != "information"]
    assert {(kind, i.code, i.detail.partition("/")[0]) for kind, i in issues} == {  # the hospitals tell of those stays by HL7 v2
        ("Communication", "fhir-reference", "Encounter")}
    assert [i for c in composed for i in check(c.body)] == []


def test_every_profiled_resource_claims_its_profile(composed: list[Composed]) -> None:
    bare = [c for c in composed if "profile" not in c.body.get("meta", {})]
    assert {c.resource_type for c in bare} & PROFILED <= {"Goal", "QuestionnaireResponse"}
    assert {c.body["subject"]["reference"].partition("/")[0] for c in bare if c.resource_type in PROFILED} == {"Organization"}


def test_every_cell_is_mapped_or_dropped_with_a_reason(network: Network) -> None:
    unsaid = {(feed, leaf["place"].partition(", ")[2]) for feed, leaf in network.leaves if leaf["status"] == "unmapped"}
    vague = {(feed, leaf["place"].partition(", ")[2]) for feed, leaf in network.leaves
             if leaf.get("reason", "").startswith("nothing usable")}
    assert (unsaid, vague) == (set(), set())


def test_each_row_stands_on_its_own(network: Network) -> None:
    for mapped in network.mapped[::7]:
        alone = compose_all(mapped.contributions, (), network.feeds, b"test", lambda names: names)
        assert [(mapped.identity, i) for c in alone for i in c.issues if kind_of(i).severity == "error"] == []


def test_rows_give_the_same_in_any_order(network: Network, composed: list[Composed]) -> None:
    backwards = compose_all(network.contributions[::-1], (), network.feeds, b"test", lambda _: set())
    assert [(c.resource_type, c.id, c.hash) for c in backwards] == [(c.resource_type, c.id, c.hash) for c in composed]


def test_the_lead_is_found_as_the_network_was_made(network: Network, tmp_path: Path) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, mappings=MAPPINGS), clock=lambda: DEMO_AS_OF)
    for feed in reversed(FEEDS):
        gateway.load(feed, (network.csv / f"{feed}.csv").read_bytes())
    while gateway.work(500):
        pass
    with reading(gateway.engine) as connection:
        found = Counter(g.verdict for g in evaluate(connection, now=DEMO_AS_OF, rule="G01"))
    gateway.close()
    calendar = Calendar(DEMO_START)
    members = make_members(DEMO_SEED, 200, calendar)
    teams = make_teams(DEMO_SEED, members, Staff(stream(DEMO_SEED, "staff")), calendar)
    made = Counter(VERDICT[t.case] for t in teams if t.member.status == "enrolled")
    assert {v: n for v, n in found.items() if v != "not-enrolled"} == made


@pytest.mark.hapi
@pytest.mark.shared
def test_the_hapi_validator_finds_no_error(network: Network, composed: list[Composed]) -> None:
    by_type: dict[str, list[Json]] = {}
    for c in composed:
        by_type.setdefault(c.resource_type, []).append(c.body)
    sample = [body for bodies in by_type.values() for body in bodies[::max(1, len(bodies) // 12)]]
    for feed in FEEDS:
        for folder in folders(MAPPINGS, feed):
            sample += [c.body for c in outcome(network.feeds, folder, feed, DEMO_AS_OF)[0]]
    assert hapi_errors(sample) == []
