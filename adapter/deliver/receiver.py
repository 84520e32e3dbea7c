"""One POST to a subscriber's address, and which addresses may be sent to.

Where notices go is the operator's decision: a host must be named in the settings. Who subscribes cannot make the gateway
speak to anything else (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter

from adapter.consent.decision import NETWORK
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.http import FHIR_JSON, new_session, retry_after
from adapter.model import Json

_CONNECT = 3.0


Hosts = Mapping[str, frozenset[str]]
"""Hosts that may be sent to, each with whose it is: numbers of organizations in the network, or `*` for the network itself."""


def allowed_hosts(setting: str) -> Hosts:
    """Hosts out of the setting, `host=organization`: names, addresses, `*.example.org`; `http://` before one that may be spoken
    to without TLS."""
    found: dict[str, frozenset[str]] = {}
    for part in setting.split(","):
        host, mark, whose = (one.strip() for one in part.partition("="))
        if mark:
            found[host.lower()] = found.get(host.lower(), frozenset()) | {whose}
    return found


def recipients_of(url: str, hosts: Hosts) -> tuple[str, ...]:
    """Whose the host of an endpoint is; of a host of several, all of them. Empty where it is nobody's who is named."""
    try:
        named = _names((urlsplit(url).hostname or "").lower())
    except ValueError:
        return ()
    whose = frozenset[str]().union(*(hosts.get(f"{mark}{one}", frozenset()) for one in named for mark in ("", "http://")))
    return tuple(sorted(whose - {NETWORK} or whose))


def check_endpoint(url: str, hosts: Hosts) -> None:
    """That notices may be sent there. Raises Rejected (endpoint-refused), saying what is wrong with it."""
    try:
        address = urlsplit(url)
        host, port = (address.hostname or "").lower(), address.port
    except ValueError:
        raise _refused("not an address") from None
    if address.scheme not in ("https", "http") or not host or "@" in address.netloc or port == 0:
        raise _refused("write https://host/path, without a user name")
    named = _names(host)
    plain = {f"http://{one}" for one in named} & hosts.keys()
    if address.scheme == "http" and not (_is_loopback(host) and named & hosts.keys()) and not plain:
        raise _refused("without TLS only hosts are sent to that CARELOOP_NOTICE_HOSTS names as http://host")
    if not named & hosts.keys() and not plain:
        raise _refused("CARELOOP_NOTICE_HOSTS does not name its host")


def _names(host: str) -> set[str]:
    """What the setting may call a host."""
    return {host, *(f"*.{'.'.join(host.split('.')[n:])}" for n in range(1, host.count(".") + 1))}


def checked_addresses(url: str, hosts: Hosts) -> list[str]:
    """The addresses that the host of an endpoint has, none of which is of this machine or link, unless it says so itself.

    Raises Rejected (endpoint-refused), or Unavailable (receiver-unavailable) where the name is not resolved.
    """
    host = (urlsplit(url).hostname or "").lower()
    if _is_loopback(host) or (host in hosts and _is_address(host)):
        return [host]
    try:
        found = [str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise Unavailable("receiver-unavailable", "channel.endpoint", "not resolved") from error
    for text in found:
        address = ipaddress.ip_address(text)
        meant = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
        if meant.is_loopback or meant.is_link_local or meant.is_multicast or meant.is_unspecified:
            raise _refused("its name leads to an address of this machine or link")
    return list(dict.fromkeys(found))


class PinnedAddress(HTTPAdapter):
    """Connects to one address, whatever the name of the URL's host leads to by now; TLS and Host are about the name."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def build_connection_pool_key_attributes(self, request: requests.PreparedRequest, verify: bool | str,
                                             cert: str | tuple[str, str] | None = None) -> tuple[Any, Any]:
        """As the library has it, but for the address."""
        where, how = super().build_connection_pool_key_attributes(request, verify, cert)
        named = {"server_hostname": where["host"]} if where["scheme"] == "https" else {}
        return {**where, "host": self._address}, {**cast("dict[str, Any]", how), **named}

    def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
        """The name, which the library would take from the address."""
        super().add_headers(request, **kwargs)
        request.headers["Host"] = urlsplit(cast("str", request.url)).netloc


def post(url: str, headers: Mapping[str, str], body: Json, timeout: int, addresses: Sequence[str]) -> None:
    """Send a Bundle; back once the receiver has taken it (2xx). Its answer is not read, a redirection not followed.

    timeout: seconds. addresses: of the host, tried in turn until one is connected to. Raises Unavailable (receiver-unavailable)
    with the HTTP status, and Retry-After where it was told.
    """
    for left, address in zip(reversed(range(len(addresses))), addresses, strict=True):
        try:
            _post(url, {**headers, "Content-Type": f"{FHIR_JSON}; charset=utf-8"}, orjson.dumps(body), timeout, address)
            break
        except (requests.RequestException, UnicodeError, ValueError) as error:
            if not left or not isinstance(error, requests.ConnectionError):
                raise Unavailable("receiver-unavailable", "channel.endpoint", type(error).__name__) from error


def _post(url: str, headers: Mapping[str, str], body: bytes, timeout: int, address: str) -> None:
    with new_session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, PinnedAddress(address))
        with session.post(url, data=body, headers=headers, timeout=(min(_CONNECT, timeout), timeout), allow_redirects=False,
                          stream=True) as response:
            if not 200 <= response.status_code < 300:
                raise Unavailable("receiver-unavailable", "channel.endpoint", f"HTTP {response.status_code}",
                                  retry_after=retry_after(response))


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(detail: str) -> Rejected:
    return Rejected("endpoint-refused", "Subscription.channel.endpoint", detail)
