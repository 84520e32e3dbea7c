"""From bytes to resources: segments of the message, the person, associated parties, roles, restrictions and consents."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.mapping.message import map_message
from adapter.model import Issue, Json, Received
from adapter.pipeline import Conversion, compose_all, convert, microseconds

ARRIVAL = datetime(2026, 3, 20, 12, tzinfo=UTC)
KEY = b"test"
CORE = "http://hl7.org/fhir/StructureDefinition/"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
FACT = "urn:x-careloop:person-fact"
NPI = "2000001034^Fennick^Ugo^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
OTHER = "2000001042^Ashgrove^Nell^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
PID = {1: "1", 3: "800001^^^EAST^MR", 5: "Tarnhill^Bess"}
PV1 = "PV1|1|I|3W^312^A||||||||||||||||V1^^^EAST^VN"
MINE = {"MSH", "SFT", "UAC", "NTE", "EVN", "PID", "PD1", "ARV", "ROL", "PRT", "NK1", "PV2", "DB1", "CON"}


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def line(name: str, fields: dict[int, str]) -> str:
    """A segment of its fields by number."""
    first = 2 if name == "MSH" else 1
    return "|".join([name, *(fields.get(n, "") for n in range(first, max(fields) + 1))])


def adt(*segments: str, msh: dict[int, str] | None = None, pid: dict[int, str] | None = None, event: str = "A01",
        stated: str = "20260301081000-0500") -> bytes:
    """A message whose MSH and PID have these fields beside what every one has."""
    head = {2: "^~\\&", 3: "EXAMPLE", 4: "EAST", 7: "20260301081500-0500", 9: f"ADT^{event}", 10: stated, 11: "P",
            12: "2.8.2", **(msh or {})}
    top = [s for s in segments if s[:3] in ("SFT", "UAC")]
    rest = [s for s in segments if s not in top]
    return "\r".join([line("MSH", head), *top, f"EVN||{stated}", line("PID", {**PID, **(pid or {})}), *rest, ""]).encode()


def converted(raw: bytes) -> Conversion:
    return convert(Received(raw=raw, arrival=ARRIVAL), feeds(), KEY, trace=True)


def story(*raws: bytes) -> list[Json]:
    """What stands after several messages."""
    said = [c for n, raw in enumerate(raws) for c in map_message(
        raw, feeds().of_sender("EXAMPLE", "EAST"), microseconds(ARRIVAL + timedelta(seconds=n))).contributions]
    return [c.body for c in compose_all(said, (), feeds(), KEY, lambda _: set()) if not c.deleted]


def of(resources: list[Json], resource_type: str) -> list[Json]:
    return [r for r in resources if r["resourceType"] == resource_type]


def made(raw: bytes, resource_type: str) -> list[Json]:
    """The resources of a type that one message makes."""
    return of([entry["resource"] for entry in converted(raw).bundle["entry"]], resource_type)


def one(raw: bytes, resource_type: str) -> Json:
    (found,) = made(raw, resource_type)
    return found


def facts(raw: bytes) -> dict[str, Json]:
    """Observations of a person's facts by their code."""
    return {c["code"]: o for o in made(raw, "Observation") for c in o["code"]["coding"] if c["system"] == FACT}


def extensions(resource: Json) -> dict[str, Json]:
    return {e["url"].removeprefix(CORE): e for e in resource.get("extension", ())}


def codes(concept: Json) -> list[str]:
    return [c.get("code", "") for c in concept.get("coding", ())]


def lost(raw: bytes, place: str) -> Json:
    """The account of one place."""
    return next(leaf for leaf in converted(raw).loss["leaves"] if leaf["place"] == place)


# --- the message

def test_network_addresses_come_before_applications_and_receivers_stand_each() -> None:
    raw = adt(msh={5: "CARELOOP", 6: "NET", 17: "USA", 23: "Receiving Group", 24: "NODE1^1.2.3.6^ISO", 25: "NODE2^1.2.3.7^ISO"})
    header = one(raw, "MessageHeader")
    assert header["source"]["endpoint"] == "urn:oid:1.2.3.6"
    assert [d["endpoint"] for d in header["destination"]] == ["urn:oid:1.2.3.7"] * 2
    names = {o["id"]: o["name"] for o in made(raw, "Organization")}
    assert [names[d["receiver"]["reference"].partition("/")[2]] for d in header["destination"]] == ["NET", "Receiving Group"]
    (sender,) = [o for o in made(raw, "Organization") if o["name"] == "EAST"]
    assert sender["address"] == [{"country": "USA"}]


