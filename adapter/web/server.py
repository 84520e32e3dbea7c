"""The web side on a socket: waitress, in a thread of its own, stopped without cutting an answer short."""

from __future__ import annotations

import socket
import time
from threading import Thread
from typing import Any

from flask import Flask
from waitress import wasyncore  # pyright: ignore[reportMissingTypeStubs] - waitress ships no types
from waitress.server import create_server  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from adapter.errors import Unavailable

_THREADS = 8
_CONNECTIONS = 1000
_LARGEST_BODY = 2 * 1024**3
_GRACE = 10.0


def listen(host: str, port: int) -> socket.socket:
    """A socket on host:port (port 0: any free one). Raises Unavailable (address-unusable) where it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Unavailable("address-unusable", f"{host}:{port}", error.strerror or "") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(512)
    except OSError as error:
        bound.close()
        raise Unavailable("address-unusable", f"{host}:{port}", error.strerror or "") from error
    return bound


class WebServer:
    """Serves an application on a listening socket until it is stopped."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        self.port: int = bound.getsockname()[1]
        self._map: dict[int, Any] = {}
        self._server: Any = create_server(
            app, map=self._map, sockets=[bound], threads=_THREADS, connection_limit=_CONNECTIONS, ident="",
            max_request_body_size=_LARGEST_BODY, clear_untrusted_proxy_headers=True, channel_timeout=60)
        self._thread = Thread(target=self._server.run, name="web", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, finish what was asked (for 10 s at most), close."""
        self._server.trigger.pull_trigger(self._stop_listening)
        deadline = time.monotonic() + _GRACE
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._map, ignore_all=True))
        self._thread.join(_GRACE)
        self._server.task_dispatcher.shutdown(timeout=1)

    def _stop_listening(self) -> None:
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()

    def _busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(channel.requests or channel.request or channel.total_outbufs_len for channel in channels)
