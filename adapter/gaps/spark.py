"""Gaps of everybody at once, by Spark: the rules' own statements over a snapshot's Parquet files (extra `spark`).

For populations that one machine does not hold. `master` names the cluster; `local[2]` is this machine. On a cluster the
snapshot's folder, and the folder written to, must be reachable by every worker.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapter.errors import Rejected
from adapter.gaps.engine import Gap, gaps_of, in_order, statements
from adapter.gaps.population import Question, result, withheld
from adapter.gaps.reads import everything_read
from adapter.gaps.rules import Rule
from adapter.gaps.snapshot import Snapshot, sql_type
from adapter.gaps.statement import SHARED_PREFIX, Target, compile_shared
from adapter.gaps.tables import PREFIX

MASTER = "local[2]"
_HERE = {"spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": "4"}  # 200 of them are for a cluster


def evaluate(snapshot: Snapshot, asked: Question, master: str = MASTER) -> list[Gap]:
    """The gaps as population.evaluate gives them. Raises Rejected (spark-missing)."""
    gaps: list[Gap] = []
    with session(master) as spark:
        for rule, frame in _frames(spark, snapshot, asked):
            gaps += gaps_of(rule, (tuple(row) for row in frame.collect()))
    return in_order(gaps)


def write(snapshot: Snapshot, asked: Question, out: Path, master: str = MASTER) -> int:
    """Write the gaps into the folder `out` as Parquet files (columns population.RESULT); how many there are."""
    with session(master) as spark:
        for number, (rule, frame) in enumerate(_frames(spark, snapshot, asked)):
            frame.createOrReplaceTempView("rows_of_rule")
            gaps = spark.sql(result(rule, "SELECT * FROM rows_of_rule", lambda _: "STRING"))
            gaps.write.mode("append" if number else "overwrite").parquet(str(out))
        return spark.read.parquet(str(out)).count()


@contextmanager
def session(master: str, settings: Mapping[str, str] | None = None) -> Generator[Any]:
    """A Spark session of the process, kept for the next question where one stands already. settings: Spark's own."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise Rejected("spark-missing") from error
    standing = SparkSession.getActiveSession()
    builder: Any = SparkSession.builder
    spark = standing or (builder.master(master).appName("careloop-gaps").config("spark.ui.enabled", "false")
                         .config("spark.ui.showConsoleProgress", "false").config("spark.sql.session.timeZone", "UTC")
                         .config(map={**(_HERE if master.startswith("local") else {}), **(settings or {})}).getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        if standing is None:
            spark.stop()


def _frames(spark: Any, snapshot: Snapshot, asked: Question) -> Iterator[tuple[Rule, Any]]:
    """Each rule with the rows of one of its statements."""
    chosen = asked.chosen(snapshot)
    views, shared = everything_read(asked.rules, asked.catalog, chosen)
    for name in views:
        _frame(spark, snapshot, asked, name).createOrReplaceTempView(PREFIX + name)
    binds = {name: value for name, value in asked.binds().items() if value is not None}
    for name in shared:
        select = compile_shared(asked.rules, asked.catalog, name, "spark")
        spark.sql(select, args=binds).createOrReplaceTempView(SHARED_PREFIX + name)
        spark.catalog.cacheTable(SHARED_PREFIX + name)
    target = Target(dialect="spark", states=asked.states, one_organization=asked.organization is not None, shared_stored=True)
    for rule in chosen:
        found = [withheld(rule)] if asked.withheld(rule) else statements(asked.rules, asked.catalog, rule, target)
        for statement in found:
            yield rule, spark.sql(statement, args=binds)
    for name in shared:
        spark.catalog.uncacheTable(SHARED_PREFIX + name)


def _frame(spark: Any, snapshot: Snapshot, asked: Question, name: str) -> Any:
    """A view table out of its files, of every bucket."""
    columns = asked.catalog.tables[name]
    schema = ", ".join(f"`{column.name}` {sql_type(column).replace('VARCHAR', 'STRING')}" for column in columns)
    files = snapshot.files(asked.catalog, name)
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*files).select(*(column.name for column in columns))
