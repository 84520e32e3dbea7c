"""Every CSV in fixtures/ gives what fixtures/README.md says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapter.errors import Rejected
from adapter.parse.rows import Row, RowError, open_csv
from adapter.parse.rows_contract import load_contract

FIXTURES = Path(__file__).parents[2] / "fixtures"
README = (FIXTURES / "README.md").read_text(encoding="utf-8")
TOLD = re.findall(r"^\| (\S+\.csv) \| .+? \| (\d+) \| (.+?) \|$", README, re.M)
GOOD = sorted(p for p in FIXTURES.glob("csv/*/*.csv") if p.parent.name != "defects")


def test_every_file_is_told() -> None:
    assert sorted(name for name, _, _ in TOLD) == sorted(p.name for p in FIXTURES.glob("csv/defects/*.csv"))


@pytest.mark.parametrize(("name", "rows", "expected"), TOLD)
def test_defects(name: str, rows: str, expected: str) -> None:
    assert outcome((FIXTURES / "csv" / "defects" / name).read_bytes()) == (expected, int(rows))


def outcome(content: bytes) -> tuple[str, int]:
    """The refusal, or the findings with their places; and how many rows come through."""
    try:
        file = open_csv(content, load_contract("contacts"))
    except Rejected as refused:
        return refused.issue.code, 0
    found = list(file.rows())
    issues = [*file.issues, *(issue for row in found if isinstance(row, RowError) for issue in row.issues)]
    return "; ".join(f"{i.place}: {i.code}" for i in issues) or "-", sum(isinstance(row, Row) for row in found)


def test_each_contract_has_a_sample() -> None:
    contracts = {p.stem for p in (FIXTURES.parent / "profiles" / "csv").glob("*.json")}
    assert {p.parent.name for p in GOOD} == contracts


@pytest.mark.parametrize("path", GOOD, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_good_files_fit_their_contract(path: Path) -> None:
    contract = load_contract(path.parent.name)
    file = open_csv(path.read_bytes(), contract)
    assert file.header == tuple(contract.columns)
    assert [row for row in file.rows() if isinstance(row, RowError)] == []
