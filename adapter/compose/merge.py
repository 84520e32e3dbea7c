"""What several sources say of one resource, united element by element into one body. Source: COMPOSE, across sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from adapter.compose.fold import Said, Statement
from adapter.compose.names import Groups, one_official
from adapter.compose.precedence import Precedence
from adapter.model import Contribution, Json, is_object

_NUMBERS = re.compile(r"(\d+)")

WHOLE = "server "
"""How groups begin of list members that another client wrote: each in full, so that what it left out of a member is gone."""

Sources = dict[str, tuple[str, str]]
"""FHIR element -> (source, message identity) that said it."""


def _codes(concepts: Sequence[Json]) -> str:
    return "/".join(sorted(f"{c.get('system', '')}|{c.get('code', '')}" for one in concepts for c in one.get("coding", [])))


def _seat(participant: Json) -> Any:
    """A place on a care team: who, as what, since when."""
    return (participant.get("member", {}).get("reference", ""), _codes(participant.get("role", [])),
            participant.get("period", {}).get("start", ""))


def _telecom(contact: Json) -> Any:
    """A telephone number goes by its digits, however it is written."""
    system, value = contact.get("system", ""), str(contact.get("value", ""))
    digits = "".join(c for c in value if c.isdigit())
    return system, digits if digits and system in ("phone", "fax", "sms", "pager") else value


def _language(communication: Json) -> Any:
    """A language goes by its BCP 47 code, whatever else is said of it."""
    codings: list[Json] = communication.get("language", {}).get("coding", [])
    return next((c.get("code") for c in codings if c.get("system") == "urn:ietf:bcp:47"), communication)


_REPEATING = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/patient-{name}" for name in ("citizenship", "disability", "nationality"))


def _extension(item: Json) -> Any:
    """An extension that may repeat goes by its content, every other by its url."""
    if item.get("url") in _REPEATING:
        return item
    return item.get("url", ""), "complex" if "extension" in item else item.get("valueReference", {}).get("reference", "")


IDENTITY: Mapping[str, Callable[[Any], Any]] = {
    "identifier": lambda i: (i.get("system", ""), i.get("value", "")),
    "telecom": _telecom,
    "communication": _language,
    "extension": _extension,
    "CareTeam.participant": _seat,
}
"""What makes two list members the same one; every other list goes by content."""


Identity = Callable[[Any], Any]

_CHOICES = ("deceased", "multipleBirth", "onset", "abatement", "occurrence", "effective", "value", "performed")
_CHOOSES = re.compile(rf"(?:{'|'.join(_CHOICES)})[A-Z]|[^#]*!")
"""Slots that something must be chosen or taken out for: choices of a type, and removals."""


def identity_of(resource_type: str, path: str) -> Identity | None:
    """What tells the members of a list element apart; None where their content does."""
    return IDENTITY.get(f"{resource_type}.{path}") or IDENTITY.get(path)


def member_identity(identity: Identity | None, item: Any) -> str:
    """The identity of one list member, as text."""
    told = identity(item) if identity and isinstance(item, dict) else item  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def unite(statements: Sequence[Statement], precedence: Precedence) -> tuple[Json, Sources]:
    """The united body (nested, references still symbolic) and who said each element. Raises nothing."""
    if len(statements) == 1 and statements[0].slots and not any(_CHOOSES.match(slot) for slot in statements[0].slots):
        slots = statements[0].slots
        return _assembled(next(iter(slots.values())).by.resource_type, [
            (slot, said.value, (said.by.source, said.by.message), said.moment) for slot, said in slots.items()])
    ordered = sorted(statements, key=lambda s: (precedence.number(s.source), s.source))
    singles: dict[str, list[tuple[Said, Statement]]] = {}
    lists: dict[str, list[tuple[str, Said, Statement]]] = {}
    removed: dict[str, list[Said]] = {}
    for statement in ordered:
        for slot, said in statement.slots.items():
            path, hash_mark, group = slot.partition("#")
            if "!" in path:
                removed.setdefault(path.partition("!")[0], []).append(said)
            elif hash_mark:
                if said.value is not None:
                    lists.setdefault(path, []).append((group, said, statement))
            else:
                singles.setdefault(path, []).append((said, statement))
    body: Json = {}
    sources: Sources = {}
    for path in sorted(singles):
        standing = [s for s in _one_choice(path, singles) if not any(r.moment > s[0].moment for r in removed.get(s[2], ()))]
        winner = _winner(standing, precedence)
        if winner is not None and winner[1] == path:
            put_at(body, path, winner[0].value)
            sources[path] = (winner[0].by.source, winner[0].by.message)
    for path in sorted(lists):
        counting = _counting(path, lists[path], precedence)
        if path == "name" and len(counting) > 1:
            counting = one_official(counting, removed.get(path, []), precedence)
        members = _members(path, counting, removed.get(path, []), sources)
        if members:
            put_at(body, path, members)
    return body, sources


def alone_said(c: Contribution, *, lean: bool = False) -> tuple[Json, Sources]:
    """The body of a resource of which one snapshot is all that is known: the same as `unite` gives, sooner.

    lean: who said what is not asked.
    """
    by = (c.source, c.message)
    return _assembled(c.resource_type, [(slot, value, by, _NO_MOMENT) for slot, value in c.body.items()], lean=lean)


Slot = tuple[str, Any, tuple[str, str], tuple[int, ...]]
"""A slot, its value, who said it (source, message), and when."""
_NO_MOMENT: tuple[int, ...] = ()


def _assembled(resource_type: str, said: Sequence[Slot], *, lean: bool = False) -> tuple[Json, Sources]:
    """Slots of one source put together: nothing to choose between, list members once each."""
    body: Json = {}
    sources: Sources = {}
    grouped: dict[str, list[Slot]] = {}
    for slot in said:
        if slot[1] is None:
            continue
        path, hash_mark, _ = slot[0].partition("#")
        if hash_mark:
            grouped.setdefault(path, []).append(slot)
        elif "!" not in path:
            put_at(body, path, slot[1])
            if not lean:
                sources[path] = slot[2]
    for path, slots in grouped.items():
        identity = identity_of(resource_type, path)
        alone = len(slots) == 1 and (not identity or len(slots[0][1]) == 1)
        if alone and lean:
            put_at(body, path, slots[0][1])
            continue
        if alone:
            members = [(item, slots[0][2]) for item in slots[0][1]]
        else:
            members = once_each(identity, sorted(slots, key=lambda s: natural(s[0])))
        if members:
            put_at(body, path, [item for item, _ in members])
            if lean:
                continue
            sources.update((f"{path}[{n}]", by) for n, (_, by) in enumerate(members))
    return body, sources


def once_each(identity: Identity | None, slots: Sequence[Slot]) -> list[tuple[Any, tuple[str, str]]]:
    """List members of several slots, each once: of two with one identity the later completes the earlier."""
    told: dict[Any, list[tuple[tuple[int, ...], Any, tuple[str, str]]]] = {}
    for _, items, by, moment in slots:
        for item in items:
            told.setdefault(_key(identity, item), []).append((moment, item, by))
    members: list[tuple[Any, tuple[str, str]]] = []
    for versions in told.values():
        versions.sort(key=lambda v: v[0])
        member: Any = versions[0][1]
        for _, item, _ in versions[1:]:
            member = {**member, **item} if is_object(item) and is_object(member) else item
        members.append((member, versions[-1][2]))
    return members


def _key(identity: Identity | None, item: Any) -> Any:
    """The identity of a list member as something to look it up by."""
    told = identity(item) if identity and isinstance(item, dict) else None
    return told if told.__class__ is tuple else orjson.dumps(told or item, option=orjson.OPT_SORT_KEYS)


def _one_choice(path: str, singles: Mapping[str, list[tuple[Said, Statement]]]) -> list[tuple[Said, Statement, str]]:
    """All that was said of an element; a choice (deceased[x]) is one element whatever type each source gave it."""
    stem = next((s for s in _CHOICES if path.startswith(s) and path != s and path[len(s)].isupper()), "")
    if not stem:
        return [(said, statement, path) for said, statement in singles[path]]
    return [(said, statement, p) for p, all_said in singles.items() if p.startswith(stem) and p[len(stem):len(stem) + 1].isupper()
            for said, statement in all_said]


def _winner(said: list[tuple[Said, Statement, str]], precedence: Precedence) -> tuple[Said, str] | None:
    """By precedence of the source for this element, then the latest; a null falls through to the next source."""
    valued = [s for s in said if s[0].value is not None]
    if not valued:
        return None
    resource_type = valued[0][0].by.resource_type
    best = min(valued, key=lambda s: (precedence.rank(s[1].source, resource_type, s[2]), *(-n for n in s[0].moment),
                                      s[1].source, s[2]))
    return best[0], best[2]


def _counting(path: str, groups: list[tuple[str, Said, Statement]], precedence: Precedence) -> list[tuple[str, Said, Statement]]:
    """All groups of a list; where the network declared whose list it is, those of the first who states it alone."""
    if not precedence.declared:
        return groups
    stating = [statement.source for _, said, statement in groups if said.value]
    first = precedence.first(groups[0][1].by.resource_type, path, stating) if stating else None
    return groups if first is None else [g for g in groups if g[2].source in first]


@lru_cache(maxsize=4096)
def natural(text: str) -> list[tuple[int, str]]:
    """A sort key in which PID-3 comes before PID-19; shared, never change it."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in _NUMBERS.split(text)]


