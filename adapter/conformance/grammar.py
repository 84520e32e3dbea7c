"""Message structures as text: `MSH EVN PID PD1? (PR1 ROL*)*`; a suffix is a cardinality, `?` 0..1, `*` 0..*, `+` 1..*."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\(|\)[?*+]?|[A-Z][A-Z0-9]{2}[?*+]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A segment, or a group (`children`) without a name. least: 0 or 1; many: it may repeat."""

    name: str
    least: int
    many: bool
    children: tuple[Node, ...] = ()

    def first(self) -> str:
        """The segment that is missing where this node is: its own, or the first that its group needs."""
        if not self.children:
            return self.name
        return next((child for child in self.children if child.least), self.children[0]).first()


def parse(text: str) -> tuple[Node, ...]:
    """The nodes of a structure. Raises ValueError where the text is none."""
    stack: list[list[Node]] = [[]]
    for token in text.split():
        for part in _TOKEN.findall(token):
            if part == "(":
                stack.append([])
            elif part[0] == ")":
                children = tuple(stack.pop())
                stack[-1].append(_node("", part[1:], children))
            else:
                stack[-1].append(_node(part[:3], part[3:], ()))
        if "".join(_TOKEN.findall(token)) != token:
            raise ValueError(token)
    if len(stack) != 1:
        raise ValueError(text)
    return tuple(stack[0])


def _node(name: str, suffix: str, children: tuple[Node, ...]) -> Node:
    return Node(name=name, least=int(suffix in ("", "+")), many=suffix in ("*", "+"), children=children)
