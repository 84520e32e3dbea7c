"""The network's questionnaires and rules at /fhir and on the FHIR server: every question and option, stated and queued once."""

from __future__ import annotations

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
    rules = len(open_rules().rules)
    assert gateway.publish() == 2 + rules
    assert gateway.publish() == 0
    with reading(gateway.engine) as connection:
        waiting = connection.execute(select(OUTBOX.c.resource_type, OUTBOX.c.lane)).all()
        assert connection.execute(select(FINDING.c.code)).all() == []
    assert sorted(kind for kind, _ in waiting) == ["Measure"] * rules + ["Questionnaire"] * 2
    assert all(lane.startswith(f"{kind}/") for kind, lane in waiting)


def test_every_rule_is_a_measure_with_its_definition_in_words(gateway: Gateway) -> None:
    gateway.publish()
    client = create_app(gateway, lambda: None).test_client()
    for rule in open_rules().rules.values():
        (entry,) = client.get(f"/fhir/Measure?url=urn:x-careloop:rule:{rule.id}").get_json()["entry"]
        made = entry["resource"]
        Measure.model_validate({name: value for name, value in made.items() if name != "meta"})
        assert made["description"] == rule.closed_when
        assert made["subjectCodeableConcept"]["coding"][0]["code"] == ("Patient" if rule.subject == "member" else "Organization")
        assert [p["criteria"]["expression"] for p in made["group"][0]["population"]][2] == rule.statement
        assert len(made.get("definition", [])) == len(rule.parameters)
