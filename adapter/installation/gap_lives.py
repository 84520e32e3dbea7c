"""The gaps that an installation keeps: followed when something was written, when time passes, and when somebody answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from adapter.deliver.read_back import Written
from adapter.engine import gap_keeping
from adapter.gaps.life import Happening, Life
from adapter.gaps.rules import open_rules
from adapter.installation.installation import Installation
from adapter.model import Json
from adapter.store.contributions import chunks
from adapter.store.engine import reading
from adapter.store.gap_lives import all_looked_at, last_version, persons, stale_count, written


class GapLives:
    """Follows gaps; what becomes of each stands as its Task."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._bulk = False

    def keep(self) -> int:
        """Follow the gaps of some of those about whom something was written, or whose gaps time turns; how many.

        So many about whom something was written that a sweep is cheaper are left to `catch_up`.
        """
        waiting, swept = self._waiting()
        self._bulk = waiting > gap_keeping.MANY or (self._bulk and waiting > 0)
        with self._here.composing() as connection:
            apply, now_us = partial(self._here.apply, connection), self._here.now_us
            looked = 0 if swept else gap_keeping.look(connection, apply, now_us(), bulk=self._bulk)
            return looked or gap_keeping.turn(connection, apply, now_us())

    def catch_up(self, going_on: Callable[[], bool] = lambda: True) -> int:
        """Sweep where that is cheaper than to look at all who wait; 0 where it is not. Others may compose meanwhile."""
        return 1 + self.sweep(going_on, bulk=True) if self._waiting()[1] else 0

    def _waiting(self) -> tuple[int, bool]:
        """How many persons wait to be looked at, and whether a sweep is cheaper."""
        with reading(self._here.engine) as connection:
            waiting = stale_count(connection)
            return waiting, waiting > gap_keeping.MANY and waiting * gap_keeping.SHARE > persons(connection)

    def sweep(self, going_on: Callable[[], bool] = lambda: True, *, bulk: bool = False) -> int:
        """Follow everybody's gaps to the present instant, rule by rule; how many something happened to.

        They are evaluated without holding the store, and followed some at a time, each time from how they stand then. A sweep
        that is cut off has done what it did. Who is written about meanwhile is left alone, and stays noted.

        going_on: asked before each transaction; where it says no the sweep ends there.
        """
        with reading(self._here.engine) as connection:
            began, count = last_version(connection), 0
        for rule in open_rules().rules:
            if not going_on():
                return count
            with reading(self._here.engine) as connection:
                seen, as_of, meanwhile = last_version(connection), self._here.now_us(), set[str]()
                moved = gap_keeping.moving(connection, rule, as_of)
            for part in chunks(moved, gap_keeping.PART):
                if not going_on():
                    return count
                with self._here.composing() as connection:
                    meanwhile |= written(connection, seen)
                    seen = last_version(connection)
                    count += gap_keeping.follow_some(connection, part, partial(self._here.apply, connection),
                                                     self._here.now_us(), as_of=as_of, written=meanwhile, bulk=bulk)
        with self._here.composing() as connection:
            all_looked_at(connection, began)
        return count

    def change(self, key: str, step: Callable[[Life, int], tuple[Life, list[Happening]]]) -> bool:
        """Take an operator's step in the life of the gap whose Task has this key; whether anything happened.

        Raises Rejected (unknown-gap, or a step that its state does not allow).
        """
        with self._here.composing() as connection:
            return gap_keeping.change(connection, key, step, partial(self._here.apply, connection), self._here.now_us())

    def check(self, task_id: str, task: Json) -> None:
        """That another client's update of the Task of a gap can be taken.

        Raises Rejected (not-found, gone, fhir-structure, gap-task-invalid).
        """
        with reading(self._here.engine) as connection:
            gap_keeping.check(connection, task_id, task, self._here.now_us())

    def answer(self, connection: Connection, written: Sequence[Written]) -> None:
        """Let updates of gaps' Tasks have their say in the life of the gap, in the caller's transaction."""
        apply = partial(self._here.apply, connection)
        for w in written:
            if w.resource_type == "Task" and w.key:
                gap_keeping.answer(connection, w.key, w.body, f"server:{w.server}", apply, self._here.now_us())
