"""Where the program's own files stand: beside `adapter` in a checkout, inside it where a wheel was installed."""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "shipped"
HOME = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parent.parent
"""The folder that has `mappings` and `profiles`."""
PROFILES = HOME / "profiles"
"""Contracts, rules, reports, views and schemas."""
