"""CareLoop: HL7 v2 ADT and partner CSV in, FHIR R4 out, care-team collaboration gaps queried back."""
