"""A feed.yaml begun from a partner's sample: headers guessed against a contract, and what is left to decide."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.parse.rows_contract import Contract
from adapter.parse.sniff import Sample, date_forms

SURE = 0.75
"""Score from which on a header is bound; docs/feeds.md says how it is made."""
LIKELY = 0.5
"""Score from which on a column is named as what a header may be."""
CODES = 20
"""Different texts of a column, at most, that can be codes; of more none is shown."""
WORDS = {"dob": "birth date", "birthdate": "birth date", "zip": "postal code", "zipcode": "postal code", "sex": "gender",
         "fname": "first name", "lname": "last name", "surname": "last name", "forename": "first name", "no": "id", "nr": "id",
         "num": "id", "number": "id", "identifier": "id", "org": "organization", "agency": "organization", "tel": "phone",
         "telephone": "phone", "mobile": "phone", "begin": "started at", "start": "started at", "end": "ended at",
         "client": "member", "patient": "member", "result": "outcome", "updated": "updated at",
         "street": "address line", "given": "first", "family": "last"}
"""Words that partners write, and what the contracts call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A header that seems to be a column. place: of the header, from 0. score: 1 is the column's own name."""

    place: int
    column: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A feed.yaml as text, and the decisions that it leaves, in the order of the file."""

    text: str
    bound: int
    decisions: tuple[str, ...]


def score(header: str, column: str, title: str = "") -> float:
    """How well a header names a column: 1 the same, 0.95 but for case and marks, 0.9 by usual words, else by likeness.

    0.8 where it has all words of the column's name and others; likeness is difflib's ratio, times 0.9.
    """
    if header.strip().casefold() == column.casefold():
        return 1.0
    names = {_plain(column), _plain(title)} - {""}
    plain = _plain(header)
    if plain in names or plain.replace(" ", "") in {name.replace(" ", "") for name in names}:
        return 0.95
    usual = " ".join(WORDS.get(word, word) for word in plain.split())
    if usual in names:
        return 0.9
    likeness = round(max(difflib.SequenceMatcher(None, text, name).ratio() for text in (plain, usual) for name in names) * 0.9, 2)
    return max(likeness, 0.8) if set(usual.split()) > set(_plain(column).split()) else likeness


def _plain(text: str) -> str:
    """Words in lower case: `memberNo`, `Member_No` and `Member No.` are the same."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    bare = unicodedata.normalize("NFKD", apart).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", bare.casefold()))


