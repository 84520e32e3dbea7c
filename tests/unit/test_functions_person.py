"""Race, ethnicity and language: codes of the OMB, finer codes of the CDC, and what else a sender writes."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions import FUNCTIONS
from tests.unit.context import Notes, rep

OMB = "urn:oid:2.16.840.1.113883.6.238"


def said(name: str, *texts: str) -> tuple[Any, Notes]:
    """The function's extension of some repetitions, by url of its parts, and what else it said."""
    notes = Notes()
    value = FUNCTIONS[name].call([rep(t) for t in texts], notes)
    found: dict[str, list[Any]] = {}
    for part in (value or {}).get("extension", ()):
        found.setdefault(part["url"], []).append(part.get("valueCoding", part.get("valueString")))
    return found, notes


def codes(codings: list[Any]) -> list[tuple[str, str]]:
    return [(c["system"], c["code"]) for c in codings]


def test_race_has_categories_finer_codes_and_words() -> None:
    found, notes = said("us_core_race", "2106-3^White^HL70005", "2029-7^Asian Indian^CDCREC^2028-9^Asian^CDCREC")
    assert codes(found["ombCategory"]) == [(OMB, "2106-3"), (OMB, "2028-9")]
    assert codes(found["detailed"]) == [(OMB, "2029-7")]
    assert found["text"] == ["White, Asian Indian, Asian"]
    assert found["ombCategory"][0]["_system"]["extension"][0]["valueString"] == "HL70005"
    assert notes.issues == []


def test_a_race_of_nobody_s_table_is_text_and_told() -> None:
    found, notes = said("us_core_race", "zz9^Martian^L")
    assert found == {"text": ["Martian"]}
    assert notes.issues == [("unknown-code", "race")]
    assert said("us_core_race", "^^")[0] == {}


def test_ethnicity_is_one() -> None:
    found, _ = said("us_core_ethnicity", "H", "2186-5^Not Hispanic")
    assert codes(found["ombCategory"]) == [(OMB, "2135-2")]
    assert found["text"] == ["H, Not Hispanic"]


def test_a_language_has_no_other_coding() -> None:
    value = FUNCTIONS["cwe_bcp47"].call(rep("spa^Spanish^HL70296"), Notes())
    assert [c["system"] for c in value["coding"]] == ["urn:ietf:bcp:47"]
    assert value["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "spa"
