"""A member's gaps in words for the page, most pressing first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter.gaps.engine import Gap
from adapter.gaps.present import as_rows
from adapter.gaps.rules import Rules

_PRESSING = {"urgent": 0, "soon": 1, "routine": 2}
_STATES = ("open", "prospective", "missed", "closed", "withheld", "not-applicable")


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow:
    """One gap as it is read. member: the name of the member, or of the organization that it is about. about: names.

    said: row of present.py. due: UTC. evidence: (reference, name).
    """

    member: str
    about: str
    said: Mapping[str, str]
    due: datetime | None
    responsible: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]


def ordered(gaps: Sequence[Gap], rules: Rules) -> list[Gap]:
    """The gaps, open ones first, then by urgency and due date."""
    return sorted(gaps, key=lambda gap: _weight(gap, rules))


def rows(gaps: Sequence[Gap], rules: Rules, names: Mapping[str, str]) -> list[GapRow]:
    """The gaps in words, in the order given. names: `Type/id` to what it is called."""
    return [_row(gap, said, names) for gap, said in zip(gaps, as_rows(gaps, {}, rules), strict=True)]


def _weight(gap: Gap, rules: Rules) -> tuple[int, int, float, str]:
    return (_STATES.index(gap.state), _PRESSING[rules.named(gap.rule).urgency],
            gap.due.timestamp() if gap.due else float("inf"), gap.rule)


def _row(gap: Gap, said: Mapping[str, str], names: Mapping[str, str]) -> GapRow:
    responsible = (names.get(f"Organization/{gap.responsible_org}", ""), names.get(gap.responsible_party, ""))
    subject = f"Patient/{gap.member_id}" if gap.member_id else f"Organization/{gap.organization_id}"
    return GapRow(member=names.get(subject, "no name"), about=_about(gap, names), said=said,
                  due=gap.due, responsible=tuple(name for name in responsible if name),
                  evidence=tuple((one, names.get(one) or one.partition("/")[0]) for one in gap.evidence))


def _about(gap: Gap, names: Mapping[str, str]) -> str:
    """The gap's item in words: what it is about, or the pair of organizations."""
    step = gap.item.partition("#")[2]
    return " to ".join(names.get(one) or one.partition("/")[0] for one in _items(gap)) + (f": {step}" if step else "")


def _items(gap: Gap) -> list[str]:
    """The references in a gap's item: `Type/id`, or organization ids as `id>id`; a step of it, `#step`, apart."""
    item = gap.item.partition("#")[0]
    if "/" in item:
        return [item]
    return [f"Organization/{one}" for one in item.split(">") if one]


def references(gaps: Sequence[Gap]) -> list[str]:
    """What the gaps point at, `Type/id`, each once."""
    found: dict[str, None] = {}
    for gap in gaps:
        found[f"Organization/{gap.organization_id}"] = None
        found |= dict.fromkeys((*gap.evidence, *_items(gap), gap.responsible_party))
        found[f"Organization/{gap.responsible_org}"] = None
    return [reference for reference in found if reference.count("/") == 1 and not reference.endswith("/")]
