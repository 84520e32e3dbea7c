"""A resource of one snapshot put together from the pieces that its rules made: what `alone_said` and `resolved` give, sooner.

Pieces repeat from row to row, so that what references they hold is looked for once, and resolved once where no person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

from adapter.compose.merge import Identity, identity_of, natural, once_each, put_at
from adapter.compose.references import MARK, resolved
from adapter.model import Json, Piece

_NONE: frozenset[str] = frozenset()


class Resolver(Protocol):
    """What references are resolved by (compose.Network)."""

    @property
    def key(self) -> bytes:
        """The installation's key, which ids are made with."""
        ...

    def literal(self, symbolic: str) -> str:
        """A symbolic reference as Type/id."""
        ...


Element = tuple[str, tuple[int, ...], Identity | None, bool]
"""A path, the pieces that it is made of, what tells its members apart, and whether it is a list."""


def put_together(resource_type: str, pieces: Sequence[Piece], network: Resolver, body: Json, found: set[str]) -> list[str]:
    """Put elements into a body, their references resolved and added to `found`; the elements as `Composed.sources` names them."""
    names: list[str] = []
    for path, at, identity, listed in _layout(resource_type, tuple([piece.slot for piece in pieces])):
        piece = pieces[at[0]]
        if listed and (len(at) > 1 or (identity is not None and len(piece.value) != 1)):
            slots = [(pieces[n].slot, pieces[n].value, ("", ""), ()) for n in at]
            members: list[Any] = [item for item, _ in once_each(identity, slots)]
            value = resolved({"value": members}, network.literal, found)["value"]
        else:
            value = _literal(piece, network, found)
        if listed:
            if not value:
                continue
            names.extend([f"{path}[{n}]" for n in range(len(value))])
        else:
            names.append(path)
        put_at(body, path, value)
    return names


@lru_cache(maxsize=4096)
def _layout(resource_type: str, slots: tuple[str, ...]) -> tuple[Element, ...]:
    """Single elements in their order, then lists in the order of their first slots, as `alone_said` has them."""
    singles: list[Element] = []
    grouped: dict[str, list[int]] = {}
    for n, slot in enumerate(slots):
        path, hash_mark, _ = slot.partition("#")
        if hash_mark:
            grouped.setdefault(path, []).append(n)
        elif "!" not in path:
            singles.append((path, (n,), None, False))
    lists = [(path, tuple(sorted(at, key=lambda n: natural(slots[n]))), identity_of(resource_type, path), True)
             for path, at in grouped.items()]
    return (*singles, *lists)


def _literal(piece: Piece, network: Resolver, found: set[str]) -> Any:
    """A piece's value with its references resolved."""
    symbols = piece.symbols
    if symbols is None:
        symbols = piece.symbols = _symbols(piece.value)
    if not symbols:
        return piece.value
    kept = piece.literal
    if kept is not None and kept[0] == network.key:
        found |= kept[2]
        return kept[1]
    value = piece.value
    if len(symbols) == 1 and value.__class__ is dict and len(value) == 1 and "reference" in value:
        literal = network.literal(symbols[0])
        if "/" in literal and ":" not in literal:
            found.add(literal)
        value = {"reference": literal}
        names = frozenset((literal,))
    else:
        own: set[str] = set()
        value = resolved({"value": value}, network.literal, own)["value"]
        found |= own
        names = frozenset(own)
    if not any(map(_of_person, symbols)):
        piece.literal = (network.key, value, names)
    return value


def _of_person(symbol: str) -> bool:
    """Whether a reference is to whatever is the person's: the main Patient, or a resource that each person has one of."""
    head = symbol.partition("?")[0]
    return head == "Patient" or "@" in head


def _symbols(value: Any) -> tuple[str, ...]:
    if value.__class__ is str or MARK not in orjson.dumps(value):
        return ()
    symbols: list[str] = []

    def note(symbol: str) -> str:
        symbols.append(symbol)
        return symbol

    resolved({"value": value}, note, set())
    return tuple(symbols)
