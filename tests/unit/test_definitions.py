"""The network's questionnaires and Measures at /fhir and on the FHIR server: whole, stated and queued once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.measure import Measure
from flask.testing import FlaskClient
from sqlalchemy import select

from adapter.gaps.rules import open_rules
from adapter.gateway import Gateway
from adapter.mapping.questionnaires import definitions
from adapter.reports.definitions import Report, open_reports
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, OUTBOX
from adapter.validate.check import check
from adapter.web.app import create_app

REPORTED = [(report, code) for report in open_reports().reports.values() if report.form == "rates"
            for code in [*report.measures, *(open_rules().rules if report.each_rule else ())]]
MEASURES = len(open_rules().rules) + len(REPORTED)
URLS = {f"urn:x-careloop:questionnaire:needs-assessment-module-{n}" for n in (1, 2)}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(Settings(data_dir=tmp_path, fhir_url="http://127.0.0.1:1/fhir"))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    yield made
    made.close()


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    made = Gateway(Settings(data_dir=tmp_path_factory.mktemp("served")))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    made.publish()
    yield create_app(made, lambda: None).test_client()
    made.close()


def test_both_needs_assessments_are_served_with_every_question_and_option(gateway: Gateway) -> None:
    gateway.publish()
    client = create_app(gateway, lambda: None).test_client()
    for definition in definitions():
        found = client.get(f"/fhir/Questionnaire?url={definition['url']}").get_json()
        (entry,) = found["entry"]
        body = {name: value for name, value in entry["resource"].items() if name not in ("id", "meta")}
        assert body == {name: value for name, value in definition.items() if name != "id"}
    assert {d["url"] for d in definitions()} == URLS


def test_they_are_pushed_once_as_shared_data(gateway: Gateway) -> None:
    assert gateway.publish() == 2 + MEASURES
    assert gateway.publish() == 0
    with reading(gateway.engine) as connection:
        waiting = connection.execute(select(OUTBOX.c.resource_type, OUTBOX.c.lane)).all()
        assert connection.execute(select(FINDING.c.code)).all() == []
    assert Counter(kind for kind, _ in waiting) == {"Questionnaire": 2, "Measure": MEASURES}
    assert all(lane.startswith(f"{kind}/") for kind, lane in waiting)


def test_each_rule_is_a_measure_with_its_definition_in_words(gateway: Gateway) -> None:
    gateway.publish()
    client = create_app(gateway, lambda: None).test_client()
    for rule in open_rules().rules.values():
        found = client.get(f"/fhir/Measure?url=urn:x-careloop:rule:{rule.id}&name=Rule{rule.id}&status=active").get_json()
        (entry,) = found["entry"]
        read = Measure.model_validate(entry["resource"])
        assert read.title == f"{rule.id} {rule.title}"
        assert client.get(f"/fhir/Measure?identifier=urn:x-careloop:rule|{rule.id}").get_json()["entry"] == [entry]
        populations = entry["resource"]["group"][0]["population"]
        words = {p["code"]["coding"][0]["code"]: p["criteria"]["description"] for p in populations}
        assert words["initial-population"].startswith(rule.population)
        assert words["numerator"] == rule.closed_when
        assert populations[-1]["criteria"]["expression"] == rule.statement
        assert entry["resource"]["subjectCodeableConcept"]["coding"][0]["code"] == (
            "Patient" if rule.subject == "member" else "Organization")
        assert check(entry["resource"]) == []
        for name, parameter in rule.parameters.items():
            assert f"{name} = " in entry["resource"]["guidance"]
            assert parameter.text in entry["resource"]["guidance"]


@pytest.mark.parametrize(("report", "code"), REPORTED, ids=lambda one: one.name if isinstance(one, Report) else one)
def test_what_a_report_measures_is_a_measure_of_its_own(served: FlaskClient, report: Report, code: str) -> None:
    name = f"{report.name}-{code}"
    (entry,) = served.get(f"/fhir/Measure?url=urn:x-careloop:rule:{name}&status=active").get_json()["entry"]
    assert served.get(f"/fhir/Measure?identifier=urn:x-careloop:report|{name}").get_json()["entry"] == [entry]
    found = entry["resource"]
    Measure.model_validate(found)
    assert check(found) == []
    own = report.measures.get(code)
    assert found["description"] == (own.text if own else open_rules().rules[code].closed_when)
    assert report.definition in found["guidance"]
    assert all(f"Parameter {name} = " in found["guidance"] for name in report.parameters)
    assert {p["criteria"]["description"] for p in found["group"][0]["population"]} >= {report.denominator}
    rule = [f"urn:x-careloop:rule:{code}"] if own is None else []
    assert [one["resource"].partition("|")[0] for one in found.get("relatedArtifact", ())] == rule


def test_another_base_of_urls_renames_the_measures(gateway: Gateway) -> None:
    gateway.publish()
    client = create_app(gateway, lambda: None).test_client()
    before = client.get("/fhir/Measure?name=RuleG01").get_json()["entry"][0]["resource"]
    gateway.settings = gateway.settings.model_copy(update={"measures": "https://network.example/Measure"})
    assert gateway.publish() == MEASURES
    after = client.get("/fhir/Measure?url=https://network.example/Measure/G01").get_json()["entry"][0]["resource"]
    assert (after["id"], before["url"]) == (before["id"], "urn:x-careloop:rule:G01")
    with pytest.raises(ValueError, match="not the beginning of a canonical URL"):
        Settings(measures="measures|1")  # pyright: ignore[reportCallIssue]  # the settings fill the rest
