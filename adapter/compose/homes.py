"""Accounts and visits that were merged, renumbered or moved, patients whose number changed: every statement where it belongs.

Pure: a function of the statements and links alone, so what arrives late lands right. Every move since a statement is followed,
in time. Source: COMPOSE, identity; HL7 v2 chapter 3, A35, A36, A41, A42, A44 to A47, A49, A50.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from adapter.compose.references import resolved
from adapter.identity.links import CHANGES, Link, final, standing, survivors
from adapter.model import Contribution

LEVELS = {"account": "Account", "visit": "Encounter"}
"""Level of a link -> the resource type whose number it is about."""
_ACCOUNT = "account#account"
_OF_THE_MESSAGE = frozenset(("Provenance", "MessageHeader"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """became: `Type?key` to the key it goes by in the end. moves: `Type?key` (of the end) to its moves in time.

    changed: a patient's number to the one it goes by now. same: also a merged record's number to that of its survivor.
    """

    became: Mapping[str, str]
    moves: Mapping[str, Sequence[Link]]
    changed: Mapping[str, str]
    same: Mapping[str, str]

    def key(self, resource_type: str, key: str) -> str:
        """The number that an account or visit goes by now."""
        return self.became.get(f"{resource_type}?{key}", key)

    def person(self, patient: str) -> str:
        """The survivor of all that a record was merged into."""
        return final(patient, self.same)

    def patient(self, patient: str, name: str, order: Sequence[int]) -> str:
        """Whose it is now what somebody stated of this patient then. name: `Type?key` of its visit or account, or ''."""
        now = final(patient, self.changed)
        for move in self.moves.get(name, ()):
            if tuple(order) <= tuple(move.order) and self.person(now) == self.person(move.other):
                now = move.patient
        return now

    def of_list(self, n: Link) -> Link:
        """A list or deletion, of the numbers that its patient and visit go by now."""
        if n.level == "delete":
            return replace(n, patient=final(n.patient, self.changed), old=self.key("Encounter", n.old))
        system, mark, rest = n.old.partition("|")
        visit = rest.removeprefix(f"{n.patient}/").rstrip("/")
        now = self.key("Encounter", visit)
        patient = self.patient(n.patient, f"Encounter?{now}" if visit else "", n.order)
        beginning = f"{system}{mark}{patient}/" + (f"{now}/" if visit else "")
        return replace(n, patient=patient, old=beginning,
                       members=frozenset(beginning + member.removeprefix(n.old) for member in n.members))


def homes_of(statements: Sequence[Contribution], links: Sequence[Link]) -> Homes | None:
    """Where everything belongs by these links; None where it stands as it was stated."""
    concerned = list(dict.fromkeys(n for n in links if n.level in LEVELS))
    counting = standing(links)[0]
    same, _ = survivors((n.other, n.patient, n.order) for n in counting if n.merges)
    changed = {n.other: n.patient for n in counting if n.kind in CHANGES and same.get(n.other) == n.patient}
    if not concerned and not changed and not any(n.level == "delete" for n in links):
        return None
    became: dict[str, str] = {}
    for level, resource_type in LEVELS.items():
        steps, _ = survivors((n.old, n.new, n.order) for n in concerned if n.level == level)
        became.update((f"{resource_type}?{old}", final(old, steps)) for old in steps)
    homes = Homes(became=became, moves={}, changed=changed, same=same)
    return replace(homes, moves=_moves(concerned, statements, homes))


def _moves(concerned: Iterable[Link], statements: Sequence[Contribution], homes: Homes) -> dict[str, list[Link]]:
    moves: dict[str, list[Link]] = {}
    accounts = [n for n in concerned if n.other and n.level == "account"]
    for n in concerned:
        if n.other:
            moves.setdefault(f"{LEVELS[n.level]}?{homes.key(LEVELS[n.level], n.new)}", []).append(n)
    if accounts:  # with an account go the visits that it has then
        for name, held in _accounts(statements, homes).items():
            for n in accounts:
                then = [account for order, account in held if order <= tuple(n.order)]
                if then and then[-1] == homes.key("Account", n.new):
                    moves.setdefault(name, []).append(n)
    return {name: sorted(found, key=lambda n: (n.order, n.message, n.old, n.other, n.patient)) for name, found in moves.items()}


def _accounts(statements: Sequence[Contribution], homes: Homes) -> dict[str, list[tuple[tuple[int, ...], str]]]:
    """`Encounter?key` -> the accounts that the visit had, in time."""
    held: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for c in statements:
        account = c.body.get(_ACCOUNT) if c.resource_type == "Encounter" and c.kind == "snapshot" else None
        if account:
            number = account[0]["reference"].partition("?")[2]
            held.setdefault(f"Encounter?{homes.key('Encounter', c.key)}", []).append(
                (tuple(c.order.of_snapshot()), homes.key("Account", number)))
    return {name: sorted(found) for name, found in held.items()}


def at_home(c: Contribution, homes: Homes) -> Contribution:
    """A statement with the numbers and the patient that it is about now."""
    if c.scope == "reference" or c.resource_type == "Patient":
        return c
    text = orjson.dumps(c.body)
    visit, name, key, patient = homes.key("Encounter", c.visit), "", c.key, c.patient
    if c.resource_type in LEVELS.values():
        key = homes.key(c.resource_type, c.key)
        name = f"{c.resource_type}?{key}"
    elif c.visit and f'"Encounter?{c.visit}"'.encode() in text:
        name = f"Encounter?{visit}"
    if c.resource_type not in _OF_THE_MESSAGE:
        patient = homes.patient(c.patient, name, c.order.of_snapshot())
    if c.resource_type == "Encounter":
        c = _without_anothers_account(c, patient, homes)
    if (key, patient, visit) == (c.key, c.patient, c.visit) and not any(
            f'"{old}"'.encode() in text for old in homes.became):
        return c

    def home(symbolic: str) -> str:
        head, mark, inner = symbolic.partition("?")
        if symbolic in homes.became:
            return f"{head}?{homes.became[symbolic]}"
        return f"Patient?{patient}" if head == "Patient" and inner == c.patient else f"{head}{mark}{rekeyed(inner)}"

    def rekeyed(inner: str) -> str:
        """A key made of patient, visit and more, with the patient and visit of now."""
        system, mark, rest = inner.partition("|")
        if not (rest == c.patient or rest.startswith(f"{c.patient}/")):
            return inner
        tail = rest[len(c.patient):]
        if c.visit and (tail == f"/{c.visit}" or tail.startswith(f"/{c.visit}/")):
            tail = f"/{visit}{tail[len(c.visit) + 1:]}"
        return f"{system}{mark}{patient}{tail}"

    if c.resource_type not in LEVELS.values():
        key = rekeyed(c.key)
    body = resolved(c.body, home, set())
    if key != c.key and c.resource_type in LEVELS.values():
        body = dict(_old_number(slot, value, c.key) for slot, value in body.items())
    return replace(c, key=key, patient=patient, visit=visit, body=body)


def _without_anothers_account(c: Contribution, patient: str, homes: Homes) -> Contribution:
    """A statement about a visit that moved to a person, without the account that stayed with the person before."""
    account = c.body.get(_ACCOUNT)
    if not account:
        return c
    number = homes.key("Account", account[0]["reference"].partition("?")[2])
    holder = homes.patient(c.patient, f"Account?{number}", c.order.of_snapshot())
    if homes.person(holder) == homes.person(patient):
        return c
    return replace(c, body={slot: value for slot, value in c.body.items() if slot != _ACCOUNT})


def _old_number(slot: str, value: Any, number: str) -> tuple[str, Any]:
    """A slot of identifiers in which the number that is not in use any more is marked as old; apart from those of now."""
    if not slot.startswith("identifier#") or not value:
        return slot, value
    marked = [{**i, "use": "old"} if f"{i.get('system', '')}|{i.get('value', '')}" == number else i for i in value]
    return f"identifier#~{number}~{slot.partition('#')[2]}", marked
