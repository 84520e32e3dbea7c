"""Pages of findings: one message with all that was found about it, and what was found last."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template

from adapter.errors import Rejected, kind_of
from adapter.store import queries
from adapter.store.engine import reading
from adapter.store.queries import FindingRow
from adapter.web.pages import STAGES
from adapter.web.services import services

BLUEPRINT = Blueprint("findings", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One finding in words: which, where, what is wrong, what to do next. about: a link's address, '' without one."""

    severity: str
    code: str
    place: str
    what: str
    next_step: str
    about: str
    name: str


@BLUEPRINT.get("/messages/<int:journal>")
def message(journal: int) -> str:
    """One journalled message or row: where it stands, and each finding with its place and next step."""
    with reading(services().gateway.engine) as connection:
        found = queries.messages(connection, 1, journal)
        if not found:
            raise Rejected("not-found", "message")
        told = [_told(row) for row in queries.findings_of(connection, journal)]
    return render_template("message.html", m=found[0], told=told, stages=STAGES)


@BLUEPRINT.get("/findings")
def findings() -> str:
    """What was found last: on composing resources, and about messages and rows."""
    with reading(services().gateway.engine) as connection:
        composing = [_told(row) for row in queries.findings_composing(connection)]
        arriving = [_told(row) for row in queries.findings_arriving(connection)]
    return render_template("findings.html", composing=composing, arriving=arriving)


def _told(row: FindingRow) -> Told:
    kind = kind_of(row.issue)
    detail = f": {row.issue.detail}" if row.issue.detail else ""
    about, name = (f"/messages/{row.journal}", str(row.journal)) if row.journal else ("", row.subject)
    if row.subject.count("/") == 1:
        about = f"/fhir/{row.subject}"
    return Told(severity=kind.severity, code=row.issue.code, place=row.issue.place, what=f"{kind.what}{detail}",
                next_step=kind.next_step, about=about, name=name)
