"""How many made-up examples tests try: few and always the same ones, or as many as CARELOOP_FUZZ says (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import settings

LONG = int(os.environ.get("CARELOOP_FUZZ", "0"))
"""How many examples a quick property tries; 0: each test tries its usual few."""

PROFILE = "careloop"
settings.register_profile(PROFILE, deadline=None, derandomize=not LONG)


def examples(usual: int, part: int = 1) -> int:
    """How many examples: the usual few, or one in `part` of the long run's where an example takes that much longer."""
    return max(usual, LONG // part)
