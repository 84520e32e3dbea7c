"""The same gaps whether the FHIR server is embedded or HAPI, also after another client has written there."""

from __future__ import annotations

import copy
import csv
import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.fhirserver.http import new_session
from adapter.fhirserver.port import FhirServer, Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gaps.engine import Gap, evaluate
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.queries import backlog
from tests.acceptance.conftest import compose, load_network, make_network
from tests.acceptance.served import until
from tests.servers import hapi_url

pytestmark = pytest.mark.hapi
Json = dict[str, Any]
Change = Callable[[Json], Json]
ROLE = "urn:x-careloop:care-team-role"
MEMBER = "urn:x-careloop:member"
NEW_SEAT = {
    "program": "care-coordination", "organization_id": "ORG-NEW", "organization_name": "A new partner",
    "npi": "1881697324", "first_name": "Made", "last_name": "Up", "role": "peer-specialist", "start_date": "2026-01-01",
    "end_date": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two installations with one key and one network: `inside` keeps all to itself, `outside` pushes to HAPI.

    client: another client of that HAPI. as_of: when gaps are looked at. feeds: folder of the network's files.
    """

    inside: Gateway
    outside: Gateway
    client: FhirServer
    as_of: datetime
    feeds: Path

    def settle(self) -> None:
        """Work as the worker does until nothing is left to do."""
        compose(self.inside)

        def quiet() -> bool | None:
            done = self.outside.work(500) + self.outside.delivery.push() + self.outside.delivery.read_back()
            with reading(self.outside.engine) as connection:
                return True if not done and not backlog(connection).outbox else None
        until(quiet, 150)

    def gaps(self) -> tuple[list[Gap], list[Gap]]:
        """Of the network's members and organizations, inside and outside; HAPI holds other clients' too."""
        inside, outside = (self._gaps(gateway) for gateway in (self.inside, self.outside))
        subjects = {(gap.member_id, gap.organization_id) for gap in inside}
        return inside, [gap for gap in outside if (gap.member_id, gap.organization_id) in subjects]

    def _gaps(self, gateway: Gateway) -> list[Gap]:
        with reading(gateway.engine) as connection:
            return evaluate(connection, now=self.as_of)

    def verdict(self, member: str) -> set[str]:
        """G01 of a member, inside and outside."""
        return {gap.verdict for gaps in self.gaps() for gap in gaps if (gap.member_id, gap.rule) == (member, "G01")}

    def write(self, resource_type: str, resource_id: str, change: Change) -> None:
        """Another client reads a resource, changes it and puts it back, on each server."""
        for server in (self.inside.embedded, self.client):
            standing = server.read(resource_type, resource_id)
            assert standing is not None
            body = change(copy.deepcopy(standing))
            server.transaction([Write(resource_type=resource_type, id=resource_id, body=body,
                                      if_match=standing["meta"]["versionId"])])

    def load(self, feed: str, rows: list[dict[str, str]]) -> None:
        """A partner's file, loaded on both sides."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        for gateway in (self.inside, self.outside):
            assert gateway.load(feed, text.getvalue().encode()).refused == []

    def team(self, member: str) -> Json:
        """A member's care team of the program, beside those that messages tell; it is the same inside, outside and on HAPI."""
        asked = [("subject", f"Patient/{member}"), ("category", "care-coordination")]
        team_id = self.inside.embedded.search("CareTeam", asked).resources[0]["id"]
        inside, outside, upstream = (server.read("CareTeam", team_id) for server in (
            self.inside.embedded, self.outside.embedded, self.client))
        assert inside is not None
        assert stated(inside) == stated(outside) == stated(upstream)
        return inside


def stated(team: Json | None) -> Json:
    """A team without what each server writes of its own; seats stand in no order."""
    assert team is not None
    seats = sorted(team["participant"], key=lambda seat: str(sorted(seat.items())))
    return {name: value for name, value in team.items() if name != "meta"} | {"participant": seats}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, key = tmp_path_factory.mktemp("pair"), uuid.uuid4().hex * 2
    as_of = make_network(folder / "feeds", datetime.now(UTC).date() - timedelta(days=92), 40)
    inside = Gateway(Settings(data_dir=folder / "inside", key=key))
    outside = Gateway(Settings(data_dir=folder / "outside", key=key, fhir_url=hapi_url()))
    load_network(inside, folder / "feeds")
    load_network(outside, folder / "feeds")
    with new_session() as session:
        both = Pair(inside=inside, outside=outside, client=UpstreamServer(hapi_url(), session), as_of=as_of,
                    feeds=folder / "feeds")
        both.settle()
        yield both
    inside.close()
    outside.close()


@pytest.fixture
def members(pair: Pair) -> list[str]:
    """Members whom nobody else has touched: exactly one lead."""
    return [gap.member_id for gap in pair.gaps()[0] if gap.verdict == "one-lead"]


def roles(seat: Json) -> set[str]:
    return {coding["code"] for role in seat["role"] for coding in role["coding"] if coding["system"] == ROLE}


def seat_of(practitioner: str, role: str) -> Json:
    """A seat as another client writes it."""
    return {"role": [{"coding": [{"system": ROLE, "code": role}]}],
            "member": {"reference": practitioner}, "period": {"start": "2024-01-01"}}


def with_seat(seat: Json) -> Change:
    return lambda team: team | {"participant": [seat, *team["participant"]]}


def without_role(role: str) -> Change:
    return lambda team: team | {"participant": [s for s in team["participant"] if role not in roles(s)]}


def strangers(pair: Pair, team: Json) -> list[str]:
    """Practitioners of the network who have no seat on this team."""
    seated = {seat["member"]["reference"] for seat in team["participant"]}
    found = pair.inside.embedded.search("Practitioner", [], 100).resources
    return [name for one in found if (name := f"Practitioner/{one['id']}") not in seated]


def member_number(pair: Pair, member: str) -> str:
    patient = pair.inside.embedded.read("Patient", member)
    assert patient is not None
    return next(i["value"] for i in patient["identifier"] if i["system"] == MEMBER)


def test_the_same_gaps(pair: Pair) -> None:
    inside, outside = pair.gaps()
    assert len({gap.member_id for gap in inside}) >= 40
    assert inside == outside
    with reading(pair.outside.engine) as connection:
        assert "failed" not in backlog(connection).journal


def test_all_stands_on_hapi(pair: Pair) -> None:
    inside, there = ({(v.resource_type, v.id): v.body for v in server.history()}
                     for server in (pair.inside.embedded, pair.client))  # the last version of each counts
    assert len(inside) > 1000
    for at, body in inside.items():
        if body is not None:
            assert at in there
            assert there[at] is not None


def test_another_client_adds_a_second_lead(pair: Pair, members: list[str]) -> None:
    member = members[0]
    team = pair.team(member)
    newcomer = strangers(pair, team)[0]
    pair.write("CareTeam", team["id"], with_seat(seat_of(newcomer, "lead-coordinator")))
    pair.settle()
    assert pair.verdict(member) == {"several-leads"}
    assert len(pair.team(member)["participant"]) == len(team["participant"]) + 1
    assert pair.gaps()[0] == pair.gaps()[1]


def test_another_client_takes_the_lead_out(pair: Pair, members: list[str]) -> None:
    member = members[1]
    team = pair.team(member)
    pair.write("CareTeam", team["id"], without_role("lead-coordinator"))
    pair.settle()
    assert pair.verdict(member) == {"no-lead"}
    assert len(pair.team(member)["participant"]) == len(team["participant"]) - 1
    assert pair.gaps()[0] == pair.gaps()[1]


def test_each_of_several_changes_stands(pair: Pair, members: list[str]) -> None:
    member = members[2]
    team = pair.team(member)
    first, second = (seat_of(name, "peer-specialist") for name in strangers(pair, team)[:2])
    for change in (with_seat(first), without_role("lead-coordinator"), with_seat(second)):
        pair.write("CareTeam", team["id"], change)
        pair.settle()
    seats = pair.team(member)["participant"]
    assert first in seats
    assert second in seats
    assert pair.verdict(member) == {"no-lead"}
    pair.write("CareTeam", team["id"], lambda t: t | {"participant": [s for s in t["participant"] if s != first]})
    pair.settle()
    seats = pair.team(member)["participant"]
    assert first not in seats
    assert second in seats


def test_what_our_source_says_later_stands_beside_it(pair: Pair, members: list[str]) -> None:
    member = members[3]
    team = pair.team(member)
    newcomer = strangers(pair, team)[0]
    pair.write("CareTeam", team["id"], with_seat(seat_of(newcomer, "lead-coordinator")))
    pair.settle()
    row = NEW_SEAT | {"member_id": member_number(pair, member)}
    pair.load("care_team", [row])
    pair.settle()
    later = pair.team(member)
    assert len(later["participant"]) == len(team["participant"]) + 2
    assert pair.verdict(member) == {"several-leads"}
    pair.load("care_team", [row | {"end_date": "2026-02-01"}])
    pair.settle()
    ended = next(seat for seat in pair.team(member)["participant"] if "peer-specialist" in roles(seat)
                 and seat not in team["participant"])
    assert ended["period"] == {"start": "2026-01-01", "end": "2026-02-01"}
    assert pair.verdict(member) == {"several-leads"}


def test_a_push_that_comes_too_late_undoes_nothing(pair: Pair, members: list[str]) -> None:
    member = members[5]
    team = pair.team(member)
    newcomer = strangers(pair, team)[0]
    pair.write("CareTeam", team["id"], with_seat(seat_of(newcomer, "lead-coordinator")))
    pair.load("care_team", [NEW_SEAT | {"member_id": member_number(pair, member)}])
    compose(pair.outside)
    pair.outside.delivery.push()  # before the other client's change is read back: refused by If-Match
    there = pair.client.read("CareTeam", team["id"])
    assert there is not None
    assert len(there["participant"]) == len(team["participant"]) + 1
    pair.settle()
    assert len(pair.team(member)["participant"]) == len(team["participant"]) + 2
    assert pair.verdict(member) == {"several-leads"}


def test_our_source_ends_a_seat_that_another_client_left_alone(pair: Pair, members: list[str]) -> None:
    member = members[4]
    team = pair.team(member)
    pair.write("CareTeam", team["id"], lambda t: t | {"note": [{"text": "of another client"}]})
    pair.settle()
    number = member_number(pair, member)
    with (pair.feeds / "csv/care_team.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file)
                   if row["member_id"] == number and row["role"] == "lead-coordinator" and not row["end_date"])
    pair.load("care_team", [row | {"end_date": row["start_date"], "updated_at": datetime.now(UTC).isoformat()}])
    pair.settle()
    assert pair.verdict(member) == {"no-lead"}
    assert pair.team(member)["note"] == [{"text": "of another client"}]


def test_a_resource_of_another_client_comes_in_and_is_never_pushed(pair: Pair, members: list[str]) -> None:
    name = f"other-{uuid.uuid4().hex[:12]}"
    observation = {"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "made up"},
                   "subject": {"reference": f"Patient/{members[0]}"}, "effectiveDateTime": "2026-01-01"}
    for number, change in enumerate(({}, {"status": "amended"}), 1):
        pair.client.transaction([Write(resource_type="Observation", id=name, body=observation | change)])
        pair.settle()
        came = pair.outside.embedded.read("Observation", name)
        there = pair.client.read("Observation", name)
        assert came is not None
        assert there is not None
        assert {k: came[k] for k in observation} == observation | change
        assert there["meta"]["versionId"] == str(number)
    pair.client.transaction([Write(resource_type="Observation", id=name, body=None)])
    pair.settle()
    assert pair.outside.embedded.read("Observation", name) is None
    assert pair.client.read("Observation", name) is None
