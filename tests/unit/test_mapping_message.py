"""A message's header, order, identity and links; and the ledger that accounts for every valued leaf of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.mapping.ledger import NO_FIELD, Ledger
from adapter.mapping.message import Compiled, map_message
from adapter.model import Contribution, Json, Mapped, Received
from adapter.parse.batch import split_messages
from adapter.pipeline import convert, microseconds

ARRIVAL = datetime(2026, 3, 20, 12, tzinfo=UTC)
KEY = b"test"


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def compiled(name: str = "default") -> Compiled:
    return feeds().named(name)


def adt(*segments: str, msh: dict[int, str] | None = None, evn: str = "EVN|A01|20260301081000-0500") -> bytes:
    """An A01 whose MSH fields are overwritten by number."""
    fields = {
        1: "|",
        2: "^~\\&",
        3: "EXAMPLE",
        4: "EAST",
        7: "20260301081500-0500",
        9: "ADT^A01^ADT_A01",
        10: "C1",
        11: "P",
        12: "2.5.1",
    }
    fields.update(msh or {})
    head = "MSH" + "|" + "|".join(fields.get(n, "") for n in range(2, max(fields) + 1))
    return ("\r".join([head, *([evn] if evn else []), *segments]) + "\r").encode()


PID = "PID|1||800001^^^EAST^MR||Tarnhill^Bess"
PV1 = "PV1|1|I|3W^312^A||||||||||||||||V1^^^EAST^VN"


def mapped(raw: bytes, feed: str = "default") -> Mapped:
    return map_message(raw, compiled(feed), microseconds(ARRIVAL))


def issues(raw: bytes) -> list[tuple[str, str]]:
    return [(i.code, i.place) for i in mapped(raw).issues]


def time(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


# --- header


def test_the_identity_of_a_message() -> None:
    raw = adt(PID)
    assert mapped(raw).identity == f"EXAMPLE|EAST|C1|{hashlib.sha256(raw).hexdigest()}"
    assert mapped(raw).source == "default/east"


@pytest.mark.parametrize(
    ("msh", "code"),
    [
        ({9: ""}, None),
        ({9: "", 10: "C1"}, None),
        ({9: "ADT"}, None),
        ({9: "ORU^R01"}, "unsupported-type"),
        ({9: "ADT^A99"}, "unsupported-event"),
        ({10: ""}, "no-control-id"),
        ({12: "9.9"}, "unknown-version"),
        ({11: "X"}, "processing-id"),
        ({11: "P^T"}, None),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(msh: dict[int, str], code: str | None) -> None:
    if code is None:
        assert mapped(adt(PID, msh=msh)).event == "A01"
        return
    with pytest.raises(Rejected) as refused:
        mapped(adt(PID, msh=msh))
    assert refused.value.issue.code == code


def test_no_event_anywhere_and_no_patient() -> None:
    with pytest.raises(Rejected, match="neither MSH-9 nor EVN-1"):
        mapped(adt(PID, msh={9: ""}, evn=""))
    for segments in ((), ("PID|1",), ("PID|1||^^^EAST^MR",)):
        with pytest.raises(Rejected) as refused:
            mapped(adt(*segments))
        assert refused.value.issue.code == "no-patient"


def test_a_test_message_is_known_as_one() -> None:
    assert [mapped(adt(PID, msh={11: p})).test for p in ("P", "T", "D")] == [False, True, True]


# --- when


@pytest.mark.parametrize(
    ("evn", "msh7", "stated", "occurred", "given_", "noted"),
    [
        (
            "20260301081000-0500||||20260301080500-0500",
            "20260301081500-0500",
            "2026-03-01T08:10-05:00",
            "2026-03-01T08:05-05:00",
            True,
            [],
        ),
        ("20260301081000-0500", "20260301081500-0500", "2026-03-01T08:10-05:00", "2026-03-01T08:10-05:00", False, []),
        ("", "20260301081500-0500", "2026-03-01T08:15-05:00", "2026-03-01T08:15-05:00", False, []),
        ("", "", "2026-03-20T12:00+00:00", "2026-03-20T12:00+00:00", False, []),
        ("20269901", "20260301081500-0500", "2026-03-01T08:15-05:00", "2026-03-01T08:15-05:00", False, ["bad-date"]),
        ("20260323|||||", "20260301081500-0500", "2026-03-01T08:15-05:00", "2026-03-01T08:15-05:00", False, ["time-ahead"]),
        ("20260321235900+0000", "", "2026-03-21T23:59+00:00", "2026-03-21T23:59+00:00", False, []),
        ("20260301081000-0500||||20990101", "", "2026-03-01T08:10-05:00", "2026-03-01T08:10-05:00", False, ["time-ahead"]),
        ("20990101", "20990101", "2026-03-20T12:00+00:00", "2026-03-20T12:00+00:00", False, ["time-ahead", "time-ahead"]),
    ],
)
def test_a_time_that_is_missing_wrong_or_far_ahead_falls_to_the_next(
    evn: str, msh7: str, stated: str, occurred: str, given_: bool, noted: list[str]
) -> None:
    found = mapped(adt(PID, msh={7: msh7}, evn=f"EVN|A01|{evn}"))
    order = found.contributions[0].order
    assert (order.stated, order.occurred, order.occurred_given) == (time(stated), time(occurred), given_)
    assert [i.code for i in found.issues if i.code in ("bad-date", "time-ahead")][: len(noted)] == noted


@pytest.mark.parametrize(("number", "sequence"), [("", 0), ("7", 7), ("007", 7), ("x", 0), ("-1", 0), ("²", 0), ("9" * 19, 0)])
def test_the_sequence_number(number: str, sequence: int) -> None:
    assert mapped(adt(PID, msh={13: number, 18: "UNICODE UTF-8"})).contributions[0].order.sequence == sequence


def test_local_times_are_the_senders() -> None:
    raw = adt(PID.replace("EAST", "LKS"), msh={7: "20260301081500"}, evn="")
    assert map_message(raw, compiled("lakeside"), microseconds(ARRIVAL)).contributions[0].order.stated == time(
        "2026-03-01T08:15-06:00"
    )


# --- contributions, links, cancels


def by_type(found: Mapped, resource_type: str, kind: str = "snapshot") -> list[Contribution]:
    return [c for c in found.contributions if c.resource_type == resource_type and c.kind == kind]


def test_the_first_primary_type_names_the_record_and_strong_ones_are_linked() -> None:
    pid = "PID|1||9^^^PLAN^MB~77^^^X^DL~800001^^^EAST^MR~55^^^WEST^MR"
    found = mapped(adt(pid))
    [patient] = by_type(found, "Patient")
    assert patient.key == "urn:x-careloop:default:east:east|800001"
    links = {c.other for c in by_type(found, "Link", "link")}
    assert links == {"urn:x-careloop:default:east:plan|9", "urn:x-careloop:default:east:west|55"}
    assert all(c.event == "inferred" for c in by_type(found, "Link", "link"))


def test_an_event_with_effect_parts_what_it_did_from_what_it_repeats() -> None:
    found = mapped(adt(PID, PV1))
    [effect], [snapshot] = by_type(found, "Encounter", "effect"), by_type(found, "Encounter")
    assert effect.body.keys() == {"status", "class", "location#PV1-3", "period.start"}
    assert not effect.body.keys() & snapshot.body.keys() - {"status"}
    update = mapped(adt(PID, PV1, msh={9: "ADT^A08"}))
    assert by_type(update, "Encounter", "effect") == []
    assert by_type(update, "Encounter")[0].body.keys() >= {"status", "class", "location#PV1-3"}


def test_a_cancel_is_kept_beside_what_the_message_says() -> None:
    found = mapped(adt(PID, PV1, msh={9: "ADT^A11"}, evn="EVN|A11|20260301093000-0500||||20260301080500-0500"))
    [cancel] = by_type(found, "Encounter", "cancel")
    assert (cancel.cancels, cancel.body, cancel.order.occurred_given) == (("A01", "A04"), {"status": "cancelled"}, True)
    assert by_type(mapped(adt(PID, msh={9: "ADT^A11"})), "Encounter", "cancel") == []


def test_a_merge_runs_from_mrg_to_pid() -> None:
    found = mapped(adt(PID, "MRG|800002^^^EAST^MR", msh={9: "ADT^A40^ADT_A39"}))
    [merge] = by_type(found, "Link", "link")
    assert (merge.patient[-6:], merge.other[-6:], merge.event) == ("800001", "800002", "A40")
    assert [c.key[-6:] for c in by_type(found, "Patient")] == ["800001", "800002"]


def test_a_merge_of_several_patients_in_one_message() -> None:
    second = "PID|2||800003^^^EAST^MR||Reedmoor"
    found = mapped(adt(PID, "MRG|800002^^^EAST^MR", second, "MRG|800004^^^EAST^MR", msh={9: "ADT^A40^ADT_A39"}))
    assert {(c.patient[-1], c.other[-1]) for c in by_type(found, "Link", "link")} == {("1", "2"), ("3", "4")}


def test_a_merge_without_its_loser_is_told_and_merges_nobody() -> None:
    raw = adt(PID, "MRG|", msh={9: "ADT^A40^ADT_A39"})
    assert by_type(mapped(raw), "Link", "link") == []
    assert ("required-missing", "MRG-1") in issues(raw)


def test_an_mrg_in_another_event_merges_nobody() -> None:
    assert by_type(mapped(adt(PID, "MRG|800002^^^EAST^MR", msh={9: "ADT^A31"})), "Link", "link") == []


def test_an_unknown_segment_is_told_and_the_rest_counts() -> None:
    assert ("segment-unknown", "ZZZ") in issues(adt(PID, "ZZZ|1"))
    assert by_type(mapped(adt(PID, "ZZZ|1")), "Patient")


# --- the ledger

FILES = sorted((HOME / "fixtures" / "hl7v2").glob("A*/*.hl7")) + sorted((HOME / "mappings").glob("*/cases/*/input.hl7"))


def account(raw: bytes, feed: str | None = None) -> tuple[Json, Json]:
    conversion = convert(Received(raw=raw, arrival=ARRIVAL, feed=feed), feeds(), KEY, trace=True)
    return conversion.loss, conversion.explain


def valued(raw: bytes) -> set[str]:
    """Every valued leaf of a message with the usual delimiters, by a reading of its own."""
    found: set[str] = set()
    counts: dict[str, int] = {}
    for line in raw.decode("latin-1").replace("\r\n", "\r").replace("\n", "\r").split("\r"):
        fields = line.split("|")
        name = fields[0]
        counts[name] = counts.get(name, 0) + 1
        at = name if counts[name] == 1 else f"{name}[{counts[name]}]"
        for n, text in enumerate(fields[1:], 2 if name == "MSH" else 1):
            if name == "MSH" and n == 2:
                continue
            for r, rep in enumerate(text.split("~"), 1):
                for c, component in enumerate(rep.split("^"), 1):
                    for s, sub in enumerate(component.split("&"), 1):
                        if sub:
                            more = f".{s}" if "&" in component else ""
                            found.add(f"{at}-{n}{f'[{r}]' if r > 1 else ''}.{c}{more}")
    return found


@pytest.mark.parametrize("path", FILES, ids=["-".join(p.parts[-3:]) for p in FILES])
def test_every_valued_leaf_is_accounted_for(path: Path) -> None:
    for raw in split_messages(path.read_bytes()).messages:
        loss, _ = account(raw)
        assert {leaf["place"] for leaf in loss["leaves"]} == valued(raw)
        assert len(loss["leaves"]) == len(valued(raw))
        assert sum(loss["counts"].values()) == len(loss["leaves"])
        for leaf in loss["leaves"]:
            assert leaf["status"] in ("mapped", "dropped", "unmapped")
            assert (leaf["status"] == "mapped") == ("element" in leaf)
            assert (leaf["status"] == "dropped") == bool(leaf.get("reason"))


def status(loss: Json, place: str) -> Json:
    [leaf] = [leaf for leaf in loss["leaves"] if leaf["place"] == place]
    return {k: v for k, v in leaf.items() if k not in ("place", "rule")}


def test_what_became_of_a_field_is_told() -> None:
    pid = "PID|1||800001^^^EAST^MR~^^^X^MR||Tarnhill^Bess||19801345|F~M|||||||||||||||||||||||||||||||||x"
    loss, explain = account(adt(pid, "PV1|1|I|||||||||||||||||V1^^^EAST^VN|||||||||||20990101", "ZZZ|1"))
    assert status(loss, "PID-1.1") == {"status": "dropped", "reason": "set id"}
    assert status(loss, "PID-5.1")["element"].startswith("Patient.name")
    assert status(loss, "PID-7.1")["status"] == "dropped"
    assert "first repetition" in status(loss, "PID-8[2].1")["reason"]
    assert "segment-unknown" in status(loss, "ZZZ-1.1")["reason"]
    assert status(loss, "PID-41.1") == {"status": "dropped", "reason": NO_FIELD}
    [name] = [n for n in explain if n.startswith("Patient/")]
    assert explain[name]["gender"][0]["place"] == "PID-8"
    assert explain[name]["gender"][0]["rule"].startswith("common/pid.map.yaml:")


def test_a_field_that_is_deleted_is_accounted_for() -> None:
    loss, _ = account(adt(PID.replace("Bess", 'Bess||||||||""|') + "|", msh={9: "ADT^A08"}))
    assert status(loss, "PID-13.1")["element"].startswith("Patient.telecom")


def test_no_value_of_a_message_stands_in_the_account_of_it() -> None:
    raw = adt(PID.replace("Tarnhill^Bess", "Zzyzxqua^Quimbleforth"), PV1, "ZZZ|Xylograph")
    loss, explain = account(raw)
    text = orjson.dumps([loss, explain]).decode()
    for word in ("Zzyzxqua", "Quimbleforth", "800001", "Xylograph"):
        assert word not in text


def test_tracing_changes_nothing() -> None:
    for path in FILES[:12]:
        for raw in split_messages(path.read_bytes()).messages:
            received = Received(raw=raw, arrival=ARRIVAL)
            assert convert(received, feeds(), KEY, trace=True).bundle == convert(received, feeds(), KEY).bundle


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
FIELD = st.one_of(
    st.just(""),
    st.just('""'),
    TEXT,
    st.lists(TEXT, max_size=5).map("^".join),
    st.lists(TEXT, max_size=3).map("~".join),
    st.lists(TEXT, max_size=3).map("&".join),
    st.sampled_from(["20260301", "2026030108", "A", "E^X^HL70001"]),
)


@settings(max_examples=60)
@given(
    st.sampled_from(["PID", "PD1", "NK1", "PV1", "PV2", "ROL", "DG1", "AL1", "IN1", "MRG"]),
    st.lists(FIELD, max_size=45),
    st.sampled_from(["A01", "A03", "A08", "A11", "A40"]),
)
def test_whatever_stands_in_the_fields_is_mapped_and_accounted_for_without_a_failure(
    segment: str, fields: list[str], event: str
) -> None:
    written = [f.replace("|", "").replace("\r", "").replace("\n", "") for f in fields]
    rest: list[Any] = [PID] if segment != "PID" else []
    if segment == "PID":
        written = [*[*written, "", "", ""][:2], "800001^^^EAST^MR", *written[3:]]
    raw = adt(*rest, f"{segment}|" + "|".join(written), msh={9: f"ADT^{event}", 18: "UNICODE UTF-8"})
    ledger = Ledger()
    found = map_message(raw, compiled(), microseconds(ARRIVAL), ledger)
    assert "mapping-failed" not in [i.code for i in found.issues]
    assert sum(ledger.loss(found)["counts"].values()) == len(ledger.loss(found)["leaves"])
    assert convert(Received(raw=raw, arrival=ARRIVAL, feed="default"), feeds(), KEY).bundle["entry"]


def test_an_escape_that_nobody_knows_is_told_and_one_in_the_message_s_charset_is_read() -> None:
    came = mapped(adt("PID|1||800001^^^EAST^MR||Brin\\XEB\\l^Be\\Q\\ss", PV1, msh={18: "8859/1"}))
    [name] = next(c.body["name#PID-5"] for c in came.contributions if c.resource_type == "Patient")
    assert (name["family"], name["given"]) == ("Brinël", ["Be\\Q\\ss"])
    assert [(i.code, i.place) for i in came.issues] == [("bad-escape", "PID-5")]
