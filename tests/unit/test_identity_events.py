"""Merges, moves, links, changes of number and deletions: from real bytes through the public intake to what stands.

The messages are sent in every order; what stands is always the same (HL7 v2 chapter 3; COMPOSE, identity).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from adapter.cli import main
from adapter.compose.references import targets
from adapter.feeds import open_feeds
from adapter.gateway import Gateway
from adapter.installation import mappings as in_force
from adapter.memory import forget
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import JOURNAL, RESOURCE

START = datetime(2026, 3, 20, 12, tzinfo=UTC)
NAMES = {"1": "Tarnhill^Bess", "2": "Tarnhill^Elizabeth", "3": "Quorley^Anna"}


def adt(trigger: str, at: int, number: str, *segments: str, account: str = "", visit: str = "", outer: str = "") -> bytes:
    """A message of hour `at` on 1 March 2026 about the patient of a number; `visit` adds a PV1."""
    pid = f"PID|1|{outer}|{number}^^^EAST^MR||{NAMES[number]}||19610514|F" + (f"{'|' * 10}{account}^^^EAST^AN" if account else "")
    pv1 = [f"PV1|1|I|3W^12^A^EAST{'|' * 16}{visit}^^^EAST^VN"] if visit else []
    time = f"20260301{at:02d}0000"
    return "\r".join([rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NET|{time}||ADT^{trigger}|{trigger}{at}{number}|P|2.5.1",
                      f"EVN|{trigger}|{time}", pid, *segments, *pv1, ""]).encode()


feeds = cache(open_feeds)


@pytest.fixture(name="gateways")
def _gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Opens a gateway on a new folder; the feeds, which every one of them reads alike, are compiled once."""
    monkeypatch.setattr(in_force, "open_feeds", feeds)
    opened: list[Gateway] = []

    def open_one() -> Gateway:
        ticks = iter(range(10**6))
        gateway = Gateway(Settings(data_dir=tmp_path / str(len(opened)), key="00" * 32),
                          lambda: START + timedelta(seconds=next(ticks)))
        opened.append(gateway)
        return gateway

    yield open_one
    for gateway in opened:
        gateway.close()


def standing(gateway: Gateway) -> dict[str, Any]:
    """Every resource that stands, by `Type/id`, but for those about the messages themselves."""
    with reading(gateway.engine) as connection:
        found = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0)).all()
    return {f"{r.resource_type}/{r.id}": orjson.loads(r.body) for r in found
            if r.resource_type not in ("Provenance", "MessageHeader")}


def dangling(gateway: Gateway) -> set[str]:
    """References of what stands to what does not; those about the messages included."""
    with reading(gateway.engine) as connection:
        found = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0)).all()
    named = {name for r in found for name in targets(orjson.loads(r.body), set())}
    return named - {f"{r.resource_type}/{r.id}" for r in found}


def after(gateways: Any, messages: Sequence[bytes]) -> dict[str, Any]:
    """What stands after these messages, one at a time, the same in every order of arrival."""
    orders = list(permutations(messages)) if len(messages) < 5 else [tuple(messages), tuple(reversed(messages))]
    results: list[dict[str, Any]] = []
    for order in orders:
        gateway = gateways()
        for message in order:
            [ack] = gateway.accept([(message, "test")])
            assert b"MSA|AA" in ack
            gateway.work()
        assert dangling(gateway) == set()
        results.append(standing(gateway))
    assert all(r == results[0] for r in results), "another order of arrival gives something else"
    return results[0]


def of_type(found: dict[str, Any], resource_type: str) -> list[Any]:
    return [b for name, b in found.items() if name.startswith(f"{resource_type}/")]


def numbers(resource: Any) -> set[str]:
    return {i["value"] for i in resource["identifier"]}


def patient_of(found: dict[str, Any], number: str) -> tuple[str, Any]:
    """The Patient record that a number names (its current one, not an old one that it took over)."""
    [(name, body)] = [(n, b) for n, b in found.items() if n.startswith("Patient/")
                      and any(i["value"] == number and i.get("use") != "old" for i in b["identifier"])]
    return name, body


# --- patients


@pytest.mark.parametrize("event", ["A18", "A30", "A34", "A36", "A39", "A40"])
def test_a_merge_leaves_one_person_whose_old_record_points_to_it(gateways: Any, event: str) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1"), adt("A01", 9, "2", visit="V2"),
                             adt(event, 12, "2", "MRG|1^^^EAST^MR")])
    loser, gone = patient_of(found, "1")
    survivor, kept = patient_of(found, "2")
    assert gone["active"] is False
    assert gone["link"] == [{"other": {"reference": survivor}, "type": "replaced-by"}]
    assert kept["link"] == [{"other": {"reference": loser}, "type": "replaces"}]
    assert {e["subject"]["reference"] for e in of_type(found, "Encounter")} == {survivor}
    assert [n["given"] for n in kept["name"]] == [["Elizabeth"]]


