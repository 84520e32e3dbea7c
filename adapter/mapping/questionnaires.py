"""The network's own questionnaires, `profiles/fhir/Questionnaire-*.json`: what may be answered to each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from adapter.home import PROFILES
from adapter.model import Json

FOLDER = PROFILES / "fhir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question. options: code -> Coding that may be chosen; none where words are asked for. many: several may be."""

    words: str
    options: Mapping[str, Json]
    many: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One questionnaire: its canonical URL, and its questions by linkId."""

    url: str
    questions: Mapping[str, Question]


@cache
def definitions() -> tuple[Json, ...]:
    """Every questionnaire shipped, as it stands in its file."""
    return tuple(orjson.loads(path.read_bytes()) for path in sorted(FOLDER.glob("Questionnaire-*.json")))


@cache
def surveys() -> Mapping[str, Survey]:
    """Every questionnaire shipped, by its `name` in lower case with hyphens: the last part of its URL."""
    return {one["url"].rpartition(":")[2]: Survey(url=one["url"], questions=_questions(one)) for one in definitions()}


def _questions(questionnaire: Json) -> Mapping[str, Question]:
    items: list[Any] = questionnaire["item"]
    return {item["linkId"]: Question(
        words=item["text"], many=item.get("repeats", False),
        options={o["valueCoding"]["code"]: _coding(o["valueCoding"]) for o in item.get("answerOption", ())})
        for item in items}


def _coding(option: Json) -> Json:
    """The Coding of an option as an answer states it: without what only the questionnaire says of it."""
    return {part: option[part] for part in ("system", "code", "display")}
