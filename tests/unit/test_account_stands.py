"""The account against the output: what `--loss` calls mapped stands at the very path that it tells, in every sample and case.

The paths are read here anew, out of the Bundle, and a value counts as standing there in these forms alone (`FORMS`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.errors import Rejected
from adapter.feeds import feed_of
from adapter.mapping.message import read_message
from adapter.mapping.terminology import Terminology
from adapter.model import Received, is_array, is_object
from adapter.parse.batch import split_messages
from adapter.parse.er7 import NULL
from adapter.pipeline import convert
from tests.unit.test_account_of_parts import entries
from tests.unit.test_explain import INPUTS, SAMPLES, feeds
from tests.unit.test_segments_person import ARRIVAL, PV1, adt

PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)(?:\[(\d+)\])?\.(\d+)(?:\.(\d+))?")
STEP = re.compile(r"(?:\(([^)]*)\)|[^.(])+")
SYSTEMS = {"SCT": "http://snomed.info/sct", "LN": "http://loinc.org", "I10": "http://hl7.org/fhir/sid/icd-10",
           "I9": "http://hl7.org/fhir/sid/icd-9-cm", "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
           "C4": "http://www.ama-assn.org/go/cpt", "UCUM": "http://unitsofmeasure.org", "ISO+": "http://unitsofmeasure.org",
           "CDCREC": "urn:oid:2.16.840.1.113883.6.238", "ISO3166_1": "urn:iso:std:iso:3166"}
SCHEMES = {"ISO": "urn:oid:", "GUID": "urn:uuid:", "UUID": "urn:uuid:", "DNS": "dns:"}
OWN_TERMS = {"PD1-12": "R", "PV2-22": "R", "NK1-23": "R", "DG1-18": "R", "PDA-6": "completed", "PRT-23": "True"}
"""Y of table 0136 as a label or status, and the way somebody is best reached as a flag: said in the element's own terms."""


def number(text: str, stands: str) -> bool:
    """NM: 070 is 70, 7 is 7.0."""
    form = re.compile(r"[+-]?\d+(\.\d+)?")
    return bool(form.fullmatch(text) and form.fullmatch(stands)) and float(text) == float(stands)


def day(text: str, stands: str) -> bool:
    """A DTM as FHIR date: by the day, as far as both say it."""
    digits = stands[:10].replace("-", "")
    dates = bool(re.match(r"\d{4}", text) and re.match(r"\d{4}(-|$)", stands))
    return dates and text[:min(8, len(digits))] == digits[:len(text[:8])]


def flag(text: str, stands: str) -> bool:
    """Table 0136 as boolean."""
    return (text.upper(), stands) in {("Y", "True"), ("N", "False")}


def uri(text: str, stands: str) -> bool:
    """The name or number of an authority or coding system as a URI that holds it, is of its form, or is known for it."""
    return ":" in stands and (stands == SYSTEMS.get(text.upper()) or stands.startswith(SCHEMES.get(text.upper(), "\0"))
                              or text.upper() in ("URI", "URL") or text.casefold() in re.split("[:/#]", stands.casefold())
                              or (text.upper().startswith("HL7") and stands.endswith(f"v2-{text[3:].zfill(4)}")))


def among(text: str, stands: str) -> bool:
    """Names and words that are put together (a display, a text of several repetitions)."""
    said, there = (" ".join(re.findall(r"\w+", one)) for one in (text, stands))
    return f" {said} " in f" {there} "


def attached(text: str, stands: str) -> bool:
    """Text of an attachment: base64."""
    return re.fullmatch(r"[A-Za-z0-9+/]{8,}={0,2}", stands) is not None and len(stands) % 4 == 0 and \
        text in base64.b64decode(stands).decode("utf-8", "replace")


FORMS = (number, day, flag, uri, among, attached)
"""What a type does to a value; beside them a code may be translated by a concept map, or said in the element's own terms."""


def standing(node: Any, steps: list[str]) -> Iterator[str]:
    """The primitives at the end of a path; what stands beside a primitive (`_gender`) is below its own path."""
    if is_array(node):
        for one in node:
            yield from standing(one, steps)
    elif is_object(node):
        name, _, url = (steps or [""])[0].rstrip(")").partition("(")
        for key in (name, f"_{name}"):
            inner: Any = node.get(key, [])
            yield from standing([e for e in inner if re.split("[/:]", e["url"])[-1] == url] if url else inner, steps[1:])
    elif not steps and node is not None:
        yield str(node)


def says(text: str, stands: str, place: str, tables: Terminology) -> bool:
    """Whether a primitive of the output is this value."""
    return text == stands or any(form(text, stands) for form in FORMS) or OWN_TERMS.get(place) == stands or any(
        (target := tables.code(table, text)) is not None and target["code"] == stands for table in tables.tables())


