"""A row that is mapped by a plan becomes what it becomes the general way, byte for byte, in every feed, whatever came before.

Rows are drawn column by column from what samples and cases hold, from codes of the contract and from texts that mean nothing,
and mapped in one sequence, so that each meets what the rows before it left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.compose.compose import hashed
from adapter.feeds import Feeds, contract_and_options, open_feeds
from adapter.mapping import row_rule
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Mapped, PiecedBody
from adapter.parse.rows import Row, open_csv
from adapter.pipeline import compose_all
from tests.fuzz import examples

ROOT = Path(__file__).parents[2]
ARRIVAL = 1_800_000_000_000_000
KEY = b"test"
ODD = ('""', "x", "0", "2026-02-30", "2026-03-01", "2026-03-01T10:00:00", "2026-03-01T10:00:00Z", "A;B;A", " pad ", "Ö\"\\|^~&",
       "Patient?x|1", "N", "Y", "2000001018", "99999999")
"""Texts that no column asks for: a null, wrong dates, delimiters, what looks like a reference of our own."""


@cache
def feeds() -> Feeds:
    return open_feeds(ROOT / "mappings")


@cache
def known(feed: str) -> dict[str, list[str]]:
    """Column -> texts that samples, cases and the contract hold."""
    contract, options = contract_and_options(feeds().named(feed).feed)
    texts: dict[str, list[str]] = {column: list(contract.codes(column)) for column in contract.columns}
    for path in sorted([*(ROOT / "fixtures/csv").rglob(f"{feed}*.csv"), *(ROOT / f"mappings/{feed}").rglob("*.csv")]):
        for row in open_csv(path.read_bytes(), contract, options).rows():
            if isinstance(row, Row):
                for column, text in row.cells.items():
                    texts.setdefault(column, []).append(text)
    return {column: sorted(set(found)) for column, found in texts.items()}


@st.composite
def rows(draw: st.DrawFn, feed: str) -> list[dict[str, str]]:
    """Rows of a feed, alike in most columns, as those of a file are."""
    columns = {column: st.sampled_from([*texts, *(t for t in ODD if draw(st.integers(0, 9)) == 0), ""])
               for column, texts in known(feed).items()}
    base = {column: draw(texts) for column, texts in columns.items()}
    found: list[dict[str, str]] = []
    for _ in range(draw(st.integers(2, 12))):
        changed = draw(st.lists(st.sampled_from(sorted(columns)), max_size=4))
        row = {**base, **{column: draw(columns[column]) for column in changed}}
        found.append({column: text for column, text in row.items() if text})
    return found


CSV = sorted(name for name, one in feeds().compiled.items() if one.feed.format == "csv")


def mapped(feed: str, said: Sequence[dict[str, str]], *, planned: bool) -> list[Mapped | str]:
    """What each row becomes, or the name of what is raised."""
    found: list[Mapped | str] = []
    for number, cells in enumerate(said, 2):
        try:
            found.append(map_row(cells, number, f"{feed}|f|{number}", feeds().named(feed), ARRIVAL, None, tuple(known(feed)),
                                 planned=planned))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def text(one: Mapped | str) -> bytes:
    """Everything about a row's statements, in their order, the slots in theirs."""
    if isinstance(one, str):
        return one.encode()
    fields = [f for f in Contribution.__dataclass_fields__ if f != "order"]
    return orjson.dumps([[{f: getattr(c, f) for f in fields} | {"order": repr(c.order)} for c in one.contributions],
                         [repr(i) for i in one.issues], one.source, one.identity])


@pytest.mark.parametrize("feed", CSV)
@given(draw=st.data())
@settings(max_examples=examples(15, 40))
def test_planned_rows_are_what_they_are_the_general_way(feed: str, draw: st.DataObject) -> None:
    said = draw.draw(rows(feed))
    assert [*map(text, mapped(feed, said, planned=True))] == [*map(text, mapped(feed, said, planned=False))]


