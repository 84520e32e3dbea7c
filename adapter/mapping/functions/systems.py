"""Names of coding systems as senders write them (HL7 v2 table 0396) to the URIs that FHIR knows them by.

A code that claims an HL7 table without being in it gets the sender's own system: a validator refuses the false claim.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

from adapter.mapping.functions.registry import Context
from adapter.mapping.tables import V2_TABLES
from adapter.mapping.uris import is_oid

V2 = "http://terminology.hl7.org/CodeSystem/v2-"

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW ABW AFG AGO AIA ALA ALB AND ARE
ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN
BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM
DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL
GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM
KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR
MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER
PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM
SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR
UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE
"""
_ISO_3166 = frozenset(_COUNTRIES.split())
_ISO = ("urn:iso:std:iso:3166", _ISO_3166)
_SNOMED = ("http://snomed.info/sct", None)
_ICD9 = ("http://hl7.org/fhir/sid/icd-9-cm", None)
_ICD10CM = ("http://hl7.org/fhir/sid/icd-10-cm", None)
_CPT = ("http://www.ama-assn.org/go/cpt", None)
_RXNORM = ("http://www.nlm.nih.gov/research/umls/rxnorm", None)
_HCPCS = ("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", None)
_LANGUAGE = ("urn:ietf:bcp:47", frozenset[str]())

_NAMES: dict[str, tuple[str, Container[str] | None]] = {
    "LN": ("http://loinc.org", None), "LOINC": ("http://loinc.org", None),
    "SCT": _SNOMED, "SNOMED": _SNOMED, "SNOMEDCT": _SNOMED, "SNOMED-CT": _SNOMED, "SNOMED CT": _SNOMED, "SNM": _SNOMED,
    "I9": _ICD9, "I9C": _ICD9, "I9CDX": _ICD9, "ICD9": _ICD9, "ICD-9": _ICD9, "ICD9CM": _ICD9, "ICD-9-CM": _ICD9,
    "I9CP": ("http://terminology.hl7.org/CodeSystem/icd9cm", None),
    "I10": ("http://hl7.org/fhir/sid/icd-10", None), "ICD10": ("http://hl7.org/fhir/sid/icd-10", None),
    "ICD-10": ("http://hl7.org/fhir/sid/icd-10", None),
    "I10C": _ICD10CM, "ICD10CM": _ICD10CM, "ICD-10-CM": _ICD10CM,
    "I10P": ("http://www.cms.gov/Medicare/Coding/ICD10", None),
    "ICD10PCS": ("http://www.cms.gov/Medicare/Coding/ICD10", None),
    "ICDO": ("http://terminology.hl7.org/CodeSystem/icd-o-3", None),
    "ICDO3": ("http://terminology.hl7.org/CodeSystem/icd-o-3", None),
    "C4": _CPT, "CPT": _CPT, "CPT4": _CPT, "CPT-4": _CPT, "C5": _CPT,
    "HCPCS": _HCPCS, "HPC": _HCPCS,
    "RXNORM": _RXNORM, "RXN": _RXNORM, "NDC": ("http://hl7.org/fhir/sid/ndc", None),
    "UNII": ("http://fdasis.nlm.nih.gov", None), "CVX": ("http://hl7.org/fhir/sid/cvx", None),
    "MVX": ("http://hl7.org/fhir/sid/mvx", None), "ATC": ("http://www.whocc.no/atc", None),
    "NUCC": ("http://nucc.org/provider-taxonomy", None),
    "CDCREC": ("urn:oid:2.16.840.1.113883.6.238", None),
    "NUBC": ("https://www.nubc.org/CodeSystem/PatDischargeStatus", None),
    "ISO3166_1": _ISO, "ISO3166": _ISO, "ISO3166-1": _ISO, "ISO3166_2": ("urn:iso:std:iso:3166:-2", None),
    "HL70399": _ISO, "BCP47": _LANGUAGE,
}
"""Name in capitals to (URI, codes that may claim it; None: any). Units of UCUM are read by quantities."""

