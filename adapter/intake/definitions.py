"""The network's own definitions (questionnaires; rules and what reports count, as Measures) as shared data: stated once, served
and pushed."""

from __future__ import annotations

from adapter.gaps.measures import measure
from adapter.gaps.rules import open_rules
from adapter.gaps.task import RULES
from adapter.mapping.questionnaires import definitions
from adapter.model import Contribution, Json, Order
from adapter.reports.definitions import open_reports
from adapter.reports.measures import REPORT, published

SOURCE = "network"
"""The source that states them: the feed that all CSV feeds extend, which no file is ever loaded into."""
_ELEMENTS = ("url", "version", "name", "title", "status", "experimental", "subjectType", "date", "publisher", "description",
             "purpose", "copyright", "approvalDate", "lastReviewDate", "effectivePeriod", "code", "item")


def shipped(now_us: int, measures: str) -> list[Contribution]:
    """Every definition that comes with the program; what a newer version of it leaves out is taken back.

    now_us: microseconds since 1970 UTC; the program that was started last counts. measures: base of the Measures' urls.
    """
    order = Order(occurred=now_us, stated=now_us, sequence=0, rank=0, arrival=now_us)
    rules = open_rules()
    return [*(_stated(order, "Questionnaire", one["url"], {name: one.get(name) for name in _ELEMENTS}) for one in definitions()),
            *(_stated(order, "Measure", f"{RULES}|{rule.id}", measure(rules, rule, measures)) for rule in rules.rules.values()),
            *(_stated(order, "Measure", f"{REPORT}|{code}", one) for code, one in published(open_reports(), measures))]


def _stated(order: Order, resource_type: str, key: str, body: Json) -> Contribution:
    """The statement of one definition. key: names it for good, whatever its url."""
    key = f"{SOURCE}|{key}"
    return Contribution(source=SOURCE, resource_type=resource_type, key=key, scope="reference", patient="", kind="snapshot",
                        event="", order=order, body={name: value for name, value in body.items() if name != "resourceType"},
                        message=key, mapping=str(body.get("version") or ""))
