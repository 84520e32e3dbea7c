"""Servers of others: nothing goes there that is not declared and permitted, and what is revoked is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
import yaml

from adapter.commands.checks import examine
from adapter.deliver.declared import read_targets
from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import outbox
from adapter.store.engine import reading
from adapter.web.readiness import notes
from adapter.web.worker import Worker
from tests.faulty import FhirStandIn, fhir_stand_in
from tests.unit.test_disclosure import CONDITION, ENDED, HARBOR, LEAD, release
from tests.unit.test_gap_lives import MEMBER, load
from tests.unit.test_stays import LINES, adt, receive

START = datetime(2026, 3, 1, 17, tzinfo=UTC)
TYPES = ["Organization", "Practitioner", "Patient", "CareTeam", "Encounter", "Condition", "Group"]
DECLARED: dict[str, object] = {"name": "harbor", "recipient": "ORG-HARBOR", "purpose": "CAREMGT"}


class Disclosing:
    """A gateway with one declared target, which is Harbor's."""

    def __init__(self, folder: Path, server: FhirStandIn) -> None:
        self.folder, self.server, self.now = folder, server, START
        self.gateway = self.opened(["general", "unclassified"], TYPES)
        load(self.gateway, "members", MEMBER)

    def opened(self, classes: Sequence[str], types: Sequence[str]) -> Gateway:
        file = self.folder / "targets.yaml"
        file.write_text(yaml.safe_dump([DECLARED | {"url": self.server.url, "classes": [*classes], "types": [*types]}]))
        return Gateway(Settings(data_dir=self.folder, key="00" * 32, targets=str(file)), lambda: self.now)  # pyright: ignore[reportCallIssue]  # the settings fill the rest

    def settle(self) -> None:
        for _ in range(30):
            while self.gateway.work():
                pass
            if not self.gateway.disclosing.push():
                if not self.waiting():
                    return
                self.now += timedelta(minutes=7)
        raise AssertionError("it does not settle")

    def waiting(self) -> int:
        with reading(self.gateway.engine) as connection:
            return outbox.depth(connection, "harbor")

    def load(self, feed: str, *files: bytes) -> None:
        for one in files:
            self.now += timedelta(minutes=1)
            load(self.gateway, feed, one)
        self.settle()

    def there(self) -> set[str]:
        """The types that stand on the target of a person."""
        return {t for t, _ in self.server.current()} - {"Organization", "Practitioner"}

    def ever(self) -> set[str]:
        """The types that ever stood there."""
        return {t for t, _ in self.server.standing}


@pytest.fixture(name="to")
def _to(tmp_path: Path) -> Iterator[Disclosing]:
    with fhir_stand_in() as server:
        to = Disclosing(tmp_path, server)
        yield to
        to.gateway.close()


def test_of_a_member_who_is_none_of_theirs_nothing_ever_goes(to: Disclosing) -> None:
    to.load("care_team", LEAD, ENDED)
    to.load("conditions", CONDITION)
    assert to.ever() <= {"Organization", "Practitioner"}


def test_general_data_goes_to_who_cares_for_the_member_and_what_may_be_more_does_not(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"")
    to.load("conditions", CONDITION)
    assert to.there() == {"Patient", "CareTeam"}
    assert "Condition" not in to.ever()


def test_a_release_lets_go_and_its_revocation_takes_back(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"2026-02-20")
    to.load("conditions", CONDITION)
    assert to.there() == set()
    to.load("consents", release())
    assert to.there() == {"Patient", "CareTeam", "Condition"}
    to.load("consents", release(status="revoked", stated="2026-02-28T08:00:00-05:00"))
    assert to.there() == set()


def test_a_restriction_by_hl7_takes_back_and_its_end_lets_go_again(to: Disclosing) -> None:
    """ARV; a CON names no recipient, and neither releases nor restricts."""
    to.load("care_team", LEAD, HARBOR % b"")
    receive(to.gateway, [adt("A01")])
    to.settle()
    there = to.there()
    assert "Encounter" in there
    for hour, line, expected in (
            (12, "CON|1|010^Release^HL70496||F1|||||||X^Withdrawn^HL70498||20260301120000", there),
            (13, "ARV|1|A^Add^HL70206|ALL^All^HL70717", set[str]()), (14, "ARV|1|D^Delete^HL70206|ALL^All^HL70717", there)):
        to.now += timedelta(minutes=10)
        at = f"20260301{hour}0000-0500"
        header = f"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|{at}||ADT^A31|A31{hour}|P|2.8"
        receive(to.gateway, ["\r".join([header, f"EVN|A31|{at}", LINES["PID"], line, ""]).encode()])
        to.settle()
        assert to.there() == expected, line


