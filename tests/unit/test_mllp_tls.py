"""MLLP over TLS: who is refused in the handshake, and which feeds a client certificate may send."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.errors import Unavailable
from adapter.gateway import Gateway
from adapter.intake.loop_thread import Handle, run_in_thread
from adapter.intake.send import send
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.queries import messages
from adapter.web.mllp import limits_of, listener_of, tls_of
from adapter.web.serve import addresses
from adapter.web.serve import serve as run
from tests.certificates import Authority, authority
from tests.unit.feeds_of import with_feed
from tests.unit.test_exchange import adt, told

HOST = "127.0.0.1"
Answers = list[list[str]]


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ours = authority(tmp_path_factory.mktemp("ours"))
    ours.signed("listener", common="listener", alternative=f"IP:{HOST}")
    ours.signed("river", common="River engine", alternative="DNS:adt.river.example.org")
    ours.signed("engine", common="engine-7")
    ours.signed("stranger", common="stranger", alternative="DNS:stranger.example.org")
    ours.signed("expired", common="River engine", alternative="DNS:adt.river.example.org", days=-1)
    return ours


@pytest.fixture(name="theirs", scope="module")
def _theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    theirs = authority(tmp_path_factory.mktemp("theirs"))
    theirs.signed("river", common="River engine", alternative="DNS:adt.river.example.org")
    return theirs


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    """River has a certificate of its own and says no sender; lake and sea share an engine's."""
    mappings = with_feed(tmp_path, river='certificate: "DNS:adt.river.example.org"',
                         lake='sender: {MSH-3: LAKE}\ncertificate: "CN:engine-7"',
                         sea='sender: {MSH-3: SEA}\ncertificate: ["CN:engine-7", "CN:other"]')
    gateway = Gateway(Settings(data_dir=tmp_path / "data", key="00" * 32, mappings=mappings))
    yield gateway
    gateway.close()


@contextmanager
def listening(gateway: Gateway, **settings: object) -> Generator[Handle]:
    handle = run_in_thread(listener_of(Settings.model_validate(settings), (HOST, 0), gateway, lambda: None))
    try:
        yield handle
    finally:
        handle.stop()


@pytest.fixture(name="mutual")
def _mutual(gateway: Gateway, ours: Authority) -> Iterator[Handle]:
    with listening(gateway, mllp_certificate=str(ours.folder / "listener.pem"), mllp_clients=str(ours.certificate)) as handle:
        yield handle


def codes(port: int, tls: ssl.SSLContext | None, *messages: bytes) -> list[str]:
    return [told(answer)[0][0] for answer in send(HOST, port, messages, 20, tls)]


def test_a_certificate_may_send_its_feed_and_no_other(mutual: Handle, gateway: Gateway, ours: Authority) -> None:
    engine = ours.client(ours.folder / "engine.pem")
    assert codes(mutual.port, engine, adt("1", sender="LAKE"), adt("2", sender="SEA"), adt("3", sender="RIVER"),
                 adt("4", sender="STANNE")) == ["AA", "AA", "AR", "AR"]
    [answer] = send(HOST, mutual.port, [adt("5", sender="ANYBODY")], 20, engine)
    assert b"certificate-other" in answer


def test_a_certificate_of_one_feed_alone_says_which_feed_it_is(mutual: Handle, gateway: Gateway, ours: Authority) -> None:
    river = ours.client(ours.folder / "river.pem")
    assert codes(mutual.port, river, adt("1", sender="RIVER"), adt("2", sender="LAKE")) == ["AA", "AA"]
    with reading(gateway.engine) as connection:
        assert {row.feed for row in messages(connection)} == {"river"}
        assert {row.origin for row in messages(connection)} == {f"mllps:{HOST}"}


def no_certificate(ours: Authority, theirs: Authority) -> ssl.SSLContext:
    return ours.client()


def wrong_authority(ours: Authority, theirs: Authority) -> ssl.SSLContext:
    return ours.client(theirs.folder / "river.pem")


def over(ours: Authority, theirs: Authority) -> ssl.SSLContext:
    return ours.client(ours.folder / "expired.pem")


def bound_to_nothing(ours: Authority, theirs: Authority) -> ssl.SSLContext:
    return ours.client(ours.folder / "stranger.pem")


@pytest.mark.parametrize("shown", [no_certificate, wrong_authority, over, bound_to_nothing])
def test_who_is_not_known_is_refused_before_a_byte_is_read(
        mutual: Handle, gateway: Gateway, ours: Authority, theirs: Authority,
        shown: Callable[[Authority, Authority], ssl.SSLContext]) -> None:
    with pytest.raises(Unavailable):
        codes(mutual.port, shown(ours, theirs), adt("1"))
    assert gateway.waiting() == 0
    assert codes(mutual.port, ours.client(ours.folder / "river.pem"), adt("1")) == ["AA"]


