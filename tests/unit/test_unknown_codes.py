"""A code that no concept map knows: told at its place, never guessed, and kept as it was sent wherever it can stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.mapping.rules import Row
from adapter.model import Received
from adapter.pipeline import Conversion, convert
from tests.unit.context import Notes, common_terminology, rep

HOME = Path(__file__).resolve().parents[2]
UNKNOWN = "zz9"


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def rows_with_table() -> list[tuple[str, Row]]:
    """Every row of the common maps that translates by a concept map, with the place it is written at."""
    found: dict[str, Row] = {}
    for maps in feeds().named("default").rules.maps.values():
        for one in maps:
            for row in (*one.always, *(r for rows in one.by_field.values() for r in rows)):
                if row.options.get("table") and row.function is not None and not row.whole:
                    found[f"{row.rule} {row.place}"] = row
    return sorted(found.items())


@pytest.mark.parametrize(("rule", "row"), rows_with_table(), ids=lambda v: v if isinstance(v, str) else "")
def test_each_row_keeps_an_unknown_code_or_takes_a_legal_value(rule: str, row: Row) -> None:
    assert row.function is not None
    notes = Notes()
    taken: Any = [rep(UNKNOWN)] if row.every else rep(UNKNOWN)
    value = row.function.call(taken, notes, **row.options)
    if row.function.name == "cwe_alternate_codes":
        assert value is None or UNKNOWN in json.dumps(value), rule
        return
    assert [code for code, _ in notes.issues] == ["unknown-code"], rule
    legal = {coding["code"] for coding in common_terminology().codes(row.options["table"]).values()}
    if isinstance(value, str):
        assert value in legal, f"{rule}: {value} is no code of the target"
    elif value is not None:
        assert UNKNOWN in json.dumps(value), f"{rule}: the code that was sent is lost"


def converted(pid: str = "", pv1: str = "", more: str = "") -> Conversion:
    """A registration with these fields of PID from the 8th, of PV1 from the 2nd, and a further segment (or another PID)."""
    raw = ("MSH|^~\\&|APP|FAC|||20260101120000||ADT^A04^ADT_A01|1|P|2.5\rEVN||20260101120000\r"
           f"{'' if more[:3] == 'PID' else f'PID|1||77^^^FAC^MR||Doe^Jane||19800101|{pid}'}\r{more}\rPV1|1|{pv1}\r")
    return convert(Received(raw=raw.encode(), arrival=datetime(2026, 1, 1, tzinfo=UTC)), feeds(), b"k" * 32, trace=True)


def told(conversion: Conversion) -> set[tuple[str, str]]:
    return {(issue.code, issue.place) for issue in conversion.issues if issue.code == "unknown-code"}


def resource(conversion: Conversion, resource_type: str) -> dict[str, Any]:
    return next(e["resource"] for e in conversion.bundle["entry"] if e["resource"]["resourceType"] == resource_type)


@pytest.mark.parametrize(("segment", "place", "resource_type"), [
    (f"PID|1||77^^^FAC^MR||Doe^Jane||19800101|{UNKNOWN}", "PID-8", "Patient"),
    (f"NK1|1|Doe^Jim|FTH||||||||||||{UNKNOWN}", "NK1-15", "RelatedPerson"),
    (f"GT1|1|5|Roe^Ann||||||{UNKNOWN}", "GT1", "RelatedPerson"),
])
def test_an_unknown_gender_is_told_and_stands_beside_unknown(segment: str, place: str, resource_type: str) -> None:
    conversion = converted(more=segment)
    assert ("unknown-code", place) in told(conversion)
    found = resource(conversion, resource_type)
    assert found["gender"] == "unknown"
    assert f'"{UNKNOWN}"' in json.dumps(found["_gender"])


def test_an_unknown_marital_status_keeps_coding_and_text() -> None:
    conversion = converted(pid=f"F||||||||{UNKNOWN}^Handfasted^L")
    assert ("unknown-code", "PID-16") in told(conversion)
    status = resource(conversion, "Patient")["maritalStatus"]
    assert status["text"] == "Handfasted"
    assert [(c["code"], c["display"]) for c in status["coding"]] == [(UNKNOWN, "Handfasted")]
    assert not status["coding"][0]["system"].startswith("http://terminology.hl7.org/")


def test_an_unknown_class_is_the_senders_own_coding() -> None:
    conversion = converted(pid="F", pv1=f"{UNKNOWN}|||||||||||||||||V1")
    assert ("unknown-code", "PV1-2") in told(conversion)
    encounter = resource(conversion, "Encounter")
    assert encounter["class"]["code"] == UNKNOWN
    assert encounter["status"] in {c["code"] for c in common_terminology().codes("encounter-status").values()}
