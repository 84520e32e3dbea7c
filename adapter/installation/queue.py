"""What waits or stopped, in the hands of operators: every act is one transaction, with who, when, what and why in the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.installation.installation import Installation, instant
from adapter.intake.accept import take
from adapter.intake.decisions import Handling, entry_of_decision
from adapter.intake.stored_rows import StoredRows
from adapter.model import Issue, Received
from adapter.store import findings as noticed
from adapter.store import handling, journal
from adapter.store.handling import FROM, FROM_OUT, Act
from adapter.store.journal import Entry

_STATE = {"hold": "held", "release": "waiting", "retry": "waiting", "drop": "dropped"}
_CODE = "entry-state"
_TEST = "test"
"""State of a message that says it is a test, and that its feed makes nothing of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What an operator named. out: (type, id), with the states of its outbox rows."""

    entries: Sequence[Entry]
    out: dict[tuple[str, str], str]

    def states(self) -> dict[str, str]:
        return {**{str(e.id): e.state for e in self.entries}, **{f"{t}/{i}": state for (t, i), state in self.out.items()}}


class Queue:
    """Holds, releases, tries again, drops and sends again."""

    def __init__(self, here: Installation) -> None:
        self._here = here

    def act(self, act: Act, subjects: Sequence[str], by: str, reason: str, *, whole: bool = True) -> int:
        """Hold, release, retry or drop entries (by number) and resources on their way out (`Type/id`); how many.

        All or nothing; with whole=False a message that would be refused still is left as it is. Raises Rejected: unknown-entry,
        entry-state, or why a message that was refused is refused still.
        """
        here, tests = self._here, set[int]()
        with here.composing() as connection:
            found = _find(connection, subjects)
            _check(found, act)
            if act == "retry":
                again = {one.id: self._retried(connection, one, must=whole) for one in found.entries}
                found = replace(found, entries=[one for one in found.entries if again[one.id]])
                tests = {number for number, state in again.items() if state == _TEST}
            if not found.states():
                return 0
            self._journal(connection, Handling(does=act, by=by, reason=reason, subjects=found.states()))
            handling.move(connection, [e.id for e in found.entries if e.id not in tests], _STATE[act])
            if act == "drop":
                handling.drop_out(connection, found.out)
            else:
                handling.move_out(connection, found.out, _STATE[act], here.now_us())
        return len(found.entries) + len(found.out)

    def resubmit(self, number: int, raw: bytes, by: str, reason: str) -> int:
        """Send an entry again as somebody edited it; the number of the new entry. The original stays as it came, `replaced`.

        raw: the message, or the row without a header. Raises Rejected: unknown-entry, entry-state, and as on arrival.
        """
        here = self._here
        with here.composing() as connection:
            found = _find(connection, [str(number)])
            _check(found, "resubmit")
            new = self._edited(connection, found.entries[0], raw)
            if journal.known(connection, [new.identity]):
                raise Rejected(_CODE, str(number), "these very bytes were journalled before: retry, or edit them")
            journal.append(connection, [new])
            [stored] = journal.named(connection, [new.identity])
            handling.move(connection, [number], "replaced")
            self._journal(connection, Handling(does="resubmit", by=by, reason=reason, subjects=found.states(), became=stored.id))
        return stored.id

    def _edited(self, connection: Connection, one: Entry, raw: bytes) -> Entry:
        origin = f"resubmitted {one.id}"
        if one.kind == "hl7v2":
            arrival = instant(self._here.arrivals.take(1)[0])
            new = take(Received(raw=raw, arrival=arrival, feed=one.feed or None, origin=origin), self._here.feeds).entry
            if new.state == "refused":
                raise Rejected(new.issues[0].code, new.issues[0].place, new.issues[0].detail, new.issues)
            return new
        if one.kind != "csv" or one.control_id == "0":
            raise Rejected(_CODE, str(one.id), "only messages and rows are sent again")
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        mark = hashlib.sha256(line).hexdigest()[:16]
        new = replace(one, id=0, identity=f"{one.identity}|{mark}", raw=line, state="waiting", origin=origin, attempts=0)
        StoredRows(connection, [new], self._here.feeds).mapped(new)
        return new

    def _retried(self, connection: Connection, one: Entry, *, must: bool) -> str:
        """Make an entry ready to be tried again, a message that was refused is read again; the state it goes to, '' where
        it would be refused still.

        Raises Rejected there, naming the entry, if it must go.
        """
        issue, new = self._read_again(one)
        if issue is not None and must:
            raise Rejected(issue.code, f"{one.id}, {issue.place}" if issue.place else str(one.id), issue.detail)
        if issue is None:
            handling.forget_findings(connection, one)
        if issue is None and new is not None:
            handling.move(connection, [one.id], "refused")
            journal.retry_refused(connection, [replace(new, identity=one.identity)])
            noticed.add(connection, [(one.id, "", noted) for noted in new.issues])
        return "" if issue is not None else new.state if new is not None else _STATE["retry"]

    def _read_again(self, one: Entry) -> tuple[Issue | None, Entry | None]:
        """Why an entry cannot be tried again, if so, and what a message that was refused is now."""
        if one.lost:
            return Issue(code=one.lost, place=""), None
        if one.kind != "hl7v2" or one.state not in {"refused", "dropped"}:
            return None, None
        received = Received(raw=one.raw, arrival=instant(one.arrival), feed=one.feed or None, origin=one.origin)
        new = take(received, self._here.feeds).entry
        return (new.issues[0], None) if new.state == "refused" else (None, new)

    def _journal(self, connection: Connection, done: Handling) -> None:
        journal.append(connection, [entry_of_decision(done, self._here.arrivals.take(1)[0])])


def _find(connection: Connection, subjects: Sequence[str]) -> _Found:
    """What is named so. Raises Rejected (unknown-entry)."""
    entries: dict[int, Entry] = {}
    out: dict[tuple[str, str], str] = {}
    for name in subjects:
        resource_type, slash, resource_id = name.partition("/")
        if name.isdecimal() and (one := handling.entry(connection, int(name))):
            entries[one.id] = one
        elif slash and (rows := handling.leaving(connection, resource_type, resource_id)):
            out[resource_type, resource_id] = " ".join(row.state for row in rows)
        else:
            raise Rejected("unknown-entry", name)
    return _Found(entries=list(entries.values()), out=out)


def _check(found: _Found, act: Act) -> None:
    """That the act leads somewhere from each state. Raises Rejected (entry-state)."""
    allowed = {**{str(e.id): FROM[act] for e in found.entries}, **{f"{t}/{i}": FROM_OUT[act] for t, i in found.out}}
    for name, state in found.states().items():
        if not set(state.split()) & set(allowed[name]):
            raise Rejected(_CODE, name, f"it is {state}; {act} is for {', '.join(allowed[name]) or 'messages and rows'}")
