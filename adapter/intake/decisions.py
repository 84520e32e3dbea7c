"""What an operator decides, as a journal entry: two records are, or are not, of one person; a feed's word counts no more.

Source: COMPOSE, identity.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from adapter.identity.links import OPERATOR_LINK, OPERATOR_UNLINK
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


def entry_of_decision(decision: Decision | Withdrawal, now_us: int) -> Entry:
    """The decision as it is journalled; now_us: when it was made, microseconds since 1970 UTC."""
    raw = orjson.dumps(asdict(decision), option=orjson.OPT_SORT_KEYS)
    return Entry(identity=f"{SOURCE}|{now_us}|{hashlib.sha256(raw).hexdigest()}", kind="operator", feed=SOURCE, source=SOURCE,
                 event=decision.does if isinstance(decision, Decision) else "withdraw", arrival=now_us, raw=raw, state="done",
                 origin=SOURCE)


def map_decision(raw: bytes, identity: str, arrival_us: int) -> Mapped:
    """A journalled decision as contributions."""
    said = Decision(**orjson.loads(raw))
    order = Order(occurred=arrival_us, stated=arrival_us, sequence=0, rank=_RANK, arrival=arrival_us)
    event = OPERATOR_LINK if said.does == "link" else OPERATOR_UNLINK
    link = Contribution(source=SOURCE, resource_type="Link", key=said.patient, scope="own", patient=said.patient, kind=said.does,
                        event=event, order=order, other=said.other, message=identity, mapping="")
    return Mapped(identity=identity, feed=SOURCE, source=SOURCE, event="", control_id="", contributions=(link,), issues=())
