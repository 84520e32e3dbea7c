"""Gaps out of our own store, of one member or of all, and of organizations: every rule is one SELECT over the view tables.

The as-of instant is a valid time: what was so then, by what is known now. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from adapter.errors import Defect, Rejected
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.instants import EPOCH_DAY
from adapter.gaps.member import rows_of
from adapter.gaps.organizations import Known
from adapter.gaps.rules import Reason, Rule, Rules, State, open_rules
from adapter.gaps.statement import Dialect, Target, compile_rule
from adapter.gaps.tables import PREFIX

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIALECTS: dict[str, Dialect] = {"sqlite": "sqlite", "postgresql": "postgres"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One rule's answer about one member or one organization, and one item where the rule is about several.

    member_id: '' where the rule is about organizations; organization_id: '' where it is about members.
    item: what it is about (`Type/id`, or a pair of organization ids), '' for the subject as such. verdict: code of the
    rule's file; reason: None unless open or missed. due: UTC. evidence: references found, `Type/id`.
    responsible_org: Organization id or ''; responsible_party: a reference or ''.
    """

    rule: str
    member_id: str = ""
    organization_id: str = ""
    item: str = ""
    state: State
    reason: Reason | None = None
    verdict: str = ""
    due: datetime | None = None
    evidence: tuple[str, ...] = ()
    responsible_org: str = ""
    responsible_party: str = ""


def evaluate(connection: Connection, *, now: datetime, member: str | None = None, organization: str | None = None,
             rule: str | None = None, states: Collection[State] | None = None, denied: Collection[str] = (),
             rules: Rules | None = None, catalog: Catalog | None = None) -> list[Gap]:
    """The gaps as of `now` (with a zone), ordered by subject (organizations first), rule and item.

    member: a Patient id, and then no gaps of organizations; organization: Organization id that must be responsible;
    rule: its id; states: only these. denied: classes of data that the asker may not see; a rule that reads one answers
    `withheld` for every subject alike. Raises Rejected (unknown-rule, outside-calendar).
    """
    rules, catalog = rules or open_rules(), catalog or open_catalog()
    chosen = [rules.named(rule)] if rule else list(rules.rules.values())
    binds: dict[str, Any] = {**instants(catalog, now), "member": member, "organization": organization}
    wanted = None if states is None else frozenset(states)
    desk = member is not None and connection.dialect.name == "sqlite"
    target = Target(dialect=_DIALECTS[connection.dialect.name], one_member=member is not None, states=wanted,
                    one_organization=organization is not None, shared_stored=desk)
    gaps: list[Gap] = []
    asked: list[tuple[Rule, str]] = []
    for one in chosen:
        if member is not None and one.subject != "member":
            continue
        if set(denied) & set(one.data_classes):
            gaps += _withheld(connection, one, member) if wanted is None or "withheld" in wanted else []
            continue
        asked += [(one, statement) for statement in statements(rules, catalog, one, target)]
    if desk:
        found = rows_of(connection, rules, catalog, asked, binds)
    else:
        found = _rows(connection, asked, binds, everybody=member is None)
    for one, rows in found:
        gaps += gaps_of(one, rows)
    return in_order(gaps)


def _rows(connection: Connection, asked: Sequence[tuple[Rule, str]], binds: dict[str, Any],
          everybody: bool) -> Iterator[tuple[Rule, Iterable[Any]]]:
    with _planned(connection, everybody):
        for rule, statement in asked:
            yield rule, connection.exec_driver_sql(statement, binds)


@lru_cache(maxsize=512)
def statements(rules: Rules, catalog: Catalog, rule: Rule, target: Target) -> tuple[str, ...]:
    """The SQL of a rule: one statement, and one more for each program that sets parameters of it."""
    return tuple(compile_rule(rules, catalog, rule, replace(target, program=number))
                 for number in range(len(rules.programs_of(rule)) + 1))


