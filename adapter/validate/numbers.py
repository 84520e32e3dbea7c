"""Numbers with a form of their own: whether a value can be one of the numbers that its system names.

US Core refuses a Practitioner or Organization whose identifier is no such number. Source: us-core-16 to us-core-19.
"""

from __future__ import annotations

import re
from functools import lru_cache

NPI = "http://hl7.org/fhir/sid/us-npi"
_FORMS = {
    "urn:oid:2.16.840.1.113883.4.7": re.compile(r"[0-9]{2}D[0-9]{7}"),  # CLIA
    "urn:oid:2.16.840.1.113883.6.300": re.compile(r"[0-9]{5}"),  # NAIC
}


def well_formed(system: str, value: str) -> bool:
    """Whether a value can be a number of its system; True for a system whose numbers have no form that is known here."""
    if system == NPI:
        return valid_npi(value)
    form = _FORMS.get(system)
    return form is None or form.fullmatch(value) is not None


@lru_cache(maxsize=4096)
def valid_npi(value: str) -> bool:
    """Ten digits whose last is the Luhn check digit over 80840 and the first nine. Source: us-core-16, us-core-17."""
    if len(value) != 10 or not value.isascii() or not value.isdigit():
        return False
    doubled = sum(int(d) * 2 - (9 if d > "4" else 0) for d in value[0:9:2])
    return (doubled + sum(int(d) for d in value[1:10:2]) + 24) % 10 == 0
