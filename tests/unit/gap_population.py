"""Many made-up networks as one population: each has ids of its own, all the same as-of instant."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from tests.unit.gap_network import NOWS, Resource, network
from tests.unit.gap_rules_known import SUBJECTS


def population(now: datetime, size: int, seed: int = 0) -> list[Resource]:
    """The resources of `size` networks drawn for that instant (one of NOWS)."""
    assert now in NOWS
    found: list[Resource] = []
    drawn = 0
    while drawn < size:
        at, resources = network(Random(seed), SUBJECTS)
        if at == now:
            found += [_renamed(resource, f"-{drawn}") for resource in resources]
            drawn += 1
        seed += 1
    return found


def _renamed(resource: Resource, suffix: str) -> Resource:
    return {**_moved(resource, suffix), "id": resource["id"] + suffix}


def _moved(node: Any, suffix: str) -> Any:
    """The node with every reference renamed."""
    if isinstance(node, list):
        return [_moved(item, suffix) for item in node]
    if isinstance(node, dict):
        return {key: value + suffix if key == "reference" and isinstance(value, str) else _moved(value, suffix)
                for key, value in node.items()}
    return node
