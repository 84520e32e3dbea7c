"""Observations, allergies, diagnoses, procedures, insurance, guarantors, referrals, accidents, deaths, from bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.model import Received
from adapter.pipeline import Conversion, convert

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent.parent
SEGMENTS = ("OBX", "AL1", "IAM", "IAR", "DG1", "DRG", "PR1", "GT1", "IN1", "IN2", "IN3", "RF1", "AUT", "ACC", "UB1", "UB2", "PDA")


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    return open_feeds(ROOT / "mappings")


def segment(name: str, **fields: str) -> str:
    """A segment of fields by number: `segment("OBX", f2="NM", f5="7")`."""
    at = {int(key[1:]): value for key, value in fields.items()}
    return "|".join([name, *(at.get(n, "") for n in range(1, max(at) + 1))])


def sent(feeds: Feeds, *segments: str, account: str = "") -> Conversion:
    head = ("MSH|^~\\&|HIS|HOSP|CARELOOP|NET|20260301081500-0500||ADT^A01|1|P|2.9", "EVN|A01|20260301081500-0500",
            f"PID|1||M1^^^HOSP^MR||Fernley^Ada||19900404|F||||||||||{account}", "PV1|1|I|||||||||||||||||V1^^^HOSP^VN")
    raw = "\r".join((*head, *segments)).encode()
    return convert(Received(raw=raw, arrival=datetime(2026, 3, 2, tzinfo=UTC), feed="default"), feeds, b"k" * 32, trace=True)


def found(conversion: Conversion, kind: str) -> list[Json]:
    return [e["resource"] for e in conversion.bundle["entry"] if e["resource"]["resourceType"] == kind]


def only(conversion: Conversion, kind: str) -> Json:
    [one] = found(conversion, kind)
    return one


def referred(conversion: Conversion, reference: Json) -> Json:
    kind, _, name = reference["reference"].partition("/")
    return next(one for one in found(conversion, kind) if one["id"] == name)


def codes(concept: Json) -> list[str]:
    return [coding["code"] for coding in concept["coding"]]


@pytest.mark.parametrize(("kind", "value", "unit", "element", "expected"), [
    ("NM", "172.5", "cm^centimeter^UCUM", "valueQuantity",
     {"value": 172.5, "unit": "centimeter", "system": "http://unitsofmeasure.org", "code": "cm"}),
    ("SN", ">^100", "mg", "valueQuantity", {"value": 100, "comparator": ">"}),
    ("SN", "^1^:^64", "", "valueRatio", {"numerator": {"value": 1}, "denominator": {"value": 64}}),
    ("SN", "^3^-^5", "", "valueRange", {"low": {"value": 3}, "high": {"value": 5}}),
    ("SN", "^2^+", "", "valueString", "2 +"),
    ("ST", "walks \\T\\ talks", "", "valueString", "walks & talks"),
    ("CWE", "LA1^Yes^L", "", "valueCodeableConcept", {"coding": [{"code": "LA1", "display": "Yes"}]}),
    ("DT", "20260102", "", "valueDateTime", "2026-01-02"),
    ("TM", "0930", "", "valueTime", "09:30:00"),
    ("DR", "20260101^20260102", "", "valuePeriod", {"start": "2026-01-01", "end": "2026-01-02"}),
    ("SI", "4", "", "valueInteger", 4),
    ("", "said", "", "valueString", "said"),
])
def test_an_observation_has_its_value_by_its_type(feeds: Feeds, kind: str, value: str, unit: str, element: str,
                                                  expected: Any) -> None:
    conversion = sent(feeds, segment("OBX", f2=kind, f3="X1^test^L", f5=value, f6=unit, f11="F"))
    observation = only(conversion, "Observation")
    assert [name for name in observation if name.startswith("value")] == [element]
    assert within(expected, observation[element])


def within(part: Any, whole: Any) -> bool:
    """Whether everything of a part stands in the whole."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(within(a, b) for a, b in zip(part, whole, strict=True))
    return bool(part == whole)


@pytest.mark.parametrize(("code", "action", "status"), [
    ("F", "", "final"), ("C", "", "corrected"), ("P", "", "preliminary"), ("D", "", "entered-in-error"), ("X", "", "cancelled"),
    ("", "", "unknown"), ("F", "D", "entered-in-error")])
