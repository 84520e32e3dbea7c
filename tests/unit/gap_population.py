"""Many made-up networks as one population: each has ids of its own, all the same as-of instant."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from tests.unit.gap_network import N, Resource, Subjects, coded, network
from tests.unit.gap_oracle import codes


def networks(now: datetime, seeds: range, subjects: Subjects) -> list[list[Resource]]:
    """The network of each seed about these subjects at that instant (one of NOWS)."""
    return [[_renamed(resource, f"-{seed}") for resource in network(Random(seed), subjects, now)] for seed in seeds]


def population(now: datetime, seeds: range, subjects: Subjects) -> list[Resource]:
    """Their resources."""
    return [resource for one in networks(now, seeds, subjects) for resource in one]


def _renamed(resource: Resource, suffix: str) -> Resource:
    moved = {**_moved(resource, suffix), "id": resource["id"] + suffix}
    if resource["resourceType"] == "Organization":
        moved["identifier"] = [{**one, "value": one["value"] + suffix} for one in resource.get("identifier", [])]
    if resource["resourceType"] == "arrival":  # so that nobody's file of one network is none of another's
        whose = resource["organization"]
        moved |= {"contract": resource["contract"] + suffix, "organization": whose and whose + suffix}
    if resource["resourceType"] == "Goal" and "Organization" in resource["subject"]["reference"]:
        moved["category"] = [coded(N + "feed", found + suffix) for found in codes(resource["category"], N + "feed")]
    return moved


def _moved(node: Any, suffix: str) -> Any:
    """The node with every reference renamed."""
    if isinstance(node, list):
        return [_moved(item, suffix) for item in node]
    if isinstance(node, dict):
        return {key: value + suffix if key == "reference" and isinstance(value, str) else _moved(value, suffix)
                for key, value in node.items()}
    return node
