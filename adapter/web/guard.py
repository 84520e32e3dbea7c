"""Who may ask while sign-in is not built: programs on this machine. And what every answer tells a browser."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from flask import Flask, Response, request

from adapter.errors import Rejected
from adapter.settings import host_port

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
                               "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def install(app: Flask) -> None:
    """Check each request's host and origin, and put the security headers on each answer."""
    app.before_request(_check_host)
    app.before_request(_check_origin)
    app.after_request(_protect)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from this machine only; a name counts by all its addresses."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def _check_host() -> None:
    """A page elsewhere can make its own name mean 127.0.0.1 (DNS rebinding); its requests still name its own host."""
    try:
        host, _ = host_port(request.host if ":" in request.host.rpartition("]")[2] else f"{request.host}:80")
    except ValueError:
        raise Rejected("wrong-host") from None
    if host != "localhost" and not is_loopback_address(host):
        raise Rejected("wrong-host")


def is_loopback_address(host: str) -> bool:
    """Whether a text is an address of this machine alone; a name is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_origin() -> None:
    """A page elsewhere may post text here without asking the browser first; the browser says where it came from."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Rejected("cross-site")
    origin = request.headers.get("Origin", "null")
    if origin != "null" and urlsplit(origin).netloc != request.host:
        raise Rejected("cross-site")


def _protect(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
