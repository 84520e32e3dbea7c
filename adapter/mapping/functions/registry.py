"""Where mapping functions are registered, with the account of what each does with every part of its datatype."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol

from adapter.model import Json
from adapter.parse.er7 import Rep


class Context(Protocol):
    """What a function may ask for while it maps one message; pure, all look-ups are in memory."""

    def issue(self, code: str, detail: str = "", column: str = "") -> None:
        """Note a finding at the place that is being mapped; column: of the CSV row, where a whole row is mapped."""
        ...

    def code(self, table: str, code: str) -> Json | None:
        """The Coding that concept map `table` (and the feed's own codes) gives for a code, None where it has none.

        The result is shared: never change it.
        """
        ...

    def system(self, namespace: str, universal_id: str = "", universal_type: str = "", kind: str = "") -> str:
        """The URI of an assigning authority (HD parts), never '': feed.yaml's authorities, an OID, UUID or URI, NPI/SSN
        by `kind` (CX.5), else a name of the sender's own."""
        ...

    def moment(self, text: str) -> str | None:
        """A DTM as FHIR dateTime, precision kept, the feed's zone where it has no offset; None (and an issue) if wrong."""
        ...

    def day(self, text: str) -> str | None:
        """A DT or DTM as FHIR date, precision kept; None (and an issue) if wrong."""
        ...

    def emit(self, resource_type: str, key: str, body: Json) -> str:
        """State a shared resource (Organization, Practitioner, Location) of key `system|value`; its symbolic reference.

        body: slots of the contribution (`element` or `element#group` to value). Result: `Type?system|value`, for use as
        {"reference": result}; it is resolved to Type/id when composing.
        """
        ...


Mapper = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function: call, and its account of the parts (component or component.subcomponent) it takes.

    kept: what it makes of a text may be kept. parts: part -> element below the row's target that it went to, or
    `drop: <reason>`; `*` stands for the whole text. Accounts are written by `adapter.mapping.account`'s rules.
    """

    name: str
    call: Mapper
    parts: Mapping[str, str]
    kept: bool = False


OTHER_WORDS = " in other words"
"""End of an account whose element says the value in terms of its own: a flag as a label, minutes as an end."""


def below(parts: Mapping[str, str], field: int | str = "", to: str = "{}") -> dict[str, str]:
    """The account of a datatype's parts as parts of a field, for a function that reads a whole segment.

    to: where its elements go (`organization({})`), dropped parts stay dropped. A field's account of its whole text is its own.
    """
    dot = f"{field}." if field != "" else ""
    return {f"{field}" if part == "*" else f"{dot}{part}": element if element.startswith("drop: ") else
            to.format(element).rstrip(".").replace(".(", "(") for part, element in parts.items()}


FUNCTIONS: dict[str, Function] = {}
MEMORY = 50_000
"""Texts of which a feed keeps what functions made of them; then it begins anew."""


def function(name: str, parts: Mapping[str, str] | None = None, *, kept: bool = False) -> Callable[[Mapper], Mapper]:
    """Register a function `(rep: Rep, ctx: Context, **with) -> value or None` under the name mapping files use.

    kept: it goes by its text, its options and the feed alone, and messages repeat themselves: what it made of a text is
    kept, and given again without reading it. Its result is shared then: never change it.
    """

    def register(call: Mapper) -> Mapper:
        if name in FUNCTIONS:
            raise ValueError(f"function {name} is registered twice")
        taken = _kept(name, call) if kept else call
        FUNCTIONS[name] = Function(name, taken, dict(parts or {"*": ""}), kept)
        return taken

    return register


def keep(memory: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep what was made of a text; a memory that is full begins anew."""
    if len(memory) >= MEMORY:
        memory.clear()
    memory[key] = value


def _kept(name: str, call: Mapper) -> Mapper:
    """The function with what it made of each text kept in the feed's memory: value, and the resources it stated."""

    @wraps(call)
    def again(rep: Rep, ctx: Any, **options: Any) -> Any:
        memory: dict[Any, Any] | None = getattr(ctx, "memory", None)
        if memory is None:
            return call(rep, ctx, **options)
        key = (name, rep.text, rep.d, *options.items())
        kept = memory.get(key)
        if kept is None:
            outer, issues = ctx.stated, len(ctx.issues)
            stated: list[Any] = []
            ctx.stated = stated
            kept = (call(rep, ctx, **options), stated)
            ctx.stated = outer
            if outer is not None:
                outer.extend(stated)
            if len(ctx.issues) == issues:
                keep(memory, key, kept)
        else:
            for one in kept[1]:
                ctx.emit(*one)
        return kept[0]

    return again


__all__ = ["FUNCTIONS", "Context", "Function", "Rep", "function"]
