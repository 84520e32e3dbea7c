"""What the routes work with, put on the application when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

from adapter.web.metrics import Meters

if TYPE_CHECKING:
    from adapter.gateway import Gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The open gateway; wake: tells the worker that something arrived; meters: counts and times."""

    gateway: Gateway
    wake: Callable[[], None]
    meters: Meters


def services() -> Services:
    """The services of the application that answers the current request."""
    found: Services = current_app.extensions["careloop"]
    return found
