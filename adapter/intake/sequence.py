"""Sequence numbers: MSH-13 of a sender's messages rises by one, and each acknowledgement says in MSA-4 which comes next.

Source: HL7 v2 chapter 2, section 2.10.1 (sequence number protocol).
"""

from __future__ import annotations

from sqlalchemy import Connection

from adapter.model import Issue
from adapter.store import journal

ANY = -1
"""MSA-4 where no number is expected: the next one that is taken begins the sequence."""


class Sequences:
    """The numbers of senders inside one transaction of intake. Each sender (`feed|MSH-3|MSH-4`) has its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expected: dict[str, int] = {}

    def expected(self, sender: str) -> int:
        """The number that comes next, ANY where the sender has none yet."""
        if sender not in self._expected:
            self._expected[sender] = int(journal.locked_cursor(self._connection, _name(sender)) or ANY)
        return self._expected[sender]

    def fault(self, sender: str, number: int | None, *, counted: bool) -> Issue | None:
        """Why a message with this number is not taken. counted: it was journalled before, so its number may be an old one."""
        expected = self.expected(sender)
        if number is None or number <= 0:
            return Issue(code="sequence-number", place="MSH-13", detail=f"no number; expected {max(expected, 1)}")
        if expected in (ANY, number) or (counted and number < expected):
            return None
        return Issue(code="sequence-number", place="MSH-13", detail=f"{number} came, expected {expected}")

    def take(self, sender: str, number: int) -> None:
        """A message with this number is kept."""
        if number >= self.expected(sender):
            self._set(sender, number + 1)

    def restart(self, sender: str) -> None:
        """Forget what is expected: the next message begins anew."""
        self._set(sender, ANY)

    def _set(self, sender: str, expected: int) -> None:
        self._expected[sender] = expected
        journal.set_cursor(self._connection, _name(sender), str(expected))


def _name(sender: str) -> str:
    return f"sequence:{sender}"