@pytest.mark.parametrize("by_itself", [False, True])
def test_what_goes_away_is_named_no_more_by_what_stays(to: Disclosing, by_itself: bool) -> None:
    """A stay that may be told of names a diagnosis that may not any more: a server deletes nothing that others refer to."""
    to.load("care_team", LEAD, HARBOR % b"")
    receive(to.gateway, [adt("A01")])
    to.load("consents", release(data_class="general", number=2), release(end="2026-03-10" if by_itself else ""))
    assert to.there() == {"Patient", "CareTeam", "Encounter", "Condition"}
    stay = next(body for (t, _), body in to.server.current().items() if t == "Encounter")
    assert "Condition/" in str(stay)
    if by_itself:
        to.now = datetime(2026, 3, 12, tzinfo=UTC)
        to.gateway.disclosing.sweep()
        to.settle()
    else:
        to.load("consents", release(status="revoked", stated="2026-02-28T08:00:00-05:00"))
    assert to.there() == {"Patient", "CareTeam", "Encounter"}
    assert "Condition/" not in str(to.server.current())
    to.load("consents", release(number=3))
    assert stay in to.server.current().values()


@pytest.mark.parametrize("fault", ["lost", "reset", "503"])
def test_what_was_sent_without_an_answer_is_taken_back_too(to: Disclosing, fault: str) -> None:
    to.load("care_team", LEAD, HARBOR % b"2026-02-20")
    to.server.faults = [fault]
    load(to.gateway, "consents", release())
    while to.gateway.work():
        pass
    to.gateway.disclosing.push()
    assert to.server.faults == []
    to.load("consents", release(status="revoked", stated="2026-02-28T08:00:00-05:00"))
    assert to.there() == set()


@pytest.mark.parametrize("changed", ["updated", "deleted"])
def test_what_the_recipient_changed_itself_is_taken_back_and_brought_up_to_date_all_the_same(
        to: Disclosing, changed: str) -> None:
    to.load("care_team", LEAD, HARBOR % b"2026-02-20")
    to.load("consents", release())
    [patient] = [key for key in to.server.current() if key[0] == "Patient"]
    theirs = to.server.current()[patient] | {"maritalStatus": {"text": "widowed"}}
    to.server.write(*patient, theirs if changed == "updated" else None)
    to.load("members", MEMBER.replace(b"Viola", b"Violet").replace(b"03-01T06", b"03-01T07"))
    assert "Violet" in str(to.server.current().get(patient))
    to.server.write(*patient, theirs if changed == "updated" else None)
    to.load("consents", release(status="revoked", stated="2026-02-28T08:00:00-05:00"))
    assert to.there() == set()
    assert to.waiting() == 0


def test_a_server_that_was_restored_from_a_backup_gets_what_it_lacks_once_it_changes(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"2026-02-20")
    backup = to.server.saved()
    to.load("consents", release())
    there = to.there()
    to.server.restore(backup)
    to.load("members", MEMBER.replace(b"Viola", b"Violet").replace(b"03-01T06", b"03-01T07"))
    to.load("consents", release(number=2))
    assert to.there() == there
    to.load("consents", release(status="revoked", stated="2026-02-28T08:00:00-05:00"))
    to.load("consents", release(number=2, status="revoked", stated="2026-02-28T08:00:00-05:00"))
    assert (to.there(), to.waiting()) == (set(), 0)


def test_a_release_that_ends_takes_back_by_itself(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"2026-02-20")
    to.load("consents", release(end="2026-03-10"))
    assert "Patient" in to.there()
    assert to.gateway.disclosing.sweep() == 0
    to.now = datetime(2026, 3, 12, tzinfo=UTC)
    assert to.gateway.disclosing.sweep() > 0
    to.settle()
    assert to.there() == set()


