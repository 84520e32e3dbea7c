"""The gaps that an installation keeps: followed when something was written, when time passes, and when somebody answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from adapter.deliver.read_back import Written
from adapter.engine import gap_keeping
from adapter.gaps.life import Happening, Life
from adapter.installation.installation import Installation
from adapter.store.gap_lives import stale_count


class GapLives:
    """Follows gaps; what becomes of each stands as its Task."""

    def __init__(self, here: Installation) -> None:
        self._here = here

    def keep(self) -> int:
        """Follow the gaps of some of those about whom something was written, or whose gaps time turns; how many."""
        with self._here.composing() as connection:
            apply, now_us = partial(self._here.apply, connection), self._here.now_us
            if stale_count(connection) > gap_keeping.MANY:
                return 1 + gap_keeping.sweep(connection, apply, now_us(), bulk=True)
            return gap_keeping.look(connection, apply, now_us()) or gap_keeping.turn(connection, apply, now_us())

    def sweep(self) -> int:
        """Follow everybody's gaps to the present instant; how many something happened to."""
        with self._here.composing() as connection:
            return gap_keeping.sweep(connection, partial(self._here.apply, connection), self._here.now_us())

    def change(self, key: str, step: Callable[[Life, int], tuple[Life, list[Happening]]]) -> bool:
        """Take an operator's step in the life of the gap whose Task has this key; whether anything happened.

        Raises Rejected (unknown-gap, or a step that its state does not allow).
        """
        with self._here.composing() as connection:
            return gap_keeping.change(connection, key, step, partial(self._here.apply, connection), self._here.now_us())

    def answer(self, connection: Connection, written: Sequence[Written]) -> None:
        """Let updates of gaps' Tasks have their say in the life of the gap, in the caller's transaction."""
        apply = partial(self._here.apply, connection)
        for w in written:
            if w.resource_type == "Task" and w.key:
                gap_keeping.answer(connection, w.key, w.body, f"server:{w.server}", apply, self._here.now_us())
