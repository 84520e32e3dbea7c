"""Where a value of a message stands in what came out: looked up, not believed, for the account of a message.

Paths are FHIR's, without indexes; an extension is told by the end of its URL (`Patient.extension(patient-religion)`), and what
stands beside a primitive (`_gender`) at the primitive's own path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from adapter.mapping.functions.registry import OTHER_WORDS
from adapter.mapping.functions.systems import known_system
from adapter.mapping.terminology import Terminology
from adapter.model import Composed, Json, is_array, is_object

_YES_NO = {"Y": True, "N": False, "T": True, "F": False}
_UCUM = "http://unitsofmeasure.org"
_SCHEMES = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "GUID": "urn:uuid:", "DNS": "dns:", "URI": "", "URL": ""}
_HEADS = re.compile(r" -> (?=[A-Z])|\((?=[A-Z][A-Za-z]+[.)])")
_TIMES = frozenset(("start", "end"))
"""Elements whose values stand there or nowhere."""
_INDEX = re.compile(r"\[\d*\]")
Path = tuple[str, ...]
Leaf = tuple[Path, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is looked for: its text, and the codes that concept maps make of it."""

    text: str
    codes: frozenset[str]

    def fits(self, stands: Any) -> int:
        """How well a primitive of the output says it: 3 to the letter, 2 in a form of its type, 1 among other words, 0 not."""
        if isinstance(stands, bool):
            return 2 * (_YES_NO.get(self.text.upper()) is stands)
        if isinstance(stands, (int, float)):
            return 2 * (_number(self.text) == float(stands))
        if stands == self.text:
            return 3
        text = str(stands)
        if text in self.codes or _day(self.text, text) or _uri(self.text, text):
            return 2
        return int(_words(self.text) in _words(text))


def value(text: str, terminology: Terminology) -> Value:
    """A text of a message, with the codes that the feed's concept maps know for it."""
    found = (terminology.code(table, text) for table in terminology.tables())
    return Value(text, frozenset(one["code"] for one in found if one))


def flat(resource: Json) -> list[Leaf]:
    """Every primitive of a resource with its path, but not id, type and profile."""
    kind: str = resource["resourceType"]
    return [leaf for name, inner in resource.items() if name not in ("resourceType", "id")
            for leaf in _walk(inner, (kind, name.lstrip("_"))) if leaf[0][1:3] != ("meta", "profile")]


def _walk(node: Any, path: Path) -> Iterator[Leaf]:
    if is_object(node):
        if path[-1] == "extension" and "url" in node:
            path = (*path[:-1], f"extension({_short(node['url'])})")
        for name, inner in node.items():
            if name != "url" or not path[-1].startswith("extension"):
                yield from _walk(inner, (*path, name.lstrip("_")))
    elif is_array(node):
        for inner in node:
            yield from _walk(inner, path)
    elif node is not None:
        yield path, node


def _short(url: str) -> str:
    return url.rpartition("/")[2].rpartition(":")[2]


def where(wanted: Value | None, account: str, leaves: Callable[[str], Iterable[Leaf]]) -> str:
    """The path at which a value stands, nearest to where its account has it; '' where it stands nowhere near it.

    At the account's own element it may stand in any form, elsewhere in the same element of the resource (below the element
    that leads to another resource, of an account like `Encounter.participant.individual -> Practitioner.name`) not merely
    among other words. wanted: None for whatever stands at the account itself. leaves: the primitives of a type's resources.
    """
    heads = _HEADS.split(account)
    for n, head in reversed(list(enumerate(heads))):
        best: tuple[bool, int, int, str] = (False, 0, 0, "")
        for steps in _places(head, closing=n > 0):
            near = len(steps) if n < len(heads) - 1 or steps[-1] in _TIMES or wanted is None else min(2, len(steps))
            for path, stands in leaves(steps[0]):
                shared = _shared(steps, path)
                fits = 0 if shared < near else 3 if wanted is None else wanted.fits(stands)
                if fits > (shared < len(steps)):
                    best = max(best, (shared == len(steps), fits, shared, ".".join(path)))
        if best[3]:
            return best[3]
    return ""


def _places(account: str, *, closing: bool) -> Iterator[Path]:
    """The steps of each place that an account names: of `name or alias`, the second stands beside the first."""
    plain = _INDEX.sub("", account).replace(" -> ", ".")
    if closing and plain.count(")") > plain.count("("):
        plain = plain.removesuffix(")")
    first, *others = plain.split(" or ")
    for one in (first, *(f"{first.rpartition('.')[0]}.{other}" if other[:1].islower() else other for other in others)):
        yield tuple(step.lstrip("_") for step in re.findall(r"[^.(]+(?:\([^)]*\))?", one))


def _shared(account: Path, path: Path) -> int:
    """How many steps of an account a path begins with; an extension without a name is any."""
    count = 0
    for one, other in zip(account, path, strict=False):
        if one != other and not (one == "extension" and other.startswith("extension(")):
            break
        count += 1
    return count


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _day(text: str, stands: str) -> bool:
    """Whether a DTM and a FHIR date mean the same day, as far as both tell it."""
    sent = re.match(r"\d{4,14}", text)
    if sent is None or not re.match(r"\d{4}(-\d\d(-\d\d)?)?($|T)", stands):
        return False
    digits = stands[:10].replace("-", "")
    length = min(8, len(sent[0]), len(digits))
    return sent[0][:length] == digits[:length]


@lru_cache(maxsize=4096)
def _uri(text: str, stands: str) -> bool:
    """Whether a URI says it: names it in one of its parts, is of its form, or is known by its name as a coding system."""
    if ":" not in stands or " " in stands:
        return False
    if text.upper() in _SCHEMES:
        return stands.startswith(_SCHEMES[text.upper()] or ("http", "urn:", "ftp"))
    known = _UCUM if text.upper() == "UCUM" else known_system(text)
    return stands == known or text.casefold() in re.split(r"[:/#]", stands.casefold())


@lru_cache(maxsize=4096)
def _words(text: str) -> str:
    words = re.findall(r"[^\W_]+", text)
    return f" {' '.join(words)} "


class Output:
    """What came of a message, as its account asks for it."""

    def __init__(self, composed: Iterable[Composed]) -> None:
        self._named: dict[str, Json] = {}
        self._flat: dict[int, list[Leaf]] = {}
        self._types: dict[str, list[Json]] = {}
        self._values: dict[str, Value] = {}
        for one in composed:
            if not one.deleted:
                kind = one.resource_type
                self._named[f"{kind}?{one.key}"] = self._named[f"{kind}@{one.person}?{one.key}"] = one.body
                self._types.setdefault(kind, []).append(one.body)

    def find(self, text: str, account: str, symbols: Iterable[str], terminology: Terminology) -> str:
        """Where a text stands, nearest to its account, in the resources that its row wrote (symbols), else in any of the type."""
        written = [self._named[symbol] for symbol in symbols if symbol in self._named]

        def leaves(kind: str) -> Iterator[Leaf]:
            own = [body for body in written if body["resourceType"] == kind]
            return (leaf for body in own or self._types.get(kind, ()) for leaf in self._leaves(body))

        if account.endswith(OTHER_WORDS):
            return where(None, account.removesuffix(OTHER_WORDS), leaves)
        if text not in self._values:
            self._values[text] = value(text, terminology)
        return where(self._values[text], account, leaves)

    def _leaves(self, body: Json) -> list[Leaf]:
        if id(body) not in self._flat:
            self._flat[id(body)] = flat(body)
        return self._flat[id(body)]
