"""What several organizations send about one made-up member, drawn at random: rows of CSV feeds and HL7 messages."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

SAID = 8
SOURCES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message, or one row of a CSV file of its own (cells), of a feed."""

    feed: str
    hour: int
    hl7: str = ""
    cells: tuple[tuple[str, str], ...] = ()

    def raw(self, *, again: bool = False) -> bytes:
        """The bytes. again: the same row written another way, so that it comes as another file."""
        if self.hl7:
            return (self.hl7 + "\r").encode()
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL if again else csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(name for name, _ in self.cells)
        writer.writerow(text for _, text in self.cells)
        return out.getvalue().encode()


def _moment(hour: int) -> str:
    return (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)).isoformat()


def _either(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


_MEMBER = _either("M1", "M1", "M1", "M2")
_ORGANIZATION = _either("ORG-A", "ORG-B", "ORG-STANNE")
_PROGRAM = _either("care-coordination", "care-coordination", "health-home")
_COLUMNS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "members": {
        "member_id": _MEMBER, "first_name": _either("Viola", "Vi"), "last_name": _either("Wrenmere", "Ashdale"),
        "birth_date": _either("1958-04-09", "1958-09-04"), "gender": _either("", "female", "male"),
        "mrn": _either("", "100", "200"), "mrn_system": st.just("urn:oid:2.16.840.1.113883.3.9999.1"),
        "phone": _either("", "518-555-0134", "518-555-0161"), "address_line": _either("", "12 Orchard Lane", "4 Mill Road"),
        "city": st.just("Alderton"), "state": st.just("NY"), "postal_code": st.just("12999"),
        "language": _either("", "es", "en"), "race": _either("", "2106-3", "2054-5"),
        "payer_id": _ORGANIZATION, "coverage_id": _either("", "EVG-1", "EVG-2"), "coverage_start": _either("", "2025-01-01"),
        "program": _PROGRAM, "enrollment_status": _either("", "enrolled", "ended"), "enrollment_date": _either("", "2026-01-12"),
        "attributed_org": _ORGANIZATION, "risk_level": _either("", "high", "low")},
    "care_plans": {
        "plan_id": _either("P1", "P2"), "member_id": _MEMBER, "program": _PROGRAM,
        "status": _either("active", "completed", "draft"), "title": _either("", "Shared", "Own"), "author_org": _ORGANIZATION,
        "contributing_orgs": _either("", "ORG-B", "ORG-A"),
        "created_date": _either("2026-01-20", "2026-02-20"), "period_start": _either("", "2026-01-20"),
        "last_reviewed": _either("", "2026-02-24"), "preferences": _either("", "Visits at home"),
        "self_management": _either("", "Checks blood sugar"), "contacts_per_week": _either("", "3")},
    "goals": {
        "goal_id": _either("G1", "G2"), "member_id": _MEMBER, "plan_id": _either("", "P1", "P2"),
        "description": _either("Walk daily", "Keep a diary"), "lifecycle_status": _either("active", "completed"),
        "start_date": _either("", "2026-01-20"), "expressed_by": _either("", "person")},
    "care_team": {
        "seat_id": _either("S1", "S2", ""), "member_id": _MEMBER, "program": _PROGRAM, "organization_id": _ORGANIZATION,
        "organization_name": _either("", "Harbor House"), "npi": _either("2000001026", "2000001042"),
        "first_name": st.just("Odile"), "last_name": _either("Marlwick", "Okafor"),
        "role": _either("lead-coordinator", "primary-care"), "start_date": _either("2026-01-01", "2026-02-01"),
        "end_date": _either("", "2026-02-28")},
    "organizations": {
        "record": _either("organization", "organization", "service"), "organization_id": _ORGANIZATION,
        "organization_name": _either("Harbor House", "Harbor"), "type": _either("", "hospital", "housing"),
        "phone": _either("", "518-555-0100", "518-555-0101"), "city": _either("", "Alderton"), "state": _either("", "NY"),
        "active": _either("", "Y", "N"), "on_call_phone": _either("", "518-555-0190"),
        "service_id": st.just("SVC-1"), "service": _either("housing", "food")},
}
_HOSPITALS = {"st-anne": ("STANNE", "MAIN", "STANNE", "2.5.1"), "lakeside": ("LAKESIDE", "LKS", "LKS", "2.3.1")}
FEEDS = (*_COLUMNS, *_HOSPITALS)


@st.composite
def _message(draw: st.DrawFn, feed: str, hour: int) -> Sent:
    application, facility, authority, version = _HOSPITALS[feed]
    at = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)).strftime("%Y%m%d%H%M%S")
    event = draw(_either("A01", "A03", "A08", "A08", "A31"))
    number = draw(_either("100", "100", "200"))
    member = draw(_either("", f"~{draw(_MEMBER)}^^^CARELOOP^MB"))
    phone = draw(_either("", "^PRN^PH^^1^518^5550161", "^PRN^PH^^1^518^5550134", '""'))
    address = draw(_either("", "4 Mill Road^^Alderton^NY^12999^USA^H", "9 Quay^^Alderton^NY^12999^USA^H"))
    lines = [rf"MSH|^~\&|{application}|{facility}|CARELOOP|NETWORK|{at}||ADT^{event}|{feed}{hour}|P|{version}|{hour}",
             f"EVN|{event}|{at}||||{at}",
             f"PID|1||{number}^^^{authority}^MR{member}||Wrenmere^{draw(_either('Viola', 'V'))}||19580409|"
             f"{draw(_either('F', 'M', ''))}|||{address}||{phone}|||||V1^^^{authority}^VN"]
    if event != "A31":
        lines.append(f"PV1|1|I|4N^401^1^{facility}||||2000001026^Marlwick^Odile^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
                     f"||||||||||||V1^^^{authority}^VN")
    return Sent(feed=feed, hour=hour, hl7="\r".join((*lines, *draw(st.lists(_either(*_SEGMENTS), max_size=2, unique=True)))))


_SEGMENTS = ("AL1|1|DA|70618^Penicillin^RXNORM|MO|Rash", "AL1|1|FA|^Peanuts|SV", "DG1|1||F10.20^Alcohol dependence^I10C|||A",
             "NK1|1|Tarnhill^Corin|SPO||^PRN^PH^^1^518^5550188")


@st.composite
def _row(draw: st.DrawFn, feed: str, hour: int) -> Sent:
    cells = tuple((name, draw(values)) for name, values in _COLUMNS[feed].items())
    if feed == "organizations":
        return Sent(feed=feed, hour=hour, cells=(*cells, ("updated_at", _moment(hour))))
    left_out = draw(st.sets(st.sampled_from([n for n, v in cells if not v] or ["none"]), max_size=2))
    return Sent(feed=feed, hour=hour, cells=(*(c for c in cells if c[0] not in left_out), ("updated_at", _moment(hour))))


@st.composite
def told(draw: st.DrawFn) -> list[Sent]:
    """Eight messages and rows of four sources, each stated at another hour."""
    feeds = draw(st.permutations(FEEDS))[:SOURCES]
    of = [*feeds, *draw(st.lists(st.sampled_from(feeds), min_size=SAID - SOURCES, max_size=SAID - SOURCES))]
    hours = draw(st.permutations(range(1, SAID + 1)))
    return [draw(_row(feed, hour) if feed in _COLUMNS else _message(feed, hour))
            for feed, hour in zip(of, hours, strict=True)]
