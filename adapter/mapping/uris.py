"""Universal ids as URIs: one rule for assigning authorities, identifiers and coding systems."""

from __future__ import annotations

from functools import lru_cache


def is_oid(text: str) -> bool:
    """Whether a text is an OID as FHIR's validator takes them: no arc begins with 0, and some three arcs are not enough."""
    arcs = text.split(".")
    return arcs[0] in ("0", "1", "2") and text.rfind(".") > 4 and all(
        a.isascii() and a.isdigit() and (a == "0" or a[0] != "0") for a in arcs)


@lru_cache(maxsize=4096)
def universal_uri(universal_id: str, kind: str) -> str:
    """A universal id (HD.2) as URI, '' where its type (HD.3, table 0301) gives none or it has not that type's form."""
    text, kind = universal_id.strip(), kind.upper()
    if kind == "ISO" and is_oid(text):
        return f"urn:oid:{text}"
    if kind in ("UUID", "GUID") and len(text) == 36 and text.count("-") == 4:
        return f"urn:uuid:{text.lower()}"
    return text if kind in ("URI", "URL") and ":" in text and " " not in text else ""
