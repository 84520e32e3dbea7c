"""The guide's datatype tables as oracle: each component that it maps is taken by our function, or let go for a reason here."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.mapping.functions import FUNCTIONS

TAKEN = {
    "CE[CodeableConcept]": "ce_codeable_concept", "CF[CodeableConcept]": "cwe_codeable_concept",
    "CNE[CodeableConcept]": "cne_codeable_concept", "CNN[Practitioner]": "cnn_practitioner", "CQ[Quantity]": "cq_quantity",
    "CQ[decimal]": "cq_quantity", "CWE[CodeableConcept]": "cwe_codeable_concept", "CWE[Coding]": "cwe_coding",
    "CWE[code]": "cwe_code", "CWE[string]": "cwe_string", "CWE[uri]": "cwe_code",
    "CWE[PractitionerRole]": "cwe_codeable_concept", "CX[Identifier]": "cx_identifier", "CX[string]": "cx_string",
    "DLD[Location-Discharge]": "dld_location", "DLN[Identifier]": "dln_identifier", "DR[Period]": "dr_period",
    "DTM[dateTime]": "dtm_datetime", "EI[Identifier-DefaultAssigner]": "ei_identifier",
    "EI[Identifier-Extension]": "ei_identifier", "EI[Identifier-Organization]": "ei_identifier",
    "EI[Identifier-System]": "ei_identifier", "EI[Condition]": "ei_identifier", "EI[Procedure]": "ei_identifier",
    "HD[Identifier]": "hd_identifier", "HD[Location]": "hd_location", "HD[Organization]": "hd_organization",
    "HD[MessageHeader.destination-endpoint]": "hd_endpoint", "HD[MessageHeader.source-endpoint]": "hd_endpoint",
    "HD[MessageHeader.source-name]": "hd_name", "HD[uri]": "hd_system",
    "ID[CodeableConcept]": "id_codeable_concept", "ID[CodeableConcept-UniversalID]": "id_codeable_concept",
    "ID[Coding]": "cwe_coding", "ID[boolean]": "yes_no_boolean", "ID[code]": "id_code", "ID[string]": "st_string",
    "IS[CodeableConcept]": "is_codeable_concept", "IS[code]": "is_code", "IS[string]": "st_string",
    "MSG[Coding]": "msg_coding", "MSG[MessageHeader]": "msg_coding", "MSG[code]": "msg_coding",
    "NDL[PractitionerRole]": "ndl_practitioner_role", "NM[Quantity-LengthOfStay]": "nm_quantity",
    "NM[Quantity]": "nm_decimal", "NM[positiveInt]": "nm_positive_int", "PLN[Identifier]": "pln_identifier",
    "PL[Location]": "pl_location", "ST[CodeableConcept]": "st_concept_text", "ST[Identifier]": "ssn_identifier",
    "TS[dateTime]": "dtm_datetime", "XAD[Address]": "xad_address", "XCN[PractitionerRole]": "xcn_practitioner",
    "XCN[Practitioner]": "xcn_practitioner", "XON[Organization]": "xon_organization", "XON[string]": "xon_string",
    "XPN[HumanName]": "xpn_human_name", "XPN[string]": "xpn_string", "XTN[ContactPoint]": "xtn_contact_point",
}
"""Table of the guide to the function that does the same."""

ELSEWHERE = {
    "SAD[Address]": "XAD.1 of xad_address", "FN[HumanName]": "the first component of XPN and XCN",
    "CWE[Annotation]": "notes of a prescription", "CWE[Device]": "devices of observations, by the segment's own function",
    "CWE[Duration]": "timing of orders", "CWE[Identifier]": "no field of an ADT asks for it",
    "CWE[Observation-SupportingInfo]": "orders", "CWE[Organization]": "vaccines", "CWE[Quantity]": "orders: dose units",
    "CWE[Timing-DurationUnit]": "timing of orders", "CQ[code]": "appointments", "CQ[unsignedInt]": "appointments",
    "CX[RelatedPerson-Mother]": "PID-21, by a map of its own", "DR[dateTime]": "orders", "DTM[Annotation-Time]": "notes",
    "ED[Attachment]": "OBX-5, by the segment's own function", "ED[DocumentReference]": "documents",
    "EIP[Identifier-FillerAssignedIdentifier]": "orders", "EIP[Identifier-PlacerAssignedIdentifier]": "orders",
    "EI[Coding]": "MSH-21, by the segment's own map", "EI[Device-udiCarrier]": "PRT-10, by the segment's own map",
    "FT[Annotation-Comment]": "notes", "HD[Device]": "the sending application as a device, by the segment's own map",
    "HD[MessageHeader.destination-name]": "msh_destination takes MSH-5 whole", "NA[SampledData]": "waveforms",
    "NR[Range]": "OBX-5, by the segment's own function", "OG[Extension-Subidentifier]": "OBX-4, the segment's own function",
    "PT[Meta]": "MSH-11, by the segment's own map", "RI[Timing]": "orders", "RPT[Timing]": "orders",
    "RP[Attachment]": "OBX-5, by the segment's own function", "RP[DocumentReference]": "documents",
    "SN[Quantity]": "OBX-5, by the segment's own function", "SN[Range]": "OBX-5, by the segment's own function",
    "SN[Ratio]": "OBX-5, by the segment's own function", "SPS[Specimen-Source]": "specimens", "TQ[Appointment]": "appointments",
    "TQ[MedicationRequest]": "orders", "TQ[ServiceRequest]": "orders", "TQ[Task-ExecutionPeriod]": "orders",
    "TQ[Task-Priority]": "orders", "XCN[Annotation-Author]": "notes", "XCN[Patient]": "a vaccinated person",
    "XCN[RelatedPerson]": "PRT-5, by the segment's own map", "XON[Location]": "places of performers",
}
"""Tables without a function among those for datatypes, and where their values are taken, or which messages have them."""

LET_GO: dict[tuple[str, str], str] = {
    ("msg_coding", "3"): "MessageHeader.definition names a profile, not a v2 structure; the guide's table of it is empty",
    ("hd_endpoint", "1"): "stands in the name beside it",
    ("hd_name", "2"): "the universal id stands in the endpoint beside the name; source.software is the name of a product",
}
"""Components that the guide maps and we drop, and why."""


def tables(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Each datatype table: its name, and the numbers of the components that it maps to an element."""
    for path in sorted(folder.glob("*.csv")):
        name = path.name.removeprefix("HL7 Data Type - FHIR R4_ ").removesuffix(" - Sheet1.csv")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)][2:]
        found = {match[1] for row in rows if len(row) > 9 and row[9]
                 if (match := re.fullmatch(r"[A-Z]+[.-](\d+)", row[1]))}
        yield name, found


@pytest.mark.shared
def test_every_component_that_the_guide_maps_is_taken(shared: Path) -> None:
    seen: set[str] = set()
    dropped: set[tuple[str, str]] = set()
    for name, components in tables(shared / "v2-to-fhir" / "datatypes"):
        seen.add(name)
        if name in ELSEWHERE:
            continue
        function = FUNCTIONS[TAKEN[name]]
        for n in components:
            told = [text for at, text in function.parts.items() if at in (n, "*") or at.startswith(n + ".")]
            assert told, f"{name}: component {n} is not accounted for by {function.name}"
            if all(text.startswith("drop: ") for text in told):
                dropped.add((function.name, n))
    assert dropped == {*LET_GO}
    assert seen == TAKEN.keys() | ELSEWHERE.keys()


def test_every_reason_is_a_reason() -> None:
    for function in FUNCTIONS.values():
        for at, text in function.parts.items():
            assert not text.startswith("drop:") or len(text) > 20, f"{function.name} {at}"
