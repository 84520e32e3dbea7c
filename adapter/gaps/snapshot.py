"""The view tables as a folder of Parquet files, for the engines that reckon over everybody at once.

The rows come out of our own store, or straight from FHIR resources in NDJSON (Bulk Data). Rows that belong to a person lie
in one of several buckets by that person's id, so that an engine can go through them bucket by bucket; snapshot.json
says how many, and which definitions the tables are made of. Beside the id stands the person's number: one without gaps in a
bucket, by which engines join in a fraction of the time that texts take. FHIR has no empty text: '' and null are one.
"""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.gaps.calendar import calendar_rows, local_day_rows
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.organizations import Known
from adapter.gaps.tables import ARRIVAL, PREFIX, flatten
from adapter.gaps.views import Column, Row
from adapter.model import Json

if TYPE_CHECKING:
    import duckdb

MEMBERS_A_BUCKET = 100_000
NUMBER = "member_number"
"""A column of personal tables beside those of the catalog: the number of the member, null where nobody has that id."""

_AT_ONCE = 2_000
_NAME = "snapshot.json"
_FORM = "2"
"""Raised when the files change while the definitions do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A folder of view tables. buckets: number of parts that personal tables lie in. mark: of the catalog and the files' form.

    journal: whether it tells what arrived; without it, rules that ask so have no answer.
    """

    folder: Path
    buckets: int
    members: int
    mark: str
    journal: bool

    def files(self, catalog: Catalog, table: str, bucket: int | None = None) -> list[str]:
        """A table's Parquet files, of one bucket or of all; none where it has no rows there."""
        if not personal(catalog, table):
            return [str(self.folder / f"{table}.parquet")]
        part = "*" if bucket is None else bucket
        return sorted(str(path) for path in self.folder.glob(f"{table}/bucket={part}/*.parquet"))


    def all_numbered(self, catalog: Catalog, tables: Collection[str]) -> bool:
        """Whether every row of these tables that belongs to a person has its member's number, as the files' own counts tell."""
        import duckdb

        files = [file for table in tables if personal(catalog, table) for file in self.files(catalog, table)]
        if not files:
            return True
        counted = (f"SELECT COUNT(*) FROM parquet_metadata([{', '.join(map(quoted, files))}]) WHERE path_in_schema = '{NUMBER}' "
                   "AND COALESCE(stats_null_count, 1) > 0")
        with duckdb.connect() as database:
            return database.execute(counted).fetchall() == [(0,)]


def personal(catalog: Catalog, table: str) -> bool:
    """Whether the rows of a table belong to persons."""
    return any(column.name == "member_id" for column in catalog.tables[table])


def mark_of(catalog: Catalog) -> str:
    """Changes when the catalog's tables do, or the form of the files."""
    return f"{catalog.mark}-{_FORM}"


def open_snapshot(folder: Path, catalog: Catalog | None = None) -> Snapshot:
    """The snapshot of a folder. Raises Rejected (snapshot-invalid): there is none, or of other definitions."""
    try:
        content: dict[str, Any] = orjson.loads((folder / _NAME).read_bytes())
        snapshot = Snapshot(folder=folder, **content)
    except (OSError, ValueError, TypeError) as error:
        raise Rejected("snapshot-invalid", detail="there is no snapshot in the folder") from error
    if snapshot.mark != mark_of(catalog or open_catalog()):
        raise Rejected("snapshot-invalid", detail="it was made by other definitions of the views")
    return snapshot


def of_store(connection: Connection, folder: Path, catalog: Catalog | None = None, *,
             a_bucket: int = MEMBERS_A_BUCKET) -> Snapshot:
    """Write the view tables of our own store into the folder. a_bucket: members in a bucket, about."""
    catalog = catalog or open_catalog()
    with tempfile.TemporaryDirectory(dir=_made(folder)) as space:
        for name, columns in catalog.tables.items():
            _copy_out(connection, name, columns, Path(space) / f"{name}.csv")
        return _finished(Path(space), folder, catalog, a_bucket, journal=True)


def of_resources(nodes: Iterable[Json], folder: Path, catalog: Catalog | None = None, *,
                 arrivals: Sequence[Row] | None = None, a_bucket: int = MEMBERS_A_BUCKET) -> Snapshot:
    """Flatten whole resources into the folder; of several with one type and id all count, so give each once.

    arrivals: rows of the table `arrival`, None where nothing is known of what arrived.
    """
    catalog = catalog or open_catalog()
    with tempfile.TemporaryDirectory(dir=_made(folder)) as space:
        with ExitStack() as stack:
            writers = {name: csv.writer(stack.enter_context(_created(Path(space) / f"{name}.csv")), lineterminator="\n")
                       for name in catalog.tables}
            left = iter(nodes)
            while chunk := list(islice(left, _AT_ONCE)):
                for name, rows in flatten(catalog, chunk).items():
                    writers[name].writerows(rows)
            writers["calendar"].writerows(calendar_rows(catalog.calendar, catalog.zone))
            writers["local_day"].writerows(local_day_rows(catalog.calendar, catalog.zone))
            writers["arrival"].writerows(arrivals or [])
        return _finished(Path(space), folder, catalog, a_bucket, journal=arrivals is not None)