@pytest.mark.parametrize("event", ["A30", "A39"])
def test_a_merge_by_outer_numbers_alone(gateways: Any, event: str) -> None:
    """Versions before 2.4: MRG-4 goes by PID-2, PID-3 may be the same in both."""
    found = after(gateways, [adt("A01", 8, "1", visit="V1", outer="E1^^^NET^PI"), adt("A28", 9, "2", outer="E2^^^NET^PI"),
                             adt(event, 12, "2", "MRG||||E9^^^NET^PI", outer="E2^^^NET^PI")])
    _, kept = patient_of(found, "2")
    assert "E9" in {i["value"] for b in of_type(found, "Patient") for i in b["identifier"]}
    assert any(link["type"] == "replaces" for link in kept.get("link", []))


@pytest.mark.parametrize("event", ["A46", "A47"])
def test_a_change_of_number_keeps_all_that_was_said(gateways: Any, event: str) -> None:
    mrg = "MRG|1^^^EAST^MR"
    allergy = "AL1|1|DA|7980^Penicillin^RXN|SV"
    found = after(gateways, [adt("A28", 8, "1", "PD1||||1234567893^Okonjo^Mary^^^^^^NPI", allergy), adt(event, 12, "2", mrg)])
    name, kept = patient_of(found, "2")
    assert {i["value"]: i.get("use") for i in kept["identifier"]} == {"1": "old", "2": None} | {
        i["value"]: i.get("use") for i in kept["identifier"] if i["value"] not in ("1", "2")}
    assert kept["generalPractitioner"], "said under the old number"
    [intolerance] = of_type(found, "AllergyIntolerance")
    assert intolerance["patient"]["reference"] == name


def test_a24_links_two_records_without_merging_them_and_a37_parts_them_again(gateways: Any) -> None:
    pair = [adt("A28", 8, "1"), adt("A28", 9, "3")]
    link = adt("A24", 10, "1", "PID|2||3^^^EAST^MR||Quorley^Anna||19610514|F")
    unlink = adt("A37", 11, "1", "PID|2||3^^^EAST^MR||Quorley^Anna||19610514|F")
    together = after(gateways, [*pair, link])
    first, one = patient_of(together, "1")
    other, two = next((n, b) for n, b in together.items() if n.startswith("Patient/") and n != first)
    assert [link["type"] for link in one["link"]] == ["seealso"]
    assert two["link"] == [{"other": {"reference": first}, "type": "refer"}]
    assert "active" not in two
    assert {"1", "3"} <= numbers(one), "the main record is composed from both"
    parted = after(gateways, [*pair, link, unlink])
    assert "link" not in parted[first]
    assert "link" not in parted[other]
    assert numbers(parted[first]) == {"1"}


def test_a37_holds_against_links_that_are_only_inferred(gateways: Any) -> None:
    both = b"\r".join([adt("A28", 8, "1").replace(b"1^^^EAST^MR", b"1^^^EAST^MR~77^^^WEST^MR").rstrip(b"\r"), b""])
    west = adt("A28", 9, "3").replace(b"3^^^EAST^MR", b"77^^^WEST^MR")
    unlink = adt("A37", 11, "1", "PID|2||77^^^WEST^MR||Quorley^Anna||19610514|F")
    found = after(gateways, [both, west, unlink])
    assert all("link" not in p for p in of_type(found, "Patient"))


def test_a37_does_not_undo_a_merge(gateways: Any) -> None:
    found = after(gateways, [adt("A28", 8, "1"), adt("A28", 9, "2"), adt("A40", 10, "2", "MRG|1^^^EAST^MR"),
                             adt("A37", 11, "2", "PID|2||1^^^EAST^MR||Tarnhill^Bess||19610514|F")])
    assert patient_of(found, "1")[1]["active"] is False


def test_a43_moves_a_record_from_one_person_to_another(gateways: Any) -> None:
    found = after(gateways, [
        adt("A28", 8, "1").replace(b"1^^^EAST^MR", b"1^^^EAST^MR~E1^^^NET^PI"),
        adt("A28", 9, "3").replace(b"3^^^EAST^MR", b"W3^^^WEST^MR~E2^^^NET^PI"),
        adt("A28", 9, "2").replace(b"2^^^EAST^MR", b"W2^^^WEST^MR~E1^^^NET^PI"),
        adt("A43", 12, "1", "MRG|1^^^EAST^MR|||E1^^^NET^PI", outer="E2^^^NET^PI")])
    people = [numbers(p) for p in of_type(found, "Patient")]
    assert any({"1", "W3"} <= one for one in people), "one person now"
    assert not any({"1", "W2"} <= one for one in people)


# --- accounts and visits


