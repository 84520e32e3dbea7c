"""`send` messages over MLLP."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import click

from adapter.commands.files import found, told
from adapter.errors import Rejected
from adapter.intake.framing import encode
from adapter.intake.send import send as exchange
from adapter.parse.batch import split_messages
from adapter.settings import host_port


class Address(click.ParamType[tuple[str, int]]):
    """`HOST:PORT`."""

    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Host and port apart."""
        try:
            host, port = host_port(str(value))
        except ValueError:
            port = 0
            host = ""
        if not host or not 0 < port < 65536:
            self.fail(f"{value!r} is not HOST:PORT, as 127.0.0.1:2575", param, ctx)
        return host, port


@click.command()
@click.argument("address", type=Address())
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Speak TLS; who signs the receiver's certificate (PEM).")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="Our certificate and its key (PEM), with --ca.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for each acknowledgement.")
def send(address: tuple[str, int], paths: tuple[Path, ...], ca: str | None, certificate: str | None, timeout: float) -> None:
    """Send HL7 v2 files over MLLP, one message after the other, and print each acknowledgement.

    Exit 0 when all were accepted (AA, CA), 1 when one was refused or no answer came.
    """
    tls = _tls(ca, certificate)
    refused: list[Path] = []
    sent: list[tuple[Path, int]] = []
    for answer in exchange(*address, _messages(paths, sent, refused), timeout, tls):
        text = answer.decode("utf-8", "replace").replace("\r", "\n").strip()
        click.echo(text)
        if text and "\nMSA|AA" not in text and "\nMSA|CA" not in text:
            refused.append(sent[-1][0])
            click.echo(f"{sent[-1][0]}: message {sent[-1][1]} was not accepted", err=True)
    if refused:
        raise SystemExit(1)


def _tls(ca: str | None, certificate: str | None) -> ssl.SSLContext | None:
    if certificate and not ca:
        raise click.UsageError("--certificate needs --ca")
    if not ca:
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate)
    except (ssl.SSLError, OSError) as error:
        raise click.UsageError("--ca holds certificates in PEM, --certificate one and its key") from error
    return context


def _messages(paths: tuple[Path, ...], sent: list[tuple[Path, int]], refused: list[Path]) -> Iterator[bytes]:
    """Each message that a frame can carry, noted in `sent`; what is wrong with a file is told, and the next one sent."""
    for path in found(paths, (".hl7", ".txt")):
        split = split_messages(path.read_bytes())
        for number, raw in enumerate(split.messages, 1):
            try:
                encode(raw)
            except Rejected as error:
                refused.append(path)
                click.echo(told(path, number, error.issue), err=True)
                continue
            sent.append((path, number))
            yield raw
        for issue in split.issues:
            refused.append(path)
            click.echo(told(path, 0, issue), err=True)
