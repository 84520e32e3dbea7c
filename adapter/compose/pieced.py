"""A resource of one snapshot put together from the pieces that its rules made: what `alone_said` and `resolved` give, sooner.

Pieces repeat from row to row, so that what references they hold is looked for once, and resolved once where no person decides.
Each knows its form (validate/forms.py): resources of pieces of the same forms are claimed and checked alike, so that what came
of the first of them is known of the next (verdicts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Protocol

import orjson

from adapter.compose.merge import Identity, identity_of, natural, once_each, put_at
from adapter.compose.references import MARK, resolved
from adapter.model import Json, Piece
from adapter.validate.forms import Form, Former, former, ordered

KEPT = 10_000
"""Lists made of several pieces, and forms, that are kept."""
_NONE: frozenset[str] = frozenset()
_numbers = count(1)
_forms: dict[Form, int] = {}
_united: dict[tuple[Piece, ...], Piece] = {}


class Resolver(Protocol):
    """What references are resolved by (compose.Network)."""

    @property
    def key(self) -> bytes:
        """The installation's key, which ids are made with."""
        ...

    def literal(self, symbolic: str) -> str:
        """A symbolic reference as Type/id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """An element of a layout. at: the pieces it is made of; identity: what tells the members of a list apart."""

    path: str
    at: tuple[int, ...]
    listed: bool
    identity: Identity | None
    form: Former


class Layout:
    """How pieces of certain slots make a resource.

    number: of its own. ordered: elements to be compared in each resource. steps: of each element its path, first piece, and
    whether it is plain: made of that piece alone, and no part of another element.
    """

    __slots__ = ("elements", "number", "ordered", "steps")

    def __init__(self, resource_type: str, elements: Sequence[Element]) -> None:
        self.elements = elements
        self.number = next(_numbers)
        self.ordered = [(tuple(first.split(".")), tuple(second.split(".")))
                        for first, second in ordered(resource_type, {e.path for e in elements if not e.listed})]
        self.steps = [(e, e.path, e.at[0], len(e.at) == 1 and "." not in e.path and not e.listed) for e in elements]


def _element(resource_type: str, path: str, at: tuple[int, ...], *, listed: bool) -> Element:
    return Element(path=path, at=at, listed=listed, identity=identity_of(resource_type, path) if listed else None,
                   form=former(resource_type, path))


@lru_cache(maxsize=4096)
def layout_of(resource_type: str, slots: tuple[str, ...]) -> Layout:
    """Single elements in their order, then lists in the order of their first slots, as `alone_said` has them."""
    singles: list[Element] = []
    grouped: dict[str, list[int]] = {}
    for n, slot in enumerate(slots):
        path, hash_mark, _ = slot.partition("#")
        if hash_mark:
            grouped.setdefault(path, []).append(n)
        elif "!" not in path:
            singles.append(_element(resource_type, path, (n,), listed=False))
    lists = [_element(resource_type, path, tuple(sorted(at, key=lambda n: natural(slots[n]))), listed=True)
             for path, at in grouped.items()]
    return Layout(resource_type, (*singles, *lists))


def put_together(layout: Layout, pieces: Sequence[Piece], network: Resolver, body: Json, found: set[str]) -> tuple[int, ...]:
    """Put elements into a body, their references resolved and added to `found`; what their forms are, to look up by."""
    forms = [layout.number]
    key = network.key
    for element, path, first, plain in layout.steps:
        piece = pieces[first]
        if not plain and element.listed:
            if len(element.at) > 1 or (element.identity is not None and len(piece.value) != 1):
                piece = _whole(element, pieces)
            if not piece.value:
                forms.append(0)  # so that the forms after it keep their places
                continue
        ready = piece.ready
        if ready is None or ready[0] != key:
            ready = _ready(piece, element, network)
        _, value, names, form = ready
        if names:
            found |= names
        forms.append(form)
        if plain or "." not in path:
            body[path] = value
        else:
            put_at(body, path, value)
    return tuple(forms)


def names_of(layout: Layout, body: Json) -> list[str]:
    """The elements of a body, as `Composed.sources` names them."""
    names: list[str] = []
    for element in layout.elements:
        if not element.listed:
            names.append(element.path)
            continue
        value: Any = body
        for name in element.path.split("."):
            value = value.get(name, ())
        names += [f"{element.path}[{n}]" for n in range(len(value))]
    return names


def forget_united() -> None:
    """Forget lists and forms; forms that are known still go by their numbers."""
    _united.clear()
    _forms.clear()


def _whole(element: Element, pieces: Sequence[Piece]) -> Piece:
    """The list that several pieces make together, as a piece."""
    parts = tuple([pieces[n] for n in element.at])
    whole = _united.get(parts)
    if whole is None:
        members = once_each(element.identity, [(piece.slot, piece.value, ("", ""), ()) for piece in parts])
        if len(_united) >= KEPT:
            _united.clear()
        whole = _united[parts] = Piece(parts[0].slot, [item for item, _ in members])
    return whole


def _number_of(form: Form) -> int:
    """The number of a form; one that was forgotten gets another, so that no number ever means two forms."""
    number = _forms.get(form)
    if number is None:
        if len(_forms) >= KEPT:
            _forms.clear()
        number = _forms[form] = next(_numbers)
    return number


def _ready(piece: Piece, element: Element, network: Resolver) -> tuple[bytes, Any, frozenset[str], int]:
    """A piece's value with its references resolved, what they name, and its form; kept, unless a person decides them."""
    symbols = piece.symbols
    if symbols is None:
        symbols = piece.symbols = _symbols(piece.value)
        piece.personal = any(map(_of_person, symbols))
    value, names = piece.value, _NONE
    if len(symbols) == 1 and value.__class__ is dict and len(value) == 1 and "reference" in value:
        literal = network.literal(symbols[0])
        value = {"reference": literal}
        if "/" in literal and ":" not in literal:
            names = frozenset((literal,))
    elif symbols:
        own: set[str] = set()
        value = resolved({"value": value}, network.literal, own)["value"]
        names = frozenset(own)
    if not piece.form:
        piece.form = _number_of(element.form(value))
    ready = (network.key, value, names, piece.form)
    if not piece.personal:
        piece.ready = ready
    return ready


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
