"""The page: where messages stand, search, a member's gaps and team; escaped, and under security headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.settings import Settings
from adapter.store.engine import writing
from adapter.web import people
from adapter.web.app import create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
MEMBERS = (
    "member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
    "attributed_org_name\n"
    f"M1,Zora,{SCRIPT},1980-01-02,care-coordination,enrolled,2026-01-01,O1,Made-up House & Co\n"
    "M2,Zora,Second,1981-01-02,care-coordination,enrolled,2026-01-01,O1,Made-up House & Co\n"
)
TEAM = (
    "member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date\n"
    "M1,care-coordination,O1,Made-up House & Co,1234567893,Ada,Leadwell,care-coordinator,2026-01-02\n"
)


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    gateway.load("members", MEMBERS.encode(), "members.csv")
    gateway.load("care_team", TEAM.encode(), "care_team.csv")
    while gateway.work():
        pass
    yield gateway
    gateway.close()


@pytest.fixture(name="client")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


class _Outline(HTMLParser):
    """What a reader of a page goes by: headings, captions, labels, inputs, languages, addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _accessible(page: str) -> None:
    outline = _Outline(page)
    assert [html["lang"] for html in outline.all("html")] == ["en"]
    assert len(outline.all("h1")) == 1
    assert len(outline.all("main")) == 1
    assert len(outline.all("table")) == len(outline.all("caption"))
    assert all("scope" in cell for cell in outline.all("th"))
    labelled = {label["for"] for label in outline.all("label")}
    assert all(field["id"] in labelled for field in outline.all("input"))
    assert not outline.all("script")
    assert all((link["href"] or "").startswith("/") for link in [*outline.all("link"), *outline.all("a")]
               if link["href"] != "#main")


def _member(client: FlaskClient, asked: str) -> Any:
    return client.post("/members", data={"q": asked}, follow_redirects=True)


def test_the_first_page_shows_where_messages_stand(client: FlaskClient, gateway: Gateway) -> None:
    gateway.accept([(b"not a message", "http")])
    page = client.get("/").text
    _accessible(page)
    assert "refused" in page
    assert "not-hl7" in page
    assert "delivered" in page
    assert "members.csv" in page


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path / "empty", key="00" * 32), lambda: NOW)
    page = create_app(gateway).test_client().get("/").text
    gateway.close()
    assert "careloop send" in page


@pytest.mark.parametrize("asked", ["M1", "urn:x-careloop:member|M1", "zora script"])
def test_a_member_is_found_and_shown(client: FlaskClient, asked: str) -> None:
    if asked == "zora script":
        asked = f"zora {SCRIPT}"
    answer = _member(client, asked)
    assert answer.status_code == 200
    assert answer.request.path.startswith("/members/")
    page = answer.text
    _accessible(page)
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page
    assert "Made-up House &amp; Co" in page
    assert "Ada Leadwell" in page
    assert "G01" in page
    assert "no lead coordinator" in page


def test_times_are_by_the_clock_of_the_network_and_say_so(client: FlaskClient) -> None:
    """What is due at the end of a day was shown as the small hours of the day after, without a zone."""
    page = _member(client, "M1").text
    assert '<time datetime="2026-01-15T04:59:59+00:00">2026-01-14 23:59:59 EST</time>' in page
    shown = [*re.findall(r"<time [^>]*>([^<]*)</time>", page), *re.findall(r"<time [^>]*>([^<]*)</time>", client.get("/").text)]
    assert {one.rpartition(" ")[2] for one in shown} == {"EST"}
    assert "2026-03-01 07:00:00 EST" in page


def test_several_members_are_listed_and_none_is_said(client: FlaskClient) -> None:
    found = _member(client, "zora")
    assert found.text.count("/members/") >= 2
    _accessible(found.text)
    assert "Nobody found" in _member(client, "nobody").text
    assert _member(client, "  ").request.path == "/"


def test_no_name_stands_in_an_address(client: FlaskClient) -> None:
    answer = client.post("/members", data={"q": "M2"})
    assert answer.status_code == 303
    assert "M2" not in answer.headers["Location"]


