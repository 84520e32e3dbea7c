"""Where a notice goes: to an address that was looked at, whatever its name leads to a moment later (DNS rebinding)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from adapter.deliver.receiver import PinnedAddress, post
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.certificates import authority
from tests.receiver import Receiver, subscription
from tests.unit.test_subscriptions import read, send, subscribe

NAME = "care.example.org"
AWAY = "240.0.0.1"
"""An address that nobody has (RFC 1112)."""
Names = Callable[..., None]


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Has the name lead to these addresses in turn, one list for each time that it is asked for; the last one from then on."""
    answers: list[list[str]] = []
    asked = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host != NAME:
            return asked(host, port, *args, **kwargs)
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [one for address in now for one in asked(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return lambda *lists: answers.extend(lists)


@pytest.fixture
def told(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[[], str]]:
    """Subscribes by the name, sends the handshake, and gives what the subscription says of it."""
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts=f"http://{NAME}=*"))
    client = create_app(gateway).test_client()

    def tell() -> str:
        one = subscribe(client, subscription(f"http://{NAME}:{receiver.port}/notices"))
        send(gateway)
        found: str = read(client, one["id"]).get("error", "")
        return found

    yield tell
    gateway.close()


def test_a_name_that_leads_elsewhere_once_it_was_looked_at_is_not_followed(
        leads_to: Names, told: Callable[[], str], receiver: Receiver) -> None:
    leads_to([AWAY], ["127.0.0.1"])
    assert told().startswith("receiver-unavailable")
    assert receiver.bundles == []


@pytest.mark.parametrize("address", [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"])
def test_a_name_that_leads_to_this_machine_or_link_is_refused_in_any_spelling(
        address: str, leads_to: Names, told: Callable[[], str], receiver: Receiver) -> None:
    leads_to([AWAY, address])
    assert told() == "endpoint-refused"
    assert receiver.bundles == []


def test_of_several_addresses_the_first_that_answers_is_sent_to(receiver: Receiver) -> None:
    post(f"http://{NAME}:{receiver.port}/notices", {}, {"resourceType": "Bundle"}, 1, [AWAY, "127.0.0.1"])
    assert len(receiver.bundles) == 1
    assert receiver.headers[0]["host"] == f"{NAME}:{receiver.port}"


class _Tls(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("certified", "taken"), [
    (f"DNS:{NAME}", True), ("DNS:other.example.org", False), ("IP:127.0.0.1", False)])
def test_the_certificate_has_to_be_of_the_name_not_of_the_address(certified: str, taken: bool, tmp_path: Path) -> None:
    signer = authority(tmp_path)
    server = HTTPServer(("127.0.0.1", 0), _Tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signer.signed("server", alternative=certified))
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", PinnedAddress("127.0.0.1"))
        url = f"https://{NAME}:{server.server_port}/"
        if taken:
            assert session.get(url, verify=str(signer.certificate), timeout=5).status_code == 200
        else:
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, verify=str(signer.certificate), timeout=5)
    server.shutdown()
    server.server_close()
    assert asked_for == [NAME]
