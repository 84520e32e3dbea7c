"""Raw messages and rows sealed at rest: AES-256 in Galois/Counter Mode, under keys that can be changed while it runs.

A sealed text is a nonce of 12 bytes, then the encrypted text with its tag. What it belongs to (the identity of its journal entry)
is authenticated with it, so that no sealed text can stand for another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from adapter.errors import Defect, Unavailable

_NONCE = 12


class Vault:
    """Seals with the first of its keys, and opens what any of them sealed; without a key nothing is sealed."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """keys: of 32 bytes each, newest first."""
        self._ciphers = {name_of(key): AESGCM(key) for key in keys}
        self.current = name_of(keys[0]) if keys else ""

    @property
    def names(self) -> frozenset[str]:
        """What its keys are called in the store."""
        return frozenset(self._ciphers)

    def seal(self, identity: str, raw: bytes) -> tuple[bytes, str]:
        """The bytes as they are to be stored, and what their key is called; '' for bytes that stay as they are."""
        if not self.current:
            return raw, ""
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[self.current].encrypt(nonce, raw, identity.encode()), self.current

    def unseal(self, identity: str, stored: bytes, key: str) -> bytes:
        """The bytes as they came. Raises Unavailable (raw-key-missing), Defect (raw-damaged)."""
        if not key:
            return stored
        if key not in self._ciphers:
            raise Unavailable("raw-key-missing", "CARELOOP_RAW_KEYS", f"key {key}")
        try:
            return self._ciphers[key].decrypt(stored[:_NONCE], stored[_NONCE:], identity.encode())
        except InvalidTag as error:
            raise Defect("raw-damaged", "journal", f"key {key}") from error

    def opened(self, identity: str, stored: bytes, key: str, purged: int | None) -> tuple[bytes, str]:
        """The raw bytes of a journal entry, and the code of why they are not there ('' where they are). Raises Unavailable.

        purged: when they were emptied by age.
        """
        try:
            raw = self.unseal(identity, stored, key) if key else stored
        except Defect as error:
            return b"", error.issue.code
        return raw, "" if purged is None else "raw-purged"


def name_of(key: bytes) -> str:
    """What a key is called: the first 8 hexadecimal digits of its SHA-256. It says nothing of the key."""
    return hashlib.sha256(key).hexdigest()[:8]


_OPEN = Vault()


def vault_of(connection: Connection) -> Vault:
    """The vault of the engine that a connection belongs to (execution option `vault`); one without keys where none was given."""
    return cast("Vault", connection.get_execution_options().get("vault", _OPEN))
