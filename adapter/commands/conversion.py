"""`convert`: files to transaction Bundles, each message on its own; no store is needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click
import orjson

from adapter.commands.converter import Converter, Outcome
from adapter.commands.files import found, told
from adapter.commands.installation import settings
from adapter.errors import kind_of, message
from adapter.feeds import open_feeds
from adapter.memory import tune_memory
from adapter.model import Json
from adapter.pipeline import Conversion
from adapter.settings import Settings

_SUFFIXES = (".hl7", ".txt", ".csv")


@dataclass(slots=True, kw_only=True)
class Writer:
    """Where results go: stdout (folder None) or files. Two results are never written to one place."""

    folder: Path | None
    loss: bool
    explain: bool
    _written: dict[Path, Path] = field(default_factory=dict[Path, Path])

    def prepare(self, files: list[Path]) -> None:
        """Make the folder. Raises click.UsageError where it cannot be made, or two files would be written to one name."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise click.UsageError(f"--out: {self.folder} cannot be made ({error.strerror}): name another folder") from None
        if self.folder is not None or self.loss or self.explain:
            stems: dict[str, Path] = {}
            for file in files:
                if (first := stems.setdefault(file.stem, file)) != file:
                    raise _clash(first, file, f"{file.stem}.json")

    def write(self, outcome: Outcome, conversion: Conversion) -> None:
        """One result: the Bundle, and beside it what was asked for."""
        stem = outcome.file.stem if outcome.number == 1 else f"{outcome.file.stem}-{outcome.number}"
        if self.folder is None:
            click.echo(orjson.dumps(conversion.bundle))
        else:
            self._file(outcome, f"{stem}.json", conversion.bundle)
        if self.loss:
            noticed = [{"code": one.code, "severity": kind_of(one).severity, "place": one.place, "told": message(one)}
                       for one in conversion.issues]
            self._file(outcome, f"{stem}.loss.json", {**conversion.loss, "issues": noticed})
        if self.explain:
            self._file(outcome, f"{stem}.explain.json", conversion.explain)

    def _file(self, outcome: Outcome, name: str, content: Json) -> None:
        path = (self.folder or Path()) / name
        if (first := self._written.setdefault(path, outcome.file)) != outcome.file:
            raise _clash(first, outcome.file, name)
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _clash(first: Path, second: Path, name: str) -> click.UsageError:
    return click.UsageError(f"{first} and {second} would both be written to {name}: convert them apart")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--feed", help="The feed to map by; without it the sender in MSH, or a CSV's file name, decides.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Write DIR/<file>.json, <file>-2.json ...")
@click.option("--loss", is_flag=True, help="Write <file>.loss.json: what became of each field, and issues.")
@click.option("--explain", is_flag=True, help="Write <file>.explain.json: where each element came from.")
def convert(paths: tuple[Path, ...], feed: str | None, out: Path | None, loss: bool, explain: bool) -> None:
    """Convert HL7 v2 and CSV files to FHIR transaction Bundles, each message on its own.

    PATHS are files, or directories whose .hl7, .txt and .csv files are taken, those below too. Without --out one Bundle
    a line goes to standard output. A refusal is a JSON line on standard error, and the next message is taken.

    Exit 0 all converted, 1 some refused, 2 wrong usage.
    """
    chosen = settings()
    if not chosen.mappings.is_dir():
        raise click.UsageError(f"{chosen.mappings} is not a folder: set CARELOOP_MAPPINGS")
    files = found(paths, _SUFFIXES)
    tune_memory()
    converter = Converter(feeds=open_feeds(chosen.mappings), key=_key(chosen), feed=feed, trace=loss or explain)
    if feed is not None and feed not in converter.feeds.compiled:
        raise click.BadParameter(f"no feed {feed!r}; there are {', '.join(sorted(converter.feeds.compiled))}",
                                 param_hint="--feed")
    writer = Writer(folder=out, loss=loss, explain=explain)
    writer.prepare(files)
    refused = False
    for file in files:
        for outcome in converter.file(file):
            if outcome.conversion is not None:
                writer.write(outcome, outcome.conversion)
            for number, issue in outcome.refusals:
                refused = True
                click.echo(told(file, number, issue, outcome.others), err=True)
            if outcome.conversion is not None and not loss:
                _tell_short(file, outcome.number, outcome.conversion)
    if refused:
        raise SystemExit(1)


def _tell_short(file: Path, number: int, conversion: Conversion) -> None:
    """The warnings of one result by code, on standard error; --loss tells each with its place."""
    counts = Counter(i.code for i in conversion.issues if kind_of(i).severity == "warning")
    if counts:
        told_counts = ", ".join(f"{code} {count}" for code, count in counts.most_common())
        click.echo(f"{file}, {number}: {told_counts} (--loss says where)", err=True)


NOBODYS_KEY = b"careloop-convert"
"""The key of ids where there is no installation: the same everywhere, so that two runs give the same ids."""


def _key(chosen: Settings) -> bytes:
    """The installation's key where there is one, so that ids are those the gateway gives; none is made here.

    Raises click.ClickException.
    """
    path = chosen.data_dir / "installation.key"
    try:
        return chosen.installation_key() if chosen.key or path.exists() else NOBODYS_KEY
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read ({error.strerror}) - set CARELOOP_DATA_DIR, or CARELOOP_KEY") from None
    except ValueError:
        raise click.ClickException(f"{path} is not hexadecimal - put the key back, or set CARELOOP_KEY") from None
