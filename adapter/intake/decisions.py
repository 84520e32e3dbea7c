"""What an operator decides, as a journal entry: two records are (or are not, or likely are) one person; a feed is over.

Source: COMPOSE, identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from adapter.identity.links import OPERATOR_LINK, OPERATOR_UNLINK, PROPOSED
from adapter.model import Contribution, Mapped, Order
from adapter.store.journal import Entry

SOURCE = "operator"
_RANK = 90
"""Of equal times an operator's word comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision, kept for ever: two records by their numbers (`system|value`), by whom and why."""

    does: Literal["link", "unlink"]
    patient: str
    other: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """All that a feed has said until now is over, by whose word and why; what it says afterwards counts. Kept for ever."""

    feed: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """Two records that are likely of one person: score, and what was found (`birthDate: same`); nothing: likely no more."""

    patient: str
    other: str
    score: float = 0.0
    found: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """A part of a search for likely duplicates that an operator started: what changed since the last one, by which model."""

    pairs: Sequence[Proposed]
    by: str
    model: str
    does: Literal["propose"] = "propose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What an operator did with what waited or had stopped. subjects: numbers of entries and `Type/id` of resources, each with
    its state before; became: number of the entry that takes an edited one's place."""

    does: Literal["hold", "release", "retry", "drop", "resubmit"]
    by: str
    reason: str
    subjects: Mapping[str, str]
    became: int = 0


def entry_of_decision(decision: Decision | Proposals | Withdrawal | Handling, now_us: int) -> Entry:
    """The decision as it is journalled; now_us: when it was made, microseconds since 1970 UTC."""
    raw = orjson.dumps(asdict(decision), option=orjson.OPT_SORT_KEYS)
    return Entry(identity=f"{SOURCE}|{now_us}|{hashlib.sha256(raw).hexdigest()}", kind="operator", feed=SOURCE, source=SOURCE,
                 event="withdraw" if isinstance(decision, Withdrawal) else decision.does, arrival=now_us, raw=raw, state="done",
                 origin=SOURCE)


def map_decision(raw: bytes, identity: str, arrival_us: int) -> Mapped:
    """A journalled decision as contributions."""
    stated: dict[str, Any] = orjson.loads(raw)
    if stated["does"] == "propose":
        said = [_link(one["patient"], one["other"], "link", PROPOSED, identity, arrival_us, {
            "level": "proposal", "score": one["score"], "members": one["found"]}) for one in stated["pairs"]]
    else:
        decision = Decision(**stated)
        event = OPERATOR_LINK if decision.does == "link" else OPERATOR_UNLINK
        said = [_link(decision.patient, decision.other, decision.does, event, identity, arrival_us, {})]
    return Mapped(identity=identity, feed=SOURCE, source=SOURCE, event="", control_id="", contributions=tuple(said), issues=())


def _link(patient: str, other: str, kind: Literal["link", "unlink"], event: str, identity: str, arrival_us: int,
          body: dict[str, Any]) -> Contribution:
    order = Order(occurred=arrival_us, stated=arrival_us, sequence=0, rank=_RANK, arrival=arrival_us)
    return Contribution(source=SOURCE, resource_type="Link", key=patient, scope="own", patient=patient, kind=kind, event=event,
                        order=order, other=other, message=identity, mapping="", body=body)
