"""One care plan a member and program, of every organization's own, which stands too; rows and resources in, resources out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.fhirserver.port import Write
from adapter.gaps.engine import evaluate
from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.model import Json
from adapter.settings import Settings
from adapter.store.engine import reading

PLANS = "plan_id,member_id,program,status,author_org,created_date,period_end,last_reviewed,self_management,updated_at\n"
GOALS = "goal_id,member_id,plan_id,description,lifecycle_status,updated_at\n"
TEAM = "seat_id,member_id,program,organization_id,npi,first_name,last_name,role,start_date,updated_at\n"
MEMBERS = ("member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,updated_at\n"
           "M1,Viola,Wrenmere,1958-04-09,care-coordination,enrolled,2026-01-01,2026-01-01T08:00:00-05:00\n")


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    ticks = itertools.count()
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32),  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the rest
                      lambda: datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=next(ticks)))
    yield gateway
    gateway.close()


def plan(number: str, organization: str, day: int, status: str = "active", member: str = "M1",
         program: str = "care-coordination", **cells: str) -> str:
    return (f"{number},{member},{program},{status},{organization},2026-01-{day:02},{cells.get('end', '')},"
            f"{cells.get('reviewed', '')},{cells.get('self', '')},2026-02-{day:02}T08:00:00-05:00\n")


def goal(number: str, of: str, day: int = 1) -> str:
    return f"{number},M1,{of},Walk to the library,active,2026-02-{day:02}T08:00:00-05:00\n"


def load(gateway: Gateway, feed: str, header: str, *rows: str) -> None:
    assert not gateway.load(feed, (header + "".join(rows)).encode()).refused_count
    while gateway.work():
        pass


def plans(gateway: Gateway) -> tuple[list[Json], dict[str, Json]]:
    """The shared plans, and the organizations' own by number."""
    found = gateway.embedded.search("CarePlan", []).resources
    own = {p["identifier"][0]["value"]: p for p in found if "identifier" in p}
    return [p for p in found if "identifier" not in p], own


def organizations(gateway: Gateway, shared: Json) -> set[str]:
    read = [gateway.embedded.read(*c["reference"].split("/")) or {} for c in shared["contributor"]]
    return {one["identifier"][0]["value"] for one in read}


def verdict(gateway: Gateway) -> str:
    with reading(gateway.engine) as connection:
        [gap] = evaluate(connection, now=datetime(2026, 3, 20, tzinfo=UTC), rule="G02")
    return gap.verdict


def test_the_shared_plan_has_every_organization_s_part_and_each_own_plan_stands(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1, self="Checks blood sugar"), plan("P2", "ORG-B", 2, self="Walks"))
    load(gateway, "goals", GOALS, goal("G1", "P1"), goal("G2", "P2"))
    [shared], own = plans(gateway)
    assert organizations(gateway, shared) == {"ORG-A", "ORG-B"}
    assert {a["detail"]["description"] for a in shared["activity"]} == {"Checks blood sugar", "Walks"}
    assert len(shared["goal"]) == 2
    assert {i["reference"] for i in shared["supportingInfo"]} == {f"CarePlan/{p['id']}" for p in own.values()}
    assert all(p["partOf"] == [{"reference": f"CarePlan/{shared['id']}"}] for p in own.values())
    assert len(own["P1"]["goal"]) == 1
    assert "contributor" not in own["P1"]
    assert own["P1"]["author"] != own["P2"]["author"]
    assert gateway.embedded.search("CarePlan", [("part-of", shared["id"])]).resources


def test_what_holds_one_value_is_the_leading_plan_s_and_an_ended_plan_s_parts_go(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1, reviewed="2026-02-01"),
         plan("P2", "ORG-B", 2, "completed", end="2026-02-20"))
    [shared], own = plans(gateway)
    assert (shared["status"], shared["created"]) == ("active", "2026-01-01")
    assert "period" not in shared
    assert organizations(gateway, shared) == {"ORG-A"}
    assert own["P2"]["status"] == "completed"
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 3, "revoked"))
    [shared], _ = plans(gateway)
    assert (shared["status"], shared["period"]["end"]) == ("completed", "2026-02-20")
    assert organizations(gateway, shared) == {"ORG-A", "ORG-B"}


