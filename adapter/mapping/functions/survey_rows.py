"""Functions for rows of the surveys feed: answers, held to the questions and options of the questionnaire."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.whole_rows import doubt
from adapter.mapping.questionnaires import surveys
from adapter.model import Json


@function("survey_questionnaire")
def survey_questionnaire(rep: Rep, ctx: Any) -> str | None:
    """The canonical URL of a survey that is shipped in `profiles/fhir`; None and an issue for another."""
    survey = surveys().get(rep.plain())
    if survey is None:
        ctx.issue("unknown-code")
    return survey.url if survey else None


@function("survey_item", {"question": "linkId", "answer": "answer.value", "survey": ""})
def survey_item(row: Any, ctx: Any) -> Json | None:
    """A question with its answers, as QuestionnaireResponse.item; None and an issue for what the questionnaire has not."""
    survey = surveys().get(row.first("survey").plain())
    link = row.first("question").plain()
    question = survey.questions.get(link) if survey else None
    if question is None:
        doubt(ctx, "question", "unknown-code", "the survey has no such question")
        return None
    answers = _answers(row.first("answer").plain(), question, ctx)
    return {"linkId": link, "text": question.words, "answer": answers} if answers else None


def _answers(written: str, question: Any, ctx: Any) -> list[Json]:
    """Words as they stand; codes as the options that they name, those that name none told and left out."""
    if not question.options:
        return [{"valueString": written}]
    codes = [c.strip() for c in written.split(";") if c.strip()] if question.many else [written]
    if any(c not in question.options for c in codes):
        doubt(ctx, "answer", "unknown-code", "no option of the question")
    return [{"valueCoding": question.options[c]} for c in dict.fromkeys(codes) if c in question.options]
