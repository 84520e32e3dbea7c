"""What must not stop the others: an entry that cannot be processed, a refusal whose cause is mended, a bad list member."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from adapter.compose.standing import stand
from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.fhirserver.port import Version
from adapter.gateway import Gateway
from adapter.installation import installation
from adapter.mapping.lint import lint
from adapter.memory import forget
from adapter.model import Composed, Received
from adapter.pipeline import convert
from adapter.settings import Settings
from adapter.store import outbox, server_state
from adapter.store.engine import reading, writing
from adapter.store.schema import FINDING, JOURNAL, OUTBOX, RESOURCE
from adapter.validate.check import check
from adapter.validate.profiles import claim
from tests.unit.test_gateway import BESS, MEMBERS, adt
from tests.unit.test_push import Bench, ref


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Any:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: datetime(2026, 3, 20, 12, tzinfo=UTC))
    yield gateway
    gateway.close()


def states(gateway: Gateway) -> dict[str, str]:
    with reading(gateway.engine) as connection:
        return {r.control_id: r.state for r in connection.execute(select(JOURNAL))}


def test_an_entry_that_cannot_be_processed_is_left_aside_and_named(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(connection: Any, said: Any, *rest: Any, **more: Any) -> Any:
        if any("800009" in c.key for c in said):
            raise ZeroDivisionError
        return real(connection, said, *rest, **more)

    real = installation.apply
    monkeypatch.setattr(installation, "apply", apply)
    gateway.accept([(adt("C1"), "t"), (adt("C2", number="800009"), "t"), (adt("C3", number="800003"), "t")])
    while gateway.work():
        pass
    assert states(gateway) == {"C1": "done", "C2": "failed", "C3": "done"}
    with reading(gateway.engine) as connection:
        assert [(r.code, r.place) for r in connection.execute(select(FINDING).where(FINDING.c.severity == "error"))] == [
            ("defect", "ZeroDivisionError")]
        assert len(list(connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")))) == 2


def test_a_message_that_was_refused_is_tried_anew_when_it_comes_again(gateway: Gateway) -> None:
    """A refusal may have been our mistake: once the feed is mended the same bytes are taken, once."""
    raw = adt("C1").replace(b"|P|2.5.1", b"|X|2.5.1")
    assert b"MSA|AR|C1" in gateway.accept([(raw, "t")])[0]
    assert b"MSA|AR|C1" in gateway.accept([(raw, "t")])[0]
    assert states(gateway) == {"C1": "refused"}
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr("adapter.mapping.header._PROCESSING", frozenset(("P", "T", "D", "X", "")))
        assert b"MSA|AA|C1" in gateway.accept([(raw, "t")])[0]
    while gateway.work():
        pass
    assert states(gateway) == {"C1": "done"}


def test_one_bad_member_does_not_take_the_list_with_it() -> None:
    body = {"resourceType": "Patient", "id": "p", "identifier": [
        {"system": "urn:x-careloop:member", "value": "1"}, {"system": "not a uri", "value": "2"}], "gender": "female"}
    one = Composed(resource_type="Patient", id="p", key="k", person="k", body=body, hash="", sources={})
    stood = stand([one], lambda _: set(), claim, check)[0]
    assert [i["value"] for i in stood.body["identifier"]] == ["1"]
    assert {i.place for i in stood.issues if i.code == "fhir-structure"} == {"Patient.identifier[1].system"}


def test_blank_rows_are_neither_taken_nor_refused(gateway: Gateway) -> None:
    report = gateway.load("members", (MEMBERS + "\n" + BESS + "\n\n" + BESS.replace("M1", "M2")).encode(), "m.csv")
    assert (report.rows, report.accepted, report.refused) == (2, 2, [])


def test_columns_that_nobody_knows_are_told_with_the_load(gateway: Gateway) -> None:
    report = gateway.load("members", (MEMBERS.replace("phone", "shoe_size") + BESS).encode(), "m.csv")
    assert [i.code for i in report.issues] == ["csv-column-unknown"]


def test_what_refers_to_a_refused_one_goes_once_that_is_mended(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.put("Practitioner/d", gender="female")
    bench.put("Encounter/e", person="mrn|1", participant=[{"individual": ref("Practitioner/d")}])
    bench.server.refuse = {"Practitioner/d"}
    bench.drain()
    assert bench.queue() == {"Practitioner/d": "dead", "Encounter/e": "dead"}
    bench.server.refuse = set()
    bench.put("Practitioner/d", gender="male")
    bench.drain()
    assert bench.queue() == {}
    assert "Encounter/e" in bench.server.standing


def test_what_another_client_deleted_is_put_back(gateway: Gateway) -> None:
    """Our sources still state it, so the server and the store would differ for ever."""
    gateway.accept([(adt("C1"), "t")])
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        patient = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")).one()
    from adapter.deliver import others
    from adapter.model import Delivery

    delivery = Delivery(resource_type="Patient", id=patient.id, lane="x", hash=patient.hash, body={"resourceType": "Patient"})
    later = datetime(2026, 3, 20, 13, tzinfo=UTC)
    gone = Version(resource_type="Patient", id=patient.id, version="2", last_updated=later, body=None)
    with writing(gateway.engine) as connection:
        outbox.note_pushed(connection, "hapi", [(delivery, "1")], 0)
        assert others.bring_in(connection, gone, "hapi", 5)
        assert [(r.id, r.state) for r in connection.execute(select(OUTBOX))] == [(patient.id, "waiting")]
        assert server_state.pushed(connection, "hapi", [("Patient", patient.id)])["Patient", patient.id].body is None
        assert not others.bring_in(connection, gone, "hapi", 6)


def test_what_is_kept_of_earlier_messages_changes_nothing_in_later_ones() -> None:
    """Warm, fresh or traced, in any company: a message converts to the same bytes, and the same is noticed."""
    paths = [*Path("fixtures/hl7v2").glob("[aA]*/*.hl7"), *Path("mappings").glob("*/cases/*/input.hl7")]
    messages = [p.read_bytes() for p in sorted(paths)]
    assert len(messages) >= 60
    warm, fresh = open_feeds(Path("mappings")), open_feeds(Path("mappings"))

    def told(raw: bytes, feeds: Feeds, trace: bool = False) -> bytes:
        try:
            found = convert(Received(raw=raw, arrival=datetime(2026, 3, 20, tzinfo=UTC)), feeds, b"key", trace)
        except Rejected as refused:
            return refused.issue.code.encode()
        return orjson.dumps([found.bundle, [(i.code, i.place, i.detail) for i in found.issues]])

    expected: list[bytes] = []
    for raw in messages:
        forget(fresh)
        expected.append(told(raw, fresh))
    assert [told(raw, fresh, trace=True) for raw in messages] == expected
    for seed in range(3):
        order = list(range(len(messages)))
        Random(seed).shuffle(order)
        assert [told(messages[n], warm) for n in order] == [expected[n] for n in order]


@pytest.mark.parametrize("member", ['M"1', "M1\\", "M'1", "M\u00e91", "M 1"])
def test_any_identifier_can_be_referred_to(gateway: Gateway, member: str) -> None:
    cell = '"' + member.replace('"', '""') + '"'
    gateway.load("members", (MEMBERS + BESS.replace("M1", cell)).encode(), "m.csv")
    goals = f"goal_id,member_id,description,lifecycle_status\nG1,{cell},Walk,active\n"
    gateway.load("goals", goals.encode(), "g.csv")
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        goal = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Goal")).one()
        patient = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")).one()
    assert orjson.loads(goal.body)["subject"] == {"reference": f"Patient/{patient.id}"}
    assert set(states(gateway).values()) == {"done"}


CONTACTS = "contact_id,member_id,organization_id,contact_type,started_at,outcome,updated_at\n"


def test_a_contact_that_is_corrected_to_not_reached_is_no_encounter(gateway: Gateway) -> None:
    row = "C1,M1,O1,face-to-face,2026-03-01T10:00:00-05:00,{},2026-03-0{}T12:00:00-05:00\n"
    gateway.load("contacts", (CONTACTS + row.format("reached", 1)).encode(), "a.csv")
    gateway.load("contacts", (CONTACTS + row.format("no-answer", 2)).encode(), "b.csv")
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        standing = {r.resource_type for r in connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0))}
    assert "Communication" in standing
    assert "Encounter" not in standing


def test_of_two_rows_of_one_file_the_lower_counts_whatever_its_number(gateway: Gateway) -> None:
    head = "plan_id,member_id,status,title,author_org,created_date\n"
    rows = [f"P{n},M{n},active,T,O1,2026-01-01\n" for n in range(2, 9)]
    same = ["P1,M1,active,T,O1,2026-01-01\n", "P1,M1,completed,T,O1,2026-01-01\n"]
    gateway.load("care_plans", (head + "".join([*rows, *same])).encode(), "p.csv")
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        plans = [orjson.loads(r.body) for r in connection.execute(select(RESOURCE).where(
            RESOURCE.c.resource_type == "CarePlan", RESOURCE.c.key.like("urn:x-careloop:care-plan|%")))]
    assert sorted(p["status"] for p in plans) == ["active"] * 7 + ["completed"]


def test_a_row_that_is_dated_far_ahead_freezes_nothing(gateway: Gateway) -> None:
    head = "plan_id,member_id,status,title,author_org,created_date,updated_at\n"
    row = "P1,M1,{},T,O1,2026-01-01,{}\n"
    gateway.load("care_plans", (head + row.format("active", "2062-06-01")).encode(), "a.csv")
    gateway.load("care_plans", (head + row.format("completed", "2026-03-20T11:59:59Z")).encode(), "b.csv")
    gateway.load("care_plans", (head + row.format("revoked", "2026-03-20T13:00:00Z")).encode(), "c.csv")
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        plan = connection.execute(select(RESOURCE).where(
            RESOURCE.c.resource_type == "CarePlan", RESOURCE.c.key.like("urn:x-careloop:care-plan|%"))).one()
        ahead = connection.execute(select(FINDING).where(FINDING.c.code == "time-ahead"))
        assert [r.place for r in ahead] == ["row 2, updated_at"]
    assert orjson.loads(plan.body)["status"] == "revoked"


WITH_MRN = "member_id,first_name,last_name,birth_date,mrn,mrn_system,updated_at\n"


def test_a_record_number_of_two_members_joins_nobody_and_a_correction_parts_them(gateway: Gateway) -> None:
    row = "{},{},Tarnhill,1961-05-14,{},urn:oid:1.2.840.1,2026-03-0{}T08:00:00-05:00\n"

    def mains() -> int:
        while gateway.work():
            pass
        with reading(gateway.engine) as connection:
            return len({r.person for r in connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient"))})

    gateway.load("members", (WITH_MRN + row.format("M1", "Bess", "111", 1) + row.format("M2", "Cyd", "111", 1)).encode(), "a.csv")
    assert mains() == 2
    with reading(gateway.engine) as connection:
        assert connection.execute(select(FINDING).where(FINDING.c.code == "identity-conflict")).first() is not None
    gateway.load("members", (WITH_MRN + row.format("M2", "Cyd", "222", 2)).encode(), "b.csv")
    assert mains() == 2
    with reading(gateway.engine) as connection:
        assert connection.execute(select(FINDING).where(FINDING.c.code == "identity-conflict")).first() is None


def test_a_fault_of_ours_leaves_everything_waiting(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **_more: Any) -> Any:
        raise ZeroDivisionError

    gateway.accept([(adt("C1"), "t"), (adt("C2", number="800009"), "t")])
    with monkeypatch.context() as patched:
        patched.setattr(installation, "apply", broken)
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                gateway.work()
    assert states(gateway) == {"C1": "waiting", "C2": "waiting"}
    while gateway.work():
        pass
    assert states(gateway) == {"C1": "done", "C2": "done"}


def test_many_repetitions_take_time_that_grows_with_their_number_alone(gateway: Gateway) -> None:
    """16,000 telephones took 23 seconds once; a test that hangs says it soon enough."""
    raw = adt("C1").replace(b"^PRN^PH^^1^518^5550161", b"~".join(b"^PRN^PH^^1^518^%07d" % n for n in range(16_000)))
    assert b"MSA|AA" in gateway.accept([(raw, "t")])[0]


def test_an_answer_that_was_lost_is_no_foreign_write(gateway: Gateway) -> None:
    """The server took our version, its answer did not come: read back, it is ours."""
    from adapter.deliver import others

    gateway.accept([(adt("C1"), "t")])
    while gateway.work():
        pass
    with writing(gateway.engine) as connection:
        row = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")).one()
        outbox.forget(connection, "hapi", "Patient", row.id, 5)
        theirs = {**orjson.loads(row.body), "meta": {"versionId": "1", "source": "#x"}}
        later = datetime(2026, 3, 20, 13, tzinfo=UTC)
        came = Version(resource_type="Patient", id=row.id, version="1", last_updated=later, body=theirs)
        assert not others.bring_in(connection, came, "hapi", 6)
        assert server_state.pushed(connection, "hapi", [("Patient", row.id)])["Patient", row.id].version == "1"
        changed = Version(resource_type="Patient", id=row.id, version="2", last_updated=came.last_updated,
                          body={**theirs, "gender": "male"})
        assert others.bring_in(connection, changed, "hapi", 7)


def test_a_file_that_is_loaded_again_tells_its_refusals_again(gateway: Gateway) -> None:
    raw = (MEMBERS + BESS + BESS.replace("1961-05-14", "soon").replace("M1", "M2")).encode()
    first, again = gateway.load("members", raw, "m.csv"), gateway.load("members", raw, "m.csv")
    assert [(r.accepted, [e.number for e in r.refused], r.repeated) for r in (first, again)] == [(1, [3], False), (1, [3], True)]


@pytest.mark.parametrize(("line", "told"), [
    ("sendr: {MSH-3: A}", "no key `sendr`; did you mean `sender`?"),
    ("charset: cp125x", "no charset `cp125x`"),
    ("visit_number: PV1-199", "PV1 has 54 fields, PV1-199 is none of them"),
    ("codes: {patient-clas: {A: B}}", "codes: no concept map `patient-clas`; did you mean `patient-class`?"),
    ("codes: {patient-class: {A: OBSEN}}", "codes: patient-class has no `OBSEN`; did you mean `OBSENC`?"),
    ("codes: {patient-class: {A: B}, '0001': {W: female}}", "codes: no concept map `0001`; did you mean `administrative-sex`?"),
    ("snapshot: true", "`snapshot` is for feeds of CSV, and this one's format is hl7v2"),
    ("organization: ORG-1", "organization is written system|value"),
    ("sender: {MSH-3: STANNE, MSH-4: MAIN}", "the sender is st-anne's already"),
    ("tolerat: [PV1]", "no key `tolerat`; did you mean `tolerate`?"),
])
def test_a_mistake_in_feed_yaml_is_told_at_its_line(tmp_path: Path, line: str, told: str) -> None:
    shutil.copytree("mappings", tmp_path / "m")
    (tmp_path / "m" / "zz-new").mkdir()
    (tmp_path / "m" / "zz-new" / "feed.yaml").write_text(f"# one more\nextends: common\n{line}\n")
    found = lint(tmp_path / "m")
    assert [text.partition(": ")[2] for text in found] == [told]
    assert found[0].startswith("zz-new/feed.yaml:3: ")


@pytest.mark.parametrize(("line", "told"), [
    ("csv: {colums: {member_id: No}}", "csv: no key `colums`; did you mean `columns`?"),
    ("csv: {columns: {member_ids: No}}", "csv: columns: members has no column `member_ids`; did you mean `member_id`?"),
    ("csv: {dates: {birthdate: '%d.%m.%Y'}}", "csv: dates: members has no column `birthdate`; did you mean `birth_date`?"),
    ("csv: {delimiter: ';;'}", "delimiter, quote: each is one ASCII character, and they differ"),
    ("csv: {longest_cell: many}", "csv: a number is none"),
    ("codes: {gendr: {W: female}}", "codes: members has no column `gendr`; did you mean `gender`?"),
    ("defaults: {programme: x}", "defaults: members has no column `programme`; did you mean `program`?"),
    ("patient: memberid", "patient: members has no column `memberid`; did you mean `member_id`?"),
    ("contract: memberz", None),
])
def test_a_mistake_in_a_csv_feed_is_told_at_its_line(tmp_path: Path, line: str, told: str | None) -> None:
    shutil.copytree("mappings", tmp_path / "m")
    (tmp_path / "m" / "zz-new").mkdir()
    (tmp_path / "m" / "zz-new" / "feed.yaml").write_text(f"# one more\nextends: members\n{line}\n")
    found = lint(tmp_path / "m")
    assert len(found) == 1
    assert found[0].startswith("zz-new/feed.yaml:")
    assert told is None or found[0].partition(": ")[2] == told


@pytest.mark.parametrize(("row", "told"), [
    ("{from: ZPH-2, to: extension, url: 'urn:x', value: valueSting, as: st_string}",
     "an extension has no `valueSting`; did you mean `valueString`?"),
    ("{from: ZPH-2, to: extension, url: 'urn:x', value: valueString, as: st_strin}",
     "no function `st_strin`; did you mean `st_string`?"),
])
def test_a_mistake_in_a_map_is_told_as_file_line_and_what(tmp_path: Path, row: str, told: str) -> None:
    shutil.copytree("mappings", tmp_path / "m")
    (tmp_path / "m" / "st-anne" / "zph.map.yaml").write_text(f"segment: ZPH\nresource: Patient\nkey: patient\nrows:\n- {row}\n")
    assert lint(tmp_path / "m") == [f"st-anne/zph.map.yaml:5: {told}"]
