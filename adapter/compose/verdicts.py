"""What claiming and checking made of a resource, kept by the forms of its pieces: the next of those forms fares the same.

Kept only where nothing was wrong and all that claiming did was to add elements; anything else is looked at each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.model import Composed, Issue, Json
from adapter.validate.periods import in_order

KEPT = 20_000
"""Verdicts that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All is well. added: elements that claiming adds, shared, never changed; issues: what it tells."""

    added: Json
    issues: tuple[Issue, ...]


Steps = tuple[str, ...]
"""The path of an element, name by name."""
_verdicts: dict[tuple[int, ...], Verdict] = {}


def verdict_on(forms: tuple[int, ...], pairs: Sequence[tuple[Steps, Steps]], body: Json) -> Verdict | None:
    """What is known of a resource of these forms; None where it must be looked at. pairs: elements that must be in order."""
    verdict = _verdicts.get(forms)
    if verdict is not None:
        for first, second in pairs:
            if not in_order(_at(body, first), _at(body, second)):
                return None
    return verdict


def learn(forms: tuple[int, ...], stated: Mapping[str, Any], stands: Composed) -> bool:
    """Keep what came of a resource; whether it may be kept. stated: its body before it was claimed."""
    body = stands.body
    if stands.deleted or not stands.checked or any(body.get(name) is not value for name, value in stated.items()):
        return False
    if len(_verdicts) >= KEPT:
        _verdicts.clear()
    added = {name: value for name, value in body.items() if name not in stated}
    _verdicts[forms] = Verdict(added=added, issues=stands.issues)
    return True


def forget_verdicts() -> None:
    """Forget every verdict."""
    _verdicts.clear()


def _at(body: Json, path: Steps) -> str:
    value: Any = body
    for name in path:
        value = value[name]
    return value
