"""Settings of one installation, all by environment variables that begin with CARELOOP_."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapter.home import HOME

_PREFIX = "CARELOOP_"
_OF_TESTS = frozenset((
    "SHARED", "REQUIRE_ALL", "TEST_HAPI", "TEST_HAPI_NAMING", "FUZZ", "EXAMPLES", "KILLS", "KILL_HAPI", "ABSENCE"))
_OF_KUBERNETES = re.compile(r"(^|_)(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)$")


class Settings(BaseSettings):
    """Settings; each field is the variable CARELOOP_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore")

    data_dir: Path = Field(Path("careloop-data"), description="folder of the embedded database and the installation's key")
    http: str = Field("127.0.0.1:8000", description="host:port of the web side")
    mllp: str = Field("127.0.0.1:2575", description="host:port of the MLLP listener")
    mllp_certificate: str = Field("", description="PEM file of the MLLP listener's certificate; empty: no TLS")
    mllp_key: str = Field("", description="PEM file of its key; empty: in the same file")
    mllp_clients: str = Field("", description="PEM file of those who sign clients' certificates; empty: none is asked for")
    mllp_frame_mb: int = Field(16, ge=1, le=1024, description="largest message, in MB")
    mllp_memory_mb: int = Field(256, ge=1, description="unfinished frames and queue of all connections together, in MB")
    mllp_connections: int = Field(1000, ge=1, description="connections at once")
    mllp_connections_per_address: int = Field(600, ge=1, description="connections of one address at once")
    mllp_handshake_seconds: float = Field(10.0, gt=0, description="time for a TLS handshake, in seconds")
    mllp_frame_seconds: float = Field(60.0, gt=0, description="time for a whole frame from its first byte, in seconds")
    mllp_idle_seconds: float = Field(600.0, gt=0, description="a connection without a byte is closed after this, in seconds")
    events: str = Field("127.0.0.1:8001", description="host:port of the stream of server-sent events")
    notice_hosts: str = Field("", description="hosts that notices may be sent to and whose each is, host=organization, by commas")
    notice_days: int = Field(90, ge=0, description="days that notices are kept; 0: for good")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the data folder")
    fhir_url: str = Field("", description="base URL of the FHIR server to push to; empty: the embedded one")
    push_messages: Literal["all", "provenance", "none"] = Field("all", description=(
        "what of the messages themselves is pushed; provenance: not their MessageHeader; none: not their Provenance either"))
    push_rest: int = Field(0, ge=0, le=3600, description="seconds that a change waits for further ones before it is pushed")
    targets: str = Field("", description="file that declares the servers of others to which data is disclosed; empty: none")
    auth: Literal["off"] = Field("off", description="sign-in; not built yet, so only loopback addresses are served")
    key: str = Field("", description="installation key for resource ids (hex); empty: kept in the data folder")
    disk_free_mb: int = Field(100, ge=0, description="free space of the data folder below which no message is asked for, in MB")
    raw_days: int = Field(0, ge=0, description="days that raw messages and rows are kept; 0: for ever")
    raw_keys: str = Field("", description="keys that seal them, newest first, or file:/path of such a list; empty: not sealed")
    mappings: Path = Field(HOME / "mappings", description="folder of the feeds")
    measures: str = Field("urn:x-careloop:rule", description="base of the canonical URLs of the Measures of rules and reports")

    @field_validator("fhir_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        try:
            address = urlsplit(value)
            sound = not value or (address.scheme in ("http", "https") and bool(address.hostname))
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("not an address of a FHIR server - write https://host/fhir")
        return value

    @field_validator("measures")
    @classmethod
    def _canonical(cls, value: str) -> str:
        if not re.fullmatch(r"(https?://|urn:)[^\s|#?]+", value):
            raise ValueError("not the beginning of a canonical URL - write https://host/path or urn:x-name")
        return value

    @field_validator("notice_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        if not all(re.fullmatch(r"\s*[^\s=,]+\s*=\s*[^\s=,]+\s*", part) for part in value.split(",") if part.strip()):
            raise ValueError("a host without whose it is - write host=ORG-1, or host=* for the network's own programs")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, value: str) -> str:
        if value and value.partition(":")[0].partition("+")[0] not in ("sqlite", "postgresql"):
            raise ValueError("not a database that is supported - write sqlite:///file or postgresql://user@host/name")
        return value

    @field_validator("key")
    @classmethod
    def _hexadecimal(cls, value: str) -> str:
        try:
            bytes.fromhex(value)
        except ValueError:
            raise ValueError("not hexadecimal - write an even number of digits 0 to 9 and a to f") from None
        return value

    @field_validator("raw_keys")
    @classmethod
    def _keys(cls, value: str) -> str:
        try:
            _sealing_keys(value)
        except OSError as error:
            raise ValueError(f"the file of keys cannot be read ({error.strerror})") from None
        except ValueError:
            raise ValueError("not keys of 64 hexadecimal digits, separated by commas - openssl rand -hex 32 makes one") from None
        return value

    @field_validator("http", "mllp", "events")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            sound = 0 <= host_port(value)[1] < 65536
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("not host:port - write 127.0.0.1:8000")
        return value

    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'careloop.db').absolute()}"

    def sealing_keys(self) -> tuple[bytes, ...]:
        """The keys that raw messages are sealed with, newest first; none: they are not sealed."""
        return _sealing_keys(self.raw_keys)

    def known_key(self) -> bytes | None:
        """The key of resource ids where one is set or kept; none is made."""
        kept = self.data_dir / "installation.key"
        written = self.key or (kept.read_text().strip() if kept.exists() else "")
        return bytes.fromhex(written) if written else None

    def installation_key(self) -> bytes:
        """The key of resource ids; made and kept (mode 600) in the data folder at first use."""
        return bytes.fromhex(self.key or _kept_key(self.data_dir / "installation.key"))


def unknown(variables: Iterable[str]) -> dict[str, str]:
    """Those CARELOOP_ variables that are no setting, each with the setting that was likely meant, '' where none was.

    Left out are those of tests, and what Kubernetes tells each pod of a Service named careloop.
    """
    settings = [field.upper() for field in Settings.model_fields]
    names = {name.upper().removeprefix(_PREFIX) for name in variables if name.upper().startswith(_PREFIX)}
    strange = sorted(name for name in names - {*settings, *_OF_TESTS} if not _OF_KUBERNETES.search(name))
    near = {name: get_close_matches(name, settings, 1) for name in strange}
    return {f"{_PREFIX}{name}": f"{_PREFIX}{found[0]}" if found else "" for name, found in near.items()}


def _kept_key(path: Path) -> str:
    """The key in a file, made by the process that comes first; an empty file is of one that was killed before it wrote."""
    if path.exists() and (kept := path.read_text().strip()):
        return kept
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = file.read().strip()
        if not kept:
            kept = secrets.token_hex(32)
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
    return kept


def _sealing_keys(written: str) -> tuple[bytes, ...]:
    """Keys written in hexadecimal, or in a file. Raises ValueError, OSError."""
    if written.startswith("file:"):
        written = Path(written.removeprefix("file:")).read_text("ascii")
    keys = tuple(bytes.fromhex(key) for key in re.split(r"[,\s]+", written.strip()) if key)
    if any(len(key) != 32 for key in keys):
        raise ValueError
    return keys


def host_port(address: str) -> tuple[str, int]:
    """`host:port` apart. Raises ValueError where the port is not a number."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)