@pytest.mark.parametrize("event", ["A42", "A50"])
def test_a_visit_under_two_numbers_is_one_visit(gateways: Any, event: str) -> None:
    diagnosis = "DG1|1||I10^Hypertension^I10||20260301|A"
    found = after(gateways, [adt("A01", 8, "1", visit="V1").rstrip(b"\r") + f"\r{diagnosis}\r".encode(),
                             adt("A03", 11, "1", visit="V2"),
                             adt(event, 12, "1", "MRG|1^^^EAST^MR||||V1^^^EAST^VN", visit="V2")])
    [visit] = of_type(found, "Encounter")
    assert visit["status"] == "finished"
    assert visit["period"]["start"].startswith("2026-03-01T08")
    assert {i["value"]: i.get("use") for i in visit["identifier"]} == {"V1": "old", "V2": None}
    [condition] = of_type(found, "Condition")
    assert condition["encounter"]["reference"] == f"Encounter/{visit['id']}"


@pytest.mark.parametrize("event", ["A35", "A36", "A41", "A49"])
def test_an_account_under_two_numbers_is_one_account(gateways: Any, event: str) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1", account="K1"),
                             adt(event, 12, "1", "MRG|1^^^EAST^MR||K1^^^EAST^AN", account="K2")])
    [account] = of_type(found, "Account")
    assert {i["value"]: i.get("use") for i in account["identifier"]} == {"K1": "old", "K2": None}
    [visit] = of_type(found, "Encounter")
    assert visit["account"] == [{"reference": f"Account/{account['id']}"}]


@pytest.mark.parametrize("event", ["A06", "A07"])
def test_a_change_of_class_may_come_with_another_visit_number(gateways: Any, event: str) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1"), adt(event, 12, "1", "MRG|1^^^EAST^MR||||V1^^^EAST^VN", visit="V2")])
    [visit] = of_type(found, "Encounter")
    assert {i["value"]: i.get("use") for i in visit["identifier"]} == {"V1": "old", "V2": None}
    assert len(of_type(after(gateways, [adt("A01", 8, "1", visit="V1"), adt(event, 12, "1", visit="V1")]), "Encounter")) == 1


def test_a45_moves_a_visit_and_its_diagnoses_to_the_patient_who_had_it(gateways: Any) -> None:
    diagnosis = "DG1|1||I10^Hypertension^I10||20260301|A"
    found = after(gateways, [adt("A01", 8, "1", visit="V1").rstrip(b"\r") + f"\r{diagnosis}\r".encode(),
                             adt("A01", 9, "1", visit="V5"), adt("A28", 9, "3"),
                             adt("A45", 12, "3", "MRG|1^^^EAST^MR||||V1^^^EAST^VN", visit="V1")])
    name, _ = patient_of(found, "3")
    moved = next(e for e in of_type(found, "Encounter") if "V1" in numbers(e))
    stayed = next(e for e in of_type(found, "Encounter") if "V5" in numbers(e))
    assert moved["subject"]["reference"] == name
    assert stayed["subject"]["reference"] == patient_of(found, "1")[0]
    [condition] = of_type(found, "Condition")
    assert condition["subject"]["reference"] == name


def test_a44_moves_an_account_with_its_visits(gateways: Any) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1", account="K1"), adt("A28", 9, "3"),
                             adt("A44", 12, "3", "MRG|1^^^EAST^MR||K1^^^EAST^AN", account="K1")])
    name, _ = patient_of(found, "3")
    [account], [visit] = of_type(found, "Account"), of_type(found, "Encounter")
    assert account["subject"] == [{"reference": name}]
    assert visit["subject"]["reference"] == name


def test_several_visits_moved_by_one_message(gateways: Any) -> None:
    pairs = ["MRG|1^^^EAST^MR||||V1^^^EAST^VN", f"PV1|1|I|3W{'|' * 16}V1^^^EAST^VN",
             "MRG|1^^^EAST^MR||||V2^^^EAST^VN", f"PV1|1|I|3W{'|' * 16}V2^^^EAST^VN"]
    found = after(gateways, [adt("A01", 8, "1", visit="V1"), adt("A01", 9, "1", visit="V2"), adt("A45", 12, "3", *pairs)])
    name, _ = patient_of(found, "3")
    assert {e["subject"]["reference"] for e in of_type(found, "Encounter")} == {name}


@pytest.mark.parametrize(("account", "expected"), [("", None), ("K3", "K3")])
def test_a_moved_visit_leaves_the_account_of_the_person_before(gateways: Any, account: str, expected: str | None) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1", account="K1"), adt("A28", 9, "3"),
                             adt("A45", 12, "3", "MRG|1^^^EAST^MR||||V1^^^EAST^VN", visit="V1", account=account)])
    [visit] = of_type(found, "Encounter")
    held = [found[one["reference"]] for one in visit.get("account", [])]
    assert [numbers(one) for one in held] == ([{expected}] if expected else [])
    stayed = next(one for one in of_type(found, "Account") if "K1" in numbers(one))
    assert stayed["subject"] == [{"reference": patient_of(found, "1")[0]}]