def test_an_observation_has_its_status_by_obx_11(feeds: Feeds, code: str, action: str, status: str) -> None:
    line = segment("OBX", f2="ST", f3="X1^test^L", f5="said", f11=code, f31=action)
    assert only(sent(feeds, line), "Observation")["status"] == status


def test_values_that_repeat_are_components(feeds: Feeds) -> None:
    observation = only(sent(feeds, segment("OBX", f2="NM", f3="X1^test^L", f5="60~120", f11="F")), "Observation")
    assert [c["valueQuantity"]["value"] for c in observation["component"]] == [60, 120]
    assert "valueQuantity" not in observation


def test_an_observation_goes_by_its_own_number_else_by_what_and_when(feeds: Feeds) -> None:
    def key(**more: str) -> str:
        line = segment("OBX", **{"f2": "NM", "f3": "X1^t^L", "f5": "1", "f11": "F"} | more)
        return str(only(sent(feeds, line), "Observation")["id"])

    assert key() == key(f5="2", f11="C")
    assert key() != key(f14="20260301")
    assert key(f21="N1^HOSP") == key(f21="N1^HOSP", f14="20260301", f5="2") != key()


def test_a_deleted_allergy_is_entered_in_error_and_has_no_clinical_status(feeds: Feeds) -> None:
    fields = {"f1": "1", "f2": "DA^Drug^HL70127", "f3": "P^Penicillin^L", "f7": "A1^HOSP", "f17": "C^Confirmed^HL70438"}
    standing = only(sent(feeds, segment("IAM", **fields, f6="A^Add^HL70206")), "AllergyIntolerance")
    deleted = only(sent(feeds, segment("IAM", **fields, f6="D^Delete^HL70206")), "AllergyIntolerance")
    assert (codes(standing["clinicalStatus"]), codes(standing["verificationStatus"])) == (["active"], ["confirmed"])
    assert "clinicalStatus" not in deleted
    assert codes(deleted["verificationStatus"]) == ["entered-in-error"]
    assert standing["id"] == deleted["id"]


def test_a_reaction_is_of_the_allergy_before_it(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("IAM", f3="P^Penicillin^L", f6="A"), segment("IAM", f3="N^Nuts^L", f6="A"),
                      segment("IAR", f1="R1^Swelling^L", f2="SV^Severe^HL70128", f4="Adrenaline"))
    reactions = {codes(one["code"])[0]: one.get("reaction", []) for one in found(conversion, "AllergyIntolerance")}
    assert reactions["P"] == []
    assert [(codes(r["manifestation"][0]), r["severity"], r["description"]) for r in reactions["N"]] == [
        (["R1"], "severe", "Adrenaline")]


def test_who_reported_an_allergy_is_the_patient_or_a_related_person(feeds: Feeds) -> None:
    own = sent(feeds, segment("IAM", f3="P^Penicillin^L", f14="Fernley^Ada", f15="SEL^Self^HL70063"))
    mother = sent(feeds, segment("IAM", f3="P^Penicillin^L", f14="Fernley^Eva", f15="MTH^Mother^HL70063"))
    assert only(own, "AllergyIntolerance")["asserter"]["reference"].startswith("Patient/")
    person = referred(mother, only(mother, "AllergyIntolerance")["asserter"])
    assert (person["name"][0]["given"], codes(person["relationship"][0])[0]) == (["Eva"], "MTH")


def test_a_diagnosis_has_rank_use_parent_and_label(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("DG1", f3="I10^Hypertension^I10", f6="A", f15="2", f18="Y", f20="D1^HOSP", f21="A",
                                     f22="D0^HOSP"))
    condition, diagnosis = only(conversion, "Condition"), only(conversion, "Encounter")["diagnosis"][0]
    assert (diagnosis["rank"], codes(diagnosis["use"])[0]) == (2, "AD")
    assert [label["code"] for label in condition["meta"]["security"]] == ["R"]
    assert condition["extension"][0]["valueReference"]["identifier"]["value"] == "D0"


def test_a_deleted_diagnosis_is_none_of_the_visit(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("DG1", f3="I10^Hypertension^I10", f20="D1^HOSP", f21="D"))
    assert codes(only(conversion, "Condition")["verificationStatus"]) == ["entered-in-error"]
    assert "diagnosis" not in only(conversion, "Encounter")


