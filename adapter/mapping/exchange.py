"""How messages are exchanged with a feed's sender: when they are acknowledged, in which order, and how often they come."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from adapter.errors import Defect

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+) ?(s|min|h|d)")
_NAME = re.compile(r"(?:CN|DNS|URI|IP|email):\S.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One feed's manners. acknowledge: AA once a message is converted and stored, or once it is stored.

    when_unavailable: what a sender gets while the store takes nothing. sequence: MSH-13 numbers its messages. certificates:
    names of the client certificates that may send it (`CN:`, `DNS:`, `URI:`, `IP:`, `email:`), none: no certificate is asked for.
    usual_interval: seconds within which something comes, 0 where nobody counts on it.
    """

    acknowledge: Literal["converted", "stored"] = "converted"
    when_unavailable: Literal["refuse", "close"] = "refuse"
    sequence: bool = False
    certificates: frozenset[str] = field(default_factory=frozenset[str])
    usual_interval: int = 0


def take_exchange(taken: dict[str, Any], place: Callable[[str], str]) -> Exchange:
    """Take a feed's manners out of what its feed.yaml says. place: line of a key. Raises Defect (mapping-failed)."""
    acknowledge, unavailable = taken.pop("acknowledge", "converted"), taken.pop("when_unavailable", "refuse")
    sequence, interval = taken.pop("sequence", False), taken.pop("usual_interval", None)
    certificates = taken.pop("certificate", ())
    names = [certificates] if isinstance(certificates, str) else list(cast("list[str]", certificates))
    match = _DURATION.fullmatch(str(interval))
    faults: Mapping[str, tuple[bool, str]] = {
        "acknowledge": (acknowledge in ("converted", "stored"), "is `converted` or `stored`"),
        "when_unavailable": (unavailable in ("refuse", "close"), "is `refuse` or `close`"),
        "sequence": (isinstance(sequence, bool), "is true or false"),
        "usual_interval": (interval is None or bool(match and int(match[1])), "is a time, as `30 min`, `4 h` or `7 d`"),
        "certificate": (all(_NAME.fullmatch(str(name)) for name in names),
                        "lists names of certificates, as `DNS:adt.example.org` or `CN:st-anne`"),
    }
    for key, (sound, what) in faults.items():
        if not sound:
            raise Defect("mapping-failed", place(key), f"{key} {what}")
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    return Exchange(acknowledge=acknowledge, when_unavailable=unavailable, sequence=sequence, usual_interval=seconds,
                    certificates=frozenset(names))
