"""A member's page: plan, treatments, medications, authorizations, consents, timeline, of what senders said; escaped, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from adapter.fhirserver.port import Write
from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.settings import Settings
from adapter.web.app import create_app
from adapter.web.record.read import MOST
from adapter.web.record.timeline import MOST as MOST_EVENTS

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
FILES = sorted((HOME / "fixtures" / "csv").glob("*/good.csv"))
MESSAGES = [HOME / "fixtures" / "hl7v2" / name for name in ("A01/admission.hl7", "A40/merge.hl7")]


@pytest.fixture(name="gateway", scope="module")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path_factory.mktemp("record"), key="00" * 32), lambda: NOW)
    for path in FILES:
        gateway.load(path.parent.name, path.read_bytes(), path.name)
    gateway.accept([(path.read_bytes(), "test") for path in MESSAGES])
    while gateway.work():
        pass
    yield gateway
    gateway.close()


@pytest.fixture(name="client", scope="module")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


class _Tables(HTMLParser):
    """The rows of each table by its caption, and each heading's words, as a reader sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.links: dict[str, list[str]] = {}
        self._caption = ""
        self._into: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr" and self._caption:
            self.rows[self._caption].append([])
        if tag in ("caption", "td", "th"):
            self._into = [""]
        if tag == "a" and self._caption and self._into is not None:
            self.links[self._caption].append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption" and self._into is not None:
            self._caption = self._into[0]
            self.rows[self._caption], self.links[self._caption] = [], []
        elif tag in ("td", "th") and self._caption and self._into is not None:
            self.rows[self._caption][-1].append(" ".join(self._into[0].split()))
        elif tag == "table":
            self._caption = ""
        if tag in ("caption", "td", "th"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[0] += data


def _page(client: FlaskClient, asked: str) -> str:
    answer = client.post("/members", data={"q": asked}, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def _rows(page: str, caption: str) -> list[list[str]]:
    """The rows under the head of the one table whose caption begins so."""
    (found,) = [rows for name, rows in _Tables(page).rows.items() if name.startswith(caption)]
    return found[1:]


MAPLE, HARBOR, PLAN = "Maple Street Family Medicine", "Harbor Community Mental Health", "Evergreen Health Plan"
OPEN_DOOR, STANNE, VIOLA = "Open Door Housing Partnership", "St. Anne Medical Center", "Viola J Wrenmere"
SHARED_PLAN = "Shared care plan: care-coordination"
AIDE, BARS = "home health: Home health aide, 10 hours a week", "home modification: Grab bars in the bathroom"
EXPECTED = {
    "Care plans": [
        [SHARED_PLAN, f"shared by {MAPLE}, {HARBOR}", "active", "2026-01-20", "2027-01-19", "2026-02-24", "every month"],
        ["Shared care plan", f"{MAPLE}, {HARBOR}", "active", "2026-01-20", "2027-01-19", "2026-02-24", "every month"]],
    "Goals": [
        ['She says: "sleep through the night"', "active", "", "2026-01-20", "", ""],
        ["Walk to the library, twice a week", "active", "improving", "2026-01-20", "walks a week: 2 /wk", "2026-06-30"]],
    "Activities": [
        ["contact", "3 a week", "scheduled", SHARED_PLAN],
        ["self management", "Checks blood sugar twice a day", "unknown", SHARED_PLAN],
        ["transition", "Monthly group at the community center", "unknown", SHARED_PLAN]],
    "Problems": [
        ["Heart failure, unspecified", "not known", "encounter diagnosis", "2026-03-01", ""],
        ["Diabetes mellitus", "resolved", "health concern", "2020-01-05", "2026-02-11"],
        ["Heart failure, unspecified", "active", "problem list item", "2019-05-02", ""]],
    "Procedures": [["Medication reconciliation", "completed", "2026-02-20 14:00 EST", f"Silas Fernridge, {MAPLE}"]],
    "Referrals": [
        ["care coordination", "in progress", "2026-03-03 15:00 EST", STANNE, f"Odile Marlwick, {MAPLE}", ""],
        [BARS, "approved", "2026-03-02 09:00 EST", MAPLE, "", "housing"],
        ["housing", "rejected: no capacity", "2026-02-02 09:30 EST", MAPLE, OPEN_DOOR, ""],
        [AIDE, "denied", "2026-02-02 09:00 EST", MAPLE, "Common Table Community Services", ""]],
    "Ordered": [
        ["lisinopril 10 MG Oral Tablet", "ordered", "active", "1 tablet by mouth every morning", "2026-02-11", "2026-05-11",
         "high blood pressure", "Odile Marlwick"],
        ["St. John's wort capsules", "reported", "active", "one a day, from the store", "2026-01-15", "", "low mood", VIOLA]],
    "What was asked of payers": [
        [BARS, PLAN, "2026-03-02 09:00 EST", "approved", "2026-03-04 09:00 EST", "", "PA-771203", "2026-06-04", ""],
        [AIDE, PLAN, "2026-02-02 09:00 EST", "denied", "2026-02-12 16:00 EST", "not necessary", "", "",
         "internal appeal of 2026-02-20: upheld 2026-02-23; external appeal of 2026-03-02: in progress"]],
    "What the member allows": [
        ["Release of information", "revoked or ended", MAPLE, HARBOR, "all data", "treatment", "2026-01-14", "2026-02-20"],
        ["Release of information", "in force", HARBOR, MAPLE, "mental health", "care management", "2026-01-14", "2027-01-13"]],
}
EVENTS = [
    ["Communication: request update", "2026-03-12 15:00 EDT", f"{MAPLE} to {VIOLA}", "completed"],
    ["Contact attempted: telephone", "2026-03-09 14:00 EDT", HARBOR, "not done: recipient unavailable"],
    ["Contact: face to face, hospital, warm handoff", "2026-03-04 09:10 EST", f"{MAPLE}, Odile Marlwick", "finished"],
    ["Answer of a payer", "2026-03-04 09:00 EST", PLAN, "approved"],
    ["Referral taken up: care coordination", "2026-03-03 16:10 EST", MAPLE, ""],
    ["Referral: care coordination", "2026-03-03 15:00 EST", f"{STANNE} to Odile Marlwick, {MAPLE}", ""],
    ["External appeal filed", "2026-03-02 10:00 EST", "ORG-HEARING", ""],
    ["Visit: inpatient encounter, Emergency", "2026-03-01 08:05 EST", "NORTH, Odile Marlwick", "in progress"],
    ["Communication: care plan", "2026-03-01 08:00 EST", f"{MAPLE} to 2000010084, {HARBOR}, Common Table Community Services",
     "completed"],
    ["Internal appeal decided", "2026-02-23 09:00 EST", PLAN, "upheld"],
    ["Release of information over", "2026-02-20 15:30 EST", f"{MAPLE} to {HARBOR}", "revoked or ended"],
    ["Answer of a payer", "2026-02-12 16:00 EST", PLAN, "denied: not necessary"],
    ["Assessment: food", "2026-02-12 10:00 EST", f"Odile Marlwick, {MAPLE}", "positive"],
    ["Answer of a payer", "2026-02-06 10:00 EST", PLAN, "extended"],
    ["Visit: ambulatory, wellness", "2026-02-05", MAPLE, "finished"],
    ["Referral over: housing", "2026-02-04 11:00 EST", OPEN_DOOR, "rejected"],
    ["Answer of a payer", "2026-02-04 10:00 EST", PLAN, "pended: clinical notes"],
    [f"Request: {AIDE}", "2026-02-02 09:00 EST", f"{MAPLE} to Common Table Community Services", ""],
    ["Visit: emergency", "2026-01-14 22:10 EST", STANNE, "finished, until 2026-01-15 03:40 EST"],
    ["Release of information", "2026-01-14 10:06 EST", f"{MAPLE} to {HARBOR}", "given"],
]
NOTHING = [f"No {one} is known." for one in ("care plan", "goal", "activity", "problem", "procedure", "referral or request",
                                             "medication", "prior authorization", "consent")]


@pytest.mark.parametrize("caption", EXPECTED)
def test_each_part_says_what_the_rows_said(client: FlaskClient, caption: str) -> None:
    assert _rows(_page(client, "M90001"), caption) == EXPECTED[caption]


def test_the_timeline_tells_everything_newest_first(client: FlaskClient) -> None:
    shown = _rows(_page(client, "M90001"), "Visits, contacts, communications, referrals, decisions. All that is known")
    assert [row for row in shown if row in EVENTS] == EVENTS
    assert [row[1][:10] for row in shown] == sorted((row[1][:10] for row in shown), reverse=True)


def test_each_table_is_captioned_and_each_row_leads_to_its_resource(client: FlaskClient) -> None:
    page = _page(client, "M90001")
    assert page.count("<table>") == page.count("<caption>") > len(EXPECTED)
    assert re.findall(r"<th\b(?! scope=)", page) == []
    tables = _Tables(page)
    for caption in [*EXPECTED, "Visits"]:
        (found,) = [name for name in tables.rows if name.startswith(caption)]
        assert len(tables.links[found]) == len(tables.rows[found]) - 1
        assert {client.get(link).status_code for link in tables.links[found]} == {200}


def test_parts_of_which_nothing_is_known_say_so(client: FlaskClient) -> None:
    page = _page(client, "M90002")
    assert [one for one in NOTHING if one not in page] == []
    assert not any(one in _page(client, "M90001") for one in NOTHING)
    assert "Contact: message" in page


def test_a_refused_release_is_told_as_refused(client: FlaskClient) -> None:
    assert _rows(_page(client, "M90003"), "What the member allows") == [
        ["Release of information", "refused", "Greenway Recovery Services", MAPLE, "substance use", "any purpose", "2025-06-10",
         "no end"]]


def test_a_merged_record_leads_to_the_person(gateway: Gateway, client: FlaskClient) -> None:
    found = gateway.embedded.search("Patient", [("identifier", "urn:oid:2.16.840.1.113883.3.9999.9|700009")]).resources
    (merged,) = [one for one in found if one.get("active") is False]
    answer = client.get(f"/members/{merged['id']}")
    assert answer.status_code == 303
    assert "St. John&#39;s wort" in client.get(answer.headers["Location"], follow_redirects=True).text


@pytest.fixture(name="other")
def _other(tmp_path: Path) -> Iterator[Gateway]:
    """A store with one member, of whom other clients of FHIR say more."""
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    gateway.embedded.transaction([_write("Patient", "p", name=[{"text": "Ada Made-up"}])])
    yield gateway
    gateway.close()


def _write(resource_type: str, resource_id: str, **elements: Any) -> Write:
    return Write(resource_type=resource_type, id=resource_id, body={"resourceType": resource_type, "id": resource_id, **elements})


def _consent(number: int, **elements: Any) -> Write:
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    category = [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}]
    return _write("Consent", f"c{number}", patient={"reference": "Patient/p"}, **{
        "status": "active", "scope": scope, "category": category, "policyRule": {"text": "made up"},
        "dateTime": f"2026-01-{number:02}", **elements})


def test_hostile_text_is_shown_as_text(other: Gateway) -> None:
    subject = {"reference": "Patient/p"}
    other.embedded.transaction([
        _write("MedicationStatement", "m", status="active", subject=subject, medicationCodeableConcept={"text": SCRIPT},
               dosage=[{"text": SCRIPT}], informationSource={"display": SCRIPT}),
        _write("Goal", "g", lifecycleStatus="active", subject=subject, description={"text": SCRIPT}),
        _write("Condition", "c", subject=subject, code={"text": SCRIPT}),
        _write("Communication", "k", status="completed", subject=subject, topic={"text": SCRIPT}, sent="2026-03-01"),
        _consent(1, organization=[{"display": SCRIPT}], provision={"type": "permit", "code": [{"text": SCRIPT}]})])
    page = create_app(other).test_client().get("/members/p").text
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 9


def test_a_consent_says_how_it_stands_now(other: Gateway) -> None:
    ends = {"type": "permit", "period": {"start": "2026-01-01", "end": "2026-03-19"}}
    other.embedded.transaction([
        _consent(1, provision={"type": "deny"}), _consent(2, provision=ends),
        _consent(3, provision={"type": "permit", "period": {"start": "2026-03-21"}}),
        _consent(4, provision={"type": "permit", "provision": [{"type": "deny"}]}),
        _consent(5, status="entered-in-error"),
        _consent(6, scope={"coding": [{"code": "treatment"}]})])
    shown = _rows(create_app(other).test_client().get("/members/p").text, "What the member allows")
    assert [row[:4] for row in shown] == [
        ["Consent: treatment", "in force", "nobody named", "nobody named"],
        ["Consent", "entered in error", "nobody named", "nobody named"],
        ["Release of information, with limits or exceptions", "in force", "nobody named", "nobody named"],
        ["Release of information", "not begun", "nobody named", "nobody named"],
        ["Release of information", "ended", "nobody named", "nobody named"],
        ["Telling forbidden", "in force", "anybody", "anybody"]]


def test_more_than_is_shown_is_said_and_led_to(other: Gateway) -> None:
    days = [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)).isoformat() for n in range(MOST + 1)]
    other.embedded.transaction([
        _write("Procedure", f"o{n}", status="completed", subject={"reference": "Patient/p"}, code={"text": f"no. {n}"},
               performedDateTime=day) for n, day in enumerate(days)])
    client = create_app(other).test_client()
    page = client.get("/members/p").text
    events = _rows(page, f"Visits, contacts, communications, referrals, decisions. The newest {MOST_EVENTS}; there are more")
    assert [row[0] for row in events] == [f"Procedure: no. {n}" for n in range(MOST, MOST - MOST_EVENTS, -1)]
    assert [row[0] for row in _rows(page, "Procedures")] == [f"no. {n}" for n in range(MOST, 0, -1)]
    (link,) = re.findall(r'There are more than are shown: <a href="([^"]*)"', page)
    everything: Any = client.get(f"{unescape(link)}&_count=1000").json
    assert len(everything["entry"]) == MOST + 1