def test_a_procedure_lasts_as_many_minutes_as_pr1_7_says(feeds: Feeds) -> None:
    line = segment("PR1", f3="1^Biopsy^L", f5="202602151030-0500", f7="45", f8="P8^Jarvis", f11="P11^Keller", f20="A")
    procedure = only(sent(feeds, line), "Procedure")
    assert procedure["performedPeriod"] == {"start": "2026-02-15T10:30:00-05:00", "end": "2026-02-15T11:15:00-05:00"}
    assert [codes(p["function"])[0] for p in procedure["performer"]] == ["88189002", "304292004"]
    assert procedure["status"] == "completed"


@pytest.mark.parametrize(("fields", "status"), [
    ({"f5": "20270101"}, "completed"), ({"f5": "202701011000"}, "preparation"), ({"f20": "D"}, "entered-in-error")])
def test_a_procedure_ahead_is_in_preparation_and_a_deleted_one_in_error(feeds: Feeds, fields: dict[str, str],
                                                                        status: str) -> None:
    assert only(sent(feeds, segment("PR1", f3="1^Biopsy^L", **fields)), "Procedure")["status"] == status


def test_the_insured_is_a_related_person_and_the_relationship_is_the_patients(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("IN1", f2="G^Gold^L", f3="P1^^^HOSP", f4="Payer", f16="Fernley^Eva",
                                     f17="MTH^Mother^HL70063", f36="POL1"),
                      segment("IN2", f2="123456789", f61="MM1^^^HOSP^MB", f63="^PRN^PH^^^518^5550100"))
    coverage = only(conversion, "Coverage")
    insured = referred(conversion, coverage["subscriber"])
    assert codes(coverage["relationship"]) == ["child"]
    assert codes(insured["relationship"][0])[0] == "MTH"
    assert [i["value"] for i in insured["identifier"]] == ["123456789"]
    assert [i["value"] for i in coverage["identifier"]] == ["POL1", "MM1"]


def test_a_patient_who_is_the_insured_is_the_subscriber(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("IN1", f2="G", f3="P1^^^HOSP", f4="Payer", f16="Fernley^Ada",
                                     f17="SEL^Self^HL70063", f36="1"), segment("IN2", f2="123456789"))
    assert only(conversion, "Coverage")["subscriber"]["reference"].startswith("Patient/")
    assert found(conversion, "RelatedPerson") == []
    reasons = {leaf["place"]: leaf.get("reason", "") for leaf in conversion.loss["leaves"]}
    assert reasons["IN1-16.1"] == reasons["IN2-2.1"] == "the insured is the patient, whom PID describes"


def test_a_second_insurance_keeps_its_own_insured(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("IN1", f2="A", f3="P1^^^HOSP", f4="One", f16="Fernley^Eva", f17="MTH", f36="1"),
                      segment("IN1", f2="B", f3="P2^^^HOSP", f4="Two", f17="SEL", f36="2"), segment("IN2", f2="123456789"))
    person = only(conversion, "RelatedPerson")
    assert "identifier" not in person


@pytest.mark.parametrize(("line", "number", "created"), [
    (segment("IN1", f2="A", f4="One", f14="AU1^20260201^desk", f36="1"), "AU1", "2026-02-01"),
    (segment("IN1", f2="A", f4="One", f28="PAC1", f36="1"), "PAC1", "2026-03-01T13:15:00+00:00"),
    (segment("IN3", f2="CERT1^^^HOSP", f6="20260202", f9="20260201", f10="20260301"), "CERT1", "2026-02-02"),
    (segment("AUT", f3="Payer", f4="20260201", f5="20260301", f6="AUTH1^HOSP", f10="20260203"), "AUTH1", "2026-02-03")])
def test_an_authorization_answers_a_preauthorization(feeds: Feeds, line: str, number: str, created: str) -> None:
    answer = only(sent(feeds, line), "ClaimResponse")
    assert (answer["preAuthRef"], answer["use"], answer["outcome"]) == (number, "preauthorization", "complete")
    assert answer["created"] == created


def test_a_case_manager_is_of_the_care_team(feeds: Feeds) -> None:
    participant = only(sent(feeds, segment("IN3", f21="Nora Selby")), "CareTeam")["participant"][0]
    assert (codes(participant["role"][0]), participant["member"]) == (["768832004"], {"display": "Nora Selby"})


