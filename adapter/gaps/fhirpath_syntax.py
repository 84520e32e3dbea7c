"""FHIRPath text as a tree: the subset that ViewDefinitions use. Source: FHIRPath 2.0, SQL on FHIR v2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from adapter.errors import Defect

Kind = Literal["literal", "constant", "this", "member", "function", "index", "operator", "negate"]

_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<time>@T?[0-9][0-9:.TZ+\-]*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<constant>%(?:[A-Za-z_]\w*|`[^`]+`))"
    r"|(?P<name>\$?[A-Za-z_]\w*|`[^`]+`)"
    r"|(?P<mark><=|>=|!=|[=<>+\-*/&|().,\[\]{}])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}

_BINDING: tuple[tuple[str, ...], ...] = (
    ("implies",), ("or", "xor"), ("and",), ("in", "contains"), ("=", "!="), ("<", ">", "<=", ">="), ("|",),
    ("+", "-", "&"), ("*", "/", "div", "mod"),
)
"""Binary operators from the loosest to the tightest."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step: `parts` are the operands, or base and arguments; a base of None is the current focus."""

    kind: Kind
    value: object = None
    base: Node | None = None
    parts: tuple[Node, ...] = ()


def parse(text: object) -> Node:
    """The tree of a FHIRPath expression. Raises Defect (view-invalid) where it is not one of the subset."""
    if not isinstance(text, str):
        raise Defect("view-invalid", str(text), "a path is text")
    reader = _Reader(text)
    node = reader.expression(0)
    reader.end()
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    def wrong(self, what: str) -> Defect:
        return Defect("view-invalid", self.text, what)

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    @property
    def word(self) -> str:
        return self.tokens[self.at][1]

    def take(self, mark: str) -> bool:
        if self.word != mark or self.kind == "string":
            return False
        self.at += 1
        return True

    def need(self, mark: str) -> None:
        if not self.take(mark):
            raise self.wrong(f"`{mark}` expected, `{self.word}` found")

    def end(self) -> None:
        if self.kind != "end":
            raise self.wrong(f"`{self.word}` is not expected here")

    def expression(self, level: int) -> Node:
        if level == len(_BINDING):
            return self.unary()
        left = self.expression(level + 1)
        while self.kind in ("mark", "name") and self.word in _BINDING[level]:
            operator = self.word
            self.at += 1
            left = Node("operator", operator, None, (left, self.expression(level + 1)))
        return left

    def unary(self) -> Node:
        if self.take("-"):
            return Node("negate", None, None, (self.unary(),))
        return self.steps(self.term())

    def steps(self, node: Node) -> Node:
        while True:
            if self.take("."):
                node = self.invocation(node)
            elif self.take("["):
                node = Node("index", None, node, (self.expression(0),))
                self.need("]")
            else:
                return node

    def term(self) -> Node:
        kind, word = self.tokens[self.at]
        if self.take("("):
            node = self.expression(0)
            self.need(")")
            return node
        if self.take("{"):
            self.need("}")
            return Node("literal")
        if kind == "name" and word not in ("true", "false", "$this"):
            return self.invocation(None)
        self.at += 1
        if kind == "constant":
            return Node("constant", word[1:].strip("`"))
        if word == "$this" and kind == "name":
            return Node("this")
        return Node("literal", self.literal(kind, word))

    def literal(self, kind: str, word: str) -> object:
        if kind == "string":
            return _ESCAPE.sub(_unescape, word[1:-1])
        if kind == "time":
            return word[1:].removeprefix("T")
        if kind == "number":
            return float(word) if "." in word else int(word)
        if kind == "name":
            return word == "true"
        raise self.wrong(f"`{word}` is not expected here" if word else "the expression ends too early")

    def invocation(self, base: Node | None) -> Node:
        if self.kind != "name":
            raise self.wrong(f"a name expected, `{self.word}` found")
        name = self.word.strip("`")
        self.at += 1
        if not self.take("("):
            return Node("member", name, base)
        arguments: list[Node] = []
        if not self.take(")"):
            arguments.append(self.expression(0))
            while self.take(","):
                arguments.append(self.expression(0))
            self.need(")")
        return Node("function", name, base, tuple(arguments))


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Defect("view-invalid", text, f"`{text[at]}` is not FHIRPath")
        if match.lastgroup and match.lastgroup != "space":
            tokens.append((match.lastgroup, match.group()))
        at = match.end()
    return [*tokens, ("end", "")]


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)
