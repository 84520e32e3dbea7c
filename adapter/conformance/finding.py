"""What a check finds, and what becomes of it: told where a feed is tolerant, a reason to refuse where it is strict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapter.model import Issue

Kind = Literal["sequence", "required", "form", "value"]
"""The four conditions of HL7 table 0357 that speak of content: 100, 101, 102, 103."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation. place: `PV1[2]`, `PID-3[2].5`. detail: names of the standard only, never a value of the message."""

    kind: Kind
    place: str
    detail: str

    def issue(self, verb: Literal["tolerated", "refused"]) -> Issue:
        """The finding as `tolerated-required`, `refused-required` ..."""
        return Issue(code=f"{verb}-{self.kind}", place=self.place, detail=self.detail)
