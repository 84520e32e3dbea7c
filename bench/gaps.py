"""Gaps: one member, a message, a population, flattening - each in a process of its own, on made-up view rows (gap_rows.py).

    python -m bench.gaps population --members 1000000
    python -m bench.gaps member --members 1000000
    python -m bench.gaps message --members 1000000
    python -m bench.gaps sweep --members 100000
    python -m bench.gaps flatten
    python -m bench.gaps spark --members 100000

Seconds are of the clock, `cpu` of the processor (all threads): on a machine that others use too, read cpu over its cores.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import orjson

from adapter.gaps import population, snapshot, tables
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import evaluate
from adapter.gaps.life import LIVING
from adapter.gaps.rules import open_rules
from adapter.gaps.snapshot import Snapshot, quoted
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import migrate, open_engine, reading
from bench import gap_rows
from bench.processor import children_cpu
from bench.stream import another

NOW = datetime.fromisoformat(gap_rows.NOW)
KEY = "00" * 32


def main() -> None:
    """Measure one thing and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(MEASURES))
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--everything", action="store_true", help="what does not apply too")
    parser.add_argument("--memory", default=population.MEMORY, help="what DuckDB may take")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "careloop-bench-gaps")
    MEASURES[parser.parse_args().what](parser.parse_args())


@contextmanager
def measured(what: str, told: Callable[[], str] = str) -> Iterator[None]:
    """Prints what a block took."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - began:.1f} s, cpu {time.process_time() - cpu:.1f} s, peak {peak:.0f} MB {told()}")


def snapshot_of(asked: argparse.Namespace) -> Snapshot:
    """The made-up members, made once."""
    folder = asked.folder / str(asked.members)
    try:
        return snapshot.open_snapshot(folder)
    except Exception:  # there is none, or of other views
        shutil.rmtree(folder, ignore_errors=True)
        _, rows = gap_rows.make(folder, asked.members)
        print(f"made {rows:,} view rows of {asked.members:,} members")
        return snapshot.open_snapshot(folder)


def of_population(asked: argparse.Namespace) -> None:
    """Every rule over everybody, by DuckDB, written as Parquet."""
    flat = snapshot_of(asked)
    rules = open_rules().rules
    with tempfile.TemporaryDirectory(dir=asked.folder) as out:
        found: list[int] = []
        with measured(f"{len(rules)} rules, {asked.members:,} members", lambda: f"({found[0]:,} gaps)"):
            states = None if asked.everything else population.APPLYING
            found.append(population.write(flat, population.question(now=NOW, memory=asked.memory, states=states), Path(out)))


def of_spark(asked: argparse.Namespace) -> None:
    """Spark beside DuckDB for the same members on this machine: its start, then what each takes, Java's CPU time included."""
    from adapter.gaps import spark

    flat, found = snapshot_of(asked), list[int]()
    with tempfile.TemporaryDirectory(dir=asked.folder) as out, measured("DuckDB", lambda: f"({found[-1]:,} gaps)"):
        found.append(population.write(flat, population.question(now=NOW, memory=asked.memory), Path(out)))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=asked.folder) as out, spark.session(spark.MASTER):
        print(f"Spark's start: {time.perf_counter() - began:.1f} s, cpu {children_cpu():.1f} s", flush=True)
        cpu = children_cpu()
        with measured("Spark", lambda: f"({found[-1]:,} gaps), cpu of Java {children_cpu() - cpu:.1f} s"):
            found.append(spark.write(flat, population.question(now=NOW), Path(out)))


def of_member(asked: argparse.Namespace) -> None:
    """Every rule about one member, out of SQLite."""
    engine = open_engine(f"sqlite:///{store_of(asked)}")
    with reading(engine) as connection:
        ids = [row[0] for row in connection.exec_driver_sql("SELECT resource_id FROM view_member LIMIT 20000")]
        chosen = random.Random(1).sample(ids, 1000)
        for member in chosen[:50]:
            evaluate(connection, now=NOW, member=member)
        gc.collect()
        times, cpu = list[float](), list[float]()
        for member in chosen:
            times.append(timed(lambda m=member: evaluate(connection, now=NOW, member=m)))
            cpu.append(timed(lambda m=member: evaluate(connection, now=NOW, member=m), time.thread_time))
    print(f"one member, {len(open_rules().rules)} rules, {asked.members:,} members: {percentiles(times)}; "
          f"of the processor, asked again: {percentiles(cpu)}")


def of_sweep(asked: argparse.Namespace) -> None:
    """Every rule over everybody out of SQLite, one after another, as a gateway reckons once an hour; nothing is followed."""
    engine, found = open_engine(f"sqlite:///{store_of(asked)}"), list[int]()
    with measured(f"sweep, {asked.members:,} members", lambda: f"({sum(found):,} gaps)"):
        for rule in open_rules().rules:
            with reading(engine) as connection:
                found.append(len(evaluate(connection, now=NOW, rule=rule, states=tuple(LIVING))))


