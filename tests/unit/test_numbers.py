"""Numbers and universal ids that are not what they claim to be: from bytes to the system that the number stands in."""

from __future__ import annotations

import pytest

from tests.unit.test_segments_person import OTHER, PV1, adt, converted, made

US_NPI = "http://hl7.org/fhir/sid/us-npi"


def doctor(xcn: str) -> str:
    """A visit with that attending doctor (PV1-7)."""
    fields = PV1.split("|")
    fields[7] = xcn
    return "|".join(fields)


@pytest.mark.parametrize("number", ["2000001043", "214425290", "12345678x3"])
def test_what_fails_the_check_of_an_npi_is_the_senders_own_number(number: str) -> None:
    raw = adt(doctor(f"{number}^Ashgrove^Nell^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"))
    (practitioner,) = made(raw, "Practitioner")
    (identifier,) = practitioner["identifier"]
    assert (identifier["value"], identifier["type"]["coding"][0]["code"]) == (number, "NPI")
    assert identifier["system"] != US_NPI
    assert identifier["system"].startswith("urn:x-careloop:")
    assert practitioner["meta"]["profile"] == ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-practitioner"]
    assert ("bad-value", "PV1-7") in [(i.code, i.place) for i in converted(raw).issues]


def test_a_true_npi_stays_one() -> None:
    raw = adt(doctor(OTHER))
    assert made(raw, "Practitioner")[0]["identifier"][0]["system"] == US_NPI
    assert "bad-value" not in [i.code for i in converted(raw).issues]


@pytest.mark.parametrize(("universal", "oid"), [("1.2.3", False), ("1.2.840.1", True), ("1.02.840.1", False)])
def test_an_assigning_authority_is_an_oid_only_as_validators_take_them(universal: str, oid: bool) -> None:
    (patient,) = made(adt(pid={3: f"800001^^^WEST&{universal}&ISO^MR"}), "Patient")
    assert (patient["identifier"][0]["system"] == f"urn:oid:{universal}") is oid
