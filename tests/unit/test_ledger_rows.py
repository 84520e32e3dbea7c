"""The account of a CSV file: every cell that has a value, once, with what became of it and never its value."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import orjson
import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.pipeline import convert_csv

FILES = sorted((HOME / "fixtures" / "csv").glob("*/good.csv"))
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


@pytest.mark.parametrize("path", FILES, ids=[p.parent.name for p in FILES])
def test_every_valued_cell_is_accounted_for(path: Path) -> None:
    conversion, errors = convert_csv(path.read_bytes(), path.parent.name, feeds(), b"test", NOW, trace=True)
    assert errors == []
    leaves = conversion.loss["leaves"]
    table = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    valued = {f"row {n}, {column}" for n, row in enumerate(table, 2) for column, text in row.items() if text}
    assert {leaf["place"] for leaf in leaves} >= valued
    assert len({leaf["place"] for leaf in leaves}) == len(leaves)
    assert [leaf["place"] for leaf in leaves if leaf["status"] == "unmapped"] == []
    assert all(leaf["element"] if leaf["status"] == "mapped" else leaf["reason"] for leaf in leaves)
    text = orjson.dumps([conversion.loss, conversion.explain]).decode()
    names = {row[c] for row in table for c in ("first_name", "last_name", "birth_date") if len(row.get(c) or "") > 3}
    assert not [name for name in names if name in text]


@pytest.mark.parametrize("path", FILES, ids=[p.parent.name for p in FILES])
def test_tracing_changes_nothing(path: Path) -> None:
    traced, _ = convert_csv(path.read_bytes(), path.parent.name, feeds(), b"test", NOW, trace=True)
    plain, _ = convert_csv(path.read_bytes(), path.parent.name, feeds(), b"test", NOW, trace=False)
    assert traced.bundle == plain.bundle
