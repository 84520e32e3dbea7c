"""Ids of resources: deterministic, keyed, and not to be guessed from record numbers."""

from __future__ import annotations

import hmac
from functools import lru_cache


@lru_cache(maxsize=5_000)
def resource_id(key: bytes, resource_type: str, business_key: str) -> str:
    """The id of the resource of a business key: `c` and 31 hex digits of the HMAC-SHA256 under the installation's key.

    The letter: servers refuse ids of digits alone, and one in three million would be such.
    """
    return "c" + hmac.digest(key, f"{resource_type}|{business_key}".encode(), "sha256").hex()[:31]
