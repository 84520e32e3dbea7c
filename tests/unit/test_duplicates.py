"""Likely duplicates by demographics: proposed as Tasks, never merged, settled by an operator's word, a merge or a corrected row.

People who look alike and are not (twins, father and son, newborns) score below the threshold; what is missing counts as unknown.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from adapter.cli import main
from adapter.errors import Defect
from adapter.fhirserver.port import Write
from adapter.gateway import Gateway
from adapter.identity.likeness import row_of
from adapter.identity.linkage import likely_pairs
from adapter.identity.linkage_model import MODEL, read_model
from adapter.model import Json
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import JOURNAL, RESOURCE, RESOURCE_VERSION

MODEL_READ = read_model()
START = datetime(2026, 3, 20, 12, tzinfo=UTC)


def person(first: str = "Anna", last: str = "Quorley", born: str = "1961-05-14", gender: str = "female",
           phone: str = "518-555-0161", street: str = "1 Mill Road", postal: str = "12999", **more: Any) -> Json:
    """A Patient; '' leaves an element out."""
    found: Json = {"name": [{"use": "official", "family": last, "given": first.split()}]}
    found |= {"birthDate": born} if born else {}
    found |= {"gender": gender} if gender else {}
    found |= {"telecom": [{"system": "phone", "value": phone}]} if phone else {}
    found |= {"address": [{"line": [street], "postalCode": postal}]} if street else {}
    return found | more


def score(one: Json, other: Json) -> float:
    """The probability that two Patients are one person; 0 where they are not even compared."""
    rows = [row_of(p, MODEL_READ.nothing, MODEL_READ.identifiers) for p in (one, other)]
    return max((p.score for p in likely_pairs(rows, MODEL_READ, 1e-9)), default=0)


ALONE = {"phone": "", "street": ""}
MOVED = {"phone": "708-555-0199", "street": "9 Canal Street", "postal": "60999"}
SSN = {"type": {"coding": [{"code": "SS"}]}, "system": "http://hl7.org/fhir/sid/us-ssn", "value": "987-65-4320"}

LIKELY: dict[str, tuple[Json, Json]] = {
    "the same": (person(), person()),
    "a typing error in the surname": (person(**ALONE), person(last="Quorly", **ALONE)),
    "a typing error in the first name": (person(**ALONE), person("Ana", **ALONE)),
    "accents and letter case": (person("Matías", "PEÑASOMBRA", **ALONE), person("MATIAS", "Penasombra", **ALONE)),
    "day and month swapped, and moved": (person(born="1961-05-04"), person(born="1961-04-05", **MOVED)),
    "one digit of the birth date": (person(), person(born="1961-05-24")),
    "maiden name, the same home": (person(), person(last="Tarnhill")),
    "maiden name that the record knows": (
        person(name=[{"family": "Tarnhill", "given": ["Anna"]}, {"use": "maiden", "family": "Quorley"}], **ALONE),
        person(**ALONE)),
    "one of two surnames": (person(last="Quorley-Tarnhill", **ALONE), person(**ALONE)),
    "goes by the middle name": (person("Rose", **ALONE), person("Anna Rose", **ALONE)),
    "birth date unknown, the same number": (person(born="", identifier=[SSN]), person(identifier=[SSN])),
    "missing everything but name and birth date": (person(gender="", **ALONE), person(gender="", **ALONE)),
}
UNLIKE: dict[str, tuple[Json, Json]] = {
    "twins": (person(), person("Beth")),
    "twins of a rare name who share the middle name": (person("Anna Marie"), person("Beth Marie")),
    "father and son of one name": (person("John", gender="male"), person("John", gender="male", born="1990-02-02")),
    "father and son, birth date of one unknown, Sr. and Jr.": (
        person(name=[{"family": "Quorley", "given": ["John"], "suffix": ["Sr"]}], born=""),
        person(name=[{"family": "Quorley", "given": ["John"], "suffix": ["Jr."]}])),
    "newborn twins": (person("BABY BOY A", born="2026-01-02"), person("BABY BOY B", born="2026-01-02")),
    "two newborns without names": (person("BABY BOY", born="2026-01-02"), person("BABY BOY", born="2026-01-02")),
    "a newborn without a name and a child of that day": (person("Babygirl", born="2026-01-02"), person(born="2026-01-02")),
    "twins by birth order": (person("Anna", multipleBirthInteger=1), person("Anna", multipleBirthInteger=2)),
    "the date and telephone of nobody": (person(born="1900-01-01", phone="555-555-5555", street=""),
                                         person(born="1900-01-01", phone="555-555-5555", street="")),
    "one name, nothing else known": (person(born="", gender="", **ALONE), person(**ALONE)),
    "a couple": (person(), person("Peter", gender="male", born="1960-01-03")),
    "one first name and birth date": (person(**ALONE), person(last="Zabriskie", **ALONE)),
    "one household number, other people": (person("Anna", born="1961-05-14"), person("Lars", born="1999-11-02", gender="male")),
}


@pytest.mark.parametrize("case", LIKELY)
def test_likely_one_person(case: str) -> None:
    assert score(*LIKELY[case]) >= MODEL_READ.threshold


@pytest.mark.parametrize("case", UNLIKE)
def test_people_who_look_alike_score_below_the_threshold(case: str) -> None:
    assert score(*UNLIKE[case]) < MODEL_READ.threshold


@pytest.mark.parametrize("missing", [
    {"born": ""}, {"gender": ""}, {"gender": "unknown"}, {"phone": ""}, {"street": ""}, {"phone": "", "street": ""},
    {"first": ""}, {"first": "Unknown"}, {"born": "1961"}, {"born": "1900-01-01"}, {"phone": "999-999-9999"}])
def test_what_is_missing_is_unknown_and_no_disagreement(missing: dict[str, str]) -> None:
    """Against a whole record it scores above one that differs there; so it does not count as a difference."""
    differs = {"born": "1990-02-02", "gender": "male", "phone": MOVED["phone"], "street": "9 Canal Street", "first": "Zelda"}
    other = person(**{**{name: differs[name] for name in missing}, **({"postal": "60999"} if "street" in missing else {})})
    assert score(person(**missing), person(identifier=[SSN])) >= score(other, person(identifier=[SSN]))
    assert score(person(**missing, identifier=[SSN]), person(identifier=[SSN])) >= MODEL_READ.threshold


def test_a_number_that_a_crowd_shares_tells_nobody_apart() -> None:
    names = ("Anna", "Beth", "Cora", "Dora", "Elsa", "Fern")
    crowd = [person(first, last, street="", identifier=[SSN]) for first, last in zip(
        names, ("Ashby", "Birch", "Cole", "Dunn", "Eames", "Frost"), strict=True)]
    rows = [row_of(p, MODEL_READ.nothing, MODEL_READ.identifiers) for p in crowd]
    assert likely_pairs(rows, MODEL_READ, 1e-9) == [] or max(p.score for p in likely_pairs(rows, MODEL_READ, 1e-9)) < 0.1
    assert all(not row["phones"] and not row["numbers"] for row in rows)


def test_a_rare_name_says_more_than_a_common_one() -> None:
    common = [row_of(person("Anna", "Smith", born=f"19{n:02d}-03-0{n % 9 + 1}", **ALONE), MODEL_READ.nothing,
                     MODEL_READ.identifiers) for n in range(20, 90)]
    pair = [person(last=last, born="1961-05-14", **ALONE) for last in ("Smith", "Smyth")]
    rare = [person(last=last, born="1961-05-14", **ALONE) for last in ("Quorley", "Quorley")]
    rows = [*common, *(row_of(p, MODEL_READ.nothing, MODEL_READ.identifiers) for p in [pair[0], pair[0], *rare])]
    found = {tuple(sorted((rows[p.first]["family"], rows[p.second]["family"]))): p for p in likely_pairs(rows, MODEL_READ, 0.5)
             if rows[p.first]["born"] == rows[p.second]["born"]}
    assert found["quorley", "quorley"].score > found["smith", "smith"].score


@settings(max_examples=15)
@given(st.permutations(range(8)))
def test_the_order_of_records_changes_no_score(order: list[int]) -> None:
    people = [p for case in ("the same", "maiden name, the same home", "day and month swapped, and moved", "one of two surnames")
              for p in LIKELY[case]]

    def scored(rank: list[int]) -> set[tuple[frozenset[int], float]]:
        rows = [row_of(people[n], MODEL_READ.nothing, MODEL_READ.identifiers) for n in rank]
        return {(frozenset((rank[p.first], rank[p.second])), p.score) for p in likely_pairs(rows, MODEL_READ)}

    assert scored(order) == scored(list(range(8)))


# --- in an installation


def adt(number: str, name: str = "Quorley^Anna", born: str = "19610514", trigger: str = "A28", hour: int = 8,
        phone: str = "5550161", *segments: str) -> bytes:
    """A message about the patient of a number at the hospital EAST."""
    time = f"20260301{hour:02d}0000"
    return "\r".join([rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NET|{time}||ADT^{trigger}|{trigger}{number}{hour}|P|2.5.1",
                      f"EVN|{trigger}|{time}", f"PID|1||{number}^^^EAST^MR||{name}||{born}|F|||||^PRN^PH^^1^518^{phone}",
                      *segments, ""]).encode()


Send = Callable[..., None]


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    ticks = iter(range(10**6))
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: START + timedelta(seconds=next(ticks)))
    yield gateway
    gateway.close()


@pytest.fixture(name="send")
def _send(gateway: Gateway) -> Send:
    def send(*messages: bytes) -> None:
        gateway.accept([(m, "test") for m in messages])
        while gateway.work():
            pass
    return send


def careloop(gateway: Gateway, *arguments: str) -> Result:
    environment = {"CARELOOP_DATA_DIR": str(gateway.settings.data_dir), "CARELOOP_KEY": "00" * 32}
    return CliRunner().invoke(main, arguments, env=environment)


def tasks(gateway: Gateway) -> list[Json]:
    with reading(gateway.engine) as connection:
        found = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Task", RESOURCE.c.deleted == 0)).all()
    return [orjson.loads(r.body) for r in found]


def patients(gateway: Gateway) -> dict[str, str]:
    """MRN to id."""
    with reading(gateway.engine) as connection:
        found = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")).all()
    return {r.key.rpartition("|")[2]: r.id for r in found}


def versions(gateway: Gateway) -> int:
    with reading(gateway.engine) as connection:
        return len(connection.execute(select(RESOURCE_VERSION.c.seq)).all())


def searched(gateway: Gateway, *options: str) -> str:
    done = careloop(gateway, "identity", "duplicates", "--by", "R. Officer", *options)
    assert done.exit_code == 0, done.output
    return done.output


ONE, OTHER = adt("1"), adt("2", "Quorly^Anna")


def test_a_likely_pair_becomes_one_task_and_nothing_is_merged(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER, adt("3", "Tarnhill^Bess", "19700101"))
    assert "pairs to propose: 1," in searched(gateway, "--dry-run")
    assert tasks(gateway) == []
    before = patients(gateway)
    told = searched(gateway)
    assert f"Patient/{before['1']} Patient/{before['2']}" in told
    assert "3 persons; pairs proposed: 1, known: 0, likely no more: 0" in told
    assert "Quorl" not in told
    [task] = tasks(gateway)
    assert (task["status"], task["intent"], task["code"]["coding"][0]["code"]) == ("requested", "order", "duplicate-review")
    named = {i["valueReference"]["reference"] for i in task["input"] if "valueReference" in i}
    assert named == {f"Patient/{before[n]}" for n in "12"}
    assert [i["valueDecimal"] >= 0.9 for i in task["input"] if "valueDecimal" in i] == [True]
    found = {i["valueString"] for i in task["input"] if "valueString" in i}
    assert {"family: similar", "given: same", "birthDate: same", "contact: same", "identifier: unknown"} <= found
    assert "Quorl" not in orjson.dumps(task).decode()
    with reading(gateway.engine) as connection:
        said = connection.execute(select(JOURNAL).where(JOURNAL.c.kind == "operator")).one()
    assert orjson.loads(said.raw)["by"] == "R. Officer"
    assert patients(gateway) == before


def test_a_second_search_doubles_nothing(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    before, known = versions(gateway), tasks(gateway)
    assert "pairs proposed: 0, known: 1," in searched(gateway)
    assert (versions(gateway), tasks(gateway)) == (before, known)


def test_a_pair_declared_distinct_is_never_proposed_again(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    [first, second] = (f"Patient/{patients(gateway)[n]}" for n in "12")
    assert careloop(gateway, "identity", "distinct", first, second, "--reason", "two sisters").exit_code == 0
    assert [t["status"] for t in tasks(gateway)] == ["rejected"]
    send(adt("2", "Quorley^Anna", hour=9))
    assert "pairs proposed: 0," in searched(gateway)
    assert [t["status"] for t in tasks(gateway)] == ["rejected"]


def test_a_pair_declared_distinct_before_the_first_search_is_not_proposed(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    [first, second] = (f"Patient/{patients(gateway)[n]}" for n in "12")
    assert careloop(gateway, "identity", "distinct", first, second, "--reason", "two sisters").exit_code == 0
    assert "pairs proposed: 0," in searched(gateway)
    assert tasks(gateway) == []


def test_a_task_that_a_client_rejects_stays_rejected(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    [task] = tasks(gateway)
    gateway.embedded.transaction([Write(resource_type="Task", id=task["id"], body={**task, "status": "rejected"})])
    [after] = tasks(gateway)
    assert {**after, "status": "requested"} == task
    assert after["status"] == "rejected"
    send(adt("2", "Quorley^Anna", hour=9))
    assert "pairs proposed: 0," in searched(gateway)
    assert [t["status"] for t in tasks(gateway)] == ["rejected"]


def test_a_link_by_an_operator_closes_the_task_whatever_a_client_says(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    [task] = tasks(gateway)
    gateway.embedded.transaction([Write(resource_type="Task", id=task["id"], body={**task, "status": "in-progress"})])
    assert [t["status"] for t in tasks(gateway)] == ["in-progress"]
    [first, second] = (f"Patient/{patients(gateway)[n]}" for n in "12")
    assert careloop(gateway, "identity", "link", first, second, "--reason", "one person").exit_code == 0
    assert [t["status"] for t in tasks(gateway)] == ["completed"]
    assert "1 persons; pairs proposed: 0," in searched(gateway)
    assert careloop(gateway, "identity", "unlink", first, second, "--reason", "no, two").exit_code == 0
    assert [t["status"] for t in tasks(gateway)] == ["rejected"]


@pytest.mark.parametrize("survivor", ["1", "2"])
def test_a_merge_by_hl7_closes_the_task(gateway: Gateway, send: Send, survivor: str) -> None:
    send(ONE, OTHER)
    searched(gateway)
    loser = {"1": "2", "2": "1"}[survivor]
    send(adt(survivor, "Quorley^Anna", "19610514", "A40", 9, "5550161", f"MRG|{loser}^^^EAST^MR"))
    assert [t["status"] for t in tasks(gateway)] == ["completed"]
    assert "pairs proposed: 0," in searched(gateway)


def test_a_pair_whose_data_were_corrected_is_likely_no_more(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    send(adt("2", "Zabriskie^Olga", "19330711", "A31", 9, "5550199"))
    assert "pairs proposed: 0, known: 0, likely no more: 1" in searched(gateway)
    [task] = tasks(gateway)
    assert task["status"] == "cancelled"
    assert "likely no more: 0" in searched(gateway)
    send(adt("2", "Quorly^Anna", "19610514", "A31", 10))
    assert "pairs proposed: 1," in searched(gateway)
    assert [(t["id"], t["status"]) for t in tasks(gateway)] == [(task["id"], "requested")]


def test_a_pair_stays_known_when_a_person_gets_another_main_record(gateway: Gateway, send: Send) -> None:
    send(ONE, OTHER)
    searched(gateway)
    send(adt("0", "Quorley^Anna", hour=9, phone="5550161"))
    [first, second] = (f"Patient/{patients(gateway)[n]}" for n in "01")
    assert careloop(gateway, "identity", "link", first, second, "--reason", "one person").exit_code == 0
    assert "2 persons; pairs proposed: 0, known: 1," in searched(gateway)
    assert [t["status"] for t in tasks(gateway)] == ["requested"]


def test_the_threshold_and_the_model_may_be_a_sites_own(gateway: Gateway, send: Send, tmp_path: Path) -> None:
    send(ONE, OTHER)
    assert "pairs to propose: 0," in searched(gateway, "--threshold", "0.9999999", "--dry-run")
    own = tmp_path / "own.yaml"
    own.write_text(MODEL.read_text(encoding="utf-8").replace("threshold: 0.9 ", "threshold: 0.9999999 "), encoding="utf-8")
    assert "pairs to propose: 0," in searched(gateway, "--model", str(own), "--dry-run")


@pytest.mark.parametrize(("right", "wrong"), [
    ("threshold: 0.9", "threshold: 9"), ("m: 0.88", "m: 1.88"), ("when: else", "when: 'else'\n  never: 1"),
    ("family_l = family_r\"", "famly_l = family_r\""), ("explode: phones", "explode: phone"), ("crowd:", "crowds:"),
    ("prior:", "prior: ["), ("says: unknown, when: \"gender_l", "says: unknown, m: 0.1, when: \"gender_l")])
def test_a_faulty_model_is_told(gateway: Gateway, send: Send, tmp_path: Path, right: str, wrong: str) -> None:
    send(ONE, OTHER)
    own = tmp_path / "own.yaml"
    assert right in MODEL.read_text(encoding="utf-8")
    own.write_text(MODEL.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    told = careloop(gateway, "identity", "duplicates", "--model", str(own))
    assert told.exit_code == 1
    assert "[linkage-invalid]" in told.output
    assert "own.yaml" in told.output


def test_without_the_library_the_command_says_what_to_install(
        gateway: Gateway, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    send(ONE, OTHER)
    here = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "splink":
            raise ImportError(name)
        return here(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    told = careloop(gateway, "identity", "duplicates")
    assert told.exit_code == 1
    assert "careloop[linkage]" in told.output


def test_a_missing_model_file_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(Defect):
        read_model(tmp_path / "none.yaml")
