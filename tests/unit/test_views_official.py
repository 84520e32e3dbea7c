"""The official SQL on FHIR v2 tests (134) against our evaluator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Defect
from adapter.gaps.views import compile_view

SHARED = Path(os.environ.get("CARELOOP_SHARED", Path(__file__).parents[3] / "shared"))
TESTS = SHARED / "sql-on-fhir" / "tests"
OFFICIAL = 134


def _cases() -> list[tuple[str, Any, Any]]:
    suites = [(path.stem, json.loads(path.read_text())) for path in sorted(TESTS.glob("*.json"))]
    return [(stem, suite["resources"], test) for stem, suite in suites for test in suite["tests"]]


def _answer(resources: list[Any], definition: Any) -> list[dict[str, Any]]:
    view = compile_view(definition)
    names = [column.name for column in view.columns]
    return [dict(zip(names, row, strict=True)) for resource in resources for row in view.rows(resource)]


def _passes(resources: list[Any], test: Any) -> bool:
    try:
        rows = _answer(resources, test["view"])
    except Defect:
        return "expectError" in test
    if "expectError" in test:
        return False
    if "expectColumns" in test and [c.name for c in compile_view(test["view"]).columns] != test["expectColumns"]:
        return False
    canonical = [sorted(json.dumps(row, sort_keys=True) for row in side) for side in (rows, test["expect"])]
    return canonical[0] == canonical[1]


@pytest.mark.shared
def test_all_official_tests_pass():
    cases = _cases()
    failed = {(stem, test["title"]) for stem, resources, test in cases if not _passes(resources, test)}
    assert len(cases) == OFFICIAL
    assert failed == set()
