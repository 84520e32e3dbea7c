"""Group commit: the frames of all connections queue, and one task hands what waits to `accept`, in a thread.

One commit serves many messages, and the next batch gathers meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from adapter.errors import Defect, Rejected, Unavailable
from adapter.intake.arrived import Arrived
from adapter.intake.connection import Connection, Slot
from adapter.intake.limits import Limits
from adapter.logs import log
from adapter.model import Issue

Accept = Callable[[list[Arrived]], list[bytes]]
"""Messages to acknowledgements: all committed, or an exception and none. b'' for a message that wants no answer."""
Look = Callable[[Arrived], Arrived]
"""What can be seen of a message at once, while others are committed."""
Refuse = Callable[[Arrived, Issue], bytes | None]
"""The acknowledgement of a message that was not accepted; None to close the connection without one."""
Waiting = tuple[Slot, Arrived]
_LOG = log("mllp")
_TOGETHER = 256 * 1024
"""Bytes of messages in one `accept`, and the last of them: the others wait while much is read."""
_SMALL = 65536
"""Bytes of a message that is looked at as it comes."""


class Committer:
    """Calls `accept`, never twice at once, and gives each slot its answer. release: told the bytes of answered messages."""

    def __init__(self, accept: Accept, refuse: Refuse, limits: Limits, release: Callable[[int], None], look: Look) -> None:
        self._accept = accept
        self._look = look
        self._refuse = refuse
        self._limits = limits
        self._release = release
        self._waiting: dict[Connection, deque[Waiting]] = {}
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mllp-accept")

    def add(self, slot: Slot, message: Arrived) -> None:
        """A message that waits to be accepted. Large ones are not looked at before: others would wait for that."""
        if len(message.raw) <= _SMALL:
            with suppress(Exception):  # `accept` comes upon it again, and tells
                message = self._look(message)
        self._waiting.setdefault(slot.connection, deque()).append((slot, message))
        self._work.set()

    async def run(self) -> None:
        """Accept what comes, until cancelled."""
        while True:
            await self._work.wait()
            batch = self._batch()
            if not batch:
                self._work.clear()
                continue
            messages = [message for _, message in batch]
            for (slot, message), ack in zip(batch, await self._answers(messages), strict=True):
                slot.ack, slot.closes = ack or b"", ack is None
                self._release(len(message.raw))
            for connection in {slot.connection for slot, _ in batch}:
                connection.flush()

    async def close(self) -> None:
        """Wait for the batch at hand."""
        await asyncio.to_thread(self._thread.shutdown)

    def _batch(self) -> list[Waiting]:
        """What is accepted together, up to `batch` messages and a large one: one of each connection in turn, so that
        whoever sends thousands at once waits himself."""
        batch: list[Waiting] = []
        size = 0
        while self._waiting and len(batch) < self._limits.batch and size <= _TOGETHER:
            connection = next(iter(self._waiting))
            waiting = self._waiting.pop(connection)
            batch.append(waiting.popleft())
            if waiting:
                self._waiting[connection] = waiting
            size += len(batch[-1][1].raw)
        return batch

    async def _answers(self, messages: list[Arrived]) -> list[bytes | None]:
        """The acknowledgements; where `accept` fails on several and its surroundings are not to blame, one by one."""
        try:
            acks = await asyncio.get_running_loop().run_in_executor(self._thread, self._accept, messages)
            if len(acks) == len(messages):
                return [*acks]
            issue = Issue(code="defect", place="", detail="not each message was answered")
            _LOG.error("accept has not answered each message", count=len(messages))
        except Unavailable as error:
            issue = error.issue
            _LOG.warning("messages not accepted", code=issue.code, count=len(messages))
        except Exception as error:  # whatever it is, the senders get an answer and the listener goes on
            if len(messages) > 1:
                return [ack for one in messages for ack in await self._answers([one])]
            _LOG.error("message not accepted", exc_info=error)
            issue = error.issue if isinstance(error, Rejected | Defect) else Issue(code="defect", place="")
        return [self._refuse(one, issue) for one in messages]
