"""A Context for tests of mapping functions: plain dictionaries, everything noted and nothing guessed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from adapter.mapping.terminology import Terminology, load_terminology
from adapter.mapping.times import fhir_date, fhir_datetime
from adapter.model import Json
from adapter.parse.delimiters import Delimiters
from adapter.parse.er7 import Rep

COMMON = Path(__file__).resolve().parents[2] / "mappings" / "common" / "conceptmaps"
ZONE = ZoneInfo("America/New_York")


@cache
def common_terminology() -> Terminology:
    """The project's own concept maps."""
    return load_terminology(sorted(COMMON.glob("*.json")))


class Notes:
    """Fulfils registry.Context; issues and emitted resources can be read afterwards."""

    def __init__(self) -> None:
        self.issues: list[tuple[str, str]] = []
        self.emitted: dict[str, Json] = {}

    def issue(self, code: str, detail: str = "", column: str = "") -> None:
        self.issues.append((code, detail))

    def code(self, table: str, code: str) -> Json | None:
        return common_terminology().code(table, code)

    def system(self, namespace: str, universal_id: str = "", universal_type: str = "", kind: str = "") -> str:
        if kind == "NPI":
            return "http://hl7.org/fhir/sid/us-npi"
        if universal_id and universal_type == "ISO":
            return f"urn:oid:{universal_id}"
        named = namespace or (f"{universal_type}:{universal_id}" if universal_id else "")
        return f"urn:sender:{named}" if named else "urn:sender"

    def moment(self, text: str) -> str | None:
        value = fhir_datetime(text, ZONE)
        if value is None:
            self.issue("bad-date")
        return value

    def day(self, text: str) -> str | None:
        value = fhir_date(text)
        if value is None:
            self.issue("bad-date")
        return value

    def emit(self, resource_type: str, key: str, body: Json) -> str:
        assert "|" in key
        self.emitted.setdefault(f"{resource_type}?{key}", {}).update(body)
        return f"{resource_type}?{key}"


def rep(text: str) -> Rep:
    """A repetition with the usual delimiters."""
    return Rep(text, Delimiters())