def test_what_is_declared_otherwise_is_decided_anew(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"")
    to.load("consents", release())
    to.load("conditions", CONDITION)
    assert to.there() == {"Patient", "CareTeam", "Condition"}
    to.gateway.close()
    to.gateway = to.opened(["general"], ["Organization", "Practitioner", "Patient", "Condition"])
    to.now += timedelta(minutes=2)  # the process before it is gone
    to.settle()
    assert to.there() == {"Patient"}


def test_a_target_that_is_taken_out_with_what_it_has_is_told_until_it_has_nothing(to: Disclosing) -> None:
    to.load("care_team", LEAD, HARBOR % b"")
    to.gateway.close()
    to.gateway = Gateway(Settings(data_dir=to.folder, key="00" * 32), lambda: to.now)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    count = len(to.server.current())
    [note] = notes(to.gateway)
    assert (note["code"], f"harbor has {count} resources" in note["message"]) == ("target-undeclared", True), note
    told = [one for one in examine(to.gateway.settings) if one.what == "target harbor"]
    assert [(one.verdict, one.told.rpartition(": ")[2]) for one in told] == [("unsound", str(count))]
    to.gateway.close()
    to.gateway = to.opened(["general"], [])
    to.now += timedelta(minutes=2)
    to.settle()
    assert to.server.current() == {}
    to.gateway.close()
    to.gateway = Gateway(Settings(data_dir=to.folder, key="00" * 32), lambda: to.now)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    assert notes(to.gateway) == []


def test_a_reference_to_what_does_not_go_is_left_out(to: Disclosing) -> None:
    to.gateway.close()
    to.gateway = to.opened(["general"], ["Patient", "CareTeam"])
    to.now += timedelta(minutes=2)
    to.load("care_team", LEAD, HARBOR % b"")
    assert {t for t, _ in to.server.current()} == {"Patient", "CareTeam"}
    assert "Organization/" not in str(to.server.current())


def test_what_a_target_does_not_answer_goes_once_it_does(to: Disclosing) -> None:
    to.server.faults = ["lost", "503", "reset"]
    to.load("care_team", LEAD, HARBOR % b"")
    assert to.server.faults == []
    assert to.there() == {"Patient", "CareTeam"}


def test_a_target_that_does_not_answer_holds_up_no_other_server(tmp_path: Path) -> None:
    asked, let_go = Event(), Event()

    def hang(_: object) -> int:
        asked.set()
        let_go.wait(60)
        return 0

    with fhir_stand_in() as own, fhir_stand_in(FhirStandIn(refuse=hang)) as other:
        file = tmp_path / "targets.yaml"
        file.write_text(yaml.safe_dump([DECLARED | {"url": other.url, "classes": ["general"], "types": TYPES}]))
        gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, fhir_url=own.url, targets=str(file)), lambda: START)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
        gateway.load("members", MEMBER)
        worker = Worker(gateway)
        worker.start()
        try:
            assert asked.wait(30)
            gateway.load("members", MEMBER.replace(b"Viola", b"Violet").replace(b"03-01T06", b"03-01T07"))
            assert until(lambda: "Violet" in str(own.current()))
        finally:
            let_go.set()
            worker.stop()
            gateway.close()


def until(found: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it is found within that time."""
    ends = time.monotonic() + seconds
    while not (there := found()) and time.monotonic() < ends:
        time.sleep(0.05)
    return there


@pytest.mark.parametrize("change", [
    {"purpose": "HMARKT"}, {"types": ["Patent"]}, {"classes": "general"}, {"name": "Not A Name"}, {"url": "ftp://x"},
    {"recipient": ""}, {"token": "secret"}])
def test_a_declaration_that_says_too_little_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    one = DECLARED | {"url": "https://harbor.example/fhir", "classes": ["general"], "types": ["Patient"]}
    file = tmp_path / "targets.yaml"
    file.write_text(yaml.safe_dump([one]))
    assert [target.name for target in read_targets(file)] == ["harbor"]
    file.write_text(yaml.safe_dump([one | change]))
    with pytest.raises(Rejected) as refusal:
        read_targets(file)
    assert refusal.value.issue.code == "targets-invalid"
