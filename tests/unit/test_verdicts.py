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


def said(number: int, body: Json, *, pieced: bool) -> Contribution:
    pieces = [Piece(slot, value) for slot, value in body.items()]
    made = PiecedBody(pieces, tuple(body), dict.fromkeys(body)) if pieced else body
    order = Order(occurred=1, stated=1, sequence=0, rank=0, arrival=number)
    return Contribution(source="s", resource_type="Encounter", key=f"urn:x:visit|{number}", scope="own", patient="urn:x|1",
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
