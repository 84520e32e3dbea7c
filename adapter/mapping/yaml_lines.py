"""YAML read with the line of every mapping, so that a mistake is told at the file's line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from adapter.errors import Defect

LINE = "__line__"
"""Key under which each YAML mapping carries its 1-based line."""


class _LineLoader(yaml.CSafeLoader):
    """Safe loader that notes where each mapping begins, and keeps dates and yes/no as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        mapping[LINE] = node.start_mark.line + 1
        return mapping


def _construct_map(loader: _LineLoader, node: yaml.MappingNode) -> Any:
    return loader.construct_mapping(node, deep=True)


_LineLoader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_LineLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
    + ([("tag:yaml.org,2002:bool", pattern) for tag, pattern in rules if tag == "tag:yaml.org,2002:bool" and first in "tTfF"])
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds, every nested mapping with its line under LINE. Raises Defect (mapping-failed)."""
    return parse_yaml(path.read_text(encoding="utf-8"), f"{path.parent.name}/{path.name}")


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """The same of a text. where: the file's name, for a Defect."""
    try:
        loaded = yaml.load(text, Loader=_LineLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise Defect("mapping-failed", f"{where}:{line}", error.problem or "not YAML") from error
    if not isinstance(loaded, dict):
        raise Defect("mapping-failed", f"{where}:1", "the file must hold a mapping")
    return loaded  # pyright: ignore[reportUnknownVariableType]  # YAML is untyped


def line_of(path: Path, *keys: str) -> int:
    """The 1-based line at which a YAML file states a key, key by key from the top (a list's member by its text).

    The line of the last key that is there; 1 without any.
    """
    node: Any = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    line = 1
    for key in keys:
        found = _below(node, key)
        if found is None:
            break
        line, node = found
    return line


def _below(node: Any, key: str) -> tuple[int, Any] | None:
    """(line, node) of a mapping's key, or of a list's member."""
    if isinstance(node, yaml.MappingNode):
        return next(((name.start_mark.line + 1, value) for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode):
        return next(((one.start_mark.line + 1, one) for one in node.value if one.value == key), None)
    return None


def without_lines(value: Any) -> Any:
    """A copy without the line notes."""
    if isinstance(value, dict):
        return {k: without_lines(v) for k, v in value.items() if k != LINE}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [without_lines(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value