def of_message(asked: argparse.Namespace) -> None:
    """From the message's arrival to the gaps of its person, on the embedded store."""
    store = store_of(asked)
    raw = next((Path(__file__).parent.parent / "fixtures" / "hl7v2" / "A01").glob("*.hl7")).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Settings(data_dir=Path(folder), database_url=f"sqlite:///{store}", key=KEY))  # pyright: ignore
        times, cpu = ([timed(lambda n=n: _answer(gateway, another(raw, n)), clock) for n in numbers][50:]
                      for clock, numbers in ((time.perf_counter, range(550)), (time.process_time, range(550, 1100))))
        gateway.close()
    print(f"message to gaps, {asked.members:,} members: {percentiles(times)}; of the processor: {percentiles(cpu)}")


def _answer(gateway: Gateway, raw: bytes) -> None:
    gateway.accept([(raw, "bench")])
    gateway.work()
    with reading(gateway.engine) as connection:
        newest = "SELECT id FROM resource WHERE resource_type = 'Patient' ORDER BY updated DESC LIMIT 1"
        row = connection.exec_driver_sql(newest).one()
        evaluate(connection, now=gateway.clock(), member=row[0])


def of_flattening(_asked: argparse.Namespace) -> None:
    """Resources to view rows on one core, beside DuckDB's own reading of the same lines."""
    catalog = open_catalog()
    lines = [orjson.dumps(resource) for resource in resources()]
    lines *= max(1, 60_000 // len(lines))
    portions = [lines[at:at + 2000] for at in range(0, len(lines), 2000)]  # as a bulk load reads them: none is kept
    began = time.process_time()
    for portion in portions:
        tables.flatten(catalog, map(orjson.loads, portion))
    ours = len(lines) / (time.process_time() - began)
    nodes = [orjson.loads(line) for line in lines]
    began = time.process_time()
    for at in range(0, len(nodes), 2000):
        tables.flatten(catalog, nodes[at:at + 2000])
    print(f"{len(lines):,} resources, {sum(map(len, lines)) // len(lines)} bytes each: flattened "
          f"{len(lines) / (time.process_time() - began):,.0f} a CPU second, read and flattened {ours:,.0f}")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as database:
        for kind in {node["resourceType"] for node in nodes}:
            (Path(folder) / f"{kind}.ndjson").write_bytes(
                b"\n".join(line for line, node in zip(lines, nodes, strict=True) if node["resourceType"] == kind))
        began = time.process_time()
        for path in Path(folder).glob("*.ndjson"):
            database.execute(f"CREATE TABLE {path.stem}_ AS SELECT * FROM read_ndjson({quoted(path)}, sample_size = -1)")
        theirs = len(lines) / (time.process_time() - began)
    print(f"DuckDB's own typed reading, a file a type: {theirs:,.0f} a CPU second; ours is {ours / theirs:.2f} of that")


def resources() -> list[dict[str, object]]:
    """What the golden cases give out, the hospital's detailed ones apart."""
    found: list[dict[str, object]] = []
    for path in sorted((Path(__file__).parent.parent / "mappings").glob("*/cases/*/expected.json")):
        if "/common/" not in str(path):
            bundle = orjson.loads(path.read_bytes())
            found += [{"id": "x", **entry["resource"]} for entry in (bundle.get("bundle") or bundle).get("entry", [])]
    return found


def store_of(asked: argparse.Namespace) -> Path:
    """A SQLite store that holds the made-up view rows, made once."""
    flat, path = snapshot_of(asked), asked.folder / f"{asked.members}.db"
    catalog = open_catalog()
    if path.exists():
        with reading(open_engine(f"sqlite:///{path}")) as connection:
            if tables.is_current(connection):
                return path
        path.unlink()
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    with engine.begin() as connection:
        tables.prepare(connection)
    engine.dispose()
    with duckdb.connect() as source, sqlite3.connect(path) as target:
        target.execute("PRAGMA synchronous = OFF")
        for name, columns in catalog.tables.items():
            files = flat.files(catalog, name)
            if name not in ("calendar", "local_day", "arrival") and files:
                _copy(source, target, name, [column.name for column in columns], files)
    return path


def _copy(source: duckdb.DuckDBPyConnection, target: sqlite3.Connection, name: str, columns: Sequence[str],
          files: list[str]) -> None:
    listed = ", ".join(map(quoted, files))
    rows = source.execute(f"SELECT {', '.join(columns)} FROM read_parquet([{listed}], hive_partitioning = false)")
    insert = f"INSERT INTO view_{name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    indexes = target.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
                             (f"view_{name}",)).fetchall()
    for index, _ in indexes:
        target.execute(f"DROP INDEX {index}")
    while chunk := rows.fetchmany(50_000):
        target.executemany(insert, chunk)
    for _, statement in indexes:
        target.execute(statement)
    target.commit()


def timed(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds that a call takes by a clock."""
    began = clock()
    call()
    return (clock() - began) * 1000


def percentiles(times: list[float]) -> str:
    """p50, p99 and the longest, in ms."""
    ordered = sorted(times)
    half, most = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return f"p50 {half:.1f} ms, p99 {most:.1f} ms, longest {ordered[-1]:.1f} ms"


MEASURES: dict[str, Callable[[argparse.Namespace], None]] = {
    "population": of_population, "spark": of_spark, "member": of_member, "message": of_message, "sweep": of_sweep,
    "flatten": of_flattening}

if __name__ == "__main__":
    sys.exit(main())