@pytest.mark.parametrize("feed", CSV)
@pytest.mark.parametrize("lean", [True, False])
@given(draw=st.data())
@settings(max_examples=examples(6, 100))
def test_what_planned_rows_compose_is_the_same(feed: str, draw: st.DataObject, lean: bool) -> None:
    said = draw.draw(rows(feed))
    both: list[Any] = []
    for planned in (True, False):
        contributions = [c for one in mapped(feed, said, planned=planned) if isinstance(one, Mapped) for c in one.contributions]
        composed = compose_all(contributions, (), feeds(), KEY, lambda _: set(), lean=lean)
        both.append([(c.resource_type, c.id, c.key, c.person, orjson.dumps(c.body, option=orjson.OPT_SORT_KEYS), hashed(c).hash,
                      sorted(c.references), sorted(map(repr, c.issues)), c.deleted, {} if lean else c.sources) for c in composed])
    for ours, theirs in zip(*both, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a == b, ours[:3]


def test_most_rows_are_planned() -> None:
    """A plan that gave up every row would pass the tests above."""
    for feed in ("contacts", "prairie-contacts", "care_plans", "communications", "goals"):
        path = next(iter(sorted((ROOT / "fixtures/csv").rglob(f"{feed}*.csv"))), None)
        if path is None:
            continue
        file = open_csv(path.read_bytes(), *contract_and_options(feeds().named(feed).feed))
        found = [map_row(row.cells, row.number, "x", feeds().named(feed), ARRIVAL, None, file.binding.header.names)
                 for row in file.rows() if isinstance(row, Row)]
        pieced = [any(isinstance(c.body, PiecedBody) for c in one.contributions) for one in found]
        assert sum(pieced) > len(pieced) / 2, feed


def test_rows_with_findings_are_planned_and_tell_them_at_their_own_number() -> None:
    cells = {"contact_id": "C", "member_id": "M", "organization_id": "O", "contact_type": "video", "outcome": "reached",
             "npi": "1234567890", "started_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T11:00:00Z"}
    for number in (2, 3):
        one = map_row(cells, number, "x", feeds().named("contacts"), ARRIVAL, None, tuple(cells))
        assert [(i.code, i.place) for i in one.issues] == [("bad-value", f"row {number}, npi")]
        assert isinstance(one.contributions[0].body, PiecedBody)


def test_a_rule_that_meets_new_texts_all_the_time_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_rule, "KEPT", 8)
    cells = {"contact_id": "C", "member_id": "M", "organization_id": "O", "contact_type": "video", "outcome": "reached",
             "started_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T11:00:00Z"}
    columns = tuple(cells)
    compiled = open_feeds(ROOT / "mappings").named("contacts")
    for n in range(60):
        row = {**cells, "contact_id": f"C{n}"}
        one = map_row(row, 2, "x", compiled, ARRIVAL, None, columns)
        assert text(one) == text(map_row(row, 2, "x", compiled, ARRIVAL, None, columns, planned=False))
    plan = compiled.memory[columns]
    kept = {rule.row.slot: rule.memory is not None for rule in plan._rules.values()}
    assert not kept["identifier#contact_id"]
    assert kept["class"]


def test_a_rule_that_reads_more_of_one_row_than_of_another_is_kept_by_all_that_it_ever_read() -> None:
    base = {"contact_id": "C", "member_id": "M", "organization_id": "O", "outcome": "reached",
            "started_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T11:00:00Z"}
    compiled = open_feeds(ROOT / "mappings").named("contacts")
    for kind, setting in (("telephone", "hospital"), ("face-to-face", "hospital"), ("face-to-face", "home"),
                          ("telephone", "home"), ("face-to-face", "hospital")):
        row = {**base, "contact_type": kind, "setting": setting}
        columns = tuple(row)
        one = map_row(row, 2, "x", compiled, ARRIVAL, None, columns)
        assert text(one) == text(map_row(row, 2, "x", compiled, ARRIVAL, None, columns, planned=False))
