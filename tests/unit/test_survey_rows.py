"""Both needs assessments as Questionnaires, and answers held to their questions and options."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.feeds import Feeds, open_feeds
from adapter.mapping.questionnaires import FOLDER, surveys
from adapter.pipeline import convert_csv
from adapter.validate.check import check

ROOT = Path(__file__).parents[2]
FILES = sorted(FOLDER.glob("Questionnaire-*.json"))
HEADER = "response_id,survey,organization_id,question,answer,answered_at\n"
MODULE_1 = surveys()["needs-assessment-module-1"]


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    return open_feeds(ROOT / "mappings")


def converted(feeds: Feeds, *rows: tuple[str, str]) -> tuple[list[Any], list[tuple[str, str]]]:
    """The items of one response, and the findings with their places."""
    lines = "".join(f'SV-1,needs-assessment-module-1,ORG-MAPLE,{q},"{a}",2026-01-20\n' for q, a in rows)
    conversion, refused = convert_csv((HEADER + lines).encode(), "surveys", feeds, b"key", datetime(2026, 2, 1, tzinfo=UTC),
                                      trace=False)
    assert refused == []
    assert conversion is not None
    found = [e["resource"] for e in conversion.bundle["entry"] if e["resource"]["resourceType"] == "QuestionnaireResponse"]
    told = [(i.code, i.place) for i in conversion.issues if i.code != "must-have-absent"]
    return found[0].get("item", []), told


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_questionnaire_is_fhir_and_its_links_are_unique_and_in_order(path: Path) -> None:
    questionnaire = orjson.loads(path.read_bytes())
    assert check(questionnaire) == []
    links = [item["linkId"] for item in questionnaire["item"]]
    assert links == sorted(set(links))
    for item in questionnaire["item"]:
        codes = [option["valueCoding"]["code"] for option in item.get("answerOption", [])]
        assert len(codes) == len(set(codes))
        assert bool(codes) == (item["type"] == "choice")


def test_both_have_every_question_of_the_seed() -> None:
    counts = {name: sum(not re.search(r"\d[a-z]$", link) for link in survey.questions) for name, survey in surveys().items()}
    assert counts == {"needs-assessment-module-1": 12, "needs-assessment-module-2": 11}


@given(st.lists(st.tuples(st.sampled_from(sorted(MODULE_1.questions)), st.integers(0, 9)), min_size=1, max_size=12,
                unique_by=lambda one: one[0]))
def test_answers_stand_in_the_order_of_the_questions_whatever_the_rows_order(feeds: Feeds, given: list[tuple[str, int]]) -> None:
    rows = [(q, (sorted(MODULE_1.questions[q].options) or ["words"])[n % max(len(MODULE_1.questions[q].options), 1)])
            for q, n in given]
    items, told = converted(feeds, *rows)
    assert told == []
    assert [item["linkId"] for item in items] == sorted(q for q, _ in rows)
    assert {item["linkId"]: item["answer"][0].get("valueCoding", {}).get("code", "words") for item in items} == dict(rows)


def test_what_the_survey_has_not_is_told_with_its_place(feeds: Feeds) -> None:
    items, told = converted(feeds, ("m1-q01", "sometimes"), ("m1-q03", "rarely"), ("m1-q55", "yes"), ("m1-q02", "weather"))
    assert [item["linkId"] for item in items] == ["m1-q03"]
    assert told == [("unknown-code", "row 2, answer"), ("unknown-code", "row 4, question"), ("unknown-code", "row 5, answer")]


def test_one_option_where_one_may_be_chosen_several_where_several_may(feeds: Feeds) -> None:
    items, told = converted(feeds, ("m1-q02", "prior-authorizations; current-and-previous-medications"), ("m1-q08", "yes;no"))
    assert [[a["valueCoding"]["code"] for a in item["answer"]] for item in items] == [
        ["prior-authorizations", "current-and-previous-medications"]]
    assert told == [("unknown-code", "row 3, answer")]