def test_a_moved_visit_keeps_an_account_that_moves_after_it(gateways: Any) -> None:
    found = after(gateways, [adt("A01", 8, "1", visit="V1", account="K1"),
                             adt("A45", 10, "3", "MRG|1^^^EAST^MR||||V1^^^EAST^VN", visit="V1"),
                             adt("A44", 12, "3", "MRG|1^^^EAST^MR||K1^^^EAST^AN", account="K1")])
    [visit], [account] = of_type(found, "Encounter"), of_type(found, "Account")
    assert visit["account"] == [{"reference": f"Account/{account['id']}"}]
    assert account["subject"] == [{"reference": patient_of(found, "3")[0]}]


# --- deletions


def swap(number: str, other: str, account: str) -> bytes:
    """Two persons swap beds, and are told to have one account."""
    first = f"PV1|1|I|3W^12^A^EAST{'|' * 16}V{number}^^^EAST^VN"
    second = f"PID|2||{other}^^^EAST^MR||{NAMES[other]}||19610514|F{'|' * 10}{account}^^^EAST^AN"
    return adt("A17", 8, number, first, second, visit=f"V{other}", account=account)


def test_a_visit_lets_go_of_an_account_that_is_deleted_with_another_person(gateways: Any) -> None:
    found = after(gateways, [swap("1", "3", "K1"), adt("A29", 9, "1")])
    [visit] = of_type(found, "Encounter")
    assert (numbers(visit), visit.get("account")) == ({"V3"}, None)


def test_an_account_of_two_names_the_record_that_either_is_now(gateways: Any) -> None:
    found = after(gateways, [swap("2", "3", "K1"), adt("A40", 9, "1", "MRG|3^^^EAST^MR")])
    [account] = of_type(found, "Account")
    assert {one["reference"] for one in account["subject"]} == {patient_of(found, "2")[0], patient_of(found, "1")[0]}


def test_a29_ends_what_this_source_said_of_a_person_and_nothing_shared(gateways: Any) -> None:
    practitioner = "PD1||||1234567893^Okonjo^Mary^^^^^^NPI"
    before = [adt("A01", 8, "1", practitioner, "AL1|1|DA|7980^Penicillin^RXN|SV", visit="V1"),
              adt("A01", 9, "3", practitioner, visit="V2")]
    found = after(gateways, [*before, adt("A29", 12, "1")])
    assert patient_of(found, "1")[1]["active"] is False
    assert of_type(found, "AllergyIntolerance") == []
    [visit] = of_type(found, "Encounter")
    assert visit["subject"]["reference"] == patient_of(found, "3")[0]
    assert of_type(found, "Practitioner")
    assert of_type(found, "Location")
    [visit] = of_type(after(gateways, [adt("A01", 8, "1", visit="V1"), adt("A29", 12, "1", visit="V1")]), "Encounter")
    assert visit["status"] == "entered-in-error"
    assert all("status" not in at for at in visit["location"]), "nobody lies there"
    again = after(gateways, [*before, adt("A29", 12, "1"), adt("A28", 13, "1")])
    assert "active" not in patient_of(again, "1")[1]


def test_a23_purges_what_was_told_of_a_visit_but_not_that_it_was(gateways: Any) -> None:
    diagnosis = "DG1|1||I10^Hypertension^I10||20260301|A"
    found = after(gateways, [adt("A01", 8, "1", visit="V1").rstrip(b"\r") + f"\r{diagnosis}\r".encode(),
                             adt("A03", 10, "1", visit="V1"), adt("A23", 12, "1", visit="V1")])
    [visit] = of_type(found, "Encounter")
    assert (visit["status"], visit["class"]["code"]) == ("finished", "IMP")
    assert visit["period"]["end"].startswith("2026-03-01T10")
    assert of_type(found, "Condition") == []
    assert "diagnosis" not in visit


# --- lists


PENICILLIN, NUTS, LATEX = "AL1|1|DA|7980^Penicillin^RXN|SV", "AL1|2|FA|NUT^Peanut^L|MO", "AL1|3|EA|LTX^Latex^L|MI"


def allergies(found: dict[str, Any]) -> set[str]:
    return {a["code"]["coding"][0]["code"] for a in of_type(found, "AllergyIntolerance")}


def test_a_later_list_replaces_this_senders_list_and_an_absent_one_says_nothing(gateways: Any) -> None:
    first, second = adt("A28", 8, "1", PENICILLIN, NUTS), adt("A31", 9, "1", NUTS, LATEX)
    assert allergies(after(gateways, [first, second])) == {"NUT", "LTX"}
    assert allergies(after(gateways, [first, second, adt("A31", 10, "1")])) == {"NUT", "LTX"}
    assert allergies(after(gateways, [first, second, adt("A31", 10, "1", PENICILLIN)])) == {"7980"}
    assert allergies(after(gateways, [first, second, *[adt("A31", 10, "1", PENICILLIN)] * 2])) == {"7980"}


@pytest.mark.parametrize(("said", "null"), [
    (PENICILLIN, 'AL1|1||""'), (PENICILLIN, 'AL1|1|""|""|""'), ("NK1|1|Tarnhill^Ann|SIS^Sister^HL70063", 'NK1|1|""'),
    ("DG1|1||R10^Pain^I10||20260301|A", 'DG1|1||""'), ("IN1|1|PLAN1^Plan|INS1|Insco", 'IN1|1|""|""'),
    ("PR1|1||X1^Cut^L||20260301", 'PR1|1||""')], ids=lambda text: text[:8])
