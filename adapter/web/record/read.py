"""What of a member's record the page reads: searches by patient, newest first and bounded, as any reader may ask them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from adapter.compose.references import referred
from adapter.fhirserver.embedded import EmbeddedServer
from adapter.model import Json

MOST = 100
"""Resources of one search that are read, at most."""

_ASKED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "CarePlan": (("_sort", "-date"),),
    "Goal": (("_sort", "-start-date"),),
    "Condition": (("_sort", "-onset-date"),),
    "Procedure": (("_sort", "-date"),),
    "ServiceRequest": (("_sort", "-authored"),),
    "MedicationRequest": (("_sort", "-authoredon"),),
    "MedicationStatement": (("_sort", "-effective"),),
    "Claim": (("use", "preauthorization"), ("_sort", "-created")),
    "ClaimResponse": (("use", "preauthorization"), ("_sort", "-created")),
    "Task": (("code", "approve,fulfill,internal-appeal,external-appeal"), ("_sort", "-authored-on")),
    "Consent": (("_sort", "-date"),),
    "Encounter": (("_sort", "-date"),),
    "Communication": (("_sort", "-sent"),),
    "Observation": (("category", "survey"), ("_sort", "-date")),
}
"""Type to the criteria beside `patient`, and the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was read of a member. more: types of which there is more, with the search (below /fhir) that gives all."""

    resources: Mapping[str, Sequence[Json]]
    more: Mapping[str, str]

    def of(self, resource_type: str) -> Sequence[Json]:
        """Those of one type, newest first."""
        return self.resources[resource_type]

    def rest(self, *types: str) -> str:
        """The search that gives the first of these types in full, '' where all was read."""
        return next((self.more[one] for one in types if one in self.more), "")

    def references(self) -> list[str]:
        """What these resources refer to, `Type/id`, each once."""
        found = (reference for ones in self.resources.values() for one in ones for reference in sorted(referred(one)))
        return [one for one in dict.fromkeys(found) if one.count("/") == 1]


def read(server: EmbeddedServer, patient_id: str) -> Record:
    """A member's record by the id of the Patient."""
    asked = {name: (("patient", patient_id), *criteria) for name, criteria in _ASKED.items()}
    found = {name: server.search(name, criteria, MOST) for name, criteria in asked.items()}
    return Record(resources={name: page.resources for name, page in found.items()},
                  more={name: f"{name}?{urlencode(asked[name])}" for name, page in found.items() if page.next})
