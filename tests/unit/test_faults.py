"""What must not stop the others: an entry that cannot be processed, a refusal whose cause is mended, a bad list member."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from adapter import gateway as gateway_module
from adapter.compose.standing import stand
from adapter.fhirserver.port import Version
from adapter.gateway import Gateway
from adapter.model import Composed, Received
from adapter.pipeline import Feeds, convert, open_feeds
from adapter.settings import Settings
from adapter.store import outbox
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
    def apply(connection: Any, said: Any, *rest: Any) -> Any:
        if any("800009" in c.key for c in said):
            raise ZeroDivisionError
        return real(connection, said, *rest)

    real = gateway_module.apply
    monkeypatch.setattr(gateway_module, "apply", apply)
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
        outbox.note_pushed(connection, "hapi", [(delivery, "1")])
        assert others.bring_in(connection, gone, "hapi", 5)
        assert [(r.id, r.state) for r in connection.execute(select(OUTBOX))] == [(patient.id, "waiting")]
        assert outbox.pushed(connection, "hapi", [("Patient", patient.id)]) == {}
        assert not others.bring_in(connection, gone, "hapi", 6)


def test_what_is_kept_of_earlier_messages_changes_nothing_in_later_ones() -> None:
    """Warm or fresh, in any company: a message converts to the same bytes."""
    messages = [path.read_bytes() for path in sorted(Path("fixtures/hl7v2").glob("[aA]*/*.hl7"))]
    assert len(messages) >= 10
    warm = open_feeds(Path("mappings"))

    def bundle(raw: bytes, feeds: Feeds) -> bytes:
        received = Received(raw=raw, arrival=datetime(2026, 3, 20, tzinfo=UTC))
        return orjson.dumps(convert(received, feeds, b"key").bundle)

    for raw in messages * 2:
        bundle(raw, warm)
    assert [bundle(raw, warm) for raw in reversed(messages)] == [bundle(raw, open_feeds(Path("mappings")))
                                                                 for raw in reversed(messages)]
