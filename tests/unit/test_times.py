"""DTM to FHIR: every precision, every way to be wrong, the two hours a year that are doubled or skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.mapping.times import fhir_date, fhir_datetime, fhir_instant, instant_us

NEW_YORK = ZoneInfo("America/New_York")
UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(("text", "expected"), [
    ("1962", "1962"),
    ("196202", "1962-02"),
    ("19620203", "1962-02-03"),
    ("1962020304", "1962-02-03T04:00:00-05:00"),
    ("196202030405", "1962-02-03T04:05:00-05:00"),
    ("19620203040506", "1962-02-03T04:05:06-05:00"),
    ("20210817151943.4+0200", "2021-08-17T15:19:43.4+02:00"),
    ("20210817151943.4000+0200", "2021-08-17T15:19:43.4000+02:00"),
    ("20210817151943.", "2021-08-17T15:19:43-04:00"),
    ("198808181126+0215", "1988-08-18T11:26:00+02:15"),
    ("20240229", "2024-02-29"),
    ("20210817151943-0000", "2021-08-17T15:19:43-04:00"),
    ("20210817151943+0000", "2021-08-17T15:19:43+00:00"),
    ("20210817+0200", "2021-08-17"),
    (" 20210817 ", "2021-08-17"),
    ("20261101013000", "2026-11-01T01:30:00-04:00"),
    ("20260308023000", "2026-03-08T02:30:00-05:00"),
    ("18000101120000", "1800-01-01T12:00:00-04:56"),
])
def test_datetime(text: str, expected: str) -> None:
    assert fhir_datetime(text, NEW_YORK) == expected


@pytest.mark.parametrize("text", [
    "", "196", "19620", "20230229", "19001301", "20260100", "20260132", "2026010124", "202601010060", "20260101000060",
    "2026-01-01", "tomorrow", "20260101120000+1", "20260101120000+1500", "20260101120000+1430", "20260101120000+0060",
    "20260101.5", "20260101120000.x", "0000", "２０２６", "20260101120000.²", "202601011200+02:0", "20260101120000Z",
])
def test_what_is_not_a_time(text: str) -> None:
    assert fhir_datetime(text, NEW_YORK) is None
    assert fhir_date(text) is None
    assert fhir_instant(text, NEW_YORK) is None
    assert instant_us(text, NEW_YORK) is None


def test_date_leaves_the_time_of_day_out() -> None:
    assert [fhir_date(t) for t in ("1962", "196203", "19620320", "19620110045504")] == [
        "1962", "1962-03", "1962-03-20", "1962-01-10"]


def test_instant_is_the_start_of_what_is_named() -> None:
    assert fhir_instant("2026", NEW_YORK) == "2026-01-01T00:00:00-05:00"
    assert fhir_instant("202607", NEW_YORK) == "2026-07-01T00:00:00-04:00"
    assert fhir_instant("20260704123000.25+0100", NEW_YORK) == "2026-07-04T12:30:00.25+01:00"


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - zones are added below
       st.integers(min_value=-14 * 60, max_value=14 * 60))
def test_order_is_the_order_of_instants(moment: datetime, minutes: int) -> None:
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    text = f"{moment:%Y%m%d%H%M%S.%f}{offset}"
    if offset == "-0000":
        return
    expected = moment.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert instant_us(text, NEW_YORK) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    written = fhir_datetime(text, NEW_YORK)
    assert written is not None
    assert datetime.fromisoformat(written) == expected


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - local on purpose
def test_local_times_take_the_offset_of_the_zone(moment: datetime) -> None:
    text = f"{moment:%Y%m%d%H%M%S}"
    written = fhir_datetime(text, NEW_YORK)
    assert written is not None
    local = moment.replace(microsecond=0, tzinfo=NEW_YORK, fold=0)
    assert datetime.fromisoformat(written).utcoffset() == local.utcoffset()
    assert instant_us(text, NEW_YORK) == int(datetime.fromisoformat(written).timestamp()) * 1_000_000


CHANGES = [
    ("America/New_York", "20260308"), ("America/New_York", "20261101"), ("Europe/Berlin", "20260329"),
    ("Europe/Berlin", "20261025"), ("Australia/Lord_Howe", "20260405"), ("Australia/Lord_Howe", "20261004"),
    ("Pacific/Apia", "20111230"), ("Asia/Kathmandu", "19860101"), ("America/St_Johns", "20260308"),
    ("Africa/Casablanca", "20260215"), ("Asia/Kolkata", "20260101"),
]
"""Zones and days on which their clocks change (by an hour, by half of one, by a day), or are no whole hours off."""


@given(st.sampled_from(CHANGES), st.integers(0, 24 * 60 - 1))
def test_doubled_and_skipped_hours_go_by_the_zone_s_own_rules(change: tuple[str, str], minute: int) -> None:
    zone, day = ZoneInfo(change[0]), change[1]
    text = f"{day}{minute // 60:02d}{minute % 60:02d}"
    local = datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=zone)
    first, second = local.replace(fold=0), local.replace(fold=1)
    written = fhir_datetime(text, zone)
    assert written is not None
    assert datetime.fromisoformat(written).utcoffset() == first.utcoffset()
    assert written[:16] == f"{local:%Y-%m-%dT%H:%M}", "the digits that were sent stand"
    assert instant_us(text, zone) == int(first.timestamp()) * 1_000_000
    if first.utcoffset() == second.utcoffset():
        assert datetime.fromtimestamp(first.timestamp(), zone).replace(tzinfo=None) == local.replace(tzinfo=None)


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - the offset is in the text
       st.sampled_from([4, 6, 8, 10, 12, 14]), st.text("0123456789", max_size=4),
       st.sampled_from(["", "+0000", "-0500", "+0545", "+1400"]))
def test_precision_and_offset_are_kept(moment: datetime, digits: int, fraction: str, offset: str) -> None:
    text = f"{moment:%Y%m%d%H%M%S}"[:digits] + (f".{fraction}" if digits == 14 and fraction else "") + offset
    written = fhir_datetime(text, UTC_ZONE)
    assert written is not None
    if digits <= 8:
        assert written.replace("-", "") == text[:digits]
        return
    assert written[:19].translate(str.maketrans("", "", "-:T")) == text[:digits].ljust(14, "0")
    assert written[19:].partition("+")[0].partition("-")[0] == (f".{fraction}" if digits == 14 and fraction else "")
    assert written[-6:].replace(":", "") == (offset or "+0000")


@given(st.text(alphabet="0123456789+-. ", max_size=24))
def test_any_text_is_a_time_or_none(text: str) -> None:
    written = fhir_datetime(text, UTC_ZONE)
    assert (written is None) == (instant_us(text, UTC_ZONE) is None)
    if written is not None and "T" in written:
        assert datetime.fromisoformat(written).tzinfo is not None
