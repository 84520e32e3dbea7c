"""Servers of others: nothing goes there that is not declared and permitted, and what is revoked is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from adapter.deliver.declared import read_targets
from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.settings import Settings
from tests.faulty import FhirStandIn, fhir_stand_in
from tests.unit.test_disclosure import CONDITION, ENDED, HARBOR, LEAD, release
from tests.unit.test_gap_lives import MEMBER, load

START = datetime(2026, 3, 1, 17, tzinfo=UTC)
TYPES = ["Organization", "Practitioner", "Patient", "CareTeam", "Condition", "Group"]
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
                return
        raise AssertionError("it does not settle")

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
    for _ in range(12):
        to.now += timedelta(minutes=7)
        to.settle()
    assert to.there() == {"Patient", "CareTeam"}


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