def test_a_segment_that_is_null_where_it_would_name_something_empties_this_senders_list(
        gateways: Any, said: str, null: str) -> None:
    def told(*messages: bytes) -> int:
        return sum(len(of_type(after(gateways, messages), kind))
                   for kind in ("AllergyIntolerance", "RelatedPerson", "Condition", "Coverage", "Procedure"))

    def message(trigger: str, at: int, segment: str) -> bytes:
        return adt(trigger, at, "1", visit="V1") + f"{segment}\r".encode()

    assert told(message("A01", 8, said)) == 1
    assert told(message("A01", 8, said), message("A08", 9, null)) == 0
    assert told(message("A01", 8, null), message("A08", 9, said)) == 1


def test_a_list_says_nothing_of_what_was_told_one_by_one(gateways: Any) -> None:
    """NK1 lists next of kin, not the guarantor (GT1); AL1 lists allergies, IAM adds one."""
    kin, guarantor = "NK1|1|Tarnhill^Ann|SIS^Sister^HL70063", "GT1|1||Tarnhill^Carl||1 Elm^^Albany^NY^12207|||||||FTH"
    first = adt("A01", 8, "1", kin, guarantor, "IAM|1|DA|LTX^Latex^L|MI||A|IAM7", PENICILLIN, visit="V1")
    found = after(gateways, [first, adt("A08", 9, "1", "NK1|1|Tarnhill^Dora|MTH^Mother^HL70063", NUTS, visit="V1")])
    assert {p["name"][0]["given"][0] for p in of_type(found, "RelatedPerson")} == {"Dora", "Carl"}
    assert allergies(found) == {"NUT", "LTX"}


def test_one_senders_list_says_nothing_of_what_another_listed(gateways: Any) -> None:
    other = adt("A28", 9, "1", LATEX).replace(b"|EXAMPLE|EAST|", b"|EXAMPLE|WEST|")
    assert allergies(after(gateways, [adt("A28", 8, "1", PENICILLIN), other])) == {"7980", "LTX"}


def test_the_list_of_diagnoses_is_that_of_its_visit(gateways: Any) -> None:
    def told(trigger: str, at: int, visit: str, *codes: str) -> bytes:
        segments = "".join(f"DG1|{n}||{code}^x^I10||20260301|A\r" for n, code in enumerate(codes, 1))
        return adt(trigger, at, "1", visit=visit).rstrip(b"\r") + f"\r{segments}".encode()

    found = after(gateways, [told("A01", 8, "V1", "I10", "E11.9"), told("A01", 9, "V2", "J18.9"), told("A08", 10, "V1", "I10")])
    assert sorted(c["code"]["coding"][0]["code"] for c in of_type(found, "Condition")) == ["I10", "J18.9"]


# --- what an operator decides


def careloop(gateway: Gateway, *words: str) -> Result:
    return CliRunner().invoke(main, words, env={"CARELOOP_DATA_DIR": str(gateway.settings.data_dir), "CARELOOP_KEY": "00" * 32})


def test_an_operator_undoes_a_merge_and_a_later_merge_stands_again(gateways: Any) -> None:
    gateway = gateways()
    merge = adt("A40", 10, "2", "MRG|1^^^EAST^MR")
    for message in (adt("A28", 8, "1"), adt("A28", 9, "2"), merge):
        gateway.accept([(message, "test")])
        gateway.work()
    loser, survivor = patient_of(standing(gateway), "1")[0], patient_of(standing(gateway), "2")[0]
    told = careloop(gateway, "identity", "unlink", loser, survivor, "--reason", "two sisters", "--by", "R. Officer")
    assert (told.exit_code, told.output) == (0, "two persons now\n")
    assert all("link" not in p and "active" not in p for p in of_type(standing(gateway), "Patient"))
    assert "two persons" in careloop(gateway, "identity", "unlink", loser, survivor, "--reason", "again").output
    gateway.accept([(merge, "test")])
    gateway.work()
    assert "active" not in patient_of(standing(gateway), "1")[1], "a resend of the old merge says nothing new"
    assert "one person now" in careloop(gateway, "identity", "link", loser, survivor, "--reason", "one after all").output
    with reading(gateway.engine) as connection:
        first = connection.scalar(select(JOURNAL.c.raw).where(JOURNAL.c.kind == "operator").order_by(JOURNAL.c.id))
    assert (orjson.loads(first)["by"], orjson.loads(first)["reason"]) == ("R. Officer", "two sisters")


