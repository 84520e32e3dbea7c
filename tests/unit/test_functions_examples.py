"""Datatype functions by example: what real senders write, old forms, and the edges."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from adapter.mapping.functions import FUNCTIONS
from adapter.parse.er7 import Message
from tests.unit.context import Notes, rep

SAMPLES = Path(os.environ.get("CARELOOP_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "samples" / "hl7v2"
CORE = "http://hl7.org/fhir/StructureDefinition/"
THO = "http://terminology.hl7.org/CodeSystem/"
V2 = THO + "v2-"
ALTERNATE = CORE + "alternate-codes"
ISO = {"coding": [{"system": V2 + "0301", "code": "ISO"}]}


def named(name: str) -> dict[str, Any]:
    """What stands beside a Coding's system: the name that was sent."""
    return {"_system": {"extension": [{"url": CORE + "originalText", "valueString": name}]}}


def beside(concept: dict[str, Any]) -> dict[str, Any]:
    """What stands beside a bare code: the coded value that was sent."""
    return {"extension": [{"url": ALTERNATE, "valueCodeableConcept": concept}]}


def call(name: str, text: str, **options: Any) -> tuple[Any, Notes]:
    """The function's value of a text, and what else it said."""
    notes = Notes()
    return FUNCTIONS[name].call(rep(text), notes, **options), notes


# --- codes

def test_the_target_comes_first_and_the_original_stays() -> None:
    value, notes = call("cwe_codeable_concept", "M^Married^HL70002", table="marital-status")
    assert value == {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": "Married"},
        {"system": V2 + "0002", **named("HL70002"), "code": "M", "display": "Married"}]}
    assert notes.issues == []


def test_a_code_without_system_belongs_to_the_tables_source() -> None:
    value, _ = call("cwe_codeable_concept", "E", table="diagnosis-type", source="")
    assert value == {"coding": [{"system": "urn:sender:HL70052", "code": "E"}], "text": "E"}
    value, _ = call("cwe_codeable_concept", "A", table="diagnosis-type")
    assert [c["system"] for c in value["coding"]] == [THO + "diagnosis-role", V2 + "0052"]


def test_a_target_that_is_the_original_stands_once() -> None:
    value, _ = call("cwe_codeable_concept", "SUR^Surgery^HL70069", table="hospital-service")
    assert value == {"coding": [{"system": V2 + "0069", **named("HL70069"), "code": "SUR", "display": "Surgery"}]}


def test_an_unmapped_code_keeps_coding_and_text() -> None:
    value, notes = call("cwe_codeable_concept", "EMR^Emergency^HL70069", table="hospital-service")
    assert value == {"coding": [{"system": "urn:sender:HL70069", "code": "EMR", "display": "Emergency"}],
                     "text": "Emergency"}
    assert notes.issues == [("unknown-code", "hospital-service")]


def test_an_alternate_code_may_be_the_known_one() -> None:
    value, notes = call("cwe_codeable_concept", "Q^Quick^99ANNE^E^Emergency^HL70004", table="patient-class")
    assert [(c["system"], c["code"]) for c in value["coding"]] == [
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "EMER"), ("urn:sender:99ANNE", "Q"), (V2 + "0004", "E")]
    assert notes.issues == []


def test_all_three_codings_versions_and_original_text() -> None:
    text = "I21^Infarct^I10^22298006^MI^SCT^2019^20220131^Heart attack^X1^Local^L^3"
    value, _ = call("cwe_codeable_concept", text)
    assert value == {"coding": [
        {"system": "http://hl7.org/fhir/sid/icd-10", **named("I10"), "version": "2019", "code": "I21", "display": "Infarct"},
        {"system": "http://snomed.info/sct", **named("SCT"), "version": "20220131", "code": "22298006", "display": "MI"},
        {"system": "urn:sender:L", "version": "3", "code": "X1", "display": "Local"}], "text": "Heart attack"}


def test_the_value_set_a_code_was_picked_from_stays_beside_it() -> None:
    text = "M^^HL70002^S^^HL70002^^^^^^^^^1.2.840.10^20200101^^1.2.840.11"
    value, _ = call("cwe_codeable_concept", text)
    assert [c["extension"][0]["valueUri"] for c in value["coding"]] == ["urn:oid:1.2.840.10", "urn:oid:1.2.840.11"]
    assert "extension" not in call("cwe_codeable_concept", "M^^HL70002^^^^^^^^^^^^1.2")[0]["coding"][0]


