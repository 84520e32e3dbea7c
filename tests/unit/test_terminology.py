"""The project's concept maps are sound, and what one says is found."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from adapter.errors import Defect
from adapter.mapping.functions.systems import TABLE_SOURCES
from adapter.mapping.tables import V2_TABLES
from adapter.mapping.terminology import Terminology, load_terminology, table_codes
from tests.unit.context import COMMON, common_terminology

MAPS = sorted(COMMON.glob("*.json"))

REQUIRED = {
    "administrative-sex": {"male", "female", "other", "unknown"},
    "encounter-status": {"planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled",
                         "entered-in-error", "unknown"},
    "address-use": {"home", "work", "temp", "old", "billing"},
    "address-type": {"postal", "physical", "both"},
    "name-use": {"usual", "official", "temp", "nickname", "anonymous", "old", "maiden"},
    "telecom-use": {"home", "work", "temp", "old", "mobile"},
    "telecom-system": {"phone", "fax", "email", "pager", "url", "sms", "other"},
    "allergy-type": {"allergy", "intolerance"},
    "allergy-category": {"food", "medication", "environment", "biologic"},
    "allergy-criticality": {"low", "high", "unable-to-assess"},
    "allergy-severity": {"mild", "moderate", "severe"},
    "name-assembly": {"F", "G"},
    "name-representation": {"ABC", "IDE", "SYL"},
}
"""Tables whose elements have a required binding in R4, and all that it admits."""


@pytest.mark.parametrize("path", MAPS, ids=lambda p: p.stem)
def test_each_file_is_a_concept_map(path: Path) -> None:
    resource = json.loads(path.read_text(encoding="utf-8"))
    assert resource["resourceType"] == "ConceptMap"
    assert resource["id"] == path.stem
    assert resource["status"] == "active"
    for group in resource["group"]:
        codes = [element["code"] for element in group["element"]]
        assert codes == sorted(set(codes)), "sorted, each once"
        for element in group["element"]:
            assert [t["equivalence"] for t in element["target"]]
    first = [e["code"] for g in resource["group"] for e in g["element"]]
    assert len(first) == len(set(first)), "a code stands in one group"


@pytest.mark.parametrize(("table", "admitted"), REQUIRED.items())
def test_required_bindings_are_kept(table: str, admitted: set[str]) -> None:
    assert {coding["code"] for coding in common_terminology().codes(table).values()} <= admitted


def test_a_claimed_table_has_the_code() -> None:
    for path in MAPS:
        for group in json.loads(path.read_text(encoding="utf-8"))["group"]:
            known = V2_TABLES.get(group["target"].removeprefix("http://terminology.hl7.org/CodeSystem/v2-"))
            if known is not None:
                assert {t["code"] for e in group["element"] for t in e["target"]} <= known, path.name


def test_sources_are_those_the_maps_name() -> None:
    for table, number in TABLE_SOURCES.items():
        if table in common_terminology().sources:
            assert common_terminology().sources[table].endswith(f"v2-{number}"), table
    assert set(TABLE_SOURCES) == set(common_terminology().tables())


@pytest.mark.parametrize(("table", "code", "expected"), [
    ("patient-class", "E", "EMER"), ("patient-class", "OBSENC", "OBSENC"), ("patient-class", "R", "R"),
    ("patient-class", "e", "EMER"), ("administrative-sex", "f", "female"), ("administrative-sex", "other", "other"),
    ("marital-status", "G", "T"), ("language", "ara", "ar"), ("language", "ger", "de"), ("language", "es", "es"),
    ("race", "2106-3", "2106-3"), ("ethnicity", "N", "2186-5"), ("ethnicity", "2135-2", "2135-2"),
    ("discharge-disposition", "01", "home"), ("discharge-disposition", "20", "exp"), ("admit-source", "7", "emd"),
    ("diagnosis-type", "A", "AD"), ("diagnosis-type", "W", "W"), ("provider-role", "PP", "446050000"),
])
def test_codes_are_found(table: str, code: str, expected: str) -> None:
    coding = common_terminology().code(table, code)
    assert coding is not None
    assert coding["code"] == expected


def test_what_is_unknown_is_none() -> None:
    assert common_terminology().code("patient-class", "ZZZ") is None
    assert common_terminology().code("address-use", "S") is None
    assert table_codes("0004") == {"B", "C", "E", "I", "N", "O", "P", "R", "U"}
    assert table_codes("0099") is None
    with pytest.raises(KeyError):
        common_terminology().code("no-such-table", "A")


def test_letter_case_counts_where_two_codes_differ_by_it() -> None:
    def element(code: str, target: str) -> dict[str, object]:
        return {"code": code, "target": [{"code": target, "equivalence": "equivalent"}]}

    group = {"source": "urn:s", "target": "urn:t", "element": [element("a", "1"), element("A", "2"), element("B", "3")]}
    one = Terminology({"t": {"resourceType": "ConceptMap", "group": [group]}})
    assert [one.code("t", c) for c in ("a", "A", "b")] == [
        {"system": "urn:t", "code": "1"}, {"system": "urn:t", "code": "2"}, {"system": "urn:t", "code": "3"}]


def test_an_unmatched_code_has_no_coding() -> None:
    group = {"source": "urn:s", "target": "urn:t", "element": [{"code": "a", "target": [{"equivalence": "unmatched"}]}]}
    assert Terminology({"t": {"group": [group]}}).code("t", "a") is None


@pytest.mark.parametrize("text", ["{", "{}", '{"group": [{"element": [{}]}]}', '{"group": []}'])
def test_a_file_that_is_no_concept_map_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "st-anne" / "conceptmaps" / "patient-class.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Defect, match=r"st-anne/conceptmaps/patient-class\.json"):
        load_terminology([path])


def test_the_first_file_of_a_name_counts(tmp_path: Path) -> None:
    near = tmp_path / "patient-class.json"
    near.write_text(json.dumps({"group": [{"source": "urn:s", "target": "urn:t", "element": [
        {"code": "E", "target": [{"code": "own", "equivalence": "equivalent"}]}]}]}), encoding="utf-8")
    assert load_terminology([near, *MAPS]).code("patient-class", "E") == {"system": "urn:t", "code": "own"}


GUIDE = {
    "AddressType[Type]": "address-type", "AddressType[Use]": "address-use", "AdministrativeSex": "administrative-sex",
    "AdmissionLevelOfCareCode": "acuity", "AdmissionType": "admission-type",
    "AllergenType[AllergyIntoleranceCategory]": "allergy-category",
    "AllergenType[AllergyIntoleranceOriginalCategory]": "allergen-type",
    "AllergySeverity[AllergyIntolerance.criticality-original]": "allergy-severity-original",
    "AllergySeverity[AllergyIntolerance.criticality]": "allergy-criticality",
    "AllergySeverity[AllergyIntolerance.reaction.severity]": "allergy-severity", "AllergyType": "allergy-type",
    "AmbulatoryStatus": "ambulatory-status", "BedStatus": "bed-status", "ContactRole": "contact-role",
    "DiagnosisType": "diagnosis-type", "EncounterPriority": "visit-priority", "EventReason": "event-reason",
    "HospitalService": "hospital-service", "LivingWillCode": "living-will", "MaritalStatus": "marital-status",
    "ModeOfArrivalCode": "mode-of-arrival", "NameAssemblyOrder": "name-assembly", "NameType": "name-use",
    "PatientClass[EncounterClass]": "patient-class", "PatientClass[EncounterStatus]": "encounter-status",
    "ProviderRole": "provider-role", "PublicityCode": "publicity", "ReadmissionIndicator": "readmission-indicator",
    "Relationship": "relationship", "Religion": "religion", "TelecommunicationEquipmentType": "telecom-system",
    "TelecommunicationUseCode": "telecom-use", "YesNoIndicator": "yes-no",
    "AdditivePreservative": "additive", "AdministrationMethod": "administration-method",
    "AllowSubstitution": "allow-substitution", "AppointmentReasonCodes": "appointment-reason",
    "AppointmentTypeCodes": "appointment-type", "BodyParts": "body-part", "BodySite": "body-site",
    "CommentType": "comment-type", "CompletionStatus": "completion-status", "ConfidentialityCode": "confidentiality",
    "CountryCode": "country", "DegreeLicenseCertificate": "degree", "DiagnosticServiceSectionID": "diagnostic-service",
    "DocumentConfidentialityStatus": "document-confidentiality", "EventRelatedPeriod": "event-related-period",
    "EventType": "event-type", "Event[EncounterStatus]": "event-status", "ExtendedPriorityCodes": "order-priority",
    "FillerStatusCodes[Appointment]": "appointment-status", "IdentifierType": "identifier-type",
    "InterpretationCodes": "interpretation", "NatureOfAbnormalTesting": "nature-of-abnormal-testing",
    "ObservationResultStatusCodesInterpretation": "observation-status",
    "OrderControlCode[ServiceRequest.status]": "order-control", "OrderStatus": "order-status", "OrderType": "order-type",
    "OrganizationalNameType": "organization-name-type", "Participation": "participation",
    "PractitionerIDNumberType": "practitioner-number-type", "PreferredMethodOfContact": "preferred-contact",
    "ProcessingID": "processing-id", "ProcessingMode": "processing-mode", "RepeatPattern": "repeat-pattern",
    "ResultStatus[Non-Queries]": "report-status", "RouteOfAdministration": "route", "SegmentActionCode": "segment-action",
    "SpecimenCollectionMethod": "specimen-collection", "SpecimenCondition": "specimen-condition",
    "SpecimenRejectReason": "specimen-reject-reason", "SpecimenType": "specimen-type",
    "UniversalIDType": "universal-id-type", "VisitUserCode": "visit-user",
    "YesNoIndicator[AvailabilityStatus]": "specimen-availability",
}
"""The guide's tables that map anything, to our concept map."""

