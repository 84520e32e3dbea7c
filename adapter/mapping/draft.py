"""A feed.yaml begun from a partner's sample: headers guessed against a contract, and what is left to decide."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.mapping.draft_guess import Guess, guesses, plain
from adapter.parse.rows_contract import Contract
from adapter.parse.sniff import Sample
from adapter.parse.sniff_dates import DateForms, are_times, date_forms

_NUMBER = re.compile(r"-?[0-9.]+(?:,[0-9]+)*(?:\.[0-9]+)?|-?,[0-9]+")
CODES = 20
"""Different texts of a column, at most, that can be codes; of more none is shown."""
@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A feed.yaml as text, and the decisions that it leaves, in the order of the file."""

    text: str
    bound: int
    decisions: tuple[str, ...]


def draft(name: str, file: str, feed: str, sample: Sample, contract: Contract, zone: str) -> Draft:
    """The feed.yaml of a partner. feed: the one it extends. zone: of times without offset, unless it is decided otherwise."""
    taken, maybe = guesses(sample, contract)
    columns = {one.column: one for one in sorted(taken.values(), key=lambda one: one.place)}
    left = [f"{column} is required{_listed(contract.codes(column))}: name its header in columns, make it by split or join, or "
            "give it in constants" for column in contract.required if column not in columns]
    left += _unbound(sample, columns, maybe, contract)
    dates, told = _dates(sample, columns, contract, zone)
    codes, more = _codes(sample, columns, contract)
    left += [*told, *more, *_numbers(sample, columns, contract)]
    left += [f"{column} is bound to {_shown(sample.header[one.place])} by {'its codes' if one.by_codes else 'likeness'} alone "
             f"({one.score:.2f}): right?" for column, one in columns.items() if one.score < 0.9]
    csv: dict[str, Any] = {}
    if sample.delimiter != ",":
        csv["delimiter"] = "tab" if sample.delimiter == "\t" else sample.delimiter
    if sample.quote != '"':
        csv["quote"] = sample.quote
    if decimal := _decimal(sample, columns, contract):
        csv["decimal"] = decimal
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


def _unbound(sample: Sample, columns: Mapping[str, Guess], maybe: Sequence[Guess], contract: Contract) -> list[str]:
    bound = {one.place for one in columns.values()}
    hints = {one.place: f" ({one.column}?)" for one in maybe}
    days = [name for name in contract.required if name not in columns and contract.columns[name] in ("day", "moment")]
    left: list[str] = []
    for place, header in enumerate(sample.header):
        if header and place not in bound:
            values = sample.values(place)
            forms = date_forms(values)
            dated = f" ({' or '.join(days)}?)" if days and forms and forms.forms != ("excel",) else ""
            left.append(f"header {_shown(header)} is bound to nothing{hints.get(place, dated)}{_held(values, forms)}: "
                        "columns, split, join, rows or ignore")
    return left


def _listed(codes: Sequence[str]) -> str:
    return f" (its codes: {', '.join(codes)})" if codes else ""


def _held(values: Sequence[str], forms: DateForms) -> str:
    """What unbound cells seem to hold, without any of them."""
    if forms.forms == ("excel",):
        return f" (numbers, or dates as excel{_strange(forms)})"
    if forms.forms:
        return (f" (dates as {' or '.join([forms.forms[0], *forms.others])}"
                f"{': days tell from months in no row' if forms.others else ''}{_strange(forms)})")
    if are_times(values):
        return " (times of a day: a join with a day makes a moment)"
    if any("," in text for text in values) and all(_NUMBER.fullmatch(text) for text in values):
        return " (numbers with a decimal comma?)" if _mark(values) == "," else " (numbers with groups of thousands)"
    pairs = sum(bool(re.fullmatch(r"[^,0-9]+, ?[^,0-9]+", text)) for text in values)
    return ' (two in one, apart by a comma?)' if pairs * 2 > len(values) else ""


def _strange(forms: DateForms) -> str:
    return f", {forms.strange} of {forms.count} cells are none" if forms.strange else ""


def _mark(values: Sequence[str]) -> str:
    """The decimal mark of some numbers, '' where no other than a point without groups can be told."""
    if any(re.search(r",[0-9]{3}\.|,[0-9]{3},", text) for text in values):
        return "."
    return "," if any("," in text for text in values) else ""


def _decimal(sample: Sample, columns: Mapping[str, Guess], contract: Contract) -> str:
    """The decimal mark of the columns of numbers, all together."""
    return _mark([text for column, one in columns.items() if contract.columns[column] == "number"
                  for text in sample.values(one.place) if _NUMBER.fullmatch(text)])


def _numbers(sample: Sample, columns: Mapping[str, Guess], contract: Contract) -> list[str]:
    """What numbers leave open: cells that are none, and commas that may be either mark."""
    left: list[str] = []
    numbers = {column: sample.values(one.place) for column, one in columns.items() if contract.columns[column] == "number"}
    for column, values in numbers.items():
        if strange := sum(not _NUMBER.fullmatch(text) for text in values):
            left.append(f"{strange} of {len(values)} cells of {column} are no numbers, and will refuse their rows: "
                        "name their texts in empty, or have the sender correct them")
    commas = [text for values in numbers.values() for text in values if "," in text and _NUMBER.fullmatch(text)]
    if commas and all(re.fullmatch(r"-?[0-9]{1,3},[0-9]{3}", text) for text in commas):
        left.append('commas stand before three digits alone: decimal: "," reads them as decimals, "." as groups of thousands')
    return left


def _dates(sample: Sample, columns: Mapping[str, Guess], contract: Contract, zone: str) -> tuple[dict[str, list[str]], list[str]]:
    """Forms by column, and what they leave open."""
    found: dict[str, list[str]] = {}
    left: list[str] = []
    local = False
    for column, one in columns.items():
        if contract.columns[column] not in ("day", "moment"):
            continue
        values = sample.values(one.place)
        forms = date_forms(values)
        local |= forms.local and contract.columns[column] == "moment"
        if forms.forms:
            found[column] = list(forms.forms)
        if forms.others:
            left.append(f"dates of {column} are read as {forms.forms[0]}; {', '.join(forms.others)} would do as well")
        if forms.strange:
            left.append(f"{forms.strange} of {forms.count} cells of {column} are in no form of dates, and will refuse their "
                        "rows: name their texts in empty, or their form in dates")
        if values and not forms:
            left.append(f"dates of {column} are in no form that is known: give it in dates")
    if local:
        left.append(f"times have no offset and are taken as of {zone}: else give time_zone")
    return found, left


def _codes(sample: Sample, columns: Mapping[str, Guess], contract: Contract) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Translations by column where a code is the contract's but for case and marks, and codes that need one."""
    found: dict[str, dict[str, str]] = {}
    left: list[str] = []
    for column, one in columns.items():
        codes = contract.codes(column)
        known = {plain(code): code for code in codes}
        strange = [text for text in dict.fromkeys(sample.values(one.place)) if text not in codes] if codes else []
        if len(strange) > CODES:
            left.append(f"{column} has too many texts for codes: is {_shown(sample.header[one.place])} its header?")
            continue
        if alike := {text: known[plain(text)] for text in strange if plain(text) in known}:
            found[column] = alike
        if unknown := [text for text in strange if text not in alike]:
            left.append(f"codes of {column}: what are {', '.join(map(_shown, unknown))}? One of {', '.join(codes)}")
    return found, left
