"""A listener in a thread with an asyncio loop of its own, beside threads that know nothing of asyncio."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol


class Listener(Protocol):
    """What runs on an asyncio loop of its own and listens on a port."""

    port: int

    async def start(self) -> None:
        """Listen. Raises Unavailable (address-unusable)."""
        ...

    async def stop(self) -> None:
        """Finish what was begun, close."""
        ...


class Handle:
    """A listener that runs in a thread of its own."""

    def __init__(self, listener: Listener, name: str = "mllp") -> None:
        self._listener = listener
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=name, daemon=True)
        self._thread.start()
        self._started.result()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._listener.port

    def stop(self) -> None:
        """Answer what was received whole, close, and wait until that is done. May be called again."""
        with suppress(RuntimeError):  # stopped already, its loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            await self._listener.start()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stopping.wait()
        await self._listener.stop()


def run_in_thread(listener: Listener, name: str = "mllp") -> Handle:
    """Start a listener in a thread of that name, beside a web process. Raises Unavailable (address-unusable)."""
    return Handle(listener, name)
