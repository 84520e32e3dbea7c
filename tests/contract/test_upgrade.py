"""A database of an older program, with rows in it, is brought to the newest schema and worked on, on SQLite and PostgreSQL.

`tests/stores/<revision>.jsonl` is what an older program stored: every row of every table, one a line.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, LargeBinary, MetaData, Table, event, insert, select, text

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import contributions, unanswered
from adapter.store import engine as store
from adapter.store.engine import current_revision, migrate, newest_revision, open_engine, reading, writing
from adapter.store.schema import CONTRIBUTION
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url
from tests.unit.test_gateway import adt

STORES = sorted((Path(__file__).parents[1] / "stores").glob("*.jsonl"))
SCRIPT = ScriptDirectory.from_config(store._config())
REVISIONS = [one.revision for one in reversed(list(SCRIPT.walk_revisions()))][:-1]
KEPT = 3
"""Rows that are put into each table."""
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    return postgres_url() if request.param == "postgresql" else f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def older(url: str) -> Iterator[Callable[[str], Engine]]:
    """Makes the database as a program of that revision had it, without rows."""
    engine = open_engine(url)

    def at(revision: str) -> Engine:
        with writing(engine) as connection:
            config = store._config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        return engine

    yield at
    engine.dispose()


def tables(connection: Connection) -> dict[str, Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return {name: table for name, table in metadata.tables.items() if name != "alembic_version"}


def filled(table: Table) -> list[dict[str, Any]]:
    """Rows whose every column has a value of its own."""
    def value(column: Any, n: int) -> Any:
        if column.name == "state":
            return "done"
        if isinstance(column.type, LargeBinary):
            return b"\x00\xff raw %d" % n
        return n if column.type.python_type is int else f"{column.name} ä {n}"

    return [{column.name: value(column, n) for column in table.columns} for n in range(1, KEPT + 1)]


def fill(engine: Engine, rows: Callable[[Table], list[dict[str, Any]]]) -> Rows:
    """Put rows into every table; PostgreSQL's counters go on behind them."""
    put: Rows = {}
    with writing(engine) as connection:
        for name, table in tables(connection).items():
            put[name] = rows(table)
            if put[name]:
                connection.execute(insert(table), put[name])
            for column in table.primary_key.columns:
                if connection.dialect.name == "postgresql" and column.name in ("id", "seq") and column.type.python_type is int:
                    connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', '{column.name}'), "
                                            f"GREATEST((SELECT MAX({column.name}) FROM {name}), 1))"))
    return put


ANEW = {("contribution", "identity")}
"""Columns that an upgrade writes anew."""


def standing(engine: Engine, columns: Rows) -> Counter[str]:
    """Every row, with the columns that the rows of before had."""
    with reading(engine) as connection:
        return Counter(repr((name, sorted((c, row._mapping[c]) for c in columns[name][0] if (name, c) not in ANEW)))
                       for name, table in tables(connection).items() if columns.get(name)
                       for row in connection.execute(select(table)))


def as_put(put: Rows) -> Counter[str]:
    return Counter(repr((name, sorted(cell for cell in row.items() if (name, cell[0]) not in ANEW)))
                   for name, rows in put.items() for row in rows)


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_row_of_an_older_store_stands_after_the_upgrade(revision: str, older: Callable[[str], Engine]) -> None:
    engine = older(revision)
    put = fill(engine, filled)
    migrate(engine)
    assert current_revision(engine) == newest_revision()
    assert standing(engine, put) == as_put(put)


def test_a_creation_that_an_older_program_got_no_answer_of_is_known_again(older: Callable[[str], Engine]) -> None:
    """Up to 0018 creations alone were noted, by what they say."""
    engine = older("0018")
    body = {"resourceType": "Organization", "id": "o", "name": "O"}
    note = {"target": "fhir.example.org", "resource_type": "Organization", "id": "o",
            "hash": hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()}
    fill(engine, lambda table: [note] if table.name == "unanswered" else [])
    migrate(engine)
    with writing(engine) as connection:
        told = (connection, "fhir.example.org", ("Organization", "o"))
        assert not unanswered.take(*told, body | {"name": "P"}, "")
        assert [unanswered.take(*told, body | {"meta": {"versionId": "1"}}, "") for _ in range(2)] == [True, False]


def test_an_upgrade_that_fails_on_the_way_leaves_the_older_store(older: Callable[[str], Engine]) -> None:
    """At whichever statement; and the next start brings it to the newest."""
    engine = older(REVISIONS[0])
    put = fill(engine, filled)
    left = [0]

    def fail(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().startswith(("ALTER", "CREATE", "UPDATE")):
            left[0] -= 1
            if left[0] == 0:
                raise RuntimeError("cut off")

    event.listen(engine, "before_cursor_execute", fail)
    for left[0] in (1, 2, 5, 9, 14):
        with pytest.raises(RuntimeError, match="cut off"):
            migrate(engine)
        assert current_revision(engine) == REVISIONS[0]
        assert standing(engine, put) == as_put(put)
    event.remove(engine, "before_cursor_execute", fail)
    migrate(engine)
    assert current_revision(engine) == newest_revision()


def stored_rows(path: Path) -> Callable[[Table], list[dict[str, Any]]]:
    """What an older program stored."""
    kept: Rows = {}
    for line in path.read_bytes().splitlines():
        row: dict[str, Any] = orjson.loads(line)
        values = {name: base64.b64decode(v["base64"]) if isinstance(v, dict) else v for name, v in row.items() if name != "table"}
        kept.setdefault(row["table"], []).append(values)
    return lambda table: kept.get(table.name, [])


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_an_older_store_is_worked_on(path: Path, url: str, tmp_path: Path, older: Callable[[str], Engine]) -> None:
    """Messages that waited are composed, the next ones join them, and what was sent before gets its answer again."""
    fill(older(path.stem), stored_rows(path))
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, database_url=url), lambda: datetime(2026, 3, 21, tzinfo=UTC))
    assert gateway.waiting() == 2
    assert b"MSA|AA|C1" in gateway.accept([(adt("C1"), "t")])[0]
    assert gateway.waiting() == 2, "it was taken before"
    gateway.accept([(adt("C4", "A08", "0930", number="800009"), "t")])
    while gateway.work():
        pass
    assert gateway.waiting() == 0
    patients = {p["id"]: p for p in gateway.embedded.search("Patient", []).resources}
    telephones = [one["value"] for p in patients.values() for one in p.get("telecom", ()) if one["system"] == "phone"]
    families = sorted(name["family"] for p in patients.values() for name in p["name"])
    with reading(gateway.engine) as connection:
        before = {r.id for r in connection.execute(text("SELECT id FROM resource_version WHERE resource_type = 'Patient'"))}
        states = Counter(connection.scalars(text("SELECT state FROM journal")))
        said = connection.execute(select(CONTRIBUTION)).all()
    gateway.close()
    assert {row.identity for row in said} == {contributions._identity(contributions.contribution_of(row)) for row in said}
    assert before >= {row["id"] for row in stored_rows(path)(Table("resource", MetaData())) if row["resource_type"] == "Patient"}
    assert any("5550199" in one for one in telephones), "the telephone of the message that waited"
    assert families.count("Tarnhill") == 4, families
    assert states == {"done": 6, "refused": 1}
