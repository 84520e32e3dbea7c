"""Which column of a contract a partner's header seems to be: by its words, and by what stands in its cells."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from adapter.parse.rows_contract import Contract
from adapter.parse.sniff import Sample
from adapter.parse.sniff_dates import date_forms

SURE = 0.75
"""Score from which on a header is bound; docs/feeds.md says how it is made."""
LIKELY = 0.5
"""Score from which on a column is named as what a header may be."""
_SAME = {
    "id": "no nr num number identifier nummer ref", "at": "date on dt datum am", "start": "begin begun started beginn",
    "end": "ended ende finish finished", "member": "client patient subscriber enrollee consumer beneficiary kunde klient "
    "versicherter versicherten mitglied patientin", "organization": "org agency einrichtung organisation trager",
    "birth at": "dob birthdate birthday geburtsdatum", "postal code": "zip zipcode plz postcode", "gender": "sex geschlecht",
    "first name": "fname forename given vorname", "last name": "lname surname family nachname familienname", "goal": "ziel",
    "phone": "tel telephone mobile telefon", "outcome": "result ergebnis", "address line": "street strasse",
    "amount": "amt betrag", "city": "ort", "language": "sprache", "service": "svc", "type": "art", "state": "st", "due": "fallig",
    "diagnosis": "diagnose", "urgency": "dringlichkeit", "level": "tier"}
WORDS = {word: same for same, words in _SAME.items() for word in words.split()}
"""Words that partners write, and one for all that mean the same."""
_COMMON = frozenset(("id", "at", "name", "code", "of", "the"))
"""Words that make no two names alike."""
_NUMBER = re.compile(r"[-+$ ]*[0-9.,\']*[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A header that seems to be a column. place: of the header, from 0. score: 1 is the column's own name.

    by_codes: the cells are the column's codes, whatever the header says.
    """

    place: int
    column: str
    score: float
    by_codes: bool = False


@lru_cache(maxsize=65_536)
def score(header: str, column: str, title: str = "") -> float:
    """How well a header names a column: 1 the same, 0.95 but for case and marks, 0.9 and 0.85 by usual words, else by likeness.

    0.85 where all that lacks is `id` or `at`; 0.8 where it has all words of the column's name and others; likeness is difflib's
    ratio, times 0.9, of names that share a word or the better part of one, and 0.5 at least.
    """
    if header.strip().casefold() == column.casefold():
        return 1.0
    names = {plain(column), plain(title)} - {""}
    said = plain(header)
    if said in names or said.replace(" ", "") in {name.replace(" ", "") for name in names}:
        return 0.95
    usual, wanted = _usual(said), [_usual(name) for name in sorted(names)]
    if any(set(usual) == set(one) for one in wanted):
        return 0.9
    if usual and any(set(one) - set(usual) in ({"id"}, {"at"}) and set(usual) < set(one) for one in wanted):
        return 0.85
    if not any(_kin(mine, theirs) for mine in usual for one in wanted for theirs in one):
        return 0.0
    likeness = max(difflib.SequenceMatcher(None, text, name).ratio() for text, name in
                   [(said, name) for name in names] + [(" ".join(usual), " ".join(one)) for one in wanted])
    return max(round(likeness * 0.9, 2), 0.8 if set(usual) > set(_usual(plain(column))) else LIKELY)


def plain(text: str) -> str:
    """Words in lower case: `memberNo`, `Member_No` and `Member No.` are the same; `#` is a word for a number."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("#", " no ")
    bare = unicodedata.normalize("NFKD", apart.casefold()).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", bare))


def _usual(said: str) -> list[str]:
    """The words of a name, of those that mean the same the one for all, and each once."""
    return list(dict.fromkeys(word for part in said.split() for word in WORDS.get(part, part).split()))


@lru_cache(maxsize=65_536)
def _kin(mine: str, theirs: str) -> bool:
    """Whether two words are one, or one with another ending."""
    if mine in _COMMON or theirs in _COMMON:
        return False
    return mine == theirs or (min(len(mine), len(theirs)) > 3 and difflib.SequenceMatcher(None, mine, theirs).ratio() >= 0.8)


def guesses(sample: Sample, contract: Contract) -> tuple[dict[str, Guess], list[Guess]]:
    """Column -> its header, the best pairs first and each once; and for other headers what they may be."""
    rated = sorted((_rated(sample, place, header, column, contract)
                    for place, header in enumerate(sample.header) if header for column in contract.columns),
                   key=lambda one: (-one.score, one.place))
    taken: dict[str, Guess] = {}
    places: set[int] = set()
    for one in rated:
        if one.score >= SURE and one.column not in taken and one.place not in places:
            taken[one.column] = one
            places.add(one.place)
    maybe = {one.place: one for one in reversed(rated)
             if one.score >= LIKELY and one.place not in places and one.column not in taken}
    return taken, [maybe[place] for place in sorted(maybe)]


def _rated(sample: Sample, place: int, header: str, column: str, contract: Contract) -> Guess:
    """The score of the names, less a third where the cells cannot be the column's; at least 0.8 for two of its codes alone.

    A header that says no more than `No` names the column by which the contract's rows are known.
    """
    rated = score(header, column, contract.titles.get(column, ""))
    texts = sample.values(place)
    if column == next(iter(contract.columns)) and column in contract.key and _usual(plain(header)) == ["id"]:
        rated = max(rated, 0.85)
    codes = {plain(code) for code in contract.codes(column)}
    if len(codes) > 2 and len(set(texts)) > 1 and all(plain(text) in codes for text in texts):
        return Guess(place=place, column=column, score=max(rated, 0.8), by_codes=rated < 0.8)
    return Guess(place=place, column=column, score=round(rated * 2 / 3, 2) if _unlike(texts, column, contract) else rated)


def _unlike(texts: Sequence[str], column: str, contract: Contract) -> bool:
    """Whether the cells cannot be of that column: no dates, no numbers, ids of several words, or days where text is wanted."""
    if not texts:
        return False
    kind = contract.columns[column]
    if kind in ("day", "moment"):
        return not date_forms(texts)
    if kind == "number":
        return not any(_NUMBER.fullmatch(text) for text in texts)
    if column.endswith("_id") and sum(" " in text for text in texts) * 2 > len(texts):
        return True
    forms = date_forms(texts)
    return bool(forms) and forms.forms[:1] not in (("excel",), ("%Y%m%d",))
