"""What other clients wrote on a FHIR server comes back as contributions of `server:<name>`.

A version that is ours (its version id is the one we noted when pushing) says nothing new. Of a resource that we had
pushed, the difference counts; one that we never pushed is a statement of its own. Source: COMPOSE, FHIR server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from adapter.compose.compose import SERVER_KEY
from adapter.compose.difference import difference
from adapter.errors import Rejected
from adapter.gaps.task import KEY as GAP
from adapter.gaps.task import OURS
from adapter.identity.ids import resource_id
from adapter.model import Contribution, Json, Mapped, Order
from adapter.validate.facts import is_backbone, known_type

ELSEWHERE = frozenset({"Patient"})
"""Types whose person is the resource itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Another client's write, with all that is needed to read it again later: this is what is journalled.

    base: what we had pushed, None where nothing. key, person: of our resource, '' where it is not ours. patient: key of
    the Patient that it refers to. moment: of the write, microseconds since 1970 UTC.
    """

    server: str
    resource_type: str
    id: str
    version: str
    moment: int
    base: Json | None
    body: Json | None
    key: str = ""
    person: str = ""
    patient: str = ""

    @property
    def identity(self) -> str:
        """Its identity in the journal."""
        return identity_of(self.server, self.resource_type, self.id, self.version)

    def journalled(self) -> bytes:
        """As the journal keeps it."""
        return orjson.dumps({"server": self.server, "resource_type": self.resource_type, "id": self.id, "version": self.version,
                             "moment": self.moment, "base": self.base, "body": self.body, "key": self.key,
                             "person": self.person, "patient": self.patient})


def identity_of(server: str, resource_type: str, resource_id: str, version: str) -> str:
    """The identity in the journal of another client's version."""
    return f"server:{server}|{resource_type}/{resource_id}|{version}"


def read_written(raw: bytes) -> Written:
    """A write as the journal kept it."""
    found: dict[str, Any] = orjson.loads(raw)
    return Written(**found)


def map_written(w: Written, key: bytes, arrival_us: int) -> Mapped:
    """A write as contributions. Raises Rejected where its type is not one that is kept."""
    if not known_type(w.resource_type):
        raise Rejected("fhir-structure", w.resource_type)
    source = f"server:{w.server}"
    order = Order(occurred=w.moment, stated=w.moment, sequence=0, rank=0, arrival=arrival_us)
    business_key, scope, patient = _about(w, key)
    body = difference(w.resource_type, w.base, w.body, _nested, w.version) if w.body is not None else {}
    if w.key.startswith(f"{GAP}|"):  # what others say of a gap is a wish: engine/gap_keeping.py answers it
        body = {slot: value for slot, value in body.items() if slot.partition("#")[0].partition(".")[0] not in OURS}
    contributions: list[Contribution] = []
    if body or (w.body is None and not w.key.startswith(f"{GAP}|")):
        contributions.append(Contribution(
            source=source, resource_type=w.resource_type, key=business_key, scope=scope, patient=patient,  # pyright: ignore[reportArgumentType]  # three literals below
            kind="withdraw" if w.body is None else "snapshot", event="", order=order, body=body, message=w.identity,
            mapping="fhir"))
    return Mapped(identity=w.identity, feed=source, source=source, event="", control_id="",
                  contributions=tuple(contributions), issues=())


def _about(w: Written, key: bytes) -> tuple[str, str, str]:
    """Business key, scope and patient of the resource that was written."""
    if not w.key:
        business_key = f"{SERVER_KEY}|{w.resource_type}/{w.id}"
        patient = business_key if w.resource_type in ELSEWHERE else w.patient
        return business_key, "own" if patient else "reference", patient
    if w.resource_type == "Patient":
        return w.key, "own", w.key
    if not w.person:
        return w.key, "reference", ""
    return w.key, "own" if resource_id(key, w.resource_type, w.key) == w.id else "person", w.person


def _nested(resource_type: str, path: str) -> bool:
    return path == "period" or path.endswith(".period") or is_backbone(resource_type, path)


def patient_of(body: Json | None) -> str:
    """The `Patient/<id>` a resource is about, '' where it names none."""
    for name in ("subject", "patient", "beneficiary", "for"):
        reference = (body or {}).get(name, {})
        text = reference.get("reference", "") if isinstance(reference, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # FHIR JSON
        if isinstance(text, str) and text.startswith("Patient/"):
            return text.split("/_history")[0]
    return ""


def moment_of(last_updated: datetime) -> int:
    """An instant as microseconds since 1970 UTC."""
    return round(last_updated.astimezone(UTC).timestamp() * 1_000_000)


__all__: Sequence[str] = ("ELSEWHERE", "Written", "identity_of", "map_written", "moment_of", "patient_of", "read_written")
