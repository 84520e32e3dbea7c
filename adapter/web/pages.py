"""The page for people: the last messages and where each stands, a search, and a member's record with team and open gaps."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response as AnyResponse

from adapter.errors import Rejected
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import evaluate
from adapter.gaps.rules import open_rules
from adapter.issues import ISSUES
from adapter.model import Json
from adapter.store import queries
from adapter.store.engine import reading
from adapter.store.resources import read_resources
from adapter.web import people, worklist
from adapter.web.readiness import notes
from adapter.web.record.read import read
from adapter.web.record.sections import sections
from adapter.web.record.words import Words
from adapter.web.services import services

BLUEPRINT = Blueprint("pages", __name__)

STAGES = {
    "received": "received, not worked on yet", "composed": "composed, not delivered yet", "delivered": "delivered",
    "undelivered": "composed, delivery stopped", "refused": "refused", "failed": "failed", "test": "test, kept apart",
    "withdrawn": "withdrawn with its feed", "held": "held by an operator", "dropped": "dropped by an operator",
    "replaced": "sent again, edited",
}
"""What a person reads for each stage of a message."""

_MOST_FOUND = 50
_MOST_GAPS = 200
_OPEN = ("open", "prospective", "missed")


@BLUEPRINT.app_template_filter("moment")
def in_words(moment: datetime) -> str:
    """An instant to the second, by the clock of the network: what is due at the end of a day is due on that day."""
    return f"{moment.astimezone(ZoneInfo(open_catalog().zone)):%Y-%m-%d %H:%M:%S %Z}"


@BLUEPRINT.app_context_processor
def now() -> Json:
    """The time at the foot of each page."""
    return {"now": in_words(services().gateway.clock())}


@BLUEPRINT.get("/")
def home() -> str:
    """The last messages, and counts."""
    gateway = services().gateway
    with reading(gateway.engine) as connection:
        messages = queries.messages(connection)
        backlog = queries.backlog(connection)
    upstream = gateway.delivery.upstream
    target = upstream.name if upstream else ""
    codes = sorted({code for one in messages for code in one.codes})
    return render_template("home.html", messages=messages, backlog=backlog, target=target, stages=STAGES,
                           notes=notes(gateway),
                           kinds={code: ISSUES[code] for code in codes if code in ISSUES})


@BLUEPRINT.get("/gaps")
def open_gaps() -> str:
    """The open gaps of all members, most pressing first."""
    gateway = services().gateway
    with reading(gateway.engine) as connection:
        found = worklist.ordered(evaluate(connection, now=gateway.clock(), states=("open",)), open_rules())
        shown = found[:_MOST_GAPS]
        known = _known(connection, [*worklist.references(shown), *(f"Patient/{gap.member_id}" for gap in shown if gap.member_id)])
    names = {reference: people.title(one) for reference, one in known.items()}
    counts = Counter(gap.rule for gap in found)
    return render_template("gaps.html", rows=worklist.rows(shown, open_rules(), names), total=len(found),
                           counts=[(rule, counts[rule.id]) for rule in open_rules().rules.values()])


@BLUEPRINT.post("/members")
def find() -> AnyResponse:
    """Members by identifier or name; by POST, so that no name stands in an address or a history."""
    asked = request.form.get("q", "").strip()[:100]
    if not asked:
        return redirect(url_for("pages.home"), 303)
    found = _find(asked)
    if len(found) == 1:
        return redirect(url_for("pages.member", patient_id=found[0]["id"]), 303)
    members = [people.member(one) for one in found[:_MOST_FOUND]]
    return Response(render_template("members.html", members=members, more=len(found) > _MOST_FOUND, q=asked))


def _find(asked: str) -> list[Json]:
    """Patients with that identifier; without one, those that have each word in the beginning of a name."""
    embedded = services().gateway.embedded
    escaped = asked.replace("\\", "\\\\").replace(",", "\\,")
    by_identifier = embedded.search("Patient", [("identifier", escaped)], _MOST_FOUND + 1).resources
    words = [("name", word) for word in escaped.split()]
    found = by_identifier or embedded.search("Patient", words, _MOST_FOUND + 1).resources
    return [one for one in found if not _main(one)] or [*found]


@BLUEPRINT.get("/members/<patient_id>")
def member(patient_id: str) -> str | AnyResponse:
    """One member: gaps, care team, and what else is known. A record that was merged or linked leads to the person's main one."""
    gateway = services().gateway
    patient = gateway.embedded.read("Patient", patient_id)
    if patient is None:
        raise Rejected("not-found", "Patient")
    if main := _main(patient):
        return redirect(url_for("pages.member", patient_id=main), 303)
    teams = gateway.embedded.search("CareTeam", [("patient", patient_id)]).resources
    record = read(gateway.embedded, patient_id)
    with reading(gateway.engine) as connection:
        gaps = evaluate(connection, now=gateway.clock(), member=patient_id)
        members = [reference for team in teams for reference in people.references(team)]
        known = _known(connection, [*members, *worklist.references(gaps), *record.references()])
        known |= _known(connection, people.behind(known.values()))
    names = {reference: people.named(one, known) for reference, one in known.items()}
    rows = worklist.rows(worklist.ordered(gaps, open_rules()), open_rules(), names)
    return render_template(
        "member.html", member=people.member(patient), open=[row for row in rows if row.said["state"] in _OPEN],
        settled=[row for row in rows if row.said["state"] not in _OPEN],
        teams=[(team.get("name") or "Care team", people.seats(team, known)) for team in teams],
        sections=sections(record, Words(names=names, zone=ZoneInfo(open_catalog().zone), now=gateway.clock())))


def _known(connection: Connection, references: list[str]) -> dict[str, Json]:
    """The resources that stand at these references, `Type/id`."""
    found = read_resources(connection, {people.key(reference) for reference in references})
    return {f"{kind}/{one}": stored.body for (kind, one), stored in found.items() if stored.body is not None}


def _main(patient: Json) -> str:
    """Id of the Patient that this one refers to, '' where it is the main one."""
    for link in patient.get("link", ()):
        if link.get("type") in ("replaced-by", "refer"):
            reference: str = link["other"].get("reference", "")
            return reference.rpartition("/")[2]
    return ""
