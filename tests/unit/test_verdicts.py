"""What came of one resource of pieces is known of the next: where that is not enough, the next is looked at by itself."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adapter.feeds import Feeds
from adapter.model import Composed, Contribution, Json, Order, Piece, PiecedBody
from adapter.pipeline import compose_all

NO_FEEDS = Feeds(compiled={})
GOOD: Json = {"status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
              "type#a": [{"text": "visit"}], "subject": {"reference": "Patient?urn:x|1"}, "period.start": "2026-03-01T10:00:00Z",
              "period.end": "2026-03-01T11:00:00Z", "identifier#a": [{"system": "urn:x:visit", "value": "1"}]}
OTHERS: list[tuple[str, Any]] = [
    ("status", "finished"), ("status", "nonsense"), ("period.end", "2026-03-01T09:00:00Z"), ("period.end", "2026-03-02"),
    ("period.end", "no date"), ("identifier#a", [{"system": "urn:x:visit", "value": "2"}]),
    ("identifier#a", [{"system": "urn:x:visit", "value": " "}]), ("identifier#a", [{"system": "relative", "value": "1"}]),
    ("type#a", [{"text": ""}]), ("type#a", [{"text": "call"}]), ("class", {"code": "x"}),
    ("subject", {"reference": "Group?urn:x|1"}), ("type#a", [])]


def said(number: int, body: Json, *, pieced: bool, resource_type: str = "Encounter") -> Contribution:
    pieces = [Piece(slot, value) for slot, value in body.items()]
    made = PiecedBody(pieces, tuple(body), dict.fromkeys(body)) if pieced else body
    order = Order(occurred=1, stated=1, sequence=0, rank=0, arrival=number)
    return Contribution(source="s", resource_type=resource_type, key=f"urn:x:visit|{number}", scope="own", patient="urn:x|1",
                        kind="snapshot", event="", order=order, body=made, message=f"m{number}", mapping="1")


def composed(bodies: list[Json], *, pieced: bool) -> list[Any]:
    found: list[Composed] = []
    for number, body in enumerate(bodies):  # one by one, so that each meets what is known of those before
        found += compose_all([said(number, body, pieced=pieced)], (), NO_FEEDS, b"key", lambda names: names, lean=True)
    return [(c.id, orjson.dumps(c.body, option=orjson.OPT_SORT_KEYS), sorted(map(repr, c.issues)), c.deleted) for c in found]


@pytest.mark.parametrize(("slot", "value"), OTHERS)
def test_a_resource_after_a_good_one_fares_as_it_does_alone(slot: str, value: Any) -> None:
    bodies = [GOOD, {**GOOD, slot: value}, GOOD]
    assert composed(bodies, pieced=True) == composed(bodies, pieced=False)


def in_a_store(bodies: list[Json], resource_type: str, *, pieced: bool) -> list[Any]:
    """With who said what; what the third and those after it refer to does not stand."""
    found: list[Composed] = []
    for number, body in enumerate(bodies):
        found += compose_all([said(number, body, pieced=pieced, resource_type=resource_type)], (), NO_FEEDS, b"key",
                             lambda names, stands=number < 2: names if stands else set())
    return [(c.id, c.hash, orjson.dumps(c.body, option=orjson.OPT_SORT_KEYS), c.sources, list(map(repr, c.issues)), c.deleted)
            for c in found]


@pytest.mark.parametrize(("slot", "value"), OTHERS)
def test_where_a_reference_is_taken_out_it_is_looked_at_again(slot: str, value: Any) -> None:
    bodies = [GOOD, {**GOOD, slot: value}, GOOD, {**GOOD, slot: value}]
    assert in_a_store(bodies, "Encounter", pieced=True) == in_a_store(bodies, "Encounter", pieced=False)


def test_what_claiming_tells_is_told_once() -> None:
    """A Condition without a category claims no profile: also where its encounter is taken out, that is told once."""
    bodies: list[Json] = [{"code": {"text": "made up"}, "encounter": {"reference": "Encounter?urn:x:visit|9"}}] * 3
    pieced = in_a_store(bodies, "Condition", pieced=True)
    assert pieced == in_a_store(bodies, "Condition", pieced=False)
    assert [len(issues) for *_, issues, _ in pieced] == [1, 1, 2]
