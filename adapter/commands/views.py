"""`views`: the flat tables that rules read - made again, or written out as Parquet files."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

import click

from adapter.commands.installation import Moment, opened, settings
from adapter.fhirserver import bulk
from adapter.fhirserver.http import new_session
from adapter.gaps import snapshot, tables
from adapter.gaps.catalog import open_catalog
from adapter.gaps.known import known_arrivals, known_resources
from adapter.store.engine import reading, writing

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def views() -> None:
    """The flat tables that gap rules read: one for each ViewDefinition in profiles/fhir/views."""


@views.command()
def rebuild() -> None:
    """Fill the tables again from the resources of the store; they follow every write by themselves."""
    with opened(settings()) as gateway, writing(gateway.engine) as connection:
        tables.rebuild(connection)
    click.echo("the tables are made again")


@views.command()
@click.argument("folder", type=_FOLDER)
@click.option("--ndjson", type=_FOLDER, help="Of the resources in this folder's *.ndjson files, not of the store.")
@click.option("--fhir", metavar="URL", help="Of another FHIR server, by its Bulk Data $export.")
@click.option("--known-at", type=Moment(), help="As they were known then.")
def export(*, folder: Path, ndjson: Path | None, fhir: str | None, known_at: datetime | None) -> None:
    """Write the tables into FOLDER as Parquet files, for `careloop gaps --views`."""
    if sum(source is not None for source in (ndjson, fhir, known_at)) > 1:
        raise click.UsageError("--ndjson, --fhir and --known-at exclude each other")
    if fhir:
        with tempfile.TemporaryDirectory(prefix="careloop-export-") as space:
            bulk.export(fhir, new_session(), Path(space), open_catalog().by_type)
            made = snapshot.of_resources(snapshot.ndjson(Path(space)), folder)
    elif ndjson:
        made = snapshot.of_resources(snapshot.ndjson(ndjson), folder)
    else:
        with opened(settings()) as gateway, reading(gateway.engine) as connection:
            made = snapshot.of_store(connection, folder) if known_at is None else snapshot.of_resources(
                known_resources(connection, known_at), folder, arrivals=known_arrivals(connection, known_at))
    click.echo(f"{made.members} members in {folder}")
