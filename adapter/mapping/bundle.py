"""Composed resources as one FHIR transaction Bundle."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.model import Composed, Json, Mapped

BASE = "https://careloop.invalid/fhir"
"""Base of fullUrl in Bundles that stand on their own; no server answers there (RFC 2606)."""


def transaction(composed: Sequence[Composed], mapped: Mapped) -> Json:
    """A transaction Bundle that puts each resource at its own id; Bundle.identifier is MSH-10 (v2-to-FHIR, MSH[Bundle])."""
    bundle: Json = {"resourceType": "Bundle", "type": "transaction"}
    if mapped.control_id:
        bundle["identifier"] = {"system": f"urn:x-careloop:{mapped.source.replace('/', ':')}:message", "value": mapped.control_id}
    bundle["entry"] = entries(composed)
    return bundle


def entries(composed: Sequence[Composed]) -> list[Json]:
    """Bundle.entry of each resource: PUT at its own id."""
    return [{"fullUrl": f"{BASE}/{c.resource_type}/{c.id}", "resource": c.body,
             "request": {"method": "PUT", "url": f"{c.resource_type}/{c.id}"}} for c in composed]
