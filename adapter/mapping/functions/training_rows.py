"""Functions for rows of the trainings feed: a module that was assigned, and the qualification it gives once it is done."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import numbered, organization, practitioner
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json

MODULES = "urn:x-careloop:training-module"
TITLES = {"module-1": "Best Practices in Person-Centered Engagement",
          "module-2": "Best Practices as Enrollee Internal Advocate"}
"""The catalogue's seven modules as far as they have a title; the others go by their number."""


def module_concept(code: str) -> Json:
    """A module of the catalogue as CodeableConcept."""
    words = TITLES.get(code, f"Module {code.rpartition('-')[2]}")
    return {"coding": [{"system": MODULES, "code": code, "display": words}]}


@function("training_module", {"*": "coding"})
def training_module(rep: Rep, ctx: Any) -> Json:
    """A module of the seven-module catalogue, with its title."""
    del ctx
    return module_concept(rep.plain())


@function("trained_practitioner", {
    "npi": "Practitioner.identifier", "first_name": "Practitioner.name", "last_name": "Practitioner.name",
    "completed_date": "Practitioner.qualification.period.start", "valid_until": "Practitioner.qualification.period.end",
    "trainer_org": "Practitioner.qualification.issuer", "trainer_org_name": "Practitioner.qualification.issuer"})
def trained_practitioner(row: Any, ctx: Any) -> Json | None:
    """Whose training it is, stated as Practitioner with the qualification that a completed module gives.

    A row that says it is not completed (any more) takes the qualification back.
    """
    module = row.first("module").plain()
    done = row.first("status").plain() == "completed"
    key, _ = numbered(row.first("npi").plain(), ctx, "npi")
    ctx.emit("Practitioner", key,
             {f"qualification#{module}": [_qualification(row, module, ctx)] if done else None})
    return practitioner(row, ctx)


def _qualification(row: Any, module: str, ctx: Any) -> Json:
    start, end, trainer, name = (row.first(c).plain() for c in
                                 ("completed_date", "valid_until", "trainer_org", "trainer_org_name"))
    found: Json = {"code": module_concept(module)}
    end = ended(start, end, ctx, "valid_until")
    period = {part: day for part, day in (("start", start), ("end", end)) if day}
    found |= {"period": period} if period else {}
    return {**found, "issuer": organization(trainer, name, ctx)} if trainer else found


@function("training_done", {"completed_date": "", "status": ""})
def training_done(row: Any, ctx: Any) -> str | None:
    """When the module was done; a row that says it is not done (any more) takes the day back."""
    done, day = row.first("status").plain() == "completed", row.first("completed_date").plain()
    if done and not day:
        doubt(ctx, "completed_date", "required-missing", "completed, but when?")
    if not done:
        ctx.emit("Task", ctx.refs["Task"].partition("?")[2], {"executionPeriod.end": None})
        return None
    return day or None


@function("period_end")
def period_end(rep: Rep, ctx: Any) -> Json:
    """A day as the end of a Period."""
    del ctx
    return {"end": rep.plain()}
