"""Pairs of Patients that are likely one person, scored by Splink on DuckDB in memory. The extra `linkage` brings the library.

Pure: the same rows and model give the same pairs and scores. Source: Fellegi and Sunter 1969; Splink's documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from adapter.errors import Defect, Rejected
from adapter.identity.likeness import LISTS, TEXTS, Row, without_crowds
from adapter.identity.linkage_model import LinkageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two rows (by their places) that are likely one person. score: probability, four digits; found: comparison to its level."""

    first: int
    second: int
    score: float
    found: tuple[tuple[str, str], ...]


def likely_pairs(rows: Sequence[Row], model: LinkageModel, threshold: float | None = None) -> list[Pair]:
    """Every pair from the threshold on, best first. Rows of `likeness.row_of`; what crowds share is taken out of them.

    Raises Rejected (linkage-missing) without the library, Defect (linkage-invalid) where the model is not sound SQL.
    """
    if len(rows) < 2:
        return []
    try:
        import duckdb
        import pyarrow  # pyright: ignore[reportMissingTypeStubs] - it has none
        from splink import DuckDBAPI, Linker
        from splink.internals.exceptions import SplinkException
    except ImportError as error:
        raise Rejected("linkage-missing", "splink") from error
    without_crowds(rows, model.crowd)
    with duckdb.connect(":memory:", config={"temp_directory": ""}) as connection:  # nothing of the rows goes to a disk
        try:
            database = DuckDBAPI(connection)
            register = cast("Any", database).register  # pyarrow's types, which it takes, are not known
            linker = Linker(register(_table(pyarrow, rows)), model.settings(len(rows)), log_level=None,
                            validate_settings=False)  # it would only write into the log what the query then says
            for column, base in model.frequencies():
                table = _frequencies(pyarrow, rows, column, base, model.added)
                linker.table_management.register_term_frequency_lookup(register(table), column)
            found = linker.inference.predict(
                threshold_match_probability=model.threshold if threshold is None else threshold, warning_mode="never")
            told = connection.sql(f"SELECT unique_id_l, unique_id_r, match_probability, {_gammas(model)} "
                                  f"FROM {found.physical_name}").fetchall()
        except (duckdb.Error, SplinkException, ValueError) as error:
            raise Defect("linkage-invalid", model.path, type(error).__name__) from error
    return sorted((_pair(one, model) for one in told), key=lambda p: (-p.score, p.first, p.second))


def _gammas(model: LinkageModel) -> str:
    return ", ".join(f'"gamma_{name}"' for name in model.comparisons)


def _pair(told: Sequence[Any], model: LinkageModel) -> Pair:
    first, second, score, *gammas = told
    found = tuple((name, model.told(name, gamma)) for name, gamma in zip(model.comparisons, gammas, strict=True))
    return Pair(first=min(first, second), second=max(first, second), score=round(score, 4), found=found)


def _table(pyarrow: Any, rows: Sequence[Row]) -> Any:
    text, many = pyarrow.string(), pyarrow.list_(pyarrow.string())
    schema = {"unique_id": pyarrow.int64(), "newborn": pyarrow.bool_(), "birth_order": pyarrow.int32(),
              **dict.fromkeys(TEXTS, text), **dict.fromkeys(LISTS, many)}
    columns = {name: [row[name] for row in rows] for name in schema if name != "unique_id"}
    return pyarrow.table({"unique_id": list(range(len(rows))), **columns}, schema=pyarrow.schema(list(schema.items())))


def _frequencies(pyarrow: Any, rows: Sequence[Row], column: str, base: float, added: int) -> Any:
    """How common each value is: as counted, and as if `added` more people had it as often as `base` says."""
    counts = Counter(row[column] for row in rows if row[column] is not None)
    total = counts.total() + added
    return pyarrow.table({column: pyarrow.array(list(counts), pyarrow.string()),
                          f"tf_{column}": [(count + added * base) / total for count in counts.values()]})