def test_who_is_whom_is_shown_and_an_unknown_number_is_wrong_usage(gateways: Any) -> None:
    gateway = gateways()
    for message in (adt("A28", 8, "1"), adt("A28", 9, "2"), adt("A40", 10, "2", "MRG|1^^^EAST^MR")):
        gateway.accept([(message, "test")])
        gateway.work()
    shown = careloop(gateway, "identity", "show", patient_of(standing(gateway), "1")[0]).output
    assert "took over" in shown
    assert "the main record" in shown
    assert careloop(gateway, "identity", "show", "urn:nobody|9").exit_code == 2


def test_a_number_without_a_system_is_taken_where_one_system_alone_has_it(gateways: Any) -> None:
    gateway = gateways()
    for message in (adt("A28", 8, "1"), adt("A28", 9, "2").replace(b"2^^^EAST^MR", b"2^^^EAST^MR~77^^^WEST^MR")):
        gateway.accept([(message, "test")])
        gateway.work()
    shown = careloop(gateway, "identity", "show", "1")
    assert shown.exit_code == 0
    assert shown.output == careloop(gateway, "identity", "show", patient_of(standing(gateway), "1")[0]).output
    assert careloop(gateway, "identity", "show", "%").exit_code == 2
    gateway.accept([(adt("A28", 10, "3").replace(b"3^^^EAST^MR", b"1^^^WEST^MR"), "test")])
    gateway.work()
    both_systems = careloop(gateway, "identity", "show", "1")
    assert both_systems.exit_code == 2
    assert "2 systems have that number: " in both_systems.output
    assert "EAST" in both_systems.output.upper()
    assert "WEST" in both_systems.output.upper()


def test_an_undone_merge_is_shown_with_its_date(gateways: Any) -> None:
    gateway = gateways()
    for message in (adt("A28", 8, "1"), adt("A28", 9, "2"), adt("A40", 10, "2", "MRG|1^^^EAST^MR")):
        gateway.accept([(message, "test")])
        gateway.work()
    pair = [patient_of(standing(gateway), n)[0] for n in ("1", "2")]
    before = careloop(gateway, "identity", "show", "1").output
    assert re.search(r"took over .*\(A40 of \S+, stated 2026-\d\d-\d\d \d\d:\d\d\)", before)
    careloop(gateway, "identity", "unlink", *pair, "--reason", "two sisters")
    after_it = careloop(gateway, "identity", "show", "1").output
    assert re.search(r"took over .*\(A40 of \S+, stated 2026-\d\d-\d\d \d\d:\d\d; undone since\)", after_it)
    assert re.search(r"is not .*stated \d{4}-\d\d-\d\d \d\d:\d\d\)", after_it)


# --- two known persons in one message


def both(at: int) -> bytes:
    """A message whose PID-3 names a number of two records of one hospital."""
    return adt("A31", at, "1").replace(b"1^^^EAST^MR", b"1^^^EAST^MR~77^^^WEST^MR")


def test_two_known_persons_in_one_message_are_for_a_person_to_look_at(gateways: Any) -> None:
    other = adt("A28", 9, "2").replace(b"2^^^EAST^MR", b"2^^^EAST^MR~77^^^WEST^MR")
    found = after(gateways, [adt("A28", 8, "1"), other, both(10)])
    assert all("link" not in p for p in of_type(found, "Patient")), "never merged in silence"
    [task] = of_type(found, "Task")
    assert (task["status"], task["code"]["coding"][0]["code"]) == ("requested", "identity-review")
    looked_at = {one["valueReference"]["reference"] for one in task["input"]}
    assert {patient_of(found, "1")[0], patient_of(found, "2")[0]} <= looked_at


def test_the_task_is_gone_when_somebody_has_looked(gateways: Any) -> None:
    gateway = gateways()
    other = adt("A28", 9, "2").replace(b"2^^^EAST^MR", b"2^^^EAST^MR~77^^^WEST^MR")
    for message in (adt("A28", 8, "1"), other, both(10)):
        gateway.accept([(message, "test")])
        gateway.work()
    pair = [patient_of(standing(gateway), n)[0] for n in ("1", "2")]
    assert careloop(gateway, "identity", "link", *pair, "--reason", "one person, two cards").exit_code == 0
    assert of_type(standing(gateway), "Task") == []


# --- several such events in one history, every order and batch the same


DIAGNOSIS = "DG1|1||I10^Hypertension^I10||20260301|A"
PNEUMONIA = "DG1|1||J18.9^Pneumonia^I10||20260301|A"


def then(message: bytes, *segments: str) -> bytes:
    """A message with more segments behind its PV1."""
    return message.rstrip(b"\r") + b"\r" + b"".join(f"{s}\r".encode() for s in segments)


def visits(at: str, before: str, patient: str) -> str:
    return f"MRG|{patient}^^^EAST^MR||||{before}^^^EAST^VN"


BASE = then(adt("A01", 8, "1", visit="V1"), DIAGNOSIS)
MOVED = adt("A45", 10, "3", visits("", "V1", "1"), visit="V1")
RENUMBERED = adt("A50", 9, "1", visits("", "V1", "1"), visit="V2")


