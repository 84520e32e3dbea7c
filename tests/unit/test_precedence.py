"""`mappings/precedence.yaml`, from the file to what stands: whose word counts first, and what is wrong with the file."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Defect
from adapter.feeds import open_feeds
from adapter.gateway import Gateway
from adapter.mapping.lint import lint
from adapter.model import Json
from adapter.settings import Settings

HOME = Path(__file__).parents[2]
PLAN = ("member_id,first_name,last_name,birth_date,gender,mrn,mrn_system,address_line,city,state,postal_code,updated_at\n"
        "M1,Viola,Wrenmere,1958-04-09,female,S1,urn:oid:2.16.840.1.113883.3.9999.1,12 Orchard Lane,Alderton,NY,12999,"
        "2026-03-09T08:00:00-05:00\n")
STAY = (r"MSH|^~\&|STANNE|MAIN|CARELOOP|NETWORK|20260301081000||ADT^A08|SA1|P|2.5.1" "\rEVN|A08|20260301081000\r"
        "PID|1||S1^^^STANNE^MR||Wrenmere^Viola||19580904|M|||4 Mill Road^^Fernhill^NY^12998^USA^H\r")
Opened = Callable[..., Gateway]


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens a gateway whose mappings have that precedence.yaml, or none."""
    gateways: list[Gateway] = []

    def open_it(text: str | None) -> Gateway:
        home = tmp_path / str(len(gateways))
        shutil.copytree(HOME / "mappings", home / "mappings")
        (home / "mappings/precedence.yaml").unlink()
        if text is not None:
            (home / "mappings/precedence.yaml").write_text(text)
        ticks = itertools.count()
        gateways.append(Gateway(Settings(data_dir=home / "data", mappings=home / "mappings", key="00" * 32),  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the fields
                                lambda: datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=next(ticks))))
        return gateways[-1]

    yield open_it
    for gateway in gateways:
        gateway.close()


def main(gateway: Gateway, *, hospital_first: bool) -> Json:
    """The member's Patient when a hospital's message of 1 March and the plan's row of 9 March came, in either order."""
    steps: list[Callable[[], Any]] = [lambda: gateway.accept([(STAY.encode(), "test")]),
                                      lambda: gateway.load("members", PLAN.encode())]
    for step in steps if hospital_first else reversed(steps):
        step()
        while gateway.work():
            pass
    return gateway.embedded.search("Patient", [("identifier", "urn:x-careloop:member|M1")]).resources[0]


def said(patient: Json) -> tuple[str, str, list[str]]:
    return patient["gender"], patient["birthDate"], sorted(a["city"] for a in patient["address"])


@pytest.mark.parametrize("hospital_first", [True, False])
@pytest.mark.parametrize(("text", "expected"), [
    (None, ("female", "1958-04-09", ["Alderton", "Fernhill"])),
    ("Patient.address: [common, members]\n", ("female", "1958-04-09", ["Fernhill"])),
    ("Patient.address: [members]\nPatient.gender: [st-anne]\n", ("male", "1958-04-09", ["Alderton"])),
    ("Patient: [common]\nPatient.gender: [members]\n", ("female", "1958-09-04", ["Alderton", "Fernhill"])),
])
def test_whose_word_counts_is_as_declared_whoever_came_first(
        opened: Opened, text: str | None, expected: tuple[str, str, list[str]], hospital_first: bool) -> None:
    assert said(main(opened(text), hospital_first=hospital_first)) == expected


@pytest.mark.parametrize(("line", "told"), [
    ("Patint: [members]", "no resource type Patint; did you mean `Patient`?"),
    ("Patient.adress: [members]", "Patient has no element adress; did you mean `address`?"),
    ("Patient.deceasedBoolean: [members]", "Patient has no element deceasedBoolean"),
    ("Patient.gender: [membres]", "no feed `membres`; did you mean `members`?"),
    ("Patient.gender: members", "'members' is not of type 'array'"),
    ("Patient.gender: []", "[] should be non-empty"),
    ("patient: [members]", "'patient' does not match"),
])
def test_a_mistake_is_told_at_its_line(tmp_path: Path, line: str, told: str) -> None:
    shutil.copytree(HOME / "mappings", tmp_path / "m")
    (tmp_path / "m/precedence.yaml").write_text(f"# whose word\nCoverage: [members, server]\n{line}\n")
    [found] = lint(tmp_path / "m")
    assert told in found
    assert found.startswith(("precedence.yaml:3: ", "precedence.yaml:1: ") if "match" in told else "precedence.yaml:3: ")


def test_a_file_of_another_form_stops_the_gateway(tmp_path: Path) -> None:
    shutil.copytree(HOME / "mappings", tmp_path / "m")
    (tmp_path / "m/precedence.yaml").write_text("Coverage: 7\n")
    with pytest.raises(Defect, match=r"precedence\.yaml:1"):
        open_feeds(tmp_path / "m")
