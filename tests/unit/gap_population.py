"""Many made-up networks as one population: each has ids of its own, all the same as-of instant."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from tests.unit.gap_network import Resource, Subjects, network


def networks(now: datetime, seeds: range, subjects: Subjects) -> list[list[Resource]]:
    """The network of each seed about these subjects at that instant (one of NOWS)."""
    return [[_renamed(resource, f"-{seed}") for resource in network(Random(seed), subjects, now)] for seed in seeds]


def population(now: datetime, seeds: range, subjects: Subjects) -> list[Resource]:
    """Their resources."""
    return [resource for one in networks(now, seeds, subjects) for resource in one]


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
