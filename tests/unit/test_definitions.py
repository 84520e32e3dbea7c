"""The network's questionnaires and Measures at /fhir and on the FHIR server: whole, stated and queued once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.measure import Measure
from sqlalchemy import select

from adapter.gaps.rules import open_rules
from adapter.gateway import Gateway
from adapter.mapping.questionnaires import definitions
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, OUTBOX
from adapter.validate.check import check
from adapter.web.app import create_app

URLS = {f"urn:x-careloop:questionnaire:needs-assessment-module-{n}" for n in (1, 2)}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(Settings(data_dir=tmp_path, fhir_url="http://127.0.0.1:1/fhir"))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    yield made
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
    assert gateway.publish() == 2 + len(open_rules().rules)
    assert gateway.publish() == 0
    with reading(gateway.engine) as connection:
        waiting = connection.execute(select(OUTBOX.c.resource_type, OUTBOX.c.lane)).all()
        assert connection.execute(select(FINDING.c.code)).all() == []
    assert Counter(kind for kind, _ in waiting) == {"Questionnaire": 2, "Measure": len(open_rules().rules)}
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


def test_another_base_of_urls_renames_the_measures(gateway: Gateway) -> None:
    gateway.publish()
    client = create_app(gateway, lambda: None).test_client()
    before = client.get("/fhir/Measure?name=RuleG01").get_json()["entry"][0]["resource"]
    gateway.settings = gateway.settings.model_copy(update={"measures": "https://network.example/Measure"})
    assert gateway.publish() == len(open_rules().rules)
    after = client.get("/fhir/Measure?url=https://network.example/Measure/G01").get_json()["entry"][0]["resource"]
    assert (after["id"], before["url"]) == (before["id"], "urn:x-careloop:rule:G01")
    with pytest.raises(ValueError, match="not the beginning of a canonical URL"):
        Settings(measures="measures|1")  # pyright: ignore[reportCallIssue]  # the settings fill the rest
