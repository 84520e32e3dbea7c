"""Functions for NTE. Source: v2-to-FHIR segment maps NTE; FHIR R4 Annotation."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS
from adapter.mapping.functions.practitioners import XCN_PARTS
from adapter.mapping.functions.registry import FUNCTIONS, function
from adapter.model import Json

_AUTHOR = {f"5.{part}": f"authorReference({to})" if not to.startswith("drop") else to for part, to in XCN_PARTS.items()}


@function("nte_annotation", {"3": "text", "3.1": "text", **_AUTHOR, "6": "time", "6.1": "time",
                             **{f"9.{n}": "text" for n in CWE_PARTS}})
def nte_annotation(segment: Any, ctx: Any) -> Json | None:
    """A comment (NTE-3, NTE-9) as Annotation, with who wrote it (NTE-5) when (NTE-6)."""
    texts = [rep.plain() for rep in segment.reps(3) if rep.plain()]
    texts += [w for rep in segment.reps(9) if (w := FUNCTIONS["cwe_string"].call(rep, ctx))]
    if not texts:
        return None
    found: Json = {}
    author = FUNCTIONS["xcn_practitioner"].call(segment.first(5), ctx) if segment.raw(5) else None
    if author:
        found = {"authorReference": author} if "reference" in author else {"authorString": author["display"]}
    time = ctx.moment(segment.first(6).get(1)) if segment.first(6).get(1) else None
    return {**found, **({"time": time} if time else {}), "text": "\n".join(texts)}
