"""What was noticed, of journal entries and of composed resources. All SQL of this subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select

from adapter.errors import kind_of
from adapter.model import Issue
from adapter.store.contributions import chunks
from adapter.store.engine import among, insert_rows
from adapter.store.schema import FINDING


def add(connection: Connection, findings: Sequence[tuple[int, str, Issue]]) -> None:
    """Store findings: (journal id or 0, `Type/id` or '', issue)."""
    insert_rows(connection, FINDING, ("journal", "subject", "code", "severity", "place", "detail"), [
        (journal, subject, i.code, kind_of(i).severity, i.place, i.detail) for journal, subject, i in findings])


def replace(connection: Connection, subjects: Sequence[str], findings: Sequence[tuple[int, str, Issue]]) -> None:
    """The findings about some resources, in place of those of before; what is found again stays the finding that it was."""
    new = Counter((subject, issue.code, issue.place, issue.detail) for _, subject, issue in findings)
    over: list[int] = []
    query = select(FINDING.c.id, FINDING.c.subject, FINDING.c.code, FINDING.c.place, FINDING.c.detail)
    for row in connection.execute(query.where(among(connection, FINDING.c.subject, subjects))).all():
        told = tuple(row[1:])
        if new[told]:
            new[told] -= 1
        else:
            over.append(row.id)
    for chunk in chunks(over, 500):
        connection.execute(delete(FINDING).where(FINDING.c.id.in_(chunk)))
    add(connection, [(n, subject, issue) for n, subject, issue in findings
                              if _taken(new, (subject, issue.code, issue.place, issue.detail))])


def _taken(counts: Counter[tuple[str, ...]], one: tuple[str, ...]) -> bool:
    """Whether one of these is left; it is less one then."""
    counts[one] -= 1
    return counts[one] >= 0


def wanting(connection: Connection, names: Collection[str]) -> set[str]:
    """Resources (`Type/id`) from which a reference to one of these was taken out because it did not stand yet."""
    query = select(FINDING.c.subject).where(FINDING.c.code == "fhir-reference", among(connection, FINDING.c.detail, names))
    return set(connection.scalars(query)) if names else set()