def test_the_oid_says_what_a_name_of_the_senders_own_stands_for() -> None:
    value, _ = call("cwe_coding", "X^^OURS^^^^^^^^^^^1.2.840.113883.9")
    assert value == {"system": "urn:oid:1.2.840.113883.9", **named("OURS"), "code": "X"}
    assert call("cwe_coding", "8867-4^^LN^^^^^^^^^^^2.16.840.1.113883.6.1")[0]["system"] == "http://loinc.org"


def test_a_coding_keeps_what_was_sent_as_alternate_codes() -> None:
    value, notes = call("cwe_coding", "I^Inpatient^HL70004^STAT^Station^L", table="patient-class")
    sent = {"coding": [{"system": V2 + "0004", **named("HL70004"), "code": "I", "display": "Inpatient"},
                       {"system": "urn:sender:L", "code": "STAT", "display": "Station"}]}
    assert value == {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP",
                     "display": "inpatient encounter", "extension": [{"url": ALTERNATE, "valueCodeableConcept": sent}]}
    assert notes.issues == []
    value, notes = call("cwe_coding", "ZZ^Zoo^L", table="patient-class")
    assert value == {"system": "urn:sender:L", "code": "ZZ", "display": "Zoo"}
    assert notes.issues == [("unknown-code", "patient-class")]
    assert call("cwe_coding", "^Words")[0] == {"display": "Words"}


def test_what_was_sent_stands_beside_a_bare_code() -> None:
    value, _ = call("cwe_alternate_codes", "F^Female^HL70001", table="administrative-sex")
    assert value == {"extension": [{"url": ALTERNATE, "valueCodeableConcept": {
        "coding": [{"system": V2 + "0001", **named("HL70001"), "code": "F", "display": "Female"}]}}]}
    assert call("cwe_alternate_codes", "zz9", table="administrative-sex")[0] is None
    value, notes = call("cwe_alternate_codes", "zz9", table="administrative-sex", default="unknown")
    assert value["extension"][0]["valueCodeableConcept"] == {"coding": [{"system": "urn:sender:HL70001", "code": "zz9"}]}
    assert notes.issues == []
    assert call("cwe_alternate_codes", "male", table="administrative-sex")[0] is None


