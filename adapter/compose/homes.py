"""Accounts and visits that were merged, renumbered or moved: every statement about them where it belongs now.

Pure: a function of the statements and links alone, so what arrives late lands right. Source: COMPOSE, identity;
HL7 v2 chapter 3, A35, A36, A41, A42, A44, A45, A49, A50.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from adapter.compose.references import resolved
from adapter.identity.links import Link, final, survivors
from adapter.model import Contribution

LEVELS = {"account": "Account", "visit": "Encounter"}
"""Level of a link -> the resource type whose number it is about."""
_OF_THE_MESSAGE = frozenset(("Provenance", "MessageHeader"))


@dataclass(frozen=True, slots=True)
class _Homes:
    """`Type?key` -> the key it goes by; `Type?key` -> the move that says whose it is."""

    became: Mapping[str, str]
    moves: Mapping[str, Link]


def at_home(statements: Sequence[Contribution], links: Sequence[Link]) -> list[Contribution]:
    """The statements with the numbers and patients that accounts and visits have now."""
    homes = _homes(links, statements)
    if homes is None:
        return list(statements)
    return [_moved(c, homes) for c in statements]


def _homes(links: Sequence[Link], statements: Sequence[Contribution]) -> _Homes | None:
    concerned = [n for n in links if n.level in LEVELS]
    if not concerned:
        return None
    became: dict[str, str] = {}
    moves: dict[str, Link] = {}
    for level, resource_type in LEVELS.items():
        steps, _ = survivors((n.old, n.new, n.order) for n in concerned if n.level == level)
        became.update((f"{resource_type}?{old}", final(old, steps)) for old in steps)
        for n in sorted((n for n in concerned if n.level == level and n.other), key=lambda n: (n.order, n.message)):
            for key in {n.old, n.new}:
                moves[f"{resource_type}?{key}"] = n
    for c in statements:  # with an account go its visits
        if c.resource_type == "Encounter" and f"Encounter?{c.key}" not in moves:
            account = c.body.get("account#account")
            name = account[0]["reference"] if account else ""
            if name in moves:
                moves[f"Encounter?{c.key}"] = moves[name]
    return _Homes(became, moves)


def _moved(c: Contribution, homes: _Homes) -> Contribution:
    if c.scope == "reference":
        return c
    own = f"{c.resource_type}?{c.key}"
    text = orjson.dumps(c.body)
    named = [name for name in (*homes.became, *homes.moves) if name == own or f'"{name}"'.encode() in text]
    if not named:
        return c
    patient = c.patient
    if c.resource_type not in _OF_THE_MESSAGE:
        for name in named:
            move = homes.moves.get(name)
            if move and move.other == patient and tuple(c.order.of_snapshot()) <= tuple(move.order):
                patient = move.patient
                break
    visit = homes.became.get(f"Encounter?{c.visit}", c.visit)

    def home(symbolic: str) -> str:
        if symbolic in homes.became:
            return f"{symbolic.partition('?')[0]}?{homes.became[symbolic]}"
        head, mark, key = symbolic.partition("?")
        if head == "Patient" and key == c.patient:
            return f"{head}{mark}{patient}"
        return f"{head}{mark}{rekeyed(key)}"

    def rekeyed(key: str) -> str:
        """A key made of patient, visit and more, with the patient and visit of now."""
        system, mark, rest = key.partition("|")
        for before, after in ((c.patient, patient), (c.visit, visit)):
            at = rest.find(f"{before}/") if before and before != after else -1
            if at == 0 or (at > 0 and rest[at - 1] == "/"):
                rest = rest[:at] + after + rest[at + len(before):]
        return f"{system}{mark}{rest}"

    key = homes.became.get(own) or (c.key if c.resource_type in LEVELS.values() else rekeyed(c.key))
    return replace(c, key=key, patient=patient, visit=visit, body=resolved(c.body, home, set()))
