"""Reports on made-up networks: what their oracles say, the same on every engine; and what cannot be asked."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime

import pytest
from sqlalchemy import Connection, Engine

from adapter.errors import Rejected
from adapter.gaps.catalog import open_catalog
from adapter.gaps.rules import open_rules
from adapter.reports.asked import Asked, asked, judged_at, month_name
from adapter.reports.definitions import open_reports
from adapter.reports.lint import check_reports
from adapter.reports.run import Answered, answer
from adapter.reports.tables import of_store
from tests.unit import report_oracle as oracle
from tests.unit.gap_checks import holding
from tests.unit.gap_network import NOWS, ORGS, Resource
from tests.unit.gap_oracle import Answer
from tests.unit.gap_population import networks, population
from tests.unit.gap_rules_known import SUBJECTS, expected
from tests.unit.report_checks import ask, duck, of, plain

URGENCY = {rule.id: rule.urgency for rule in open_rules().rules.values()}


SEEDS = range(24)


def _people(now: datetime) -> list[Resource]:
    return population(now, SEEDS, SUBJECTS)


def _answers(now: datetime, at: datetime) -> list[Answer]:
    """What the oracles say at an instant of the networks drawn for another."""
    return [a for one in networks(now, SEEDS, SUBJECTS) for a in expected(one, at)]


def _waiting(answered: Answered) -> list[tuple[object, ...]]:
    due = [None if fact["due"] is None else datetime.fromtimestamp(fact["due"], NOWS[0].tzinfo) for fact in answered.facts]
    return [(plain(fact["organization"]), fact["rule"], fact["member_id"] or fact["subject"], plain(fact["item"]),
             fact["state"], day, plain(fact["coordinator"])) for fact, day in zip(answered.facts, due, strict=True)]


def _named(resources: list[Resource], answers: list[Answer]) -> list[Resource]:
    """The network with half of the practitioners who answer for gaps in it."""
    kind = "Practitioner/"
    people = sorted({a.party.removeprefix(kind) for a in answers if a.party.startswith(kind)})
    return [*resources, *({"resourceType": "Practitioner", "id": one} for one in people[::2])]


def test_who_took_a_gap_on_sees_to_it_and_who_answers_for_it_where_it_was_only_put_off(engine: Engine) -> None:
    now, report = NOWS[3], open_reports().reports["worklist"]
    role: Resource = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/new"}}
    with holding(engine, [role, *_named(_people(now), _answers(now, now))]) as connection:
        before = of(connection, "worklist", now).facts
        taken, off = [fact for fact in before if fact["coordinator"] and fact["member_id"]][:2]
        lives = [(one["rule"], f"Patient/{one['member_id']}", plain(one["item"]), who, None, "")
                 for one, who in ((taken, "PractitionerRole/r1"), (off, ""))]
        with of_store(connection) as tables:
            after = answer(tables, report, asked(report, open_catalog(), now), lives=lives).facts
    changed = [new["coordinator"] for old, new in zip(before, after, strict=True) if old["coordinator"] != new["coordinator"]]
    assert changed == ["new"]


def _counted(answered: Answered) -> dict[oracle.Key, tuple[float, float]]:
    counts: defaultdict[oracle.Key, list[float]] = defaultdict(lambda: [0, 0])
    for fact in answered.facts:
        at = (fact["measure"], month_name(fact["month"]), plain(fact["organization"]))
        counts[at][0] += fact["denominator"]
        counts[at][1] += fact["numerator"]
    return {at: (whole, round(met, 2)) for at, (whole, met) in counts.items()}


@pytest.mark.parametrize("now", NOWS, ids=str)
def test_the_worklist_holds_what_waits_and_the_most_urgent_first(engine: Engine, now: datetime) -> None:
    resources = _named(_people(now), _answers(now, now))
    wanted = oracle.worklist(resources, _answers(now, now), URGENCY)
    with holding(engine, resources) as connection:
        found = _waiting(of(connection, "worklist", now))
    assert sorted(found, key=str) == sorted(wanted, key=str)
    places = [(one[4], URGENCY[str(one[1])], one[5], one[1]) for one in found]
    assert places == [(one[4], URGENCY[str(one[1])], one[5], one[1]) for one in wanted]


def test_a_coordinators_worklist_is_what_they_see_to(engine: Engine) -> None:
    with holding(engine, _named(_people(NOWS[3]), _answers(NOWS[3], NOWS[3]))) as connection:
        everything = of(connection, "worklist", NOWS[3]).facts
        people = {fact["coordinator"] for fact in everything} - {None}
        for one in sorted(people)[:3]:
            found = of(connection, "worklist", NOWS[3], coordinator=one).facts
            assert found == [fact for fact in everything if fact["coordinator"] == one]
    assert len(people) > 1


@pytest.mark.parametrize("now", NOWS, ids=str)
def test_performance_counts_what_is_due_at_the_end_of_each_month(engine: Engine, now: datetime) -> None:
    last = now.astimezone(oracle.ZONE).date()
    months = sorted({last.strftime("%Y-%m"), (last.replace(day=1) - oracle.timedelta(days=1)).strftime("%Y-%m")})
    answers = {month: _answers(now, oracle.month_end(month, now)) for month in months}
    resources = _people(now)
    with holding(engine, resources) as connection:
        found = of(connection, "performance", now, date.fromisoformat(f"{months[0]}-01"))
    assert _counted(found) == oracle.performance(resources, answers, now)


def test_costs_and_utilization_of_a_month_that_nobody_told_of_are_not_0(engine: Engine) -> None:
    now, march, january = NOWS[3], "2026-03", "2026-01"
    assert now.year == 2026
    program = {"coding": [{"system": oracle.NETWORK + "program", "code": "care-coordination"}]}
    resources: list[Resource] = [
        {"resourceType": "Organization", "id": "oak"}, {"resourceType": "Patient", "id": "p"},
        {"resourceType": "Group", "id": "list", "type": "person", "actual": True, "active": True, "code": program,
         "managingEntity": {"reference": "Organization/oak"}, "member": [{"entity": {"reference": "Patient/p"}}]},
        {"resourceType": "Encounter", "id": "v", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": "Patient/p"}, "period": {"start": f"{march}-02"}},
        {"resourceType": "Claim", "id": "c", "status": "active", "use": "claim", "patient": {"reference": "Patient/p"},
         "billablePeriod": {"start": f"{january}-02"}}]
    with holding(engine, resources) as connection:
        found = _counted(of(connection, "performance", now, date(2026, 1, 1), date(2026, 3, 31)))
    used = {at: counts for at, counts in found.items() if not at[0].startswith(("G", "O"))}
    assert used == {("emergency-visits", march, "oak"): (1, 0), ("stays", march, "oak"): (1, 0), ("paid", january, "oak"): (1, 0)}


def test_a_visit_that_hospital_and_payer_tell_of_is_one(engine: Engine) -> None:
    now, oak = NOWS[3], {"reference": "Organization/oak"}
    program = {"coding": [{"system": oracle.NETWORK + "program", "code": "care-coordination"}]}
    told = [("EMER", "06-01T10:00:00-04:00", oak), ("EMER", "06-01", oak), ("EMER", "06-02", oak), ("IMP", "06-02", oak),
            ("IMP", "06-02T09:00:00-04:00", oak), ("IMP", "06-02", {"reference": "Organization/elm"}), ("NONAC", "06-02", oak)]
    resources: list[Resource] = [
        *({"resourceType": "Organization", "id": name} for name in ("oak", "elm")), {"resourceType": "Patient", "id": "p"},
        {"resourceType": "Group", "id": "list", "type": "person", "actual": True, "active": True, "code": program,
         "managingEntity": oak, "member": [{"entity": {"reference": "Patient/p"}}]},
        *({"resourceType": "Encounter", "id": f"v{number}", "status": "finished", "class": {"code": kind},
           "subject": {"reference": "Patient/p"}, "period": {"start": f"2026-{start}"}, "serviceProvider": where}
          for number, (kind, start, where) in enumerate(told))]
    with holding(engine, resources) as connection:
        performance, outreach = (of(connection, name, now) for name in ("performance", "outreach"))
    used = {at[0]: counts for at, counts in _counted(performance).items() if at[1:] == ("2026-06", "oak")}
    assert (used["emergency-visits"], used["stays"]) == ((1, 2), (1, 3))
    assert "Encounter/v0 Encounter/v1" in {fact["evidence"] for fact in performance.facts}
    reasons = sorted((f["points"], f["member_id"], f["criterion"], f["evidence"]) for f in outreach.facts)
    assert reasons == oracle.outreach(resources, now)
    assert [one[3] for one in reasons] == [f"Encounter/v{number}" for number in (0, 2, 3, 5, 6)]


@pytest.mark.parametrize("now", NOWS, ids=str)
def test_outreach_lists_who_may_benefit(engine: Engine, now: datetime) -> None:
    resources = _people(now)
    with holding(engine, resources) as connection:
        found = of(connection, "outreach", now)
    reasons = sorted((f["points"], f["member_id"], f["criterion"], f["evidence"]) for f in found.facts)
    assert reasons == oracle.outreach(resources, now)


@pytest.mark.parametrize("name", sorted(open_reports().reports))
def test_the_engines_give_the_same(engine: Engine, name: str) -> None:
    now = NOWS[3]
    with holding(engine, _people(now)) as connection:
        ours = of(connection, name, now)
        with duck(connection) as tables:
            theirs = ask(tables, name, now)
    assert ours.facts == theirs.facts
    assert ours.figures == theirs.figures
    assert ours.facts or name not in ("worklist", "performance")


def test_the_store_is_left_as_it_was(engine: Engine) -> None:
    with holding(engine, _people(NOWS[3])) as connection:
        assert of(connection, "worklist", NOWS[3]) == of(connection, "worklist", NOWS[3])
        assert of(connection, "performance", NOWS[3]).facts


def test_an_organization_and_an_area_choose(engine: Engine) -> None:
    area = {"resourceType": "Location", "id": "east", "name": "East", "status": "active",
            "physicalType": {"coding": [{"code": "area"}]}}
    resources = [area, *_people(NOWS[3])]
    for one in resources:
        if one["resourceType"] == "Organization" and one["id"].startswith(ORGS[0]):
            one.setdefault("extension", []).append(
                {"url": "urn:x-careloop:health-service-area", "valueReference": {"reference": "Location/east"}})
    with holding(engine, resources) as connection:
        everything = of(connection, "performance", NOWS[3])
        _chosen(connection, everything, organization=f"{ORGS[0]}-0")
        _chosen(connection, everything, area="east")


def _chosen(connection: Connection, everything: Answered, **where: str) -> None:
    """What is chosen is told as it is told of everybody."""
    found = of(connection, "performance", NOWS[3], **where)
    assert found.facts
    assert [fact for fact in everything.facts if fact in found.facts] == found.facts
    assert [figure for figure in everything.figures if figure in found.figures] == found.figures
    assert {fact["area"] for fact in found.facts} == {"east"}


def _months(now: datetime, first: date | None = None, last: date | None = None) -> Asked:
    return asked(open_reports().reports["performance"], open_catalog(), now, first=first, last=last)


def test_months_end_with_their_last_second_where_the_network_is() -> None:
    catalog, now = open_catalog(), datetime(2026, 4, 1, 3, 59, 59, tzinfo=NOWS[0].tzinfo)
    march = _months(now)
    assert (march.first, march.last) == (date(2026, 1, 1), date(2026, 3, 31))
    assert [judged_at(catalog, march, month) for month in march.months()][-1] == now
    april = _months(datetime(2026, 4, 1, 4, tzinfo=NOWS[0].tzinfo))
    assert (april.first, april.last) == (date(2026, 2, 1), date(2026, 4, 30))
    assert [judged_at(catalog, april, month) for month in april.months()] == [
        datetime.fromisoformat(f"{text}+00:00") for text in ("2026-03-01T04:59:59", "2026-04-01T03:59:59", "2026-04-01T04:00:00")]


@pytest.mark.parametrize(("first", "last", "code"), [
    (date(2026, 3, 1), date(2026, 2, 1), "bad-period"), (date(2026, 7, 1), None, "bad-period"),
    (date(1900, 1, 1), None, "outside-calendar")])
def test_a_period_that_cannot_be_is_refused(first: date, last: date | None, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        _months(NOWS[3], first, last)
    assert refused.value.issue.code == code


def test_the_report_files_are_sound() -> None:
    assert check_reports() == []
