"""The state of a bed: NPU (A20), and PV1-40 of old versions. Source: v2-to-FHIR segment map PV1[Encounter]; table 0116."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS, cwe_coding
from adapter.mapping.functions.locations import PL_PARTS, pl_location
from adapter.mapping.functions.registry import function
from adapter.model import Json

_STATE = {part: to if to.startswith("drop") else to.replace("coding[0]", "Location.operationalStatus")
          for part, to in CWE_PARTS.items() if part in ("1", "2", "3", "7", "14")}
_ONE = "drop: a bed has one state, and the primary code is it"
_NPU_PARTS = {**{f"1.{part}": to for part, to in PL_PARTS.items()},
              **{f"2.{part}": _STATE.get(part, _ONE) for part in CWE_PARTS}}


@function("npu_bed_state", _NPU_PARTS)
def npu_bed_state(segment: Any, ctx: Any) -> Json | None:
    """The state of a bed by NPU-2, stated of the place of NPU-1 itself. The map's key must be `=bed`."""
    return _bed_state(segment, ctx, 1, 2)


@function("pv1_bed_state", {f"40.{part}": _STATE.get(part, _ONE) for part in CWE_PARTS})
def pv1_bed_state(segment: Any, ctx: Any) -> Json | None:
    """The state of a bed by PV1-40, stated of the place of PV1-3 itself. The map's key must be `=bed`."""
    return _bed_state(segment, ctx, 3, 40)


def _bed_state(segment: Any, ctx: Any, place: int, state: int) -> Json | None:
    """Location.operationalStatus; the resource under way takes the key of the place, which only its own fields make."""
    builder = ctx.builders.pop(("Location", "bed", ""), None)
    found = pl_location(segment.first(place), ctx)
    coding = cwe_coding(segment.first(state), ctx, table="bed-status")
    if coding is None or not found or "reference" not in found:
        return None
    key = found["reference"].partition("?")[2]
    if builder is not None:
        builder.key = key
    ctx.emit("Location", key, {"operationalStatus": coding})
    return coding
