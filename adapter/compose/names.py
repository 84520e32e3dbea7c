"""Of a person's names that several sources call official one keeps that use: a reader who asks for it must find one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from adapter.compose.fold import Said, Statement
from adapter.compose.precedence import Precedence
from adapter.model import Json, is_object

Groups = Sequence[tuple[str, Said, Statement]]
"""Of a list: group of the slot, its value and who said it, and the statement that it is of."""


def one_official(groups: Groups, gone: Sequence[Said], precedence: Precedence) -> Groups:
    """Names of the statement whose word counts first stay official; others' that differ stay too, without a use.

    The word counts as for a single element; equal times are decided by the name of the source. gone: names taken out by key.
    A name that has ended (`period.end`) claims nothing, and keeps its use. Source: R4 HumanName.use.
    """
    claiming: dict[int, tuple[Statement, list[Said]]] = {}
    for _, said, statement in groups:
        if _official(said, gone):
            claiming.setdefault(id(statement), (statement, []))[1].append(said)
    if len(claiming) < 2:
        return groups
    first, stated = min(claiming.values(), key=lambda one: _place(one, gone, precedence))
    kept = [_bare(name) for said in stated for name in _official(said, gone)]
    return [(group, said if statement is first else _yielding(said, kept), statement) for group, said, statement in groups]


def _place(one: tuple[Statement, list[Said]], gone: Sequence[Said], precedence: Precedence) -> tuple[Any, ...]:
    statement, stated = one
    rank = precedence.rank(statement.source, stated[0].by.resource_type, "name")
    times = max(said.moment[:-1] for said in stated)  # without arrival
    names = [name for said in stated for name in _official(said, gone)]
    return rank, tuple(-n for n in times), statement.source, orjson.dumps(names, option=orjson.OPT_SORT_KEYS)


def _official(said: Said, gone: Sequence[Said]) -> list[Json]:
    """The names of a slot that claim to be the official one of now, and were not taken out since."""
    return [name for name in said.value or () if _claims(name) and not any(
        said.moment < one.moment and orjson.dumps(name, option=orjson.OPT_SORT_KEYS).decode() in one.value for one in gone)]


def _claims(name: Any) -> bool:
    return is_object(name) and name.get("use") == "official" and "end" not in name.get("period", {})


def _bare(name: Json) -> Json:
    return {element: value for element, value in name.items() if element != "use"}


def _yielding(said: Said, kept: Sequence[Json]) -> Said:
    """The same, its official names without a use unless they are what is kept."""
    if not any(_claims(name) for name in said.value):
        return said
    return replace(said, value=[_bare(name) if _claims(name) and _bare(name) not in kept else name for name in said.value])
