"""Reports over the demonstration network: golden files, oracles, every form, down to members whose resources are there."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from fhir.resources.R4B.bundle import Bundle
from sqlalchemy import Connection

from adapter.demo import DEMO_AS_OF
from adapter.gateway import Gateway
from adapter.model import Json
from adapter.reports.asked import month_name
from adapter.reports.definitions import open_reports
from adapter.reports.measures import published
from adapter.reports.present import as_csv, as_json, columns_of, fact_rows, figure_rows, scored, unit_of
from adapter.reports.resources import as_bundle
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.validate.check import check
from tests.acceptance.conftest import load_network, make_network
from tests.acceptance.reports import texts
from tests.unit import report_oracle as oracle
from tests.unit.gap_oracle import Oracle, Resource
from tests.unit.report_checks import gaps, of, plain, standing
from tests.unit.report_oracle_improvement import below_target
from tests.unit.report_oracle_pmpm import pmpm
from tests.unit.report_oracle_quality import Counted, quality
from tests.unit.report_oracle_support import Topic, training, waivers

REPORTS = open_reports()
NAMES = sorted(REPORTS.reports)
MEASURES = "urn:x-careloop:rule"
UNTITLED = {*(f"module-{number}" for number in range(3, 8)), "consultation", "technical-assistance"}
"""Topics of training that are told by their code alone."""


@pytest.fixture(name="network", scope="module")
def _network(demonstration: Gateway) -> Iterator[Connection]:
    with reading(demonstration.engine) as connection:
        yield connection


@pytest.fixture(name="resources", scope="module")
def _resources(network: Connection) -> list[Resource]:
    return standing(network)


def test_the_golden_reports(network: Connection) -> None:
    """Written anew by `python -m tests.acceptance.reports`; read what changed before you keep it."""
    for path, text in texts(network):
        assert path.read_text(encoding="utf-8") == text, path.name


@pytest.mark.parametrize("name", NAMES)
def test_every_form_says_the_same(network: Connection, name: str) -> None:
    answered = of(network, name, DEMO_AS_OF)
    rates = answered.report.form == "rates"
    rows = figure_rows(answered, REPORTS.rules) if rates else fact_rows(answered)
    columns = columns_of(answered, figures=rates)
    assert [list(row) for row in rows] == [columns] * len(rows) or {*columns} == {*rows[0]}
    read = list(csv.DictReader(io.StringIO(as_csv(rows, columns))))
    assert read == [{c: "" if row[c] is None else str(row[c]) for c in columns} for row in rows]
    assert orjson.loads(as_json(rows)) == [dict(row) for row in rows]
    bundle = as_bundle(answered, REPORTS.rules, MEASURES)
    Bundle.model_validate(orjson.loads(orjson.dumps(bundle)))
    found = [entry["resource"] for entry in bundle["entry"]]
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(found)
    known = [one for one in found[:300] if one["resourceType"] != "List"]  # the gateway has no List: R4B's model has read it
    assert [issue for one in known for issue in check({"id": "x", **one})] == []
    if rates or name == "worklist":
        assert len(found) == len(rows)


@pytest.mark.parametrize("name", [name for name in NAMES if REPORTS.reports[name].form == "rates"])
def test_each_figure_names_a_measure_of_the_report_that_has_its_populations(network: Connection, name: str) -> None:
    known = {f"{one['url']}|{one['version']}": one for _, one in published(REPORTS, MEASURES)}
    answered = of(network, name, DEMO_AS_OF)
    found = [entry["resource"] for entry in as_bundle(answered, REPORTS.rules, MEASURES)["entry"]]
    for report, figure in zip(found, answered.figures, strict=True):
        measure = known[report["measure"]]
        assert measure["identifier"][0]["value"] == f"{name}-{dict(figure.stratum)['measure']}"
        (group,), (defined,) = report["group"], measure["group"]
        assert group["code"] == defined["code"]
        assert [one["code"] for one in group["population"]] == [one["code"] for one in defined["population"]]
        assert [one["code"][0]["text"] for one in group.get("stratifier", ())] in (
            [one["code"]["text"] for one in defined.get("stratifier", ())], [])
        assert report["improvementNotation"] == measure["improvementNotation"]
        counts = {one["code"]["coding"][0]["code"]: one.get("count") for one in group["population"]}
        assert counts.get("denominator", counts.get("measure-population")) == figure.denominator
        if figure.excluded is not None and figure.denominator is not None:
            assert counts["initial-population"] == figure.denominator + figure.excluded
    names = {(one["measure"], str(one.get("reporter")), one["period"]["start"], *_values(one)) for one in found}
    assert len(names) == len(found)  # no two say different numbers of the same


def _values(report: Json) -> list[str]:
    """What tells a MeasureReport from others of its Measure, reporter and period."""
    return [one["stratum"][0]["value"]["text"] for one in report["group"][0].get("stratifier", ())]


def test_what_has_no_organization_counts_for_the_network_alone(network: Connection) -> None:
    answered = of(network, "performance", DEMO_AS_OF)
    assert [one for one in answered.figures if not one.place and one.level != "network"] == []
    nobodys = sum(fact["denominator"] for fact in answered.facts if not fact["organization"])
    of_networks = sum(one.denominator or 0 for one in answered.figures if one.level == "network")
    assert sum(fact["denominator"] for fact in answered.facts) >= of_networks > nobodys > 0
    pairs = of(network, "workflow", DEMO_AS_OF).figures
    assert any(not one.place for one in pairs if one.level == "partner")


@pytest.mark.parametrize("name", NAMES)
def test_figures_open_down_to_members_and_resources_that_are_there(network: Connection, resources: list[Resource],
                                                                   name: str) -> None:
    answered = of(network, name, DEMO_AS_OF)
    known = {f"{one['resourceType']}/{one['id']}" for one in resources}
    assert {one for fact in answered.facts for one in (plain(fact.get("evidence"))).split()} <= known
    assert {f"Patient/{fact['member_id']}" for fact in answered.facts if fact.get("member_id")} <= known
    if answered.report.form == "list":
        return
    counts: defaultdict[tuple[object, ...], list[float]] = defaultdict(lambda: [0, 0])
    for fact in answered.facts:
        for height in range(len(answered.report.levels) + 1):
            named = [fact[stratum] for stratum in answered.report.strata]
            at = (*named, *(plain(fact[level]) for level in answered.report.levels[height:]))
            counts[at][0] += fact["denominator"]
            counts[at][1] += fact["numerator"]
    for figure in answered.figures:
        place = [figure.place] if figure.level != "network" else []
        at = (*dict(figure.stratum).values(), *place, *dict(figure.within).values())
        whole, met = counts[at]
        assert figure.denominator in (None, whole)
        assert figure.numerator is None or figure.numerator == pytest.approx(met)


@pytest.mark.parametrize(("name", "measures"), [
    ("pmpm", {"eligible", "enrolment", "lead", "plan", "contact"}), ("performance", {"paid", "emergency-visits", "stays"})])
def test_who_is_attributed_opens_down_to_the_list_that_says_so(network: Connection, resources: list[Resource], name: str,
                                                               measures: set[str]) -> None:
    lists = {f"Group/{one['id']}": one for one in resources if one["resourceType"] == "Group"}
    facts = [fact for fact in of(network, name, DEMO_AS_OF).facts if fact["measure"] in measures and fact["denominator"]]
    assert {fact["measure"] for fact in facts} == measures
    for fact in facts:
        (said,) = (lists[one] for one in plain(fact["evidence"]).split() if one in lists)
        assert said["managingEntity"]["reference"] == f"Organization/{fact['organization']}"
        assert f"Patient/{fact['member_id']}" in {one["entity"]["reference"] for one in said["member"]}


def test_performance_is_what_its_oracle_counts(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "performance", DEMO_AS_OF)
    months = ("2026-01", "2026-02", "2026-03")
    moments = {month: oracle.month_end(month, DEMO_AS_OF) for month in months}
    wanted = oracle.performance(resources, {month: gaps(network, at) for month, at in moments.items()}, DEMO_AS_OF)
    counts: defaultdict[oracle.Key, list[float]] = defaultdict(lambda: [0, 0])
    for fact in answered.facts:
        at = (fact["measure"], month_name(fact["month"]), plain(fact["organization"]))
        counts[at][0] += fact["denominator"]
        counts[at][1] += fact["numerator"]
    assert {at: (whole, round(met, 2)) for at, (whole, met) in counts.items()} == wanted
    assert {at[0] for at, (_, met) in wanted.items() if met} >= {"paid", "emergency-visits", "stays", "G01"}
    aims = {month: oracle.targets(resources, at) for month, at in moments.items()}
    for figure in answered.figures:
        named = dict(figure.stratum)
        if figure.level == "organization":
            assert figure.target == aims[month_name(named["month"])].get((named["measure"], figure.place))


def test_a_figure_of_the_performance_report_is_told_with_its_target_and_trend(network: Connection) -> None:
    answered = of(network, "performance", DEMO_AS_OF)
    rows = figure_rows(answered, REPORTS.rules)
    for row, figure in zip(rows, answered.figures, strict=True):
        assert row["rate"] == scored(figure.rate, unit_of(answered, str(row["measure"])))
        assert (row["suppressed"] == "yes") == (None in (figure.denominator, figure.numerator))
        if row["meets"]:
            assert (row["meets"] == "yes") == (float(str(row["rate"])) >= float(str(row["target"])))
    assert {row["meets"] for row in rows} >= {None, "no"}
    assert any(row["change"] for row in rows)


def test_the_worklist_is_what_its_oracle_lists(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "worklist", DEMO_AS_OF)
    urgency = {rule.id: rule.urgency for rule in REPORTS.rules.rules.values()}
    wanted = oracle.worklist(resources, gaps(network, DEMO_AS_OF), urgency)
    found = [(plain(f["organization"]), f["rule"], f["member_id"] or f["subject"], plain(f["item"]), f["state"],
              None if f["due"] is None else datetime.fromtimestamp(f["due"], DEMO_AS_OF.tzinfo), plain(f["coordinator"]))
             for f in answered.facts]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert [one[1] for one in found] == [one[1] for one in wanted]


def test_per_member_per_month_is_what_its_oracle_says(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "pmpm", DEMO_AS_OF)
    months = ("2026-01", "2026-02", "2026-03")
    told = {month: gaps(network, oracle.month_end(month, DEMO_AS_OF)) for month in months}
    wanted = pmpm(resources, told, DEMO_AS_OF)
    found = {(f["measure"], month_name(f["month"]), f["organization"], f["member_id"]): bool(f["numerator"])
             for f in answered.facts}
    assert found == wanted
    assert {(at[0], yes) for at, yes in wanted.items()} >= {("eligible", True), ("eligible", False)}


def test_training_is_what_its_oracle_counts(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "training", DEMO_AS_OF)
    whole, met = Counter[Topic](), Counter[Topic]()
    for fact in answered.facts:
        at = (fact["measure"], fact["topic"], plain(fact["organization"]))
        whole[at] += fact["denominator"]
        met[at] += fact["numerator"]
    assert (whole, met) == training(resources, gaps(network, DEMO_AS_OF), DEMO_AS_OF)
    assert {at[0] for at, count in met.items() if 0 < count < whole[at]} >= {"need", "attendance", "gap"}
    titles = {str(row["title"]) for row in figure_rows(answered, REPORTS.rules) if row["topic"] not in UNTITLED}
    assert all(": " in title for title in titles), titles


def test_gaps_of_training_are_told_and_held_back_as_in_performance(network: Connection) -> None:
    taught, everything = (of(network, name, DEMO_AS_OF).figures for name in ("training", "performance"))
    ours = {(dict(one.stratum)["topic"], one.level, one.place): (one.denominator, one.numerator) for one in taught
            if dict(one.stratum)["measure"] == "gap"}
    theirs = {(dict(one.stratum)["measure"], one.level, one.place): (one.denominator, one.numerator) for one in everything
              if month_name(dict(one.stratum)["month"]) == "2026-03"}
    assert ours == {at: theirs[at] for at in theirs if at[0] in {rule for rule, _, _ in ours}}
    assert (None, None) in ours.values()


@pytest.mark.parametrize("days", [0, 20, 45, 80])
def test_waivers_are_what_their_oracle_says(network: Connection, resources: list[Resource], days: int) -> None:
    now = DEMO_AS_OF - timedelta(days=days)
    answered = of(network, "waivers", now)
    assert {(f["waiver"], f["visit"], f["eligible"] == "yes") for f in answered.facts} == waivers(resources, now)
    assert len(answered.facts) == len({(f["waiver"], f["visit"]) for f in answered.facts}) > 0


def test_workflow_is_what_its_oracle_counts(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "workflow", DEMO_AS_OF)
    own: defaultdict[str, list[Resource]] = defaultdict(list)
    for one in resources:
        own[oracle.person_of(one)].append(one)
    members = {p: Oracle([*own[""], *own[p]], p, DEMO_AS_OF) for p in {f["member_id"] for f in answered.facts}}
    primary = {name: min((s.organization for s in one.taken if s.part == "primary-care" and s.organization), default=None)
               for name, one in members.items()}
    wanted = oracle.workflow(resources, gaps(network, DEMO_AS_OF), answered.question.first, answered.question.last, primary)
    assert sorted((f["measure"], plain(f["organization"]), plain(f["partner"]), f["item"], bool(f["numerator"]))
                  for f in answered.facts) == wanted
    assert {one[0] for one in wanted} == set(REPORTS.reports["workflow"].measures)


def test_outreach_is_what_its_oracle_lists(network: Connection, resources: list[Resource]) -> None:
    answered = of(network, "outreach", DEMO_AS_OF)
    found = [(f["points"], f["member_id"], f["criterion"], f["evidence"]) for f in answered.facts]
    assert sorted(found) == oracle.outreach(resources, DEMO_AS_OF)
    assert [one[0] for one in found] == sorted((one[0] for one in found), reverse=True)
    assert {one[2] for one in found} >= set(oracle.POINTS) - {"social need", "functional status"}  # asked of the enrolled


def test_quality_is_what_its_oracle_counts(network: Connection, resources: list[Resource]) -> None:
    _same_quality(network, resources, DEMO_AS_OF)


def test_nothing_is_said_of_a_period_that_nobody_told_of(network: Connection, resources: list[Resource]) -> None:
    _same_quality(network, resources, DEMO_AS_OF, date(2021, 1, 1), date(2021, 6, 30))
    assert of(network, "quality", DEMO_AS_OF, date(2021, 1, 1), date(2021, 6, 30)).figures == []


@pytest.mark.parametrize("start", [date(2025, 8, 5), date(2027, 12, 2)], ids=str)
def test_quality_and_outreach_in_autumn_and_in_a_leap_year(tmp_path: Path, start: date) -> None:
    """The first network is looked at after the end of summer time, the second on a 1 March after a 29 February."""
    now = make_network(tmp_path / "files", start, 40)
    gateway = Gateway(Settings(data_dir=tmp_path, key="d0" * 32), clock=lambda: now)
    load_network(gateway, tmp_path / "files")
    with reading(gateway.engine) as connection:
        resources = standing(connection)
        _same_quality(connection, resources, now)
        found = of(connection, "outreach", now)
        assert sorted((f["points"], f["member_id"], f["criterion"], f["evidence"]) for f in found.facts) \
            == oracle.outreach(resources, now)
    gateway.close()


def _same_quality(connection: Connection, resources: list[Resource], now: datetime, first: date | None = None,
                  last: date | None = None) -> None:
    answered = of(connection, "quality", now, first, last)
    found = sorted(Counted(f["measure"], plain(f["organization"]), f["member_id"], f["item"], bool(f["excluded"]),
                           bool(f["numerator"])) for f in answered.facts)
    assert found == quality(resources, now, answered.question.first, answered.question.last)
    assert all(f["excluded"] + f["denominator"] == 1 and f["numerator"] <= f["denominator"] for f in answered.facts)


def test_improvement_lists_who_is_below_target(network: Connection, resources: list[Resource]) -> None:
    below = below_target(resources, gaps(network, DEMO_AS_OF), DEMO_AS_OF)
    assert {(f["organization"], f["measure"]) for f in of(network, "improvement", DEMO_AS_OF, smallest=1).facts} == below
    answered = of(network, "performance", DEMO_AS_OF, date(DEMO_AS_OF.year, DEMO_AS_OF.month, 1))
    told = {(one.place, dict(one.stratum)["measure"]) for one in answered.figures
            if one.level == "organization" and None not in (one.denominator, one.numerator)}
    found = {(f["organization"], f["measure"]) for f in of(network, "improvement", DEMO_AS_OF).facts}
    assert found == below & told
    assert found
    assert below - told  # what performance holds back, improvement does not say either


def test_the_same_people_are_held_back_alike_in_two_reports(network: Connection) -> None:
    """A total told in one report would tell what the other holds back of it."""
    pmpm_told, performance_told = (of(network, name, DEMO_AS_OF, smallest=70).figures for name in ("pmpm", "performance"))
    held: defaultdict[tuple[object, ...], set[float | None]] = defaultdict(set)
    for one in (*pmpm_told, *performance_told):
        named = dict(one.stratum)
        if "standing" in named or named["measure"] in REPORTS.reports["performance"].measures:
            held[named["month"], one.level, one.place].add(one.denominator)
    assert all(len(numbers) == 1 for numbers in held.values())
    assert {None} in held.values()
