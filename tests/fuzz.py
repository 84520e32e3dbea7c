"""How many made-up examples tests try: few and always the same ones, or as many as CARELOOP_FUZZ says (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = int(os.environ.get("CARELOOP_FUZZ", "0"))
"""How many examples a quick property tries; 0: each test tries its usual few."""

PROFILE = "careloop"
settings.register_profile(
    PROFILE, deadline=None, derandomize=not LONG,  # no test hangs on how fast a machine is; each run tries the same
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example,
                           HealthCheck.function_scoped_fixture])  # fixtures of properties keep nothing between examples


def examples(usual: int, part: int = 1) -> int:
    """How many examples: the usual few, or of the long run one in `part`, where an example takes that much longer."""
    return max(1, LONG // part) if LONG else usual
