"""Bodies that stand as the pieces their rules made, so that composing need not take them apart again."""

from __future__ import annotations

from typing import Any

from adapter.model import Json

Stated = tuple[tuple[tuple[str, str], Json], ...]
"""Shared resources that a rule states: ((type, key), body)."""


class Piece:
    """What one rule made of the cells it read. Shared between rows: never change it.

    slot, value: of the contribution. stated: shared resources. symbols: the symbolic references in the value, None until
    somebody asks; literal: (installation key, value, what it names) once those are resolved that depend on no person.
    """

    __slots__ = ("literal", "slot", "stated", "symbols", "value")

    def __init__(self, slot: str, value: Any, stated: Stated = ()) -> None:
        self.slot = slot
        self.value = value
        self.stated = stated
        self.symbols: tuple[str, ...] | None = None
        self.literal: tuple[bytes, Any, frozenset[str]] | None = None


class PiecedBody(dict[str, Any]):
    """The body of a contribution with the pieces it is made of; slots that are null have none."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Piece]) -> None:
        super().__init__([(piece.slot, piece.value) for piece in pieces])
        self.pieces = pieces