def same_everywhere(gateways: Any, messages: Sequence[bytes]) -> dict[str, Any]:
    """What stands, sent forward and backward, one at a time and all at once, with the gateway opened anew in between."""
    results: list[dict[str, Any]] = []
    for order in (messages, messages[::-1]):
        for limit in (1, 50):
            gateway = gateways()
            for n, message in enumerate(order):
                gateway.accept([(message, "test")])
                if limit == 1 or n % limit == limit - 1:
                    gateway.work(limit)
            while gateway.work(limit):
                pass
            assert dangling(gateway) == set()
            results.append(standing(gateway))
    assert all(r == results[0] for r in results)
    return results[0]


def subjects(found: dict[str, Any], resource_type: str) -> set[str]:
    return {r["subject"]["reference"] for r in of_type(found, resource_type)}


def test_a_visit_that_was_renumbered_keeps_what_stood_after_a_merge(gateways: Any) -> None:
    merge = adt("A40", 10, "3", "MRG|1^^^EAST^MR")
    found = same_everywhere(gateways, [BASE, RENUMBERED, merge, adt("A08", 11, "3", visit="V2"), adt("A03", 13, "3", visit="V2")])
    [visit] = of_type(found, "Encounter")
    assert visit["period"]["start"].startswith("2026-03-01T08")
    assert visit["period"]["end"].startswith("2026-03-01T13")


def test_a_message_under_the_old_number_and_another_patient_takes_nothing_away(gateways: Any) -> None:
    discharge = adt("A03", 11, "1", visit="V2")
    found = same_everywhere(gateways, [BASE, RENUMBERED, discharge, adt("A08", 12, "3", visit="V1")])
    [visit] = of_type(found, "Encounter")
    assert visit["status"] == "finished"
    assert {"V1", "V2"} <= numbers(visit)


@pytest.mark.parametrize(("history", "number"), [
    ([RENUMBERED, adt("A45", 12, "3", visits("", "V2", "1"), visit="V2")], "3"),
    ([MOVED, adt("A45", 12, "2", visits("", "V1", "3"), visit="V1")], "2"),
    ([MOVED, adt("A45", 12, "1", visits("", "V1", "3"), visit="V1")], "1"),
    ([adt("A40", 10, "2", "MRG|1^^^EAST^MR"), adt("A45", 12, "3", visits("", "V1", "2"), visit="V1")], "3")])
def test_a_visit_goes_with_its_diagnoses_through_every_move(gateways: Any, history: list[bytes], number: str) -> None:
    found = same_everywhere(gateways, [adt("A28", 7, number), BASE, *history])
    assert subjects(found, "Encounter") == subjects(found, "Condition") == {patient_of(found, number)[0]}


def test_an_account_that_was_renumbered_moves_with_its_visits(gateways: Any) -> None:
    history = [adt("A01", 8, "1", visit="V1", account="K1"), adt("A41", 10, "1", "MRG|1^^^EAST^MR||K1^^^EAST^AN", account="K2"),
               adt("A44", 12, "3", "MRG|1^^^EAST^MR||K2^^^EAST^AN", account="K2")]
    found = same_everywhere(gateways, history)
    [account] = of_type(found, "Account")
    assert subjects(found, "Encounter") == {account["subject"][0]["reference"]} == {patient_of(found, "3")[0]}


def test_a_visit_that_had_left_the_account_stays(gateways: Any) -> None:
    left = adt("A08", 9, "1", visit="V1", account="K2")
    moved = adt("A44", 12, "3", "MRG|1^^^EAST^MR||K1^^^EAST^AN", account="K1")
    found = same_everywhere(gateways, [then(adt("A01", 8, "1", visit="V1", account="K1"), DIAGNOSIS), left, moved])
    assert subjects(found, "Encounter") == subjects(found, "Condition") == {patient_of(found, "1")[0]}


def test_lists_and_deletions_reach_what_was_said_under_an_old_number(gateways: Any) -> None:
    told, change = adt("A28", 8, "1", PENICILLIN), adt("A47", 10, "2", "MRG|1^^^EAST^MR")
    assert allergies(same_everywhere(gateways, [told, change, adt("A31", 11, "2", NUTS)])) == {"NUT"}
    assert allergies(same_everywhere(gateways, [told, change, adt("A29", 13, "2")])) == set()
    merge = adt("A40", 10, "2", "MRG|1^^^EAST^MR")
    assert allergies(same_everywhere(gateways, [told, adt("A28", 8, "2", NUTS), merge, adt("A29", 13, "2")])) == set()


@pytest.mark.parametrize("history", [[RENUMBERED], [MOVED]])
def test_what_a_visit_lists_and_its_deletion_follow_its_number_and_patient(gateways: Any, history: list[bytes]) -> None:
    number, visit = ("1", "V2") if history == [RENUMBERED] else ("3", "V1")
    found = same_everywhere(gateways, [BASE, *history, then(adt("A08", 11, number, visit=visit), PNEUMONIA)])
    assert [c["code"]["coding"][0]["code"] for c in of_type(found, "Condition")] == ["J18.9"]
    assert of_type(same_everywhere(gateways, [BASE, *history, adt("A23", 12, number, visit=visit)]), "Condition") == []


