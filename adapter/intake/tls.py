"""TLS of the MLLP listener, and what a client certificate says of who is there."""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOT_TOLD = re.compile(r"[^ -~]")
_LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: the listener's certificate chain, its key, and those who sign clients' certificates ('' : none is asked for)."""

    certificate: str
    key: str = ""
    clients: str = ""


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or newer; a client without a valid certificate is refused where clients' signers are named.

    Raises ValueError, saying which setting names what cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for variable, path in (("CERTIFICATE", files.certificate), ("KEY", files.key), ("CLIENTS", files.clients)):
        if path and not Path(path).is_file():
            raise ValueError(f"CARELOOP_MLLP_{variable} names no file")
    try:
        context.load_cert_chain(files.certificate, files.key or None)
    except (ssl.SSLError, OSError) as error:
        raise ValueError("CARELOOP_MLLP_CERTIFICATE and CARELOOP_MLLP_KEY are no PEM certificate and its key") from error
    if files.clients:
        try:
            context.load_verify_locations(files.clients)
        except (ssl.SSLError, OSError) as error:
            raise ValueError("CARELOOP_MLLP_CLIENTS holds no PEM certificates") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def names_of(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Who a client certificate (`ssl.SSLSocket.getpeercert`) speaks for: `CN:name` of its subject, `DNS:`, `URI:`, `IP:` and
    `email:` of its alternative names (RFC 5280, 4.2.1.6)."""
    common = (f"CN:{value}" for part in certificate.get("subject", ()) for key, value in part if key == "commonName")
    other = (f"{'IP' if kind == 'IP Address' else kind}:{value}" for kind, value in certificate.get("subjectAltName", ()))
    return frozenset((*common, *other))


def told(names: Collection[str]) -> str:
    """Names of a certificate as a log line has them, and a feed's `certificate`: in order, none longer than 64 characters,
    without control characters; persons' addresses (`email:`) are left out."""
    return ", ".join(_NOT_TOLD.sub("?", name[:_LONGEST]) for name in sorted(names) if not name.startswith("email:"))
