"""The network's own definitions as shared data: stated once, served and pushed like any other resource.

They are its questionnaires, and its gap rules as Measures.
"""

from __future__ import annotations

from adapter.gaps.measures import measures
from adapter.gaps.rules import open_rules
from adapter.mapping.questionnaires import definitions
from adapter.model import Contribution, Json, Order

SOURCE = "network"
"""The source that states them: the feed that all CSV feeds extend, which no file is ever loaded into."""
_ELEMENTS = {
    "Questionnaire": ("url", "version", "name", "title", "status", "experimental", "subjectType", "date", "publisher",
                      "description", "purpose", "copyright", "approvalDate", "lastReviewDate", "effectivePeriod", "code", "item"),
    "Measure": ("url", "version", "name", "title", "status", "subjectCodeableConcept", "description", "purpose", "scoring",
                "type", "improvementNotation", "definition", "guidance", "group"),
}


def shipped(now_us: int) -> list[Contribution]:
    """Every definition that comes with the program; what a newer version of it leaves out is taken back.

    now_us: microseconds since 1970 UTC; the program that was started last counts.
    """
    order = Order(occurred=now_us, stated=now_us, sequence=0, rank=0, arrival=now_us)
    found = [*definitions(), *measures(open_rules())]
    return [Contribution(source=SOURCE, resource_type=one["resourceType"], key=f"{SOURCE}|{one['url']}", scope="reference",
                         patient="", kind="snapshot", event="", order=order, body=_body(one), message=f"{SOURCE}|{one['url']}",
                         mapping=str(one.get("version", ""))) for one in found]


def _body(definition: Json) -> Json:
    return {element: definition.get(element) for element in _ELEMENTS[definition["resourceType"]]}
