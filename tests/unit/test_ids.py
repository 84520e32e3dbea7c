"""Ids of resources are what HMAC-SHA256 makes of their keys, whatever the length of the installation's key."""

from __future__ import annotations

import hmac

import pytest

from adapter.identity.ids import resource_id


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 200])
def test_an_id_is_the_beginning_of_an_hmac(length: int) -> None:
    key = bytes(range(length))
    for text in ("", "urn:x|1", "Ö|\u2028"):
        assert resource_id(key, "Patient", text) == "c" + hmac.digest(key, f"Patient|{text}".encode(), "sha256").hex()[:31]
