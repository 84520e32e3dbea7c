"""What the stages hand on: frozen records from received bytes to a delivered resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeGuard, TypeVar, dataclass_transform

Json = dict[str, Any]
"""A FHIR resource, or a part of one, as plain JSON (the hot path holds no model classes)."""


def is_object(value: Any) -> TypeGuard[Json]:
    """Whether a piece of JSON is an object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether a piece of JSON is an array."""
    return isinstance(value, list)


Severity = Literal["information", "warning", "error"]
OrderBy = Literal["event", "sequence", "arrival"]
Key = tuple[int, int, int, int, int]
"""A place in the order of statements; the last number is arrival, which decides only where all others are equal."""

Kind = Literal["snapshot", "effect", "cancel", "link", "unlink", "withdraw"]

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[_T]) -> type[_T]:
    """A record made dozens of times a message: frozen to the type checker alone, since real freezing triples the making."""
    return dataclass(slots=True, kw_only=True)(cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One finding about one place; the code is a row of `errors.ISSUES`.

    place: HL7 path (`PID-3[2].4`), `row 12, role`, or FHIRPath. detail: what was found, never a patient's data.
    """

    code: str
    place: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes as they came in, with their arrival (UTC, journalled, so part of the message).

    feed: the feed that the sender named, or None where the header decides. origin: where it came in (file, mllp, http).
    """

    raw: bytes
    arrival: datetime
    feed: str | None = None
    origin: str = "file"


@record
class Order:
    """Where a statement stands among others: the times of meaning as the feed's `order` arranges them.

    occurred, stated, arrival: microseconds since 1970 UTC. sequence: MSH-13, 0 without. rank: of the event
    (pre-admit < admit < transfer < discharge < cancel < merge). occurred_given: EVN-6 was there (a cancel pairs by it).
    by: the feed's `order`.
    """

    occurred: int
    stated: int
    sequence: int
    rank: int
    arrival: int
    occurred_given: bool = True
    by: OrderBy = "event"

    def of_snapshot(self) -> Key:
        """Where a snapshot stands in its source: by what was stated."""
        return self._key(self.stated)

    def of_effect(self) -> Key:
        """Where an effect stands in its source: by what happened; of the same event told twice the later statement counts."""
        return self._key(self.occurred)

    def after(self, other: Order) -> bool:
        """Whether a snapshot stands after another one of its source."""
        if self.by == "event" == other.by and self.stated != other.stated:
            return self.stated > other.stated
        return self.of_snapshot() > other.of_snapshot()

    def _key(self, moment: int) -> Key:
        if self.by == "sequence":
            return (self.sequence, moment, self.rank, self.stated, self.arrival)
        if self.by == "arrival":
            return (self.arrival, 0, 0, 0, self.arrival)
        return (moment, self.sequence, self.rank, self.stated, self.arrival)


Stated = tuple[tuple[tuple[str, str], Json], ...]
"""Shared resources that a rule states: ((type, key), body)."""
Told = tuple[str, str, str]
"""A finding about some row: code, place after `row N`, detail."""


class Piece:
    """What one rule made of the cells it read. Shared between rows: never change it.

    slot, value: of the contribution. stated: shared resources. told: findings. beside: whether there is more to it, or less, than
    a value. symbols: the symbolic references in the value, None until somebody asks; personal: whether a person decides what
    one of them names. form: a number for validate/forms.py's form of it, 0 until somebody asks. ready: for an
    installation's key the value with its references resolved, what they name, and the form; not of personal ones.
    """

    __slots__ = ("beside", "form", "personal", "ready", "slot", "stated", "symbols", "told", "value")

    def __init__(self, slot: str, value: Any, stated: Stated = (), told: tuple[Told, ...] = ()) -> None:
        self.slot = slot
        self.value = value
        self.stated = stated
        self.told = told
        self.beside = bool(stated or told or not slot)
        self.symbols: tuple[str, ...] | None = None
        self.personal = False
        self.form = 0
        self.ready: tuple[bytes, Any, frozenset[str], int] | None = None


class PiecedBody(dict[str, Any]):
    """The body of a contribution with the pieces it is made of; slots that are null have none.

    slots: those of the pieces, in their order. empty: each slot of the body -> None, in theirs.
    """

    __slots__ = ("pieces", "slots")

    def __init__(self, pieces: list[Piece], slots: tuple[str, ...], empty: Json) -> None:
        super().__init__(empty)
        self.pieces = pieces
        self.slots = slots
        for piece in pieces:
            self[piece.slot] = piece.value


@record
class Contribution:
    """Who said what about which resource, when. Append-only; the current resource is a pure function of their set.

    key: business key `system|value`. scope: `own`, a resource of that key; `person`, one resource for each person and key
    (CareTeam, CarePlan); `reference`, shared data of no person (Organization, Practitioner, Location).
    patient, visit: identifiers the source used (`system|value`), never resolved ids. body: slots, `element` or
    `element#group` to a value; None says that this source deletes it. cancels: the events a cancel retracts.
    other: the second identifier of a link; directed links run from loser (other) to survivor (patient).
    """

    source: str
    resource_type: str
    key: str
    scope: Literal["own", "person", "reference"]
    patient: str
    visit: str = ""
    kind: Kind
    event: str
    order: Order
    body: Json = field(default_factory=dict[str, Any])
    cancels: tuple[str, ...] = ()
    other: str = ""
    message: str
    mapping: str


@record
class Mapped:
    """A message as contributions, with what was noticed on the way.

    identity: `MSH-3|MSH-4|MSH-10|sha256` or `feed|file sha256|row`. issues: findings that do not stop it.
    """

    identity: str
    feed: str
    source: str
    event: str
    control_id: str
    contributions: tuple[Contribution, ...]
    issues: tuple[Issue, ...]
    test: bool = False


@record
class Composed:
    """One current resource. hash: SHA-256 of its canonical JSON. person: key of its person's main Patient, or ''.

    sources: FHIR element -> (source, message identity) that said it. references: `Type/id` that the body names.
    checked: profile claimed and found valid; stated: the body before that, where it may have to be done again.
    hash and sources are left empty where nobody asks (one message alone). deleted: no source states it any more.
    """

    resource_type: str
    id: str
    key: str
    person: str
    body: Json
    hash: str
    sources: dict[str, tuple[str, str]]
    references: frozenset[str] = frozenset()
    checked: bool = False
    issues: tuple[Issue, ...] = ()
    deleted: bool = False
    stated: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """The FHIR server that changes are queued for. messages: what of the messages themselves goes there (`takes`)."""

    name: str
    messages: Literal["all", "provenance", "none"] = "all"

    def takes(self, resource_type: str, body: Json) -> bool:
        """Whether a resource goes there: a MessageHeader, and the Provenance of one, may not, or none of a message."""
        if self.messages == "all" or resource_type not in ("MessageHeader", "Provenance"):
            return True
        return self.messages == "provenance" and resource_type == "Provenance" and any(
            not str(target.get("reference", "")).startswith("MessageHeader/") for target in body.get("target", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A resource version waiting to be pushed (body None: deleted). lane: person key, or the resource's own name.

    shared: data of no person (Organization, Practitioner, Location), which others refer to.
    """

    resource_type: str
    id: str
    lane: str
    hash: str
    body: Json | None
    attempts: int = 0
    shared: bool = False