def test_a_certificate_of_no_feed_is_named_to_the_operator(
        mutual: Handle, ours: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    ours.signed("long", common="two\nlines\x7fof it", alternative=f"DNS:{'very-' * 20}long,email:someone@example.org")
    for name in ("stranger", "long"):
        with pytest.raises(Unavailable):
            codes(mutual.port, ours.client(ours.folder / f"{name}.pem"), adt("1"))
    mutual.stop()
    first, second = (orjson.loads(line)["certificate"] for line in capsys.readouterr().err.splitlines() if "no feed" in line)
    assert first == "CN:stranger, DNS:stranger.example.org"
    assert second == f"CN:two?lines?of it, {('DNS:' + 'very-' * 20)[:64]}"


def test_who_speaks_plainly_to_a_tls_listener_is_refused(
        mutual: Handle, gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unavailable):
        codes(mutual.port, None, adt("1"))
    assert gateway.waiting() == 0
    mutual.stop()
    [told] = [orjson.loads(line) for line in capsys.readouterr().err.splitlines() if "no handshake" in line]
    assert re.fullmatch("[A-Z_]+", told["code"]), "why, by OpenSSL's own word"


def test_a_feed_that_names_certificates_comes_over_no_plain_connection(gateway: Gateway) -> None:
    with listening(gateway) as handle:
        assert codes(handle.port, None, adt("1", sender="LAKE"), adt("2", sender="ANYBODY")) == ["AR", "AA"]


def test_tls_without_client_certificates_hides_what_is_sent_and_asks_for_none(gateway: Gateway, ours: Authority) -> None:
    with listening(gateway, mllp_certificate=str(ours.folder / "listener.pem")) as handle:
        assert codes(handle.port, ours.client(), adt("1", sender="ANYBODY")) == ["AA"]
        with pytest.raises(Unavailable):
            codes(handle.port, ssl.create_default_context(), adt("2"))


def test_the_command_speaks_tls(mutual: Handle, ours: Authority, tmp_path: Path) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("1"))
    given = ["send", f"{HOST}:{mutual.port}", str(tmp_path / "one.hl7"), "--ca", str(ours.certificate)]
    done = CliRunner().invoke(main, [*given, "--certificate", str(ours.folder / "river.pem")])
    assert (done.exit_code, "MSA|AA|1" in done.output) == (0, True)
    assert CliRunner().invoke(main, given).exit_code == 1
    assert CliRunner().invoke(main, [*given, "--certificate", str(tmp_path / "one.hl7")]).exit_code == 2


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(mutual: Handle, ours: Authority) -> None:
    context = ours.client(ours.folder / "river.pem")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(Unavailable):
        codes(mutual.port, context, adt("1"))


def test_a_handshake_that_is_not_finished_is_cut_and_counts_meanwhile(gateway: Gateway, ours: Authority) -> None:
    with listening(gateway, mllp_certificate=str(ours.folder / "listener.pem"), mllp_handshake_seconds=1.0,
                   mllp_connections_per_address=3) as handle, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((HOST, handle.port), 20)) for _ in range(3)]
        with pytest.raises(Unavailable):
            codes(handle.port, ours.client(), adt("1"))
        for one in silent:
            assert one.recv(10) == b""
        deadline = time.monotonic() + 20
        while True:  # the listener forgets them after its side is closed
            try:
                assert codes(handle.port, ours.client(), adt("1")) == ["AA"]
                break
            except Unavailable:
                assert time.monotonic() < deadline


# --- settings


def test_settings_become_limits() -> None:
    found = limits_of(Settings(mllp_frame_mb=2, mllp_memory_mb=64, mllp_connections=7, mllp_connections_per_address=3,
                               mllp_handshake_seconds=4.0, mllp_frame_seconds=5.0, mllp_idle_seconds=6.0))
    assert (found.frame, found.held, found.connections, found.per_address) == (2 << 20, 64 << 20, 7, 3)
    assert (found.handshake, found.whole_frame, found.idle) == (4.0, 5.0, 6.0)


@pytest.mark.parametrize(("wrong", "variable"), [
    ({"mllp_key": "x"}, "CARELOOP_MLLP_CERTIFICATE"), ({"mllp_certificate": "nowhere.pem"}, "CARELOOP_MLLP_CERTIFICATE"),
    ({"mllp_certificate": "ca", "mllp_key": "nowhere.pem"}, "CARELOOP_MLLP_KEY"),
    ({"mllp_certificate": "ca"}, "CARELOOP_MLLP_KEY"),
    ({"mllp_certificate": "listener", "mllp_clients": "text"}, "CARELOOP_MLLP_CLIENTS"),
])
def test_files_that_cannot_be_used_end_the_start_and_name_the_setting(
        ours: Authority, wrong: dict[str, str], variable: str, capsys: pytest.CaptureFixture[str]) -> None:
    (ours.folder / "text.pem").write_text("nothing")
    named = {key: str(ours.folder / f"{value}.pem") if "." not in value else value for key, value in wrong.items()}
    with pytest.raises(ValueError, match=variable):
        tls_of(Settings.model_validate(named))
    assert run(Settings.model_validate(named), lambda *_: None) == 2  # type: ignore[arg-type,return-value]  # never called
    assert variable in capsys.readouterr().err


def test_a_listener_that_knows_who_is_there_may_be_reached_from_other_machines(ours: Authority) -> None:
    known = {"mllp_certificate": str(ours.folder / "listener.pem"), "mllp_clients": str(ours.certificate)}
    assert addresses(Settings.model_validate({"mllp": "0.0.0.0:2575", **known})).mllp == ("0.0.0.0", 2575)
    with pytest.raises(ValueError, match="CARELOOP_HTTP"):
        addresses(Settings.model_validate({"http": "0.0.0.0:8000", **known}))
