"""What became of the rows of a file that was loaded: how many stand where, and its error file, from the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Engine

from adapter.errors import Rejected
from adapter.feeds import contract_and_options
from adapter.intake.row_errors import RowErrors
from adapter.issues import ISSUES
from adapter.mapping.feed import Feed
from adapter.parse.rows import RowError, bind
from adapter.store import csv_files
from adapter.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What was noticed of rows that were taken: of one code how many, and the places of the first (`row 12, role`)."""

    code: str
    count: int
    places: tuple[str, ...]

    @property
    def words(self) -> str:
        """What the code says."""
        return ISSUES[self.code].what


def warnings_of_file(engine: Engine, feed: Feed, file: str) -> list[Warned]:
    """The warnings of the rows of a loaded file that were processed so far, most frequent first."""
    with reading(engine) as connection:
        return [Warned(code=code, count=count, places=tuple(places))
                for code, count, places in csv_files.warnings_of_file(connection, feed.name, file)]


def write_failed(engine: Engine, feed: Feed, file: str, errors: RowErrors) -> int:
    """Add the rows of a file that were taken, but could not be processed, to its error file; how many there are."""
    return _write(engine, feed, file, ("failed",), errors)


def write_errors(engine: Engine, feed: Feed, file: str, errors: RowErrors) -> int:
    """Write the error file of a loaded file: rows refused, and those that could not be processed; how many.

    Raises Rejected (not-found) where no such file was loaded.
    """
    with reading(engine) as connection:
        known = csv_files.csv_file(connection, feed.name, file)
    if known is None:
        raise Rejected("not-found", "file")
    errors.begin(bind(orjson.loads(known.header), *contract_and_options(feed)))
    return _write(engine, feed, file, ("refused", "failed"), errors)


def state_of_file(engine: Engine, feed: Feed, file: str) -> dict[str, int]:
    """How many rows of a loaded file stand in each state (waiting, done, refused, failed). Raises Rejected (not-found)."""
    with reading(engine) as connection:
        if csv_files.csv_file(connection, feed.name, file) is None:
            raise Rejected("not-found", "file")
        return csv_files.states_of_file(connection, feed.name, file)


def _write(engine: Engine, feed: Feed, file: str, states: Sequence[str], errors: RowErrors) -> int:
    count = 0
    with reading(engine) as connection:
        for number, raw, issues in csv_files.rows_of_file(connection, feed.name, file, states):
            errors.add(RowError(number=number, raw=raw, issues=issues))
            count += 1
    return count