def _members(path: str, groups: Groups, removed: list[Said], sources: Sources) -> list[Any]:
    """A list united by the identity of its members; within a source groups stand in natural order, items as stated."""
    if len(groups) > 1:
        ranks: dict[str, int] = {}
        for _, _, statement in groups:
            ranks.setdefault(statement.source, len(ranks))
        groups = sorted(groups, key=lambda g: (ranks[g[2].source], natural(g[0])))
    identity = identity_of(groups[0][1].by.resource_type, path)
    told: dict[str, list[tuple[Said, bool, Any]]] = {}
    for group, said, _ in groups:
        for item in said.value:
            key = member_identity(identity, item)
            if not any(r.moment > said.moment and key in r.value for r in removed):
                told.setdefault(key, []).append((said, group.startswith(WHOLE), item))
    members: list[Any] = []
    for n, versions in enumerate(told.values()):
        versions.sort(key=lambda v: v[0].moment)
        member: Any = versions[0][2]
        for _, whole, item in versions[1:]:
            member = item if whole or member == item else {**member, **item}
        members.append(member)
        last = versions[-1][0].by
        sources[f"{path}[{n}]"] = (last.source, last.message)
    return members


def put_at(body: Json, path: str, value: Any) -> None:
    """Put a value at a path (`period.start`) of a body."""
    if "." not in path:
        body[path] = value
        return
    *outer, last = path.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value