def test_a_message_has_a_provenance_of_its_own_beside_that_of_its_event() -> None:
    raw = adt(msh={9: "ADT^A01^ADT_A01", 21: "PROF^NIST^1.2.3.9^ISO~PLAIN"})
    (message,) = [p for p in made(raw, "Provenance") if p["recorded"].startswith("2026-03-01T08:15:00")]
    assert codes(message["activity"]) == ["ADT", "ADT_A01"]
    assert message["activity"]["coding"][1] == {"system": V2 + "0354", "version": "2.8.2", "code": "ADT_A01"}
    assert message["policy"] == ["urn:oid:1.2.3.9"]
    assert message["entity"][0]["what"]["display"] == "EXAMPLE"
    assert len(made(raw, "Provenance")) == 2


def test_security_labels_keep_words_and_codes() -> None:
    raw = adt(msh={8: "sealed", 26: "R^restricted^HL70952", 27: "NODSCLCD^^HL70953", 28: "staff only"})
    labels = one(raw, "MessageHeader")["meta"]["security"]
    assert labels[0] == {"display": "sealed; staff only"}
    assert [label["code"] for label in labels[1:]] == ["R", "NODSCLCD"]


def test_the_first_software_made_the_message_and_each_is_a_device() -> None:
    raw = adt("SFT|Orion Works|4.2.1|Gateway One|BIN-77|relay build|20250102", "SFT|Relay Ltd|1.0.3|Hop|BIN-78")
    header = one(raw, "MessageHeader")
    assert (header["source"]["software"], header["source"]["version"]) == ("Gateway One", "4.2.1")
    devices = {d["manufacturer"]: d for d in made(raw, "Device")}
    assert devices["Orion Works"]["version"] == [{"value": "4.2.1"}]
    assert devices["Relay Ltd"]["modelNumber"] == "BIN-78"
    assemblers = {a["who"]["reference"] for p in made(raw, "Provenance") for a in p["agent"]
                  if codes(a["type"]) == ["assembler"]}
    assert assemblers == {f"Device/{d['id']}" for d in devices.values()}


def test_a_credential_is_never_copied() -> None:
    raw = adt("UAC|KERB^Kerberos Service Ticket|^TEXT^PLAIN^A^c2VjcmV0")
    assert "c2VjcmV0" not in str(converted(raw).bundle)
    assert lost(raw, "UAC-2.5")["status"] == "dropped"


def test_a_comment_belongs_to_the_allergy_before_it() -> None:
    raw = adt("IAM|1|DA|7980^Penicillin G^RXNORM|MO|Hives|A|1^^A60", f"NTE|1|P|seen at home|RE|{NPI}|20260102", event="A60")
    (note,) = one(raw, "AllergyIntolerance")["note"]
    assert (note["text"], note["time"]) == ("seen at home", "2026-01-02")
    assert note["authorReference"]["reference"].startswith("Practitioner/")
    assert lost(adt(PV1, "NTE|1||of the person"), "NTE-3.1")["status"] == "dropped"


# --- the person

def test_the_mother_stands_as_a_related_person() -> None:
    mother = one(adt(pid={6: "Hazelmere^Odette", 21: "MOM5^^^EAST^MR"}), "RelatedPerson")
    assert codes(mother["relationship"][0]) == ["MTH"]
    assert mother["identifier"][0]["value"] == "MOM5"
    assert mother["name"] == [{"family": "Hazelmere", "given": ["Odette"], "use": "maiden"}]


def test_the_last_update_is_a_provenance_of_the_person_by_whom_made_it() -> None:
    raw = adt(pid={33: "20260115103000-0500", 34: "UPDFAC^1.2.3.10^ISO"})
    (update,) = [p for p in made(raw, "Provenance") if codes(p.get("activity", {})) == ["UPDATE"]]
    assert update["recorded"] == update["occurredDateTime"] == "2026-01-15T10:30:00-05:00"
    assert update["target"] == [{"reference": f"Patient/{one(raw, 'Patient')['id']}"}]
    (facility,) = [o for o in made(raw, "Organization") if o["name"] == "UPDFAC"]
    assert update["agent"][0]["who"] == {"reference": f"Organization/{facility['id']}"}


