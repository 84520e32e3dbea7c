"""The MLLP listener of an installation: its settings, and who may send what."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from adapter.intake.limits import Limits
from adapter.intake.mllp import Admit, MllpListener
from adapter.intake.tls import TlsFiles, server_context

if TYPE_CHECKING:
    from adapter.feeds import Feeds
    from adapter.gateway import Gateway
    from adapter.intake.arrived import Arrived
    from adapter.settings import Settings

_MB = 1024 * 1024


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """The listener's TLS, None where it speaks plainly. Raises ValueError, saying which setting is wrong."""
    if not settings.mllp_certificate:
        if settings.mllp_key or settings.mllp_clients:
            raise ValueError("CARELOOP_MLLP_KEY and CARELOOP_MLLP_CLIENTS need CARELOOP_MLLP_CERTIFICATE")
        return None
    return server_context(TlsFiles(certificate=settings.mllp_certificate, key=settings.mllp_key, clients=settings.mllp_clients))


def limits_of(settings: Settings) -> Limits:
    """What the listener bears."""
    frame = settings.mllp_frame_mb * _MB
    return Limits(frame=frame, connections=settings.mllp_connections, per_address=settings.mllp_connections_per_address,
                  held=max(settings.mllp_memory_mb * _MB, frame), idle=settings.mllp_idle_seconds,
                  whole_frame=settings.mllp_frame_seconds, handshake=settings.mllp_handshake_seconds)


def admission(feeds: Feeds, *, known: bool) -> Admit:
    """Who may send what. known: every client shows a certificate; then one that no feed names may send nothing.

    A feed that names certificates is taken from no other connection: elsewhere the feeds without any are.
    """
    bound = {name: one.feed.exchange.certificates for name, one in feeds.compiled.items() if one.feed.exchange.certificates}
    free = frozenset(feeds.compiled.keys() - bound.keys())

    def admit(names: frozenset[str] | None) -> frozenset[str] | None:
        if not known:
            return free if bound else None
        return frozenset(feed for feed, certificates in bound.items() if names and not names.isdisjoint(certificates))

    return admit


def listener_of(settings: Settings, where: tuple[str, int], gateway: Gateway, wake: Callable[[], None]) -> MllpListener:
    """The listener that hands on to the gateway; wake: called when something was taken."""
    def accept(batch: list[Arrived]) -> list[bytes]:
        answers = gateway.accept(batch)
        wake()
        return answers

    def admit(names: frozenset[str] | None) -> frozenset[str] | None:  # by the feeds in force when a connection is made
        return admission(gateway.feeds, known=bool(settings.mllp_clients))(names)

    return MllpListener(*where, accept, limits_of(settings), gateway.refuse, tls=tls_of(settings),
                        admit=admit, look=gateway.look)
