"""What a test needs and this machine lacks: the test is skipped and says so, or fails where everything is required."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("CARELOOP_REQUIRE_ALL") == "1"


def unmet(absent: str) -> NoReturn:
    """End the test for want of something; absent: what, and how to get it."""
    if REQUIRED:
        pytest.fail(f"required here, but {absent}")
    pytest.skip(absent)