TABLE_SOURCES: dict[str, str] = {
    "account-status": "0117", "acuity": "0432", "additive": "0371", "address-type": "0190", "address-use": "0190",
    "address-use-entity": "0190", "administration-method": "0165", "administrative-sex": "0001",
    "admission-type": "0007", "admit-source": "0023", "allergen-type": "0127", "allergy-category": "0127",
    "allergy-criticality": "0128", "allergy-sensitivity": "0436", "allergy-severity": "0128",
    "allergy-severity-original": "0128", "allergy-type": "0127", "allergy-verification": "0438",
    "allow-substitution": "0161", "ambulatory-status": "0009", "appointment-reason": "0276",
    "appointment-status": "0278", "appointment-type": "0277", "bed-status": "0116", "body-part": "0550",
    "body-site": "0163", "comment-type": "0364", "completion-status": "0322", "confidentiality": "0177",
    "consent-status": "0498", "contact-role": "0131", "country": "0399", "degree": "0360", "diagnosis-type": "0052",
    "diagnostic-service": "0074", "diet-type": "0114", "discharge-disposition": "0112",
    "document-confidentiality": "0272", "encounter-status": "0004", "ethnicity": "0189", "event-reason": "0062",
    "event-related-period": "0528", "event-status": "0003", "event-type": "0003", "hospital-service": "0069",
    "identifier-type": "0203", "insured-relationship": "0063", "interpretation": "0078", "language": "0296",
    "living-will": "0315", "location-type": "0305", "marital-status": "0002", "mode-of-arrival": "0430",
    "name-assembly": "0444", "name-representation": "0465", "name-use": "0200", "name-use-entity": "0200",
    "nature-of-abnormal-testing": "0080", "observation-status": "0085", "order-control": "0119",
    "order-priority": "0485", "order-status": "0038", "order-type": "0482", "organization-name-type": "0204",
    "participation": "0912", "patient-class": "0004", "patient-to-insured": "0344", "plan-type": "0086",
    "practitioner-number-type": "0338", "preferred-contact": "0185", "processing-id": "0103", "processing-mode": "0207",
    "provider-role": "0443", "publicity": "0215", "race": "0005", "readmission-indicator": "0092",
    "referral-priority": "0280", "referral-status": "0283", "relationship": "0063", "religion": "0006",
    "repeat-pattern": "0335", "report-status": "0123", "route": "0162",
    "segment-action": "0206", "specimen-availability": "0136", "specimen-collection": "0488",
    "specimen-condition": "0493", "specimen-reject-reason": "0490", "specimen-type": "0487",
    "subscriber-relationship": "0063", "telecom-system": "0202", "telecom-use": "0201", "universal-id-type": "0301",
    "vip-indicator": "0099", "visit-priority": "0217", "visit-user": "0130", "yes-no": "0136",
}
"""Concept map to the HL7 table its source codes come from, for fields whose coding system is known by their place."""


@lru_cache(maxsize=4096)
def _known(name: str) -> tuple[str, Container[str] | None] | None:
    """(URI, codes that may claim it) of a coding system name; None where the name is the sender's own."""
    upper = name.upper()
    found = _NAMES.get(upper)
    if found is not None:
        return found
    number = upper[3:].zfill(4) if upper.startswith("HL7") else ""
    if len(number) == 4 and number.isascii() and number.isdigit() and number < "1000" and number != "0000":
        return V2 + number, V2_TABLES.get(number)
    if name.startswith(("http://", "https://", "urn:")) and " " not in name:
        if name.startswith(V2):
            return name, V2_TABLES.get(name.removeprefix(V2))
        ours = name.startswith(("http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/"))
        return None if ours else (name, None)
    return (f"urn:oid:{name}", None) if is_oid(name) else None


def coding_system(name: str, code: str, ctx: Context, oid: str = "") -> str:
    """The URI of a coding system as CWE.3 names it, '' without a name; the sender's own by kind `code-system`.

    oid: CWE.14, which says what a name that nobody else knows stands for.
    """
    if not name:
        return ""
    known = _known(name)
    if known is None and oid:
        known = _known(oid)
    if known is not None and (known[1] is None or code in known[1]):
        return known[0]
    return ctx.system(name, "", "", "code-system")


def known_system(name: str) -> str:
    """The URI of a coding system that is known by this name; '' for a name of the sender's own."""
    known = _known(name) if name else None
    return known[0] if known is not None else ""


def is_standard(name: str, code: str) -> bool:
    """Whether a code is a verified member of the HL7 table that its coding system names."""
    known = _known(name) if name else None
    return known is not None and known[1] is not None and code in known[1]
