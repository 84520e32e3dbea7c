"""The segments of a message against its structure: what is out of its place, what is there too often, what is missing.

One walk from left to right, without going back: each segment takes the nearest place after the last one, in its group, in a
further repetition of it, or behind it. Time is linear in the number of segments. Z segments may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter.conformance.finding import Finding
from adapter.conformance.grammar import Node


class _Frame:
    """One repetition of a group (or the message) while it is walked: how often each child was met, and the place reached."""

    __slots__ = ("at", "children", "counts")

    def __init__(self, children: tuple[Node, ...]) -> None:
        self.children = children
        self.counts = [0] * len(children)
        self.at = 0

    def missing(self) -> Iterator[Node]:
        """Children that must be there and were not met."""
        return (child for child, count in zip(self.children, self.counts, strict=True) if child.least and not count)


def check_sequence(name: str, structure: tuple[Node, ...], segments: Sequence[str]) -> list[Finding]:
    """The findings about a message's segment names (MSH first). name: of the structure, for the findings' texts."""
    found: list[Finding] = []
    stack = [_Frame(structure)]
    numbers: dict[str, int] = {}
    for segment in segments:
        number = numbers[segment] = numbers.get(segment, 0) + 1
        if segment[0] == "Z" or _step(stack, segment, name, found):
            continue
        place = segment if number == 1 else f"{segment}[{number}]"
        found.append(Finding(kind="sequence", place=place, detail=_why(stack, structure, segment, name)))
    while stack:
        _close(stack.pop(), name, found)
    return found


def _step(stack: list[_Frame], segment: str, name: str, found: list[Finding]) -> bool:
    """Take the next place for a segment, innermost group first; what is left behind is closed."""
    for level in range(len(stack) - 1, -1, -1):
        frame = stack[level]
        for at in range(frame.at, len(frame.children)):
            node = frame.children[at]
            if (not node.many and frame.counts[at]) or (path := _enter(node, segment)) is None:
                continue
            while len(stack) > level + 1:
                _close(stack.pop(), name, found)
            _take(stack, at, path)
            return True
    return False


def _take(stack: list[_Frame], at: int, path: tuple[int, ...]) -> None:
    for index in (at, *path):
        frame = stack[-1]
        frame.at = index
        frame.counts[index] += 1
        if frame.children[index].children:
            stack.append(_Frame(frame.children[index].children))


def _enter(node: Node, segment: str) -> tuple[int, ...] | None:
    """The way down to a segment, () where the node is it; None where it is not there. A group that may be left out is not
    entered past a segment that it needs."""
    if not node.children:
        return () if node.name == segment else None
    for at, child in enumerate(node.children):
        path = _enter(child, segment)
        if path is not None:
            return (at, *path)
        if child.least and not node.least:
            return None
    return None


def _close(frame: _Frame, name: str, found: list[Finding]) -> None:
    found.extend(Finding(kind="sequence", place=node.first(), detail=f"{name} needs it") for node in frame.missing())


def _why(stack: Sequence[_Frame], structure: tuple[Node, ...], segment: str, name: str) -> str:
    """Why a segment found no place; where it only comes too late, it does not count as missing."""
    for frame in reversed(stack):
        for at, node in enumerate(frame.children):
            if node.name == segment:
                if not frame.counts[at]:
                    frame.counts[at] = 1
                    return f"out of its place in {name}"
                return f"more often than {name} allows" if at == frame.at else f"out of its place in {name}"
    return f"out of its place in {name}" if _anywhere(structure, segment) else f"not part of {name}"


def _anywhere(nodes: tuple[Node, ...], segment: str) -> bool:
    return any(node.name == segment or _anywhere(node.children, segment) for node in nodes)
