"""One resource of what was said of it; what one statement alone makes is kept, as shared data repeats in every message.

Whatever is kept depends on nothing but the installation's key, the resource's key and what is stated (ADR 0008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import orjson

from adapter.compose.compose import Network, Target, compose, compose_pieced, nothing
from adapter.compose.pieced import forget_united
from adapter.compose.precedence import Precedence
from adapter.compose.standing import stand, stand_alone
from adapter.compose.verdicts import forget_verdicts, learn
from adapter.model import Composed, Contribution, Order, PiecedBody
from adapter.validate.check import check
from adapter.validate.profiles import claim

_PER_MESSAGE = frozenset({"MessageHeader", "Provenance"})
"""Resources of the message itself: no other message says the same."""


def composed_of(target: Target, said: Sequence[Contribution], network: Network) -> Composed:
    """Stage 5 for one resource. Shared data repeats in every message, so what one statement alone makes is kept."""
    c = said[0]
    if len(said) == 1 and c.kind == "withdraw" and c.resource_type != "Patient":
        return nothing(target, c, network)
    if len(said) > 1 or c.kind != "snapshot" or c.scope == "person":
        return compose(target, said, network)
    if c.scope == "own":
        if isinstance(c.body, PiecedBody) and (c.resource_type != "Patient" or len(network.person(c.patient).members) == 1):
            return _pieced(target, c, c.body, network)
        if not network.lean or c.resource_type in _PER_MESSAGE or len(network.person(c.patient).members) > 1:
            return compose(target, said, network)
        return _owned(network.key, c.resource_type, c.key, c.patient, orjson.dumps(c.body))
    kept = _shared(network.key, c.resource_type, c.key, orjson.dumps(c.body))
    return kept if network.lean else replace(kept, sources=dict.fromkeys(kept.sources, (c.source, c.message)))


def _pieced(target: Target, c: Contribution, body: PiecedBody, network: Network) -> Composed:
    """A resource of pieces; checked where that is known of its forms, and where nobody asks who said what."""
    made, forms = compose_pieced(target, c, body, network)
    if made.checked or made.deleted:
        return made
    stands = stand_alone(made, frozenset(), claim, check)
    known = learn(forms, made.body, stands)
    if network.lean:
        return stands
    return replace(stands, stated=made.body) if known else made


@lru_cache(maxsize=20_000)
def _shared(key: bytes, resource_type: str, business_key: str, stated: bytes) -> Composed:
    """A shared resource of which one snapshot is all that is known, ready to stand."""
    return _ready(key, resource_type, business_key, "", stated)


@lru_cache(maxsize=2_000)
def _owned(key: bytes, resource_type: str, business_key: str, patient: str, stated: bytes) -> Composed:
    """The same for a resource of a person of whom one number is known: through a stay messages repeat it to the letter."""
    return _ready(key, resource_type, business_key, patient, stated)


def _ready(key: bytes, resource_type: str, business_key: str, patient: str, stated: bytes) -> Composed:
    order = Order(occurred=0, stated=0, sequence=0, rank=0, arrival=0)
    said = Contribution(source="", resource_type=resource_type, key=business_key, scope="own" if patient else "reference",
                        patient=patient, kind="snapshot", event="", order=order, body=orjson.loads(stated), message="",
                        mapping="")
    network = Network(key=key, persons={}, precedence=Precedence(number=lambda _: 0))
    return stand([compose((resource_type, business_key, ""), [said], network)], lambda names: names, claim, check)[0]


def forget_kept() -> None:
    """Forget every resource that is kept, and what is known of others."""
    forget_united()
    forget_verdicts()
    _shared.cache_clear()
    _owned.cache_clear()