def test_more_that_have_no_time_are_said_too(other: Gateway) -> None:
    procedure = {"status": "completed", "subject": {"reference": "Patient/p"}, "code": {"text": "made up"}}
    other.embedded.transaction([_write("Procedure", f"o{n}", **procedure) for n in range(MOST)])
    other.embedded.transaction([_write("Procedure", "dated", **procedure, performedDateTime="2026-01-01")])
    page = create_app(other).test_client().get("/members/p").text
    shown = _rows(page, "Visits, contacts, communications, referrals, decisions. The newest 1; there are more")
    assert [row[1] for row in shown] == ["2026-01-01"]


def test_an_answer_to_a_request_that_nobody_sent_is_shown(other: Gateway) -> None:
    answer = {"status": "active", "type": {"text": "made up"}, "use": "preauthorization", "patient": {"reference": "Patient/p"},
              "insurer": {"display": "Made-up Plan"}}
    other.embedded.transaction([
        _write("ClaimResponse", "a", **answer, created="2026-02-01", outcome="complete", preAuthRef="PA-1",
               preAuthPeriod={"end": "2026-06-01"}),
        _write("ClaimResponse", "b", **answer, created="2026-01-01", outcome="queued", processNote=[{"text": "records wanted"}])])
    assert _rows(create_app(other).test_client().get("/members/p").text, "What was asked of payers") == [
        ["Request not known", "Made-up Plan", "", "authorized", "2026-02-01", "", "PA-1", "2026-06-01", ""],
        ["Request not known", "Made-up Plan", "", "pended", "not yet", "records wanted", "", "", ""]]


def test_the_plan_that_others_are_part_of_comes_first(other: Gateway) -> None:
    plan = {"status": "active", "intent": "plan", "subject": {"reference": "Patient/p"}}
    activity = [{"detail": {"status": "in-progress", "description": "Walks"}}]
    other.embedded.transaction([
        _write("CarePlan", "whole", **plan, title="Whole", period={"start": "2025-01-01"}, activity=activity),
        _write("CarePlan", "part", **plan, title="Part", period={"start": "2026-01-01"}, activity=activity,
               partOf=[{"reference": "CarePlan/whole"}])])
    page = create_app(other).test_client().get("/members/p").text
    assert [row[0] for row in _rows(page, "Care plans")] == ["Whole", "Part"]
    assert _rows(page, "Activities") == [["activity", "Walks", "in progress", "Whole"]]