def test_a_list_or_deletion_told_under_an_old_number_counts_under_the_new_one(gateways: Any) -> None:
    told, change = adt("A28", 8, "1", PENICILLIN), adt("A47", 11, "2", "MRG|1^^^EAST^MR")
    assert allergies(same_everywhere(gateways, [told, adt("A31", 9, "1", NUTS), change])) == {"NUT"}
    assert allergies(same_everywhere(gateways, [told, adt("A29", 9, "1"), change])) == set()


def test_what_a_visit_listed_and_its_deletion_go_with_it_to_its_new_number(gateways: Any) -> None:
    renumbered = adt("A50", 11, "1", visits("", "V1", "1"), visit="V2")
    found = same_everywhere(gateways, [BASE, then(adt("A08", 9, "1", visit="V1"), PNEUMONIA), renumbered])
    assert [c["code"]["coding"][0]["code"] for c in of_type(found, "Condition")] == ["J18.9"]
    assert of_type(same_everywhere(gateways, [BASE, adt("A23", 9, "1", visit="V1"), renumbered]), "Condition") == []


def test_what_was_said_of_a_third_patient_does_not_go_with_a_visit_that_moves(gateways: Any) -> None:
    found = same_everywhere(gateways, [BASE, then(adt("A08", 9, "2", visit="V1"), PNEUMONIA), MOVED])
    whose = {c["code"]["coding"][0]["code"]: c["subject"]["reference"] for c in of_type(found, "Condition")}
    assert whose == {"I10": patient_of(found, "3")[0], "J18.9": patient_of(found, "2")[0]}


def test_a_deletion_by_one_source_leaves_active_what_another_states(gateways: Any) -> None:
    def known(message: bytes) -> bytes:
        return message.replace(b"^^^EAST^MR", b"^^^EAST&1.2.840.99&ISO^MR")

    west = known(adt("A31", 13, "1", NUTS)).replace(b"|EXAMPLE|EAST|", b"|EXAMPLE|WEST|")
    found = same_everywhere(gateways, [known(adt("A28", 8, "1", PENICILLIN)), known(adt("A29", 12, "1")), west])
    assert all("active" not in p for p in of_type(found, "Patient"))
    assert allergies(found) == {"NUT"}


def test_a_record_that_was_renumbered_and_then_merged_gives_its_numbers_only(gateways: Any) -> None:
    found = same_everywhere(gateways, [
        adt("A28", 8, "1", "PD1||||1234567893^Okonjo^Mary^^^^^^NPI"), adt("A47", 10, "2", "MRG|1^^^EAST^MR"),
        adt("A28", 10, "3"), adt("A40", 11, "3", "MRG|2^^^EAST^MR")])
    _, kept = patient_of(found, "3")
    assert [n["family"] for n in kept["name"]] == ["Quorley"]
    assert {"1", "2", "3"} <= numbers(kept)


def test_every_number_of_mrg_1_is_merged(gateways: Any) -> None:
    found = after(gateways, [adt("A28", 8, "1"), adt("A28", 8, "2"), adt("A28", 8, "3"),
                             adt("A40", 10, "2", "MRG|1^^^EAST^MR~3^^^EAST^MR")])
    assert sorted(p.get("active", True) for p in of_type(found, "Patient")) == [False, False, True]


def test_what_a_segment_made_is_kept_by_all_that_was_said_before_it(gateways: Any) -> None:
    def told(at: int, first: str) -> bytes:
        return adt("A28", at, "1", first, "IN1|2|PA|C1|Acme", "IN2|1||123-45-6789")

    other = told(8, "IN1|1|PA|C1|Acme||||||||||||Other^Joe|SPO^Spouse^HL70063|19600101")
    own = told(9, "IN1|1|PA|C1|Acme||||||||||||Tarnhill^Bess|SEL^Self^HL70063|19610514")
    results: list[dict[str, Any]] = []
    for anew in (False, True):
        gateway = gateways()
        gateway.accept([(other, "test")])
        gateway.work()
        if anew:
            forget(gateway.feeds)
        gateway.accept([(own, "test")])
        gateway.work()
        results.append(standing(gateway))
    assert results[0] == results[1]


def test_an_account_stays_renumbered_when_something_else_is_said_of_its_person(gateways: Any) -> None:
    """What composes a person as a whole knows the links of all their accounts and visits, though it names none of them."""
    history = [adt("A01", 8, "1", visit="V1", account="K1"), adt("A01", 9, "1", visit="V5"),
               adt("A41", 10, "2", "MRG|2^^^EAST^MR||K1^^^EAST^AN", account="K2"),
               adt("A23", 12, "1", visit="V5"), adt("A31", 13, "1")]
    found = same_everywhere(gateways, history)
    [account] = of_type(found, "Account")
    assert {i["value"]: i.get("use") for i in account["identifier"]} == {"K1": "old", "K2": None}