OTHERWISE = {
    ("marital-status", "C"): "v3 MaritalStatus of R4 has no C: common law stands under its v2 code",
    ("telecom-system", "CP"): "a cellular phone is a phone whose use is mobile; the guide mixes both in one column",
    ("telecom-system", "SAT"): "a satellite phone is a phone",
    ("repeat-pattern", '"U <spec>"'): "a form of a code, none itself",
    ("repeat-pattern", '"Meal Related Timings"'): "a form of a code, none itself",
    **{("event-type", f"S{n}"): "newer than R4's table 0003" for n in range(38, 53)},
}
"""Pairs of the guide that ours differ from, and why."""


@pytest.mark.shared
def test_every_pair_of_the_guide_is_in_our_maps(shared: Path) -> None:
    seen: set[str] = set()
    for path in sorted((shared / "v2-to-fhir" / "codesystems").glob("*.csv")):
        name = path.name.removeprefix("HL7 Concept Map_ ").removesuffix(" - Sheet1.csv")
        for code, system, target in guide_pairs(path):
            seen.add(name)
            coding = common_terminology().code(GUIDE[name], code) or {}
            if (GUIDE[name], code) in OTHERWISE:
                assert (coding.get("system"), coding.get("code")) != (system, target), f"{name} {code}: no longer otherwise"
            else:
                assert (coding.get("system"), coding.get("code")) == (system, target), f"{name} {code}"
    assert seen == set(GUIDE)


def guide_pairs(path: Path) -> list[tuple[str, str, str]]:
    """(code, target system, target code) of a table of the guide; of a code that stands twice the first row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        _, head, *rows = [[cell.strip(" \t\n\xa0\xc2") for cell in row] for row in csv.reader(file)]
    code, target = (n for n, name in enumerate(head) if name.strip() == "Code")
    _, system = (n for n, name in enumerate(head) if name.strip() == "Code System")
    found = {row[code]: (row[code], row[system], row[target]) for row in reversed(rows)
             if len(row) > system and row[code] and row[target]}
    return list(found.values())