@pytest.mark.parametrize(("name", "code", "system"), [
    ("LN", "8867-4", "http://loinc.org"), ("SNOMED", "1", "http://snomed.info/sct"),
    ("I9", "1", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I10C", "1", "http://hl7.org/fhir/sid/icd-10-cm"), ("hl70001", "F", V2 + "0001"),
    ("HL70001", "Q", "urn:sender:HL70001"),
    ("HL7283", "P", V2 + "0283"), ("HL7nnnn", "X", "urn:sender:HL7nnnn"), ("HL72017", "X", "urn:sender:HL72017"),
    ("HL70005", "2106-3", V2 + "0005"), ("ISO3166_1", "US", "urn:iso:std:iso:3166"),
    ("ISO3166_1", "XX", "urn:sender:ISO3166_1"), ("HL70399", "USA", "urn:iso:std:iso:3166"),
    ("99ANNE", "X", "urn:sender:99ANNE"), ("1.3.6.1.4.1.44750", "X", "urn:oid:1.3.6.1.4.1.44750"),
    ("http://example.org/cs", "X", "http://example.org/cs"), (V2 + "0001", "F", V2 + "0001"),
    ("http://hl7.org/fhir/administrative-gender", "x", "urn:sender:http://hl7.org/fhir/administrative-gender"),
])
def test_coding_systems(name: str, code: str, system: str) -> None:
    value, _ = call("cwe_coding", f"{code}^^{name}")
    assert value == {"system": system, **({} if name in system else named(name)), "code": code}


def test_words_without_a_code_are_text() -> None:
    assert call("cwe_codeable_concept", "^Timothy Grass")[0] == {"text": "Timothy Grass"}
    assert call("cwe_codeable_concept", "^Grass^^^^^^^Timothy grass")[0] == {
        "coding": [{"display": "Grass"}], "text": "Timothy grass"}


def test_a_language_is_in_bcp_47_alone() -> None:
    text = "ara^^HL70296^eng^English-us^HL70296^v2^v2.1^TextInEnglish"
    value, notes = call("cwe_codeable_concept", text, table="language")
    assert [(c["system"], c["code"]) for c in value["coding"]] == [("urn:ietf:bcp:47", "ar"), ("urn:ietf:bcp:47", "en")]
    assert value["text"] == "TextInEnglish, English-us"
    sent = value["extension"][0]["valueCodeableConcept"]["coding"]
    assert [(c["system"], c.get("version"), c["code"]) for c in sent] == [
        (V2 + "0296", "v2", "ara"), (V2 + "0296", "v2.1", "eng")]
    assert notes.issues == []
    value, notes = call("cwe_codeable_concept", "klingon", table="language")
    assert value == {"text": "klingon", "extension": [{"url": ALTERNATE, "valueCodeableConcept": {
        "coding": [{"system": V2 + "0296", "code": "klingon"}]}}]}
    assert call("cwe_codeable_concept", "ar^Arabic^urn:ietf:bcp:47", table="language")[0] == {
        "coding": [{"system": "urn:ietf:bcp:47", "code": "ar", "display": "Arabic"}], "text": "Arabic"}
    assert notes.issues == [("unknown-code", "language")]


def test_a_bare_code_is_mapped_or_the_default() -> None:
    assert call("cwe_code", "M", table="administrative-sex")[0] == "male"
    value, notes = call("cwe_code", "Z", table="administrative-sex", default="unknown")
    assert (value, notes.issues) == ("unknown", [("unknown-code", "administrative-sex")])
    assert call("cwe_code", "Z", table="administrative-sex")[0] is None


def test_no_value_of_a_field_is_told_in_an_issue() -> None:
    _, notes = call("cwe_codeable_concept", "123 High Street", table="relationship")
    assert "High" not in str(notes.issues)


# --- identifiers

def test_cx_in_full() -> None:
    text = "1032702^7^M11^V2FHIR&1.2.3.4.5&ISO^MR^AssignFac&1.2.3.4.5.6.3&ISO^20190101^20290101"
    value, _ = call("cx_identifier", text)
    assert value == {
        "extension": [{"url": CORE + "identifier-checkDigit", "valueString": "7"},
                      {"url": CORE + "namingsystem-checkDigit", "valueString": "M11"}],
        "type": {"coding": [{"system": V2 + "0203", "code": "MR"}]}, "system": "urn:oid:1.2.3.4.5", "value": "1032702",
        "period": {"start": "2019-01-01", "end": "2029-01-01"},
        "assigner": {"identifier": {"type": ISO, "system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.4.5.6.3"},
                     "display": "V2FHIR, AssignFac"}}


def test_who_else_assigned_an_identifier() -> None:
    value, _ = call("cx_identifier", "1^^^DMV&1.2.840.9&ISO^DL^^^^NY&New York^MVB^check^S")
    assert value["assigner"] == {"identifier": {"type": ISO, "system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.840.9"},
                                 "display": "DMV, New York, MVB"}
    value, notes = call("xcn_practitioner", "7^Doe^^^^^^^A^L^^^^F^^^^^^^^MA&Massachusetts^Board")
    body = notes.emitted[value["reference"]]
    assert body["identifier#XCN"][0]["assigner"] == {"display": "A, F, Massachusetts, Board"}


def test_cx_type_outside_of_its_table_is_text() -> None:
    assert call("cx_identifier", "1^^^A^ZZ")[0]["type"] == {"text": "ZZ"}
    assert call("cx_identifier", "1", kind="MB")[0]["type"] == {"coding": [{"system": V2 + "0203", "code": "MB"}]}
    assert call("cx_identifier", "^^^A^MR")[0] is None


def test_a_wrong_date_is_an_issue_and_the_rest_stands() -> None:
    value, notes = call("cx_identifier", "1^^^A^MR^^20190230^20290101")
    assert value["period"] == {"end": "2029-01-01"}
    assert notes.issues == [("bad-date", "")]


def test_licences() -> None:
    assert call("dln_identifier", "DLN-123^US^20010123")[0] == {
        "type": {"coding": [{"system": V2 + "0203", "code": "DL"}]}, "system": "urn:sender:US", "value": "DLN-123",
        "period": {"end": "2001-01-23"}, "assigner": {"display": "US"}}
    assert call("dln_identifier", "DLN-123^NY&New York&L^20010123")[0]["assigner"] == {"display": "NY, New York"}
    assert call("pln_identifier", "77^UPIN^NY^2030")[0]["type"] == {"coding": [{"system": V2 + "0338", "code": "UPIN"}]}


def test_ei_without_entity_is_its_universal_id() -> None:
    guid = "426d2726-51fc-89fe-a946-8596e80a80eb"
    assert call("ei_identifier", f"^^{guid}^GUID")[0] == {
        "type": {"coding": [{"system": V2 + "0301", "code": "GUID"}]}, "system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{guid}"}
    assert call("ei_identifier", "DI20^Diagnosis^1.3.6.1^CLIP")[0] == {
        "system": "urn:sender:Diagnosis", "value": "DI20", "assigner": {
            "identifier": {"type": {"coding": [{"system": V2 + "0301", "code": "CLIP"}]}, "value": "1.3.6.1"},
            "display": "Diagnosis"}}


# --- names, addresses, telecom

def test_xpn_in_full() -> None:
    text = "Goldbergn&van&Ludwig&de&Groot^ADAM^A^III^Dr.^MD^D^A^^^G^19241012^19251012^PhD^Ad"
    value, notes = call("xpn_human_name", text)
    assert value == {
        "extension": [{"url": CORE + "humanname-assembly-order", "valueCode": "G"},
                      {"url": CORE + "iso21090-EN-representation", "valueCode": "ABC"}],
        "use": "usual", "family": "Goldbergn",
        "_family": {"extension": [
            {"url": CORE + "humanname-own-prefix", "valueString": "van"},
            {"url": CORE + "humanname-own-name", "valueString": "Ludwig"},
            {"url": CORE + "humanname-partner-prefix", "valueString": "de"},
            {"url": CORE + "humanname-partner-name", "valueString": "Groot"}]},
        "given": ["ADAM", "A", "Ad"],
        "_given": [None, None, {"extension": [{"url": CORE + "iso21090-EN-qualifier", "valueCode": "CL"}]}],
        "prefix": ["Dr."], "suffix": ["III", "MD", "PhD"], "period": {"start": "1924-10-12", "end": "1925-10-12"}}
    assert notes.issues == []


def test_a_name_type_that_fhir_has_no_use_for_is_an_extension() -> None:
    value, notes = call("xpn_human_name", "Star^Morning^^^^^T")
    assert value["extension"] == [{"url": CORE + "iso21090-EN-use", "valueCode": "I"},
                                  *beside({"coding": [{"system": V2 + "0200", "code": "T"}]})["extension"]]
    assert "use" not in value
    assert call("xpn_human_name", "Star^^^^^^ZZ^Q^^^X")[1].issues == [
        ("unknown-code", "name-use"), ("unknown-code", "name-assembly"), ("unknown-code", "name-representation")]
    assert call("xpn_human_name", "Star", use="maiden")[0]["use"] == "maiden"
    assert notes.issues == []


def test_old_validity_range() -> None:
    assert call("xpn_human_name", "E^Eve^^^^^M^^^19700601&20000908")[0]["period"] == {
        "start": "1970-06-01", "end": "2000-09-08"}


def test_xad_in_full() -> None:
    text = ("1000&Hospital Lane&12^Ste. 123^Ann Arbor^MI^99999^USA^M^Lower Peninsula^&Washtenaw^4040^^20000110&20000120"
            "^^^^^^^Near Highway")
    assert call("xad_address", text)[0] == {
        "extension": [{"url": CORE + "iso21090-ADXP-precinct", "valueString": "Lower Peninsula"}], "type": "postal",
        "line": ["1000", "Hospital Lane", "12", "Ste. 123", "Near Highway"],
        "_line": [{"extension": [{"url": CORE + "iso21090-ADXP-censusTract", "valueString": "4040"}]}, *[None] * 4],
        "city": "Ann Arbor", "state": "MI", "postalCode": "99999", "country": "USA", "district": "Washtenaw",
        "period": {"start": "2000-01-10", "end": "2000-01-20"}}


@pytest.mark.parametrize(("text", "expected"), [
    ("^^Town^^^^H", {"use": "home"}), ("^^Town^^^^BA", {"use": "old"}), ("^^Town^^^^V", {"use": "temp"}),
    ("^^Town^^^^H^^^^^^^^^^Y", {"use": "old"}), ("^^Town^^^^H^^^^^^^^^Y", {"use": "temp"}), ("^^Town^^^^BDL", {}),
])
def test_address_use(text: str, expected: dict[str, str]) -> None:
    value, notes = call("xad_address", text)
    assert {k: v for k, v in value.items() if k in ("use", "type")} == expected
    assert notes.issues == []


def test_an_address_of_attributes_alone_is_none() -> None:
    assert call("xad_address", "^^^^^^H")[0] is None


@pytest.mark.parametrize(("text", "expected"), [
    ("(555)555-5555", {"system": "phone", "value": "(555)555-5555"}),
    ("(555)555-5555^BPN^PH", {"system": "phone", "value": "(555)555-5555"}),
    ("^NET^Internet^eve@test.test", {"system": "email", "value": "eve@test.test"}),
    ("^^^eve@test.test", {"system": "email", "value": "eve@test.test"}),
    ("^^Internet^http://x.org", {"system": "url", "value": "http://x.org"}),
    ("89898989^WPN^Internet", {"system": "other", "value": "89898989", "use": "work"}),
    ("7777^^CP", {"system": "phone", "value": "7777", "use": "mobile"}),
    ("1^PRN^FX", {"system": "fax", "value": "1", "use": "home"}),
    ("1^^BP", {"system": "pager", "value": "1"}), ("1^BPN", {"system": "pager", "value": "1"}),
    ("1^EMR^PH", {"system": "phone", "value": "1"}),
])
def test_telecom(text: str, expected: dict[str, str]) -> None:
    value, notes = call("xtn_contact_point", text)
    assert {k: v for k, v in value.items() if not k.startswith("_") and k != "extension"} == expected
    assert notes.issues == []


def test_the_codes_of_a_number_stay_beside_their_translation() -> None:
    value, _ = call("xtn_contact_point", "^NET^Internet^eve@test.test")
    assert value["extension"] == beside({"coding": [{"system": V2 + "0201", "code": "NET"}]})["extension"]
    value, _ = call("xtn_contact_point", "^NET^Internet^eve@test.test", use="home")
    assert value["_use"] == beside({"coding": [{"system": V2 + "0201", "code": "NET"}]})
    assert value["_system"] == beside({"coding": [{"system": V2 + "0202", "code": "Internet"}]})
    assert "_system" not in call("xtn_contact_point", "1^PRN^CP")[0]


def test_the_codes_of_names_and_addresses_stay_where_fhir_says_less() -> None:
    assert call("xpn_human_name", "Doe^Jane^^^^^MSK")[0]["_use"] == beside({"coding": [{"system": V2 + "0200", "code": "MSK"}]})
    assert "_use" not in call("xpn_human_name", "Doe^Jane^^^^^L")[0]
    assert call("xad_address", "^^Town^^^^BA")[0]["extension"][1:] == beside(
        {"coding": [{"system": V2 + "0190", "code": "BA"}]})["extension"]
    assert call("xad_address", "^^Town^^^^QQ")[0]["extension"] == beside({"text": "QQ"})["extension"]


def test_telecom_of_parts() -> None:
    assert call("xtn_contact_point", "^PRN^PH^^1^555^555-8473^12^ring twice")[0] == {
        "extension": [{"url": CORE + "contactpoint-country", "valueString": "1"},
                      {"url": CORE + "contactpoint-area", "valueString": "555"},
                      {"url": CORE + "contactpoint-local", "valueString": "555-8473"},
                      {"url": CORE + "contactpoint-extension", "valueString": "12"},
                      {"url": CORE + "contactpoint-comment", "valueString": "ring twice"}],
        "system": "phone", "value": "+1 555 555-8473 X12", "use": "home",
        "_use": beside({"coding": [{"system": V2 + "0201", "code": "PRN"}]})}


def test_the_same_number_twice_is_once_and_another_a_comment() -> None:
    assert "extension" not in call("xtn_contact_point", "(555) 0100^^PH^^^^^^^^^555-0100")[0]
    value, _ = call("xtn_contact_point", "78788788^^CP^5555^^^1111^^^^^2222^20010110^20020110^^^^18")
    assert value["value"] == "2222"
    assert value["rank"] == 18
    assert [e["valueString"] for e in value["extension"]] == ["1111", "78788788", "5555"]
    assert value["period"] == {"start": "2001-01-10", "end": "2002-01-10"}


def test_unknown_equipment_and_use_are_told() -> None:
    value, notes = call("xtn_contact_point", "1^QQ^ZZ")
    assert value == {"system": "other", "_system": beside({"text": "ZZ"}), "value": "1", **beside({"text": "QQ"})}
    assert notes.issues == [("unknown-code", "telecom-system"), ("unknown-code", "telecom-use")]


# --- who and where

def test_xcn_states_a_practitioner() -> None:
    text = "1234567893^Doctor^Emory^E^Sr^Dr^MD^^Auth&1.2.3&ISO^L^1^M10^NPI^Fac&9&L^^^^^20100101^20330101^FACP"
    value, notes = call("xcn_practitioner", text)
    key = "Practitioner?http://hl7.org/fhir/sid/us-npi|1234567893"
    assert value == {"reference": key, "display": "Dr Emory E Doctor Sr FACP"}
    body = notes.emitted[key]
    assert set(body) == {"identifier#XCN", "name#XCN", "qualification#XCN"}
    assert body["name#XCN"][0]["use"] == "official"
    assert body["qualification#XCN"][0]["code"]["coding"][0]["code"] == "MD"
    assert body["identifier#XCN"][0]["assigner"]["display"] == "Auth, Fac"


def test_xcn_without_an_identifier_is_a_name_only() -> None:
    value, notes = call("xcn_practitioner", "^Case Manager^Ann^^^^RN")
    assert value == {"display": "Ann Case Manager, RN"}
    assert notes.emitted == {}


def test_participants_have_their_type() -> None:
    value, _ = call("xcn_participant", "7^Doe", type="ADM")
    assert value["type"][0]["coding"][0] == {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ADM", "display": "admitter"}
    assert call("xcn_participant", "^^", type="ADM")[0] is None


def test_a_place_is_a_chain_of_locations() -> None:
    text = "HUH AE OMU&9.8.1&ISO^OMU B^Bed 03^HOMERTON^O^C^Main^Floor5^by the window"
    value, notes = call("pl_location", text)
    assert value == {"reference": "Location?urn:sender:HOMERTON|HUH AE OMU/OMU B/Bed 03", "display": "Bed 03"}
    chain = []
    reference = value["reference"]
    while reference:
        body = notes.emitted[reference]
        chain.append((body["name"], body["physicalType"]["coding"][0]["code"]))
        reference = body.get("partOf", {}).get("reference", "")
    assert chain == [("Bed 03", "bd"), ("OMU B", "ro"), ("HUH AE OMU", "wa"), ("Floor5", "lvl"), ("Main", "bu"),
                     ("HOMERTON", "si")]
    bed = notes.emitted[value["reference"]]
    assert bed["description"] == "by the window"
    assert bed["operationalStatus"] == {"system": V2 + "0116", "code": "O", "display": "Occupied"}
    assert bed["type#PL"][0]["coding"][0] == {"system": V2 + "0305", "code": "C", "display": "Clinic"}


def test_a_bed_is_the_same_with_and_without_its_floor() -> None:
    with_floor = call("pl_location", "W^R^B^F^^^Main^3")[0]["reference"]
    assert call("pl_location", "W^R^B^F")[0]["reference"] == with_floor
    assert call("pl_location", "W^R^B^G")[0]["reference"] != with_floor
    assert call("pl_location", "W")[0]["reference"] == "Location?urn:sender|W"


def test_a_place_of_words_alone() -> None:
    value, notes = call("pl_location", "^^^^^^^^Emergency room")
    assert value == {"display": "Emergency room"}
    assert notes.emitted == {}
    value, notes = call("pl_location", "^^^^^^^^Emergency room^ER1")
    assert notes.emitted[value["reference"]]["name"] == "Emergency room"


def test_xon_is_known_by_identifier_or_name() -> None:
    value, notes = call("xon_organization", "Good Health Hospital^L^^^^CMS^XX^^A|77".replace("|", "^"))
    assert value == {"reference": "Organization?urn:sender:CMS|77", "display": "Good Health Hospital"}
    body = notes.emitted[value["reference"]]
    assert body["active"] is True
    assert body["name"] == "Good Health Hospital"
    church = call("xon_organization", "Pleasant Valley Church")[0]
    assert church["reference"] == "Organization?urn:sender|pleasant valley church"
    assert call("xon_organization", "^L^55")[0] == {"reference": "Organization?urn:sender|55"}


# --- amounts and single values

def test_quantities() -> None:
    assert call("cq_quantity", "75^kg&kilogram&UCUM")[0] == {
        "value": 75, "unit": "kilogram", "system": "http://unitsofmeasure.org", "code": "kg"}
    assert call("cq_quantity", "75.5^beats/min")[0] == {"value": 75.5, "unit": "beats/min"}
    assert call("mo_money", "150&USD".replace("&", "^"))[0] == {"value": 150, "currency": "USD"}
    assert call("cp_money", "150&USD^DC")[0] == {"value": 150, "currency": "USD"}
    assert call("nm_quantity", "5", unit="d", words="days")[0]["unit"] == "days"


@pytest.mark.parametrize(("text", "expected"), [
    ("12", 12), ("+12", 12), ("-3", -3), ("012", 12), ("1.50", 1.5), ("2.0", 2), (".5", 0.5), ("5.", 5), ("1e3", None),
    ("NaN", None), ("1,5", None), ("²", None), (".", None), ("-", None), ("", None),
])
def test_numbers(text: str, expected: float | None) -> None:
    value, notes = call("nm_decimal", text)
    assert value == expected
    assert notes.issues == ([("bad-number", "")] if expected is None and text else [])


def test_whole_numbers() -> None:
    assert call("nm_positive_int", "3.0")[0] == 3
    for name, text in (("nm_positive_int", "0"), ("nm_positive_int", "1.5"), ("nm_unsigned_int", "-1"),
                       ("nm_integer", "1.5")):
        value, notes = call(name, text)
        assert (value, notes.issues) == (None, [("bad-number", "")])


def test_yes_no() -> None:
    assert [call("yes_no_boolean", t)[0] for t in ("Y", "N", "", "U")] == [True, False, None, None]
    assert call("yes_no_boolean", "U")[1].issues == [("bad-value", "")]


def test_times() -> None:
    assert call("dtm_datetime", "198808181126+0215^S")[0] == "1988-08-18T11:26:00+02:15"
    assert call("dtm_instant", "2026")[0] == "2026-01-01T00:00:00-05:00"
    assert call("dr_period", "20150202^20150203")[0] == {"start": "2015-02-02", "end": "2015-02-03"}


@pytest.mark.shared
def test_every_composite_of_the_samples_is_taken() -> None:
    """Names, identifiers, addresses, numbers, persons and places of 27 real messages: each gives something."""
    fields = {"cx_identifier": [("PID", 3), ("PID", 18), ("PV1", 19)], "xpn_human_name": [("PID", 5), ("NK1", 2)],
              "xad_address": [("PID", 11), ("NK1", 4)], "xcn_practitioner": [("PV1", 7), ("PV1", 8), ("PD1", 4)],
              "pl_location": [("PV1", 3), ("PV1", 6), ("PV1", 42)], "xon_organization": [("PD1", 3)]}
    seen = dict.fromkeys(fields, 0)
    for path in sorted(SAMPLES.glob("*.hl7")):
        message = Message(path.read_text(encoding="utf-8"))
        for name, places in fields.items():
            for segment_name, n in places:
                segment = message.find(segment_name)
                for one in segment.reps(n) if segment else []:
                    if one.get(1) or one.get(2) or one.get(3):
                        assert FUNCTIONS[name].call(one, Notes()), (path.name, segment_name, n)
                        seen[name] += 1
    assert all(count >= 10 for count in seen.values()), seen


@pytest.mark.parametrize(("text", "expected"), [
    ("EHR^1.2.840.7^ISO", "urn:oid:1.2.840.7"), ("EHR^1.Edu^L", "urn:sender:EHR:1.Edu"), ("EHR", "urn:sender:EHR"),
    ("EHR^ehr.example.org^DNS", "dns:ehr.example.org"), ("EHR^http://ehr.example.org^URI", "http://ehr.example.org"),
])
def test_an_endpoint_is_a_uri_that_keeps_the_universal_id(text: str, expected: str) -> None:
    notes: Any = Notes()
    notes.local = "urn:sender"
    assert FUNCTIONS["hd_endpoint"].call(rep(text), notes) == expected