def test_each_program_and_each_member_has_one_and_a_plan_takes_its_part_along(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1), plan("P2", "ORG-B", 2), plan("P3", "ORG-A", 1, member="M2"))
    assert len(plans(gateway)[0]) == 2
    load(gateway, "care_plans", PLANS, plan("P2", "ORG-B", 3, program="health-home"))
    found = {(p["subject"]["reference"], p["title"]): organizations(gateway, p) for p in plans(gateway)[0]}
    assert sorted(map(sorted, found.values())) == [["ORG-A"], ["ORG-A"], ["ORG-B"]]
    load(gateway, "care_plans", PLANS, plan("P2", "ORG-B", 4, member="M2"))
    found = {p["subject"]["reference"]: organizations(gateway, p) for p in plans(gateway)[0]}
    assert sorted(map(sorted, found.values())) == [["ORG-A"], ["ORG-A", "ORG-B"]]


def test_it_goes_with_its_last_plan(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1))
    load(gateway, "goals", GOALS, goal("G1", "P1"))
    gateway.operators.withdraw(Withdrawal(feed="care_plans", by="test", reason="left"))
    shared, own = plans(gateway)
    assert (shared, set(own)) == ([], {"P1"})  # its goals' feed still names it
    assert "partOf" not in own["P1"]


def test_a_team_that_is_stated_later_is_named_by_the_shared_plan_too(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1))
    assert "careTeam" not in plans(gateway)[0][0]
    load(gateway, "care_team", TEAM,
         "S1,M1,care-coordination,ORG-A,2000001026,Odile,Marlwick,lead-coordinator,2026-01-01,2026-03-02T08:00:00-05:00\n")
    [team] = gateway.embedded.search("CareTeam", []).resources
    assert plans(gateway)[0][0]["careTeam"] == [{"reference": f"CareTeam/{team['id']}"}]


def test_g02_is_answered_by_the_shared_plan(gateway: Gateway) -> None:
    load(gateway, "members", MEMBERS)
    load(gateway, "care_team", TEAM, *(
        f"S{n},M1,care-coordination,{o},200000{npi},Odile,Marlwick,{role},2026-01-01,2026-01-02T08:00:00-05:00\n"
        for n, o, npi, role in ((1, "ORG-A", "1026", "lead-coordinator"), (2, "ORG-B", "1042", "primary-care"))))
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1))
    load(gateway, "goals", GOALS, goal("G1", "P1"))
    assert verdict(gateway) == "too-few-organizations"
    load(gateway, "care_plans", PLANS, plan("P2", "ORG-B", 2))  # a plan of its own, not a word about the other's
    assert verdict(gateway) == "shared"
    load(gateway, "care_plans", PLANS, plan("P2", "ORG-B", 3, "completed", end="2026-02-20"))
    assert verdict(gateway) == "too-few-organizations"


def test_plans_of_other_clients_are_never_made_parts(gateway: Gateway) -> None:
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1))
    [shared], _ = plans(gateway)
    theirs = {"resourceType": "CarePlan", "id": "theirs", "status": "active", "intent": "plan", "subject": shared["subject"],
              "category": shared["category"]}
    gateway.embedded.transaction([Write(resource_type="CarePlan", id="theirs", body=theirs)])
    stands = gateway.embedded.read("CarePlan", "theirs") or {}
    assert "partOf" not in stands
    assert {p["id"] for p in plans(gateway)[0]} == {shared["id"], "theirs"}


def test_what_another_member_s_rows_say_of_a_plan_stands_when_a_feed_goes(gateway: Gateway) -> None:
    header = MEMBERS.partition("\n")[0].replace("updated_at", "mrn,mrn_system,updated_at") + "\n"
    linked = "M2,Silas,Ashdale,1999-11-30,,,,100,urn:oid:2.16.840.1.113883.3.9999.1,2026-01-01T08:00:00-05:00\n"
    load(gateway, "members", header, linked)
    load(gateway, "goals", GOALS, goal("G1", "P1").replace("M1", "M2"))
    load(gateway, "care_plans", PLANS, plan("P1", "ORG-A", 1))
    gateway.operators.withdraw(Withdrawal(feed="goals", by="test", reason="left"))
    assert set(plans(gateway)[1]) == {"P1"}
