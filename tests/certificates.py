"""Certificates of a made-up network: an authority, and what it signs (openssl)."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An authority whose files stand in a folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def signed(self, name: str, *, common: str = "", alternative: str = "", days: int = 30) -> Path:
        """A file with key and certificate. alternative: as `DNS:a,URI:b`. days: below 0, it is over already."""
        key, request, chain = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
                "-subj", f"/O=Made up/CN={common}")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                "-out", chain, "-extfile", extensions, "-days", str(days))
        chain.write_bytes(chain.read_bytes() + key.read_bytes())
        return chain

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        """TLS of a client that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if certificate:
            context.load_cert_chain(certificate)
        return context


def authority(folder: Path) -> Authority:
    """A new authority."""
    folder.mkdir(parents=True, exist_ok=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
            "-days", "30", "-subj", "/CN=Made-up authority")
    return Authority(folder=folder)


def openssl(*arguments: str | Path) -> None:
    """Run openssl; its complaint is the test's."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