def falsehoods(path: Path) -> Iterator[str]:
    """Leaves of a file's messages that are told as mapped and do not stand at the path that is told."""
    feed = path.parts[-4] if path.parts[-3] == "cases" and path.parts[-4] != "common" else None
    for raw in split_messages(path.read_bytes()).messages:
        received = Received(raw=raw, arrival=ARRIVAL, feed=feed)
        try:
            conversion = convert(received, feeds(), b"key", trace=True)
        except Rejected:
            continue
        compiled = feed_of(received, feeds())
        segments = {(s.name, s.number): s for s in read_message(raw, compiled.feed, []).segments}
        resources = [orjson.loads(orjson.dumps(entry["resource"])) for entry in conversion.bundle["entry"]]
        for leaf in conversion.loss["leaves"]:
            if leaf["status"] != "mapped":
                continue
            name, at, n, again, c, s = (PLACE.fullmatch(leaf["place"]) or pytest.fail(leaf["place"])).groups()
            rep = segments[name, int(at or 1)].reps(int(n))[int(again or 1) - 1]
            if rep.text == NULL:  # takes back what is told
                continue
            text = (rep.sub(int(c), int(s)) if s else rep.get(int(c))).strip()
            kind, _, told = leaf["element"].partition(".")
            found = [one for resource in resources if resource["resourceType"] == kind
                     for one in standing(resource, [m[0] for m in STEP.finditer(told)])]
            minutes = leaf["place"].partition(".")[0] == "PR1-7" and found
            if not minutes and not any(says(text, one, f"{name}-{n}", compiled.terminology) for one in found):
                yield f"{leaf['place']} is told at {leaf['element']} ({leaf['rule']}), where {len(found)} others stand"


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}")
def test_each_value_of_a_case_stands_where_it_is_told(path: Path) -> None:
    assert list(falsehoods(path)) == []


@pytest.mark.shared
def test_each_value_of_the_samples_stands_where_it_is_told() -> None:
    paths = sorted(SAMPLES.glob("*.hl7"))
    assert paths
    assert [f"{path.stem}: {one}" for path in paths for one in falsehoods(path)] == []


def one_account(raw: bytes, place: str) -> tuple[str, str]:
    """Status and element (or reason) of one place."""
    (entry,) = entries(raw, place)
    return entry["status"], entry.get("element") or entry["reason"]


def address(kind: str) -> str:
    return f"1 Main^^Troy^NY^12180^USA^{kind}"


@pytest.mark.parametrize(("kind", "element"), [
    ("H", "use"), ("M", "type"), ("BDL", "extension(alternate-codes).valueCodeableConcept.coding.code")])
def test_the_kind_of_an_address_is_told_where_it_stands(kind: str, element: str) -> None:
    assert one_account(adt(PV1, pid={11: address(kind)}), "PID-11.7") == ("mapped", f"Patient.address.{element}")
    raw = adt(PV1, f"NK1|1|Tarnhill^Kay|MTH|{address(kind)}")
    assert one_account(raw, "NK1-4.7") == ("mapped", f"RelatedPerson.address.{element}")


@pytest.mark.parametrize(("allergen", "element"), [("^Timothy grass", "text"), ("G1^Timothy grass^L", "coding.display")])
def test_the_words_of_a_code_are_told_where_they_stand(allergen: str, element: str) -> None:
    assert one_account(adt(PV1, f"AL1|1|DA|{allergen}"), "AL1-3.2") == ("mapped", f"AllergyIntolerance.code.{element}")


def test_what_no_function_reads_is_not_told_as_mapped() -> None:
    raw = adt(PV1, "IN1|1|GOLD|77|Payor|||||||Bakery^L&Legal&HL70204", "OBX|1|NM|8867-4^Heart rate^LN||70|/min|||||F",
              "OBX|2|NM|2^Two^L||7|/min^^X&Y||H^High^L&0078|||F")
    for place in ("IN1-11.2.2", "OBX[2]-8.3.2", "OBX[2]-6.3.2"):
        assert one_account(raw, place)[0] == "dropped", place


def test_the_address_of_a_named_employer_is_the_employer_s() -> None:
    raw = adt(PV1, f"GT1|1||Tarnhill^Kay|||||||||||||Bakery|{address('B')}")
    assert one_account(raw, "GT1-17.3") == ("mapped", "Organization.address.city")
    nobody = adt(PV1, f"GT1|1||Tarnhill^Kay||||||||||||||{address('B')}")
    assert one_account(nobody, "GT1-17.3")[0] == "dropped"


@pytest.mark.parametrize(("authority", "element"), [
    ("EAST&2.16.840.1.113883.3.9999.77&ISO", "system"), ("EAST&room 9&L", "assigner.identifier.value")])
def test_the_number_of_an_authority_is_told_where_it_stands(authority: str, element: str) -> None:
    raw = adt(PV1, pid={3: f"800001^^^EAST^MR~77^^^{authority}^PI"})
    assert one_account(raw, "PID-3[2].4.2") == ("mapped", f"Patient.identifier.{element}")


def test_a_value_that_another_replaced_is_dropped() -> None:
    number = "77^^^EAST&room 9&L^PI^DESK&2.16.840.1.113883.3.9999.78&ISO"
    raw = adt(PV1, pid={3: f"800001^^^EAST^MR~{number}"})
    assert one_account(raw, "PID-3[2].6.2") == ("mapped", "Patient.identifier.assigner.identifier.value")
    assert one_account(raw, "PID-3[2].4.2")[0] == "dropped"


def test_a_flag_is_told_at_the_label_it_becomes() -> None:
    assert one_account(adt("PD1||||||||||||Y", PV1), "PD1-12.1") == ("mapped", "Patient.meta.security.code")
    assert one_account(adt("PD1||||||||||||perhaps", PV1), "PD1-12.1")[0] == "dropped"


def test_a_value_is_not_found_by_chance_among_the_words_of_another() -> None:
    raw = adt(PV1, "OBX|1|NM|8867-4^Heart rate^LN||70|72^beats per minute^beats|||||F")
    assert one_account(raw, "OBX-6.3")[0] == "dropped"
    raw = adt(PV1, pid={5: "Tarnhill^Bess^^^^^L^^^^^Tarnhill"})
    assert one_account(raw, "PID-5.12")[0] == "dropped"


def test_its_own_place_comes_before_one_that_says_the_same_to_the_letter() -> None:
    assert one_account(adt(PV1, pid={11: "H^^Troy^NY^12180^USA^H"}), "PID-11.7") == ("mapped", "Patient.address.use")
