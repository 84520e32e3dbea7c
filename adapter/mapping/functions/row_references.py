"""Functions for CSV cells that name several practitioners, a language, or a result of a Task."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import numbered
from adapter.model import Json

OUTPUT = "urn:x-careloop:task-output"
"""System of the kinds of Task.output."""


def language_code(text: str) -> str:
    """A BCP-47 tag with the letter case that BCP-47 recommends (`es-MX`, `zh-Hant`)."""
    head, *rest = text.split("-")
    cased = [p.title() if len(p) == 4 and p.isalpha() else p.upper() if len(p) == 2 else p.lower() for p in rest]
    return "-".join([head.lower(), *cased])


@function("language_tag")
def language_tag(rep: Rep, _ctx: Any) -> str:
    """A BCP-47 tag with the letter case that BCP-47 recommends."""
    return language_code(rep.plain())


@function("practitioners_of", {"*": "reference(Practitioner.identifier)"})
def practitioners_of(rep: Rep, ctx: Any) -> list[Json]:
    """References to the Practitioners of several NPIs in one cell, separated by semicolons."""
    found = dict.fromkeys(text.strip() for text in rep.plain().split(";") if text.strip())
    return [{"reference": ctx.emit("Practitioner", *numbered(npi, ctx))} for npi in found]


@function("task_output", {"*": "value"})
def task_output(rep: Rep, _ctx: Any, kind: str, value: str, system: str = "") -> Json:
    """A result as Task.output of a kind. value: the value element; Y and N become Booleans; system: of a code."""
    text = rep.plain()
    said: Any = text
    if value == "valueBoolean":
        said = text == "Y"
    elif value == "valueCodeableConcept":
        said = {"coding": [{"system": system, "code": text}]}
    return {"type": {"coding": [{"system": OUTPUT, "code": kind}]}, value: said}
