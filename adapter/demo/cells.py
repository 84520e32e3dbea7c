"""A row of a feed in the contract's own order of columns."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.parse.rows_contract import load_contract


def cells(feed: str, *parts: Mapping[str, str]) -> dict[str, str]:
    """Every column of the feed's contract with what the parts say, '' where they say nothing."""
    said = {column: text for part in parts for column, text in part.items()}
    columns = load_contract(feed).columns
    assert said.keys() <= columns.keys(), said.keys() - columns.keys()
    return {column: said.get(column, "") for column in columns}
