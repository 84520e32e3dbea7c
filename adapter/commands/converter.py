"""Files to conversions, each message on its own; a refusal of one stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapter import pipeline
from adapter.errors import Defect, Rejected
from adapter.feeds import Feeds
from adapter.logs import where
from adapter.model import Issue, Received
from adapter.parse.batch import split_messages
from adapter.pipeline import Conversion


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One message, or one CSV file: what it became, or why it (or a row of it) was refused.

    others: the reasons beside the first, where one message was refused for several.
    """

    file: Path
    number: int
    conversion: Conversion | None
    refusals: tuple[tuple[int, Issue], ...] = ()
    others: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """What every file is converted with. feed: the one that was named, or None where header or file name decides."""

    feeds: Feeds
    key: bytes
    feed: str | None
    trace: bool

    def file(self, path: Path) -> Iterator[Outcome]:
        """Each message of a file in order, or the whole of a CSV."""
        if self._is_csv(path):
            yield self._csv(path)
            return
        split = split_messages(path.read_bytes())
        for number, raw in enumerate(split.messages or [b""], 1):
            yield self._message(path, number, raw)
        if split.issues:  # a batch that says it holds more, or fewer: messages may be lost
            yield Outcome(file=path, number=0, conversion=None, refusals=tuple((0, issue) for issue in split.issues))

    def _is_csv(self, path: Path) -> bool:
        if self.feed is not None:
            return self.feeds.named(self.feed).feed.format == "csv"
        return path.suffix.lower() == ".csv"

    def _message(self, path: Path, number: int, raw: bytes) -> Outcome:
        received = Received(raw=raw, arrival=datetime.now(UTC), feed=self.feed)
        try:
            conversion = pipeline.convert(received, self.feeds, self.key, self.trace)
        except Exception as error:
            others = error.issues[1:] if isinstance(error, Rejected) else ()
            return Outcome(file=path, number=number, conversion=None, refusals=((number, _issue(error)),), others=others)
        return Outcome(file=path, number=number, conversion=conversion)

    def _csv(self, path: Path) -> Outcome:
        try:
            feed = self.feed or self._feed_of(path)
            conversion, errors = pipeline.convert_csv(path.read_bytes(), feed, self.feeds, self.key, datetime.now(UTC),
                                                      trace=self.trace)
        except Exception as error:
            return Outcome(file=path, number=1, conversion=None, refusals=((0, _issue(error)),))
        refusals = tuple((row.number, issue) for row in errors for issue in row.issues)
        return Outcome(file=path, number=1, conversion=conversion, refusals=refusals)

    def _feed_of(self, path: Path) -> str:
        """The CSV feed whose name the file's begins with (`members-2026-03.csv`), the longest such. Raises Rejected."""
        fits = [name for name, one in self.feeds.compiled.items()
                if one.feed.format == "csv" and path.stem.lower().startswith(name)]
        if not fits:
            raise Rejected("unknown-feed", "file name", "no feed's name begins it: say --feed")
        return max(fits, key=len)


def _issue(error: Exception) -> Issue:
    """Why one message was not converted; what is unforeseen is told by its place in the program."""
    if isinstance(error, Rejected | Defect):
        return error.issue
    return Issue(code="defect", place="", detail=f"{type(error).__name__} at {where(error)}")