def guesses(sample: Sample, contract: Contract) -> tuple[dict[str, Guess], list[Guess]]:
    """Column -> its header, the best pairs first and each once; and for other headers what they may be."""
    rated = sorted((Guess(place=place, column=column, score=_rated(sample, place, header, column, contract))
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


def _rated(sample: Sample, place: int, header: str, column: str, contract: Contract) -> float:
    """The score of the names, less a third where the cells are no dates and the column's are; at least 0.8 for its codes."""
    rated = score(header, column, contract.titles.get(column, ""))
    if len(contract.codes(column)) > 2 and (texts := sample.values(place)):
        codes = {_plain(code) for code in contract.codes(column)}
        return max(rated, 0.8) if all(_plain(text) in codes for text in texts) else rated
    if rated >= LIKELY and contract.columns[column] in ("day", "moment"):
        values = sample.values(place)
        if values and not any(date_forms(values)):
            return round(rated * 2 / 3, 2)
    return rated


def draft(name: str, file: str, feed: str, sample: Sample, contract: Contract, zone: str) -> Draft:
    """The feed.yaml of a partner. feed: the one it extends. zone: of times without offset, unless it is decided otherwise."""
    taken, maybe = guesses(sample, contract)
    columns = {one.column: one for one in sorted(taken.values(), key=lambda one: one.place)}
    left = [f"{column} is required{_listed(contract.codes(column))}: name its header in columns, make it by split or join, or "
            "give it in constants" for column in contract.required if column not in columns]
    left += _unbound(sample, columns, maybe)
    dates, told = _dates(sample, columns, contract, zone)
    codes, more = _codes(sample, columns, contract)
    left += [*told, *more]
    left += [f"{column} is bound to {_shown(sample.header[one.place])} by likeness alone ({one.score:.2f}): right?"
             for column, one in columns.items() if one.score < 0.9]
    csv: dict[str, Any] = {}
    if sample.delimiter != ",":
        csv["delimiter"] = "tab" if sample.delimiter == "\t" else sample.delimiter
    if sample.quote != '"':
        csv["quote"] = sample.quote
    if any(contract.columns[c] == "number" and any(re.fullmatch(r"-?[0-9.]*,[0-9]+", v) for v in sample.values(g.place))
           for c, g in columns.items()):
        csv["decimal"] = ","
    if markers := sample.markers():
        csv["empty"] = markers
    lines = [f"# {name}: begun from {file} by `careloop feed new`. What each key means: docs/mappings.md.", f"extends: {feed}"]
    lines += [f"charset: {sample.charset}"] * (sample.charset != "utf-8") + ["csv:"]
    lines += [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in csv.items()]
    lines += ["  columns:" if columns else "  columns: {}"]
    lines += [f"    {column}: {_shown(sample.header[one.place])}   # {one.score:.2f}" for column, one in columns.items()]
    lines += ["  dates:"] * bool(dates) + [f"    {column}: {json.dumps(forms)}" for column, forms in dates.items()]
    lines += ["codes:"] * bool(codes) + [f"  {c}: {json.dumps(table, ensure_ascii=False)}" for c, table in codes.items()]
    lines += [f"# decide: {one}" for one in left]
    return Draft(text="\n".join(lines) + "\n", bound=len(columns), decisions=tuple(left))


def _shown(header: str) -> str:
    return json.dumps(header, ensure_ascii=False)


def _unbound(sample: Sample, columns: Mapping[str, Guess], maybe: Sequence[Guess]) -> list[str]:
    bound = {one.place for one in columns.values()}
    hints = {one.place: f" ({one.column}?)" for one in maybe}
    return [f"header {_shown(header)} is bound to nothing{hints.get(place, '')}{_held(sample.values(place))}: "
            "columns, split, join, rows or ignore"
            for place, header in enumerate(sample.header) if header and place not in bound]


def _listed(codes: Sequence[str]) -> str:
    return f" (its codes: {', '.join(codes)})" if codes else ""


def _held(values: Sequence[str]) -> str:
    """What unbound cells seem to hold, without any of them."""
    forms, others = date_forms(values)
    if forms:
        return f" (dates as {' or '.join([forms[0], *others])}{': days tell from months in no row' if others else ''})"
    numbers = [text for text in values if re.fullmatch(r"-?[0-9.]+(?:,[0-9]+)?|-?,[0-9]+", text)]
    if len(numbers) == len(values) and any("," in text for text in numbers):
        return " (numbers with a decimal comma?)"
    pairs = sum(bool(re.fullmatch(r"[^,0-9]+, ?[^,0-9]+", text)) for text in values)
    return ' (two in one, apart by a comma?)' if pairs * 2 > len(values) else ""


def _dates(sample: Sample, columns: Mapping[str, Guess], contract: Contract, zone: str) -> tuple[dict[str, list[str]], list[str]]:
    """Forms by column, and what they leave open."""
    found: dict[str, list[str]] = {}
    left: list[str] = []
    timed = False
    for column, one in columns.items():
        if contract.columns[column] not in ("day", "moment"):
            continue
        values = sample.values(one.place)
        forms, others = date_forms(values)
        if forms:
            found[column] = forms
            timed |= any("%H" in form or "%I" in form for form in forms)
            if others:
                left.append(f"dates of {column} are read as {forms[0]}; {', '.join(others)} would do as well")
        elif values and not others:
            left.append(f"dates of {column} are in no form that is known: give it in dates")
    if timed:
        left.append(f"times have no offset and are taken as of {zone}: else give time_zone")
    return found, left


def _codes(sample: Sample, columns: Mapping[str, Guess], contract: Contract) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Translations by column where a code is the contract's but for case and marks, and codes that need one."""
    found: dict[str, dict[str, str]] = {}
    left: list[str] = []
    for column, one in columns.items():
        codes = contract.codes(column)
        known = {_plain(code): code for code in codes}
        strange = [text for text in dict.fromkeys(sample.values(one.place)) if text not in codes] if codes else []
        if len(strange) > CODES:
            left.append(f"{column} has too many texts for codes: is {_shown(sample.header[one.place])} its header?")
            continue
        if alike := {text: known[_plain(text)] for text in strange if _plain(text) in known}:
            found[column] = alike
        if unknown := [text for text in strange if text not in alike]:
            left.append(f"codes of {column}: what are {', '.join(map(_shown, unknown))}? One of {', '.join(codes)}")
    return found, left
