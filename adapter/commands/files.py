"""Files on a command line, and how a refusal of what stands in one is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import orjson

from adapter.errors import kind_of, message
from adapter.model import Issue


def found(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files that the paths name: a file as it is, of a directory (and those below) the files with such a suffix.

    In name order, each once. Raises click.UsageError for a directory that has none.
    """
    files: dict[Path, None] = {}
    for path in paths:
        below = list(_below(path, suffixes)) if path.is_dir() else [path]
        if not below:
            raise click.UsageError(f"{path} has no file that ends with {', '.join(suffixes)}")
        files |= dict.fromkeys(below)
    return list(files)


def _below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in suffixes and not path.name.startswith("."):
            yield path


def told(file: Path, number: int, issue: Issue, others: Sequence[Issue] = ()) -> bytes:
    """One refusal as a JSON line: file, message (its number, or the row), code, place, next step; other reasons there are."""
    line = {"file": str(file), "message": number, "code": issue.code, "place": issue.place,
            "next_step": kind_of(issue).next_step, "told": message(issue)}
    more = [{"code": one.code, "place": one.place, "told": message(one)} for one in others]
    return orjson.dumps({**line, "others": more} if more else line)