def test_errors_are_pages(client: FlaskClient) -> None:
    for path, status in (("/members/nowhere", 404), ("/nowhere", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.content_type.startswith("text/html")
        _accessible(answer.text)


def test_refusals_are_counted_by_feed_and_event(client: FlaskClient) -> None:
    message = (HOME / "fixtures" / "hl7v2" / "A01" / "admission.hl7").read_bytes()
    for raw, query in ((message.replace(b"PID|", b"ZZZ|"), ""), (message.replace(b"ADT^A01", b"ADT^Z99"), ""),
                       (message.replace(b"PID|", b"ZZY|"), "?feed=lakeside"), (message, "?feed=Mary+Jones")):
        client.post(f"/hl7v2{query}", data=raw, content_type="x-application/hl7-v2+er7")
    figures = client.get("/metrics").text
    for code, ack, feed, event in (("no-patient", "AE", "default", "A01"), ("unsupported-event", "AR", "default", ""),
                                   ("no-patient", "AE", "lakeside", "A01"), ("unknown-feed", "AR", "", "")):
        assert f'careloop_refusals_total{{code="{code}",event="{event}",feed="{feed}"}} 1.0' in figures
        assert f'careloop_messages_total{{ack="{ack}",event="{event}",feed="{feed}"}} 1.0' in figures
    assert "Mary" not in figures


@pytest.mark.parametrize("path", ["/", "/nowhere", "/fhir/metadata", "/healthz"])
def test_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_operations(client: FlaskClient, gateway: Gateway) -> None:
    gateway.accept([(b"not a message", "http")])
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "reasons": [], "notes": []}
    for _ in range(2):  # counted on, not counted again
        figures = client.get("/metrics").text
        assert 'careloop_messages_total{ack="AR",event="",feed=""} 1.0' in figures
        assert 'careloop_findings_total{code="not-hl7",severity="error"} 1.0' in figures
        assert 'careloop_resources{type="CareTeam"} 1.0' in figures
        assert 'careloop_refusals_total{code="not-hl7",event="",feed=""} 1.0' in figures
        assert 'careloop_oldest_seconds{place="journal",state="waiting"} 0.0' in figures
        assert 'careloop_lanes{state="free"} 0.0' in figures
        assert "careloop_disk_free_bytes" in figures
        assert 'careloop_journal_entries{state="waiting"} 0.0' in figures
    assert 'route="/readyz"' in figures


CANCEL = ("MSH|^~\\&|STANNE|MAIN|R|F|20260228100000||ADT^A11^ADT_A09|C1|P|2.5.1\rEVN|A11|20260228100000\r"
          "PID|1||4711^^^STANNE^MR||Secretname^Ada||19700231|X\rPV1|1|I|||||||||||||||||V1^^^STANNE\r")


def test_one_message_is_told_with_places_and_next_steps_and_no_patient_data(client: FlaskClient, gateway: Gateway) -> None:
    gateway.accept([(CANCEL.encode(), "http")])
    while gateway.work():
        pass
    number = max(int(n) for n in re.findall(r'href="/messages/(\d+)"', client.get("/").text))
    page = client.get(f"/messages/{number}").text
    _accessible(page)
    row = re.search(r"<tr>\s*<td><span class=.severity warning.>warning</span></td>\s*<td>PID-7</td>.*?</tr>", page, re.DOTALL)
    assert row
    assert "not a date or time" in row[0]
    assert "use YYYY" in row[0]
    assert "bad-date" in page
    assert "STANNE MAIN" in page
    assert "Secretname" not in page
    assert "4711" not in page
    assert client.get("/messages/999999").status_code == 404
    assert client.get("/messages/word").status_code == 404


def test_findings_made_on_composing_are_on_a_page(client: FlaskClient, gateway: Gateway) -> None:
    assert "Nothing was found when resources were composed" in client.get("/findings").text
    gateway.accept([(CANCEL.encode(), "http")])
    while gateway.work():
        pass
    page = client.get("/findings").text
    _accessible(page)
    about = page.partition("About messages and rows")[0]
    assert "cancel-unmatched" in about
    [link] = re.findall(r'href="(/fhir/Encounter/[^"]+)"', about)
    assert client.get(link).status_code == 200
    assert "Secretname" not in page
    assert re.search(r'href="/messages/\d+"', page.partition("About messages and rows")[2])


def test_a_database_that_is_away_is_not_ready(gateway: Gateway, client: FlaskClient, tmp_path: Path) -> None:
    gateway.engine.dispose()
    for file in tmp_path.glob("careloop.db*"):
        file.unlink()
    tmp_path.joinpath("careloop.db").mkdir()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert [reason["code"] for reason in answer.json["reasons"]] == ["store-unavailable"]
    assert client.get("/fhir/Patient").status_code == 503


def test_another_writer_is_no_fault(client: FlaskClient, gateway: Gateway) -> None:
    with writing(gateway.engine):
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("names", "expected"), [
    ([{"use": "old", "family": "Former"}, {"given": ["Ada", "B"], "family": "Now"}], "Ada B Now"),
    ([{"use": "official", "family": "Official"}, {"use": "usual", "text": "Usual"}], "Usual"),
    ([], "no name"), ([{"use": "old", "family": "Former"}], "no name"),
])
def test_what_a_person_is_called(names: list[dict[str, Any]], expected: str) -> None:
    assert people.human_name({"name": names}) == expected
