"""Who said what of a resource that stands in an installation."""

from __future__ import annotations

from adapter.engine.provenance import provenances, target_of_id
from adapter.engine.spoken import spoken
from adapter.installation.installation import Installation
from adapter.intake.explained import Explained, explain
from adapter.model import Json
from adapter.store.engine import reading


class Sources:
    """Answers from what sources said; nothing is written."""

    def __init__(self, here: Installation) -> None:
        self._here = here

    def provenances(self, resource_type: str, identifier: str) -> list[Json]:
        """Who said what of a standing resource, as Provenance resources; see engine.provenance."""
        with reading(self._here.engine) as connection:
            return provenances(connection, resource_type, identifier, self._here.feeds, self._here.key)

    def provenance(self, identifier: str) -> Json | None:
        """One of these Provenance resources by its id; None where nobody says so any more, or where it is none of them."""
        about = target_of_id(identifier)
        return next((one for one in self.provenances(*about) if one["id"] == identifier), None) if about else None

    def explain(self, resource_type: str, identifier: str) -> list[Explained]:
        """Each element of a standing resource with who said it, and where in its message or row."""
        here = self._here
        with reading(here.engine) as connection:
            return explain(connection, spoken(connection, resource_type, identifier, here.feeds, here.key), here.feeds)
