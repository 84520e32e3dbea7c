"""The honest account: a part that a function declares shows in what it says, a dropped part changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.mapping.functions import (
    codes,
    contacts,
    identifiers,
    locations,
    names,
    organizations,
    practitioners,
    primitives,
    quantities,
)
from adapter.mapping.functions.registry import FUNCTIONS, Function
from tests.unit.context import Notes, rep

MODULES = {m.__name__ for m in (codes, contacts, identifiers, locations, names, organizations, practitioners,
                                primitives, quantities)}
ASKING = {"dtm_end"}
"""What looks at another field of the segment too: see test_periods_out_of_order.py."""
OWN = sorted(name for name, f in FUNCTIONS.items() if f.call.__module__ in MODULES and name not in ASKING)

NEEDED: dict[str, dict[str, str]] = {
    **{kind: {"1": "code1"} for kind in ("cwe", "ce", "cne", "is", "id", "fc")},
    **{kind: {"1": "number"} for kind in ("cx", "ei", "dln", "pln", "cnn")},
    **{kind: {"1": "7"} for kind in ("cq", "mo", "cp")},
    "xpn": {"2": "Given"}, "xad": {"3": "City"}, "xtn": {"12": "5550100"}, "xcn": {"1": "number", "2": "Family"},
    "xon": {"10": "number"}, "pl": {"1": "Ward"}, "ndl": {"2": "2019"},
}
"""What a value must have before its other parts mean anything, by datatype."""

BESIDE: dict[tuple[str, str], dict[str, str]] = {
    ("cwe_code", "4"): {"1": ""}, ("cwe_code", "10"): {"1": ""}, ("cwe_string", "1"): {"1": ""},
    ("cwe", "6"): {"4": "code2"}, ("cwe", "8"): {"4": "code2"}, ("cwe", "17"): {"4": "code2"},
    ("cwe", "18"): {"4": "code2"}, ("cwe", "21"): {"10": "code3"},
    ("cwe", "12"): {"10": "code3"}, ("cwe", "13"): {"10": "code3"}, ("cwe", "20"): {"10": "code3"},
    ("cx", "4.3"): {"4.2": "1.2.840"}, ("cx", "6.3"): {"6.2": "facility"},
    ("xcn", "9.3"): {"9.2": "1.2.840.7"}, ("xcn", "14.3"): {"14.2": "facility"}, ("xon", "6.3"): {"6.2": "1.2.840.7"},
    ("xon", "8.3"): {"8.2": "facility"}, ("xon", "3"): {"10": ""}, ("ei", "4"): {"3": "1.2.840.7"},
    ("hd", "3"): {"2": "1.2.840.7"},
    ("cnn", "11"): {"10": "1.2.840.7"}, ("cq", "2.3"): {"2.1": "kg"}, ("pl", "10.4"): {"10.1": "x", "10.3": "1.2.840.7"},
    ("pl", "10.2"): {"10.1": "x"}, ("pl", "10.3"): {"10.1": "x"}, ("pl", "11.3"): {"11.2": "1.2.840.7"},
    **{("pl", f"{n}.3"): {f"{n}.2": "level"} for n in (1, 2, 3, 4, 7, 8)},
    **{("ndl", f"{n}.3"): {f"{n}.2": "level"} for n in (4, 5, 6, 7, 10, 11)},
    ("xad", "9.1"): {"9.2": "County"}, ("xad", "9.3"): {"9.1": "code", "9.2": "County"}, ("dln", "2.2"): {"2.1": "NY"},
    ("xtn", "1"): {"12": ""},
    ("cp", "1.2"): {"1.1": "7"},
}
"""What a part needs beside it (or without: '') to mean something."""

DATES = {"cx": ("7", "8"), "xpn": ("10.1", "10.2", "12", "13"), "xad": ("12.1", "12.2", "13", "14"),
         "xtn": ("13", "14"), "xcn": ("17.1", "17.2", "19", "20"),
         "dr": ("1", "2"), "dtm": ("1",), "dln": ("3",), "pln": ("4",),
         "ndl": ("2", "3")}

CODED = {
    **dict.fromkeys((("cx", "4.3"), ("cx", "6.3"), ("xcn", "9.3"), ("xcn", "14.3"), ("xon", "6.3"), ("xon", "8.3"),
                     ("ei", "4"), ("hd", "3"), ("cnn", "11"), ("pl", "10.4"), ("pl", "11.3")), "ISO"),
    **{("pl", f"{n}.3"): "ISO" for n in (1, 2, 3, 4, 7, 8)}, **{("ndl", f"{n}.3"): "ISO" for n in (4, 5, 6, 7, 10, 11)},
    **{("cwe", at): "1.2.840.10" for at in ("15", "18", "21")},
    ("xpn", "7"): "L", ("xpn", "8"): "A", ("xpn", "11"): "F", ("xcn", "10"): "L", ("xcn", "15"): "A",
    ("xcn", "18"): "F",
    ("xad", "7"): "BA", ("xad", "16"): "Y", ("xad", "17"): "Y", ("xad", "18"): "M", ("xtn", "2"): "WPN",
    ("xtn", "3"): "FX", ("xtn", "18"): "3", ("cq", "1"): "8", ("cq", "2.3"): "other", ("mo", "1"): "8",
    ("mo", "2"): "USD", ("cp", "1.1"): "8", ("cp", "1.2"): "USD", ("yes", "1"): "Y", ("nm", "*"): "12",
    ("si", "*"): "12",
}


def datatype(name: str) -> str:
    """The datatype a function is for: what its name begins with."""
    return name.partition("_")[0]


def written(parts: dict[str, str]) -> str:
    """Parts as ER7 text."""
    if "*" in parts:
        return parts["*"]
    components: dict[int, dict[int, str]] = {}
    for at, text in parts.items():
        n, _, m = at.partition(".")
        components.setdefault(int(n), {})[int(m or 1)] = text
    return "^".join("&".join(components.get(n, {}).get(m, "") for m in range(1, max(components.get(n, {1: ""})) + 1))
                    for n in range(1, max(components, default=1) + 1))


def result(function: Function, parts: dict[str, str]) -> str:
    """Everything that a function says of a value."""
    notes = Notes()
    value = function.call(rep(written(parts)), notes)
    return json.dumps([value, notes.emitted], sort_keys=True)


def lookup(table: dict[tuple[str, str], object], name: str, part: str) -> object:
    """An entry for the function, else for its datatype."""
    kind = "cwe" if datatype(name) in ("ce", "cne", "is", "id") else datatype(name)
    return table.get((name, part), table.get((kind, part)))


def cases() -> list[tuple[str, str]]:
    """Function and part; a component whose subcomponents are declared is told by them."""
    return [(name, part) for name in OWN for part in FUNCTIONS[name].parts
            if not any(other.startswith(part + ".") for other in FUNCTIONS[name].parts)]


def base_of(name: str, part: str) -> dict[str, str]:
    """What must be there beside the part."""
    beside = lookup(BESIDE, name, part) or {}
    assert isinstance(beside, dict)
    base = {**NEEDED.get(datatype(name), {}), **beside}
    return {k: v for k, v in base.items() if v and k not in (part, part.partition(".")[0]) and part != "*"}


@pytest.mark.parametrize(("name", "part"), cases())
def test_each_part_shows_or_is_dropped(name: str, part: str) -> None:
    function = FUNCTIONS[name]
    base = base_of(name, part)
    coded = lookup(CODED, name, part)
    date = part in DATES.get(datatype(name), ())
    token = str(coded) if coded else "20200203" if date else "TOKEN7"
    with_it = result(function, {**base, part: token})
    if function.parts[part].startswith("drop:"):
        assert len(function.parts[part]) > len("drop: ")
        assert with_it == result(function, base)
        return
    assert with_it != result(function, base)
    if not coded:
        assert ("2020-02-03" if date else token) in with_it


@pytest.mark.parametrize("name", OWN)
def test_nothing_comes_of_nothing(name: str) -> None:
    notes = Notes()
    for text in ("", '""', "^^^^", "&&&^&&", '""^""^""'):
        if FUNCTIONS[name].parts.keys() == {"*"} and text not in ("", '""'):
            continue
        assert FUNCTIONS[name].call(rep(text), notes) in (None, {}), text
    assert notes.emitted == {}


@given(st.sampled_from(OWN), st.text(alphabet="AZaz019.+-@ ^&\\\"é|", max_size=60))
def test_any_text_is_taken_and_no_string_is_empty(name: str, text: str) -> None:
    notes = Notes()
    value = FUNCTIONS[name].call(rep(text), notes)
    for told in (value, notes.emitted):
        assert_full(told)


def assert_full(value: object) -> None:
    """FHIR JSON knows no empty string, list or object."""
    if isinstance(value, dict):
        for inner in value.values():
            assert inner not in ("", [], {}, None)
            assert_full(inner)
    elif isinstance(value, list):
        for inner in value:
            assert inner not in ("", [], {})
            assert_full(inner)


def test_every_function_accounts_for_its_parts() -> None:
    for name in OWN:
        assert FUNCTIONS[name].parts, name
        assert (FUNCTIONS[name].call.__doc__ or "").strip(), name