@pytest.mark.parametrize("account", ["", "AC1^^^HOSP^AN"])
def test_a_guarantor_pays_for_the_account(feeds: Feeds, account: str) -> None:
    conversion = sent(feeds, segment("GT1", f3="Fernley^Eva", f11="SPO^Spouse^HL70063", f16="Mill", f45="Selby^Nora"),
                      account=account)
    person = referred(conversion, only(conversion, "Account")["guarantor"][0]["party"])
    assert (person["resourceType"], person["name"][0]["given"]) == ("RelatedPerson", ["Eva"])
    contacts = only(conversion, "Patient")["contact"]
    assert [(c["name"]["given"], c.get("organization", {}).get("display")) for c in contacts] == [
        (["Eva"], "Mill"), (["Nora"], None)]
    assert codes(contacts[1]["relationship"][0]) == ["BP"]


def test_a_guarantor_may_be_the_patient_or_an_organization(feeds: Feeds) -> None:
    own = sent(feeds, segment("GT1", f3="Fernley^Ada", f11="SEL^Self^HL70063"))
    firm = sent(feeds, segment("GT1", f5="1 Mill Lane^^Troy^NY^12180", f21="Mill Company"))
    assert only(own, "Account")["guarantor"][0]["party"]["reference"].startswith("Patient/")
    assert referred(firm, only(firm, "Account")["guarantor"][0]["party"])["address"][0]["city"] == "Troy"


def test_a_referral_is_a_request_of_its_insurance(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("IN1", f2="A", f4="One", f36="1"),
                      segment("RF1", f1="R^Rejected^HL70283", f2="S", f3="MED^Medical^HL70281", f6="R1^HOSP", f7="20260201",
                              f8="20260301"))
    request = only(conversion, "ServiceRequest")
    assert (request["status"], request["priority"], codes(request["code"])) == ("revoked", "stat", ["MED"])
    assert request["occurrencePeriod"] == {"start": "2026-02-01", "end": "2026-03-01"}
    assert referred(conversion, request["insurance"][0])["resourceType"] == "Coverage"


def test_an_accident_is_an_observation_at_a_place(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("ACC", f1="20260210", f5="Y", f8="fell from a ladder", f11="1 Mill Lane^^Troy^NY^12180"))
    accident = only(conversion, "Observation")
    assert (codes(accident["code"]), accident["valueString"]) == (["11374-6"], "fell from a ladder")
    assert [(c["code"]["text"], c["valueBoolean"]) for c in accident["component"]] == [("Job related", True)]
    assert referred(conversion, accident["extension"][0]["valueReference"])["address"]["city"] == "Troy"


def test_a_death_has_its_cause_and_its_autopsy(feeds: Feeds) -> None:
    conversion = sent(feeds, segment("PDA", f1="I21^Infarction^I10", f6="Y", f7="20260301^20260302", f8="P1^Kay", f9="N"))
    cause, autopsy = only(conversion, "Observation"), only(conversion, "Procedure")
    assert (codes(cause["code"]), codes(cause["valueCodeableConcept"])) == (["69453-9"], ["I21"])
    assert (autopsy["status"], autopsy["performedPeriod"]["start"]) == ("completed", "2026-03-01")
    assert only(sent(feeds, segment("PDA", f1="I21^Infarction^I10", f6="N")), "Procedure")["status"] == "not-done"


@pytest.mark.parametrize("case", ["clinical-fields", "insurance-fields"])
def test_no_field_of_these_segments_is_left_undecided(feeds: Feeds, case: str) -> None:
    raw = (ROOT / "mappings/common/cases" / case / "input.hl7").read_bytes()
    received = Received(raw=raw, arrival=datetime(2026, 3, 2, tzinfo=UTC), feed="default")
    conversion = convert(received, feeds, b"k" * 32, trace=True)
    leaves = [leaf for leaf in conversion.loss["leaves"] if leaf["place"][:3] in SEGMENTS]
    assert {leaf["place"][:3] for leaf in leaves} <= set(SEGMENTS)
    assert len(leaves) > 600
    assert [leaf for leaf in leaves if leaf["status"] == "unmapped"] == []