def test_an_animal_has_species_and_breed_and_a_breed_alone_says_nothing() -> None:
    animal = extensions(one(adt(pid={35: "125097000^Goat^SCT", 36: "4880003^Beagle^SCT"}), "Patient"))["patient-animal"]
    assert [e["url"] for e in animal["extension"]] == ["species", "breed"]
    assert "patient-animal" not in extensions(one(adt(pid={36: "4880003^Beagle^SCT"}), "Patient"))


def test_a_tribe_is_an_affiliation_and_any_other_a_citizenship() -> None:
    patient = one(adt(pid={39: "338^Native Village^TribalEntityUS~CAN^Canada^ISO3166_1"}), "Patient")
    tribe = extensions(patient)["http://hl7.org/fhir/us/core/StructureDefinition/us-core-tribal-affiliation"]
    assert tribe["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "338"
    assert codes(extensions(patient)["patient-citizenship"]["extension"][0]["valueCodeableConcept"]) == ["CAN"]


def test_a_licence_is_understood_as_dln_and_as_cx() -> None:
    for text in ("D123^NY^20300101", "D123^^^NY&1.2.3.4&ISO^DL"):
        licence = next(i for i in one(adt(pid={20: text}), "Patient")["identifier"] if i["value"] == "D123")
        assert codes(licence["type"]) == ["DL"]


@pytest.mark.parametrize(("indicator", "label"), [("Y", "R"), ("N", "N")])
def test_protection_is_a_security_label_that_a_later_message_replaces(indicator: str, label: str) -> None:
    (patient,) = of(story(adt(f"PD1{'|' * 12}Y"), adt(f"PD1{'|' * 12}{indicator}", stated="20260301091000-0500")), "Patient")
    assert [c["code"] for c in patient["meta"]["security"]] == [label]


def test_facts_of_the_person_are_observations_of_social_history() -> None:
    found = facts(adt(line("PD1", {
        1: "C^Children^HL70223~O^Other^HL70223", 2: "A^Alone^HL70220", 5: "F^Full-time^HL70231", 7: "Y^Yes^HL70315",
        8: "Y^Yes^HL70316", 11: "02^Reminder^HL70215", 15: "DNR^Do not resuscitate^HL70435", 16: "A^Active^HL70441",
        17: "20260111", 18: "20260112", 19: "ARMY^Army^HL70140", 20: "E5^Sergeant^HL70141", 21: "ACT^Active^HL70142",
        22: "20260113"}), pid={27: "VET^Veteran^L"}))
    assert {name: codes(o["valueCodeableConcept"])[0] for name, o in found.items() if "component" not in o} == {
        "veteran-status": "VET", "living-arrangement": "A", "student": "F", "living-will": "Y", "organ-donor": "Y",
        "publicity": "02", "immunization-registry": "A", "military-branch": "ARMY", "military-rank": "E5",
        "military-status": "ACT"}
    assert [codes(c["valueCodeableConcept"])[0] for c in found["living-dependency"]["component"]] == ["C", "O"]
    assert {name: o["effectiveDateTime"] for name, o in found.items() if "effectiveDateTime" in o} == {
        "publicity": "2026-01-12", "advance-directive": "2026-01-13", "immunization-registry": "2026-01-11"}
    assert {codes(o["category"][0])[0] for o in found.values()} == {"social-history"}


def test_a_status_that_is_not_told_has_its_day() -> None:
    registry = facts(adt(line("PD1", {17: "20260111"})))["immunization-registry"]
    assert (registry["effectiveDateTime"], codes(registry["dataAbsentReason"])) == ("2026-01-11", ["unknown"])


def test_what_a_visit_says_of_the_person_is_the_same_fact() -> None:
    said = line("PV2", {43: "N^No^HL70315"})
    (will,) = of(story(adt(line("PD1", {7: "Y^Yes^HL70315"})), adt(PV1, said, stated="20260301091000-0500")), "Observation")
    assert codes(will["valueCodeableConcept"]) == ["N"]


def test_a_duplicate_number_is_a_secondary_identifier() -> None:
    patient = one(adt(line("PD1", {10: "DUP44^^^EAST^MR"})), "Patient")
    assert next(i for i in patient["identifier"] if i["value"] == "DUP44")["use"] == "secondary"


def test_a_disability_has_its_time_and_belongs_to_the_patient_alone() -> None:
    raw = adt("DB1|1|PT|DIS5^^^EAST^PI|Y|20250101|20260601|20260701|20250102")
    disability = facts(raw)["disability"]
    assert disability["valueBoolean"] is True
    assert disability["effectivePeriod"] == {"start": "2025-01-01", "end": "2026-06-01"}
    assert [c["valueDateTime"] for c in disability["component"]] == ["2026-07-01", "2025-01-02"]
    assert "DIS5" in [i["value"] for i in one(raw, "Patient")["identifier"]]
    somebody = adt("DB1|1|GT|DIS6^^^EAST^PI|Y|20250101")
    assert not made(somebody, "Observation")
    assert "DIS6" not in str(converted(somebody).bundle)


# --- associated parties

def test_kin_has_race_ethnicity_and_protection() -> None:
    kin = one(adt(line("NK1", {1: "1", 2: "Tarnhill^Corin", 23: "Y", 28: "2186-5^Not Hispanic^CDCREC",
                               35: "2106-3^White^CDCREC"})), "RelatedPerson")
    assert {url.rpartition("-")[2] for url in extensions(kin)} == {"race", "ethnicity"}
    assert kin["meta"]["security"][0]["code"] == "R"


@pytest.mark.parametrize(("fields", "contacts"), [
    ({7: "C"}, 1), ({7: "N"}, 0), ({7: "N", 13: "Alder Bakery"}, 1), ({}, 0)])
def test_a_contact_has_a_role_or_an_organization(fields: dict[int, str], contacts: int) -> None:
    raw = adt(line("NK1", {1: "1", 2: "Tarnhill^Corin", **fields}))
    found = one(raw, "Patient").get("contact", [])
    assert len(found) == contacts
    if 13 in fields:
        assert found[0]["organization"]["display"] == "Alder Bakery"


# --- roles

def test_a_role_has_person_organization_and_addresses() -> None:
    raw = adt(line("ROL", {1: "R1", 2: "AD", 3: "PP^Primary^HL70443", 4: NPI + "~F34^Fennick^Ugo^^^^^^STAFF", 8: "^new to town",
                           9: "GP^General practice^L", 10: "1^Hospital^HL70406", 11: "9 Elm Way^^Alderton^NY^^^B~4 Oak^^^^^^H",
                           13: "CLIN^R2", 14: "Alder Practice"}))
    role = one(raw, "PractitionerRole")
    assert one(raw, "Patient")["generalPractitioner"] == [{"reference": f"PractitionerRole/{role['id']}"}]
    (person,) = [p for p in made(raw, "Practitioner") if p["name"][0]["family"] == "Fennick"]
    assert {i["value"] for i in person["identifier"]} == {"2000001034", "F34"}
    assert [a["line"] for a in person["address"]] == [["4 Oak"]]
    (practice,) = [o for o in made(raw, "Organization") if o["name"] == "Alder Practice"]
    assert (codes(practice["type"][0]), practice["address"][0]["line"]) == (["1"], ["9 Elm Way"])
    assert one(raw, "CareTeam")["reasonCode"] == [{"text": "new to town"}]


def test_a_role_of_somebody_without_number_is_kept_by_name() -> None:
    role = one(adt("ROL|R1|AD|CP^Consulting^HL70443|^Fennick^Ugo"), "PractitionerRole")
    assert role["practitioner"] == {"display": "Ugo Fennick"}


@pytest.mark.parametrize("action", ["DE", "UN", "D"])
def test_a_role_that_ends_goes_and_the_others_stay(action: str) -> None:
    first = adt(PV1, f"ROL|R1|AD|CP|{NPI}", f"ROL|R2|AD|AT|{OTHER}")
    then = adt(PV1, f"ROL|R1|{action}|CP|{NPI}", event="A08", stated="20260301091000-0500")
    (visit,) = of(story(first, then), "Encounter")
    (role,) = [r for r in of(story(first, then), "PractitionerRole")
               if f"PractitionerRole/{r['id']}" in str(visit["participant"])]
    assert (len(visit["participant"]), role["identifier"][0]["value"]) == (1, "R2")


def test_a_team_member_that_is_deleted_goes_whatever_came_first() -> None:
    first = adt(f"ROL|R1|AD|CP|{NPI}", f"ROL|R2|AD|AT|{OTHER}")
    then = adt(f"PRT|P3|A||CP|{OTHER}", f"ROL|R1|DE|CP|{NPI}", event="A31", stated="20260301091000-0500")
    teams = [of(story(*order), "CareTeam") for order in ((first, then), (then, first))]
    assert teams[0] == teams[1]
    assert len(teams[0][0]["participant"]) == 2


def test_roles_without_instance_id_are_the_whole_list() -> None:
    first = adt(f"ROL||AD|PP|{NPI}", f"ROL||AD|CP|{OTHER}")
    then = adt(f"ROL||UP|PP|{OTHER}", f"ROL||DE|PP|{NPI}", event="A31", stated="20260301091000-0500")
    stands = story(first, then)
    (role,) = [r for r in of(stands, "PractitionerRole") if "PP" in codes(r["code"][0])
               and "Nell" in r["practitioner"]["display"]]
    assert of(stands, "Patient")[0]["generalPractitioner"] == [{"reference": f"PractitionerRole/{role['id']}"}]
    assert [m["member"] for m in of(stands, "CareTeam")[0]["participant"]] == [{"reference": f"PractitionerRole/{role['id']}"}]


def test_a_primary_care_provider_that_is_deleted_goes() -> None:
    stands = story(adt(f"ROL|R1|AD|PP|{NPI}"), adt(f"ROL|R1|DE|PP|{NPI}", event="A31", stated="20260301091000-0500"))
    assert "generalPractitioner" not in of(stands, "Patient")[0]


def test_a_participation_may_be_an_organization_or_a_device() -> None:
    raw = adt(PV1, line("PRT", {1: "P2", 2: "A", 4: "PART", 7: "4^Home^HL70406", 8: "Swift Ambulance", 11: "20260301074500-0500",
                                15: "^WPN^PH^^1^518^5550172~^NET^Internet^a@example.org", 23: "E", 24: "LIC1^RN^NY"}),
              line("PRT", {2: "A", 4: "EQUIP", 10: "DEV1", 16: "00844588003288^GS1^1.3.160^ISO", 17: "20240101", 18: "20300101",
                           19: "LOT-A", 20: "SER-B", 21: "DON-C", 22: "PUMP^Pump^L"}))
    (role,) = [r for r in made(raw, "PractitionerRole") if "organization" in r]
    assert role["organization"]["display"] == "Swift Ambulance"
    assert [t["value"] for t in role["telecom"] if "iso21090-preferred" in extensions(t)] == ["a@example.org"]
    assert {i["value"] for i in role["identifier"]} == {"P2", "LIC1"}
    (participant,) = one(raw, "Encounter")["participant"]
    assert participant["period"] == {"start": "2026-03-01T07:45:00-05:00"}
    device = one(raw, "Device")
    assert device["udiCarrier"] == [{"deviceIdentifier": "00844588003288", "issuer": "urn:oid:1.3.160"}]
    assert (device["serialNumber"], device["lotNumber"], device["distinctIdentifier"]) == ("SER-B", "LOT-A", "DON-C")


# --- the visit

def test_a_visit_is_protected_and_warned_of() -> None:
    raw = adt(PV1, line("PV2", {7: "TE", 22: "Y", 40: "AC^Acute^HL70432", 41: "C^Confused^HL70433~W^Wandering^HL70433",
                                49: "L^Last rites^HL70534"}))
    visit = one(raw, "Encounter")
    assert visit["meta"]["security"][0]["code"] == "R"
    assert codes(visit["hospitalization"]["specialArrangement"][0]) == ["L"]
    flag = one(raw, "Flag")
    assert (flag["code"], flag["encounter"]["reference"]) == ({"text": "Confused; Wandering"}, f"Encounter/{visit['id']}")
    assert facts(raw)["admission-level-of-care"]["encounter"]["reference"] == f"Encounter/{visit['id']}"


def test_an_expected_admission_begins_a_planned_stay_and_no_other() -> None:
    said = line("PV2", {8: "20260401080000-0500"})
    assert one(adt(PV1, said, event="A05"), "Encounter")["period"]["start"] == "2026-04-01T08:00:00-05:00"
    assert one(adt(PV1, said, event="A01"), "Encounter")["period"]["start"] != "2026-04-01T08:00:00-05:00"


# --- restrictions and consents

def test_a_restriction_is_a_consent_about_the_person_or_the_visit() -> None:
    raw = adt("ARV|1|A|DEM|PAT|keep from the press|20260101^20261231", PV1, "ARV|1|A|LOC|VIP", "ARV|2|A|OI")
    consents = {codes(c["provision"]["code"][0])[0]: c for c in made(raw, "Consent")}
    assert consents["DEM"]["policyRule"] == {"text": "keep from the press"}
    assert consents["DEM"]["provision"]["period"] == {"start": "2026-01-01", "end": "2026-12-31"}
    assert "data" not in consents["DEM"]["provision"]
    assert consents["LOC"]["provision"]["data"][0]["reference"]["reference"].startswith("Encounter/")
    assert [consents[c]["provision"]["type"] for c in ("DEM", "LOC", "OI")] == ["deny", "deny", "permit"]


def test_a_restriction_of_a_visit_without_number_holds_for_the_person() -> None:
    consent = one(adt("PV1|1|N", "ARV|1|A|LOC|VIP"), "Consent")
    assert (consent["provision"]["type"], "data" in consent["provision"]) == ("deny", False)


def test_a_restriction_that_is_deleted_is_inactive() -> None:
    (consent,) = of(story(adt("ARV|1|A|DEM|PAT"), adt("ARV|1|D|DEM|PAT", stated="20260301091000-0500")), "Consent")
    assert consent["status"] == "inactive"


@pytest.mark.parametrize(("kind", "scope"), [("001", "patient-privacy"), ("002", "treatment"), ("099", "research"),
                                             ("OWN^Own form^L", "patient-privacy"), ("", "patient-privacy")])
def test_a_consent_to_treatment_says_nothing_of_privacy(kind: str, scope: str) -> None:
    consent = one(adt(PV1, f"CON|1|{kind}||CF9^EAST|||||||A"), "Consent")
    assert codes(consent["scope"]) == [scope]
    assert consent["policyRule"]


@pytest.mark.parametrize(("status", "state"), [("A", "active"), ("L", "active"), ("P", "proposed"), ("R", "rejected"),
                                               ("X", "inactive"), ("B", "inactive"), ("", "inactive"), ("W", "inactive")])
def test_the_state_of_a_consent(status: str, state: str) -> None:
    assert one(adt(PV1, f"CON|1|001||CF9^EAST|||||||{status}"), "Consent")["status"] == state


def test_a_consent_keeps_its_words_its_limits_and_who_gave_it() -> None:
    raw = adt(PV1, line("CON", {1: "1", 2: "001", 3: "FORM-12 v3", 4: "CF9^EAST", 5: "I agree", 6: "for my knee",
                                9: "no students", 11: "L", 13: "20260228110000-0500", 14: "20260301", 15: "20270301",
                                24: "Tarnhill^Bess~Tarnhill^Corin~Marlwick^Odile", 25: "1~2^Parent^HL70548~6"}))
    consent = one(raw, "Consent")
    assert base64.b64decode(consent["sourceAttachment"]["data"]).decode() == "I agree\n\nfor my knee"
    assert consent["provision"]["provision"] == [{"type": "deny", "code": [{"text": "no students"}]}]
    assert consent["provision"]["period"] == {"start": "2026-03-01", "end": "2027-03-01"}
    person, parent, practitioner = consent["performer"]
    assert person["reference"].startswith("Patient/")
    assert parent["reference"] == f"RelatedPerson/{one(raw, 'RelatedPerson')['id']}"
    assert practitioner == {"display": "Odile Marlwick"}


# --- the account

def test_every_field_has_its_decision() -> None:
    raw = (HOME / "mappings/common/cases/person-in-full/input.hl7").read_bytes()
    leaves = converted(raw).loss["leaves"]
    mine = [leaf for leaf in leaves if leaf["place"][:3] in MINE]
    assert {leaf["place"] for leaf in mine if leaf["status"] == "unmapped"} == set()
    assert {leaf["place"][:3] for leaf in mine} == MINE


def test_wrong_values_raise_issues_and_nothing_else() -> None:
    raw = adt(PV1, "ARV|1|A|DEM|PAT||yesterday", "DB1|1|PT||perhaps", line("PD1", {12: "maybe"}), pid={33: "soon"})
    found: tuple[Issue, ...] = converted(raw).issues
    assert {i.place for i in found if i.code in ("bad-date", "bad-value")} == {"ARV-6.1", "DB1-4", "PD1-12", "PID-33"}
    assert not [i for i in found if i.code in ("mapping-failed", "fhir-structure")]


FIELD = st.text("AY1DPUX2026^&~\"\\ .-", max_size=14)
FIELDS = st.dictionaries(st.integers(1, 41), FIELD, min_size=1, max_size=12)


@given(st.lists(st.tuples(st.sampled_from(sorted(MINE - {"MSH", "EVN", "PID"})), FIELDS), min_size=1, max_size=6), FIELDS)
@settings(max_examples=80)
def test_no_value_breaks_a_rule_or_a_resource(segments: list[tuple[str, dict[int, str]]], pid: dict[int, str]) -> None:
    person = {n: text for n, text in pid.items() if n not in (3, 18)}
    said = converted(adt(*(line(name, fields) for name, fields in segments), PV1, pid=person))
    assert [i for i in said.issues if i.code == "mapping-failed"] == []
    assert said.bundle["entry"]


@pytest.mark.parametrize(("before", "after"), [
    (adt(PV1, pid={27: "A^Veteran"}), adt(PV1, pid={27: '""'}, stated="20260302081000-0500", event="A08")),
    (adt("PD1|A", PV1), adt('PD1|""', PV1, stated="20260302081000-0500", event="A08")),
])
def test_a_null_takes_back_the_observation_that_the_field_made(before: bytes, after: bytes) -> None:
    assert len(of(story(before), "Observation")) == 1
    assert of(story(before, after), "Observation") == []
    assert of(story(after, before), "Observation") == []
    silent = adt("PD1||B", PV1, stated="20260302081000-0500", event="A08")
    assert len(of(story(before, silent), "Observation")) == 2


def test_a_part_in_an_insurance_is_no_part_in_the_visit() -> None:
    raw = adt(PV1, "IN1|1|GOLD|77|Sound Health", f"ROL|1^R|AD|PP^Primary^HL70443|{NPI}|20260301|20260401",
              f"PRT|1^P|AD|why|PP^Primary^HL70912|{OTHER}")
    conversion = converted(raw)
    assert "participant" not in one(raw, "Encounter")
    assert made(raw, "CareTeam") == []
    assert len(made(raw, "PractitionerRole")) == 2
    reasons = {leaf["place"]: leaf.get("reason", "") for leaf in conversion.loss["leaves"]}
    assert "Coverage has no participants" in reasons["ROL-5.1"]
    assert conversion.loss["counts"]["unmapped"] == 0


def test_a_role_and_a_participation_of_one_number_are_two() -> None:
    first = adt(PV1, f"ROL|7^X|AD|AD^Admitting^HL70443|{NPI}", f"PRT|7^X|AD||CON^Consultant^HL70912|{OTHER}")
    ended = adt(PV1, f"ROL|7^X|DE|AD^Admitting^HL70443|{NPI}", stated="20260302081000-0500", event="A08")
    assert len(one(first, "Encounter")["participant"]) == 2
    (encounter,) = of(story(first, ended), "Encounter")
    assert [p["type"][0]["coding"][0]["code"] for p in encounter["participant"]] == ["CON"]


def test_a_message_is_about_a_visit_only_where_it_states_one() -> None:
    account = {18: "V1^^^EAST^VN"}
    without = converted(adt("MRG|700001^^^EAST^MR", pid=account, event="A40", msh={3: "LOUD", 4: "WEST"}))
    assert "fhir-reference" not in [i.code for i in without.issues]
    focus = next(e["resource"] for e in without.bundle["entry"] if e["resource"]["resourceType"] == "MessageHeader")["focus"]
    assert [f["reference"].partition("/")[0] for f in focus] == ["Patient"]
    (header,) = made(adt("PV1|1|I", pid=account, msh={3: "LOUD", 4: "WEST"}), "MessageHeader")
    assert [f["reference"].partition("/")[0] for f in header["focus"]] == ["Patient", "Encounter"]


@pytest.mark.parametrize(("number", "status"), [("", "dropped"), ("^^^ORG7", "mapped")])
def test_what_is_about_a_number_that_is_not_there_is_told_as_dropped(number: str, status: str) -> None:
    """ROL-14.6 and .7 are about ROL-14.10 or .3; without them nothing of them stands."""
    role = f"ROL|R1|AD|AT^Attending^HL70443|1234567893^Okonjo^Mary{'|' * 10}East Clinic^^^^^EAST^XX{number}"
    told = {leaf["place"]: leaf["status"] for leaf in converted(adt(role)).loss["leaves"]}
    assert {told["ROL-14.6"], told["ROL-14.7"]} == {status}
