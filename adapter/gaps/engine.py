"""Gaps out of our own store, of one member or of all: every rule is one SELECT over the view tables (tables.py).

The as-of instant is a valid time: what was so then, by what is known now. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.errors import Defect, Rejected
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.rules import Reason, Rule, Rules, State, open_rules
from adapter.gaps.statement import Dialect, Target, compile_rule
from adapter.gaps.tables import PREFIX

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIALECTS: dict[str, Dialect] = {"sqlite": "sqlite", "postgresql": "postgres"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One rule's answer about one member, and one item where the rule is about several.

    item: what it is about (`Type/id`, or a pair of organization ids), '' for the member as such. verdict: code of the
    rule's file; reason: None unless open or missed. due: UTC. evidence: references found, `Type/id`.
    responsible_org: Organization id or ''; responsible_party: a reference or ''.
    """

    rule: str
    member_id: str
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
    """The gaps as of `now` (with a zone), ordered by member, rule and item.

    member: a Patient id; organization: Organization id that must be responsible; rule: its id; states: only these.
    denied: classes of data that the asker may not see; a rule that reads one answers `withheld` for every member alike.
    Raises Rejected (unknown-rule).
    """
    rules, catalog = rules or open_rules(), catalog or open_catalog()
    chosen = [rules.named(rule)] if rule else list(rules.rules.values())
    binds: dict[str, Any] = {"now": _seconds(now), "member": member, "organization": organization}
    wanted = None if states is None else frozenset(states)
    target = Target(dialect=_DIALECTS[connection.dialect.name], one_member=member is not None, states=wanted,
                    one_organization=organization is not None)
    gaps: list[Gap] = []
    with _planned(connection, everybody=member is None):
        for one in chosen:
            if not set(denied) & set(one.data_classes):
                gaps += _gaps(one, connection.exec_driver_sql(compile_rule(rules, catalog, one, target), binds))
            elif wanted is None or "withheld" in wanted:
                gaps += _withheld(connection, one, member)
    return sorted(gaps, key=lambda gap: (gap.member_id, gap.rule, gap.item))


@contextmanager
def _planned(connection: Connection, everybody: bool) -> Generator[None]:
    """PostgreSQL takes joins on member and resource for independent, expects a row and loops: not over everybody."""
    if not everybody or connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
    yield
    connection.exec_driver_sql("SET LOCAL enable_nestloop TO DEFAULT")


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


def find_organization(connection: Connection, text: str) -> str:
    """The id of the Organization that its id, or its id in the network, names. Raises Rejected."""
    statement = "SELECT resource_id FROM {}organization WHERE resource_id = :text OR number = :text"
    found = _ids(connection, statement, text=text)
    if len(found) != 1:
        raise Rejected("unknown-organization", text)
    return found[0]


def organization_names(connection: Connection) -> dict[str, str]:
    """Organization id to name, for pages and tables; the id where it has none."""
    rows = connection.exec_driver_sql(f"SELECT resource_id, name FROM {PREFIX}organization")
    return {row[0]: row[1] or row[0] for row in rows}


def _ids(connection: Connection, statement: str, **binds: str) -> list[str]:
    text = statement.format(PREFIX)
    if connection.dialect.name == "postgresql":
        for name in binds:
            text = text.replace(f":{name}", f"%({name})s")
    return [row[0] for row in connection.exec_driver_sql(text, binds)]


def _withheld(connection: Connection, rule: Rule, member: str | None) -> list[Gap]:
    members = [member] if member is not None else _ids(connection, "SELECT resource_id FROM {}member")
    return [Gap(rule=rule.id, member_id=one, state="withheld") for one in members]


def _gaps(rule: Rule, rows: Iterable[Any]) -> list[Gap]:
    gaps: list[Gap] = []
    for member_id, item, code, due, evidence, organization, party in rows:
        if code not in rule.verdicts:
            raise Defect("rule-invalid", f"{rule.id}.yaml, verdicts", f"verdict `{code}` is not declared")
        verdict = rule.verdicts[code]
        gaps.append(Gap(
            rule=rule.id, member_id=member_id, item=item, state=verdict.state, reason=verdict.reason, verdict=code,
            due=None if due is None else _EPOCH + timedelta(seconds=due), evidence=tuple(sorted(set(evidence.split()))),
            responsible_org=organization or "", responsible_party=party or ""))
    return gaps


def _seconds(moment: datetime) -> int:
    return int((moment - _EPOCH) // timedelta(seconds=1))