def ndjson(folder: Path) -> Iterator[Json]:
    """The resources of every `*.ndjson` and `*.ndjson.gz` file of a folder, in the order of the files' names.

    Raises Rejected (snapshot-invalid) naming the file and line that is no resource, or a folder without such files.
    """
    files = sorted([*folder.glob("*.ndjson"), *folder.glob("*.ndjson.gz")])
    if not files:
        raise Rejected("snapshot-invalid", detail="the folder has no NDJSON files")
    for path in files:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.isspace():
                    yield _resource(line, f"{path.name}, line {number}")


def _resource(line: bytes, place: str) -> Json:
    try:
        node: Json = orjson.loads(line)
        if node["resourceType"] and node["id"]:
            return node
    except (ValueError, TypeError, KeyError):
        pass
    raise Rejected("snapshot-invalid", place, "it is no resource with type and id")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _created(path: Path) -> TextIOWrapper:
    return path.open("w", encoding="utf-8", newline="")


def _copy_out(connection: Connection, name: str, columns: Sequence[Column], path: Path) -> None:
    """A table as CSV, its nulls as nothing."""
    names = ", ".join(column.name for column in columns)
    query = ARRIVAL if name == "arrival" else f"SELECT {names} FROM {PREFIX}{name}"
    if connection.dialect.name == "postgresql":
        cursor: Any = connection.connection.cursor()
        with path.open("wb") as file, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            for part in copy:
                file.write(part)
    else:
        rows: Iterable[Row] = connection.connection.cursor().execute(query)  # pyright: ignore[reportAssignmentType] - sqlite3's
        with _created(path) as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _finished(space: Path, folder: Path, catalog: Catalog, a_bucket: int, *, journal: bool) -> Snapshot:
    """CSV files into Parquet, parted by person."""
    import duckdb

    with duckdb.connect() as database:
        database.execute(f"SET temp_directory = {quoted(space)}; SET preserve_insertion_order = false")
        members = _count(database, _csv(space, catalog, "member"))
        buckets = max(1, -(-members // a_bucket))
        number_members(database, _csv(space, catalog, "member"), buckets)
        for name in catalog.tables:
            rows, to = _csv(space, catalog, name), folder / name
            if personal(catalog, name):
                database.execute(f"COPY ({parted(rows, buckets)}) TO {quoted(to)} "
                                 "(FORMAT parquet, PARTITION_BY (bucket), OVERWRITE true)")
            else:
                database.execute(f"COPY (SELECT * FROM {rows}) TO {quoted(f'{to}.parquet')} (FORMAT parquet)")
    told: dict[str, Any] = {"buckets": buckets, "members": members, "mark": mark_of(catalog), "journal": journal}
    (folder / _NAME).write_bytes(orjson.dumps(told))
    return Snapshot(folder=folder, **told)


def number_members(database: duckdb.DuckDBPyConnection, members: str, buckets: int) -> None:
    """Make the table that `parted` reads. members: the rows of the view `member`, as what follows FROM."""
    database.execute(
        f"CREATE TABLE numbered AS SELECT member_id, CAST(row_number() OVER (ORDER BY {_bucket(buckets)}) AS INTEGER) "
        f"AS {NUMBER} FROM (SELECT DISTINCT member_id FROM {members})")


def parted(rows: str, buckets: int) -> str:
    """A SELECT of the rows of a personal table, as what follows FROM, with the member's number and bucket."""
    return (f"SELECT found.*, numbered.{NUMBER}, CAST({_bucket(buckets, 'found.')} AS INTEGER) AS bucket "
            f"FROM {rows} AS found LEFT JOIN numbered USING (member_id)")


def _bucket(buckets: int, table: str = "") -> str:
    return f"hash({table}member_id) % {buckets}"


def organizations(snapshot: Snapshot) -> list[Known]:
    """The Organizations that stand, by what they are called."""
    import duckdb

    with duckdb.connect() as database:
        table = quoted(snapshot.folder / "organization.parquet")
        return database.execute(f"SELECT resource_id, number, name FROM read_parquet({table})").fetchall()


def _count(database: duckdb.DuckDBPyConnection, rows: str) -> int:
    found = database.execute(f"SELECT COUNT(*) FROM {rows}").fetchone()
    return found[0] if found else 0


def _csv(space: Path, catalog: Catalog, name: str) -> str:
    types = ", ".join(f"'{column.name}': '{sql_type(column)}'" for column in catalog.tables[name])
    form = "header = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', auto_detect = false"
    return f"read_csv({quoted(f'{space / name}.csv')}, columns = {{{types}}}, {form})"


def quoted(text: object) -> str:
    """A text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def sql_type(column: Column) -> str:
    """The type of a column in DuckDB and Spark."""
    if column.number:
        return "BIGINT"
    return {"boolean": "SMALLINT", "integer": "BIGINT", "positiveInt": "BIGINT", "unsignedInt": "BIGINT",
            "decimal": "DOUBLE"}.get(column.type, "VARCHAR")