def instants(catalog: Catalog, now: datetime) -> dict[str, int]:
    """What `:now` and `:today` stand for. Raises Rejected (outside-calendar)."""
    today = now.astimezone(ZoneInfo(catalog.zone)).date()
    if not catalog.calendar.first <= today <= catalog.calendar.last:
        raise Rejected("outside-calendar", str(today))
    return {"now": int((now - _EPOCH) // timedelta(seconds=1)), "today": today.toordinal() - EPOCH_DAY}


def in_order(gaps: list[Gap]) -> list[Gap]:
    """The gaps by subject, rule and item."""
    return sorted(gaps, key=lambda gap: (gap.member_id, gap.organization_id, gap.rule, gap.item))


@contextmanager
def _planned(connection: Connection, everybody: bool) -> Generator[None]:
    """PostgreSQL takes joins on member and resource for independent, expects a row and loops: not over everybody.

    Without loops it thinks statements dear enough to compile them first, which takes a thousand times as long as they do.
    """
    if not everybody or connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql("SET LOCAL enable_nestloop = off; SET LOCAL jit = off")
    yield
    connection.exec_driver_sql("SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL jit TO DEFAULT")


def find_member(connection: Connection, text: str) -> str:
    """The id of the main Patient whom a Patient id, `system|value`, or any of their numbers names.

    Raises Rejected (unknown-member): nobody, or more than one person.
    """
    system, bar, value = text.rpartition("|")
    found = _ids(connection, "SELECT resource_id FROM {}member WHERE resource_id = :text", text=text)
    if not found:
        condition = " AND system = :system" if bar else ""
        found = _ids(connection, "SELECT DISTINCT resource_id FROM {}member_identifier WHERE value = :text" + condition,
                     text=value, system=system)
    if len(found) != 1:
        raise Rejected("unknown-member", detail="" if not found else "the number names several persons")
    return found[0]


def organizations(connection: Connection) -> list[Known]:
    """The Organizations that stand, by what they are called."""
    return [tuple(row) for row in connection.exec_driver_sql(f"SELECT resource_id, number, name FROM {PREFIX}organization")]


def _ids(connection: Connection, statement: str, **binds: str) -> list[str]:
    text = statement.format(PREFIX)
    if connection.dialect.name == "postgresql":
        for name in binds:
            text = text.replace(f":{name}", f"%({name})s")
    return [row[0] for row in connection.exec_driver_sql(text, binds)]


def _withheld(connection: Connection, rule: Rule, member: str | None) -> list[Gap]:
    table = "member" if rule.subject == "member" else "organization"
    subjects = [member] if member is not None else _ids(connection, f"SELECT resource_id FROM {{}}{table}")
    return [_hidden(rule, one) for one in subjects]


def _hidden(rule: Rule, subject: str) -> Gap:
    if rule.subject == "member":
        return Gap(rule=rule.id, member_id=subject, state="withheld")
    return Gap(rule=rule.id, organization_id=subject, state="withheld")


def gaps_of(rule: Rule, rows: Iterable[Any]) -> list[Gap]:
    """The gaps that a rule's rows tell of. Raises Defect (rule-invalid): a verdict that its file does not declare."""
    gaps: list[Gap] = []
    about_member = rule.subject == "member"
    for subject, item, code, due, evidence, organization, party in rows:
        if code == "withheld":
            gaps.append(_hidden(rule, subject))
            continue
        if code not in rule.verdicts:
            raise Defect("rule-invalid", f"{rule.id}.yaml, verdicts", f"verdict `{code}` is not declared")
        verdict = rule.verdicts[code]
        gaps.append(Gap(
            rule=rule.id, member_id=subject if about_member else "", organization_id="" if about_member else subject,
            item=item, state=verdict.state, reason=verdict.reason, verdict=code,
            due=None if due is None else _EPOCH + timedelta(seconds=due), evidence=tuple(sorted(set(evidence.split()))),
            responsible_org=organization or "", responsible_party=party or ""))
    return gaps
