"""The time of a conversion grows as its input does: counted in calls of functions, the same on any machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from adapter.memory import forget
from tests.property.spoiling import FEEDS, answer, assert_sound


def work(raw: bytes) -> int:
    """How many calls of functions one conversion makes: the same on any machine. Nothing is kept of earlier conversions."""
    forget(FEEDS)
    count = 0

    def seen(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        bundle = answer(raw)
    finally:
        sys.setprofile(None)
    assert bundle is not None
    return count


HEAD = (b"MSH|^~\\&|A|B|C|D|20260301||ADT^A01|1|P|2.5\rEVN|A01|20260301\rPID|1||1^^^B^MR||Doe^Jane\r"
        b"PV1|1|I|||||||||||||||||1^^^B^VN\r")
GROWING: dict[str, Callable[[int], bytes]] = {
    "repetitions": lambda n: HEAD.replace(b"Doe^Jane", b"~".join(b"N%d^J" % i for i in range(n))),
    "empty repetitions": lambda n: HEAD.replace(b"Doe^Jane", b"~" * 50 * n),
    "identifiers": lambda n: HEAD.replace(b"1^^^B^MR", b"~".join(b"%d^^^B^MR" % i for i in range(n))),
    "addresses": lambda n: HEAD.replace(b"Doe^Jane", b"Doe^Jane||||||" + b"~".join(b"%d Way" % i for i in range(n))),
    "telephones": lambda n: HEAD.replace(b"Doe^Jane", b"Doe^Jane||||||||" + b"~".join(b"%d" % i for i in range(n))),
    "attending doctors": lambda n: HEAD.replace(b"I|", b"I|||||" + b"~".join(b"%d^D" % i for i in range(n)) + b"|", 1),
    "components": lambda n: HEAD.replace(b"Doe^Jane", b"^".join([b"x"] * 20 * n)),
    "subcomponents": lambda n: HEAD.replace(b"Doe^Jane", b"&".join([b"x"] * 20 * n)),
    "escapes": lambda n: HEAD.replace(b"Doe", b"\\F\\" * 20 * n),
    "wrong escapes": lambda n: HEAD.replace(b"Doe", b"\\Q" * 20 * n),
    "hexadecimal": lambda n: HEAD.replace(b"Doe", b"\\X" + b"41" * 100 * n + b"\\"),
    "a long text": lambda n: HEAD.replace(b"Doe", b"x" * 1000 * n),
    "fields": lambda n: HEAD.replace(b"Doe^Jane", b"Doe^Jane" + b"|x" * 20 * n),
    "observations": lambda n: HEAD + b"".join(b"OBX|%d|NM|%d^Weight||%d|kg|||||F\r" % (i, i, i) for i in range(n)),
    "next of kin": lambda n: HEAD + b"".join(b"NK1|%d|Doe^John%d|SPO\r" % (i, i) for i in range(n)),
    "allergies": lambda n: HEAD + b"".join(b"AL1|%d|DA|%d^Drug\r" % (i, i) for i in range(n)),
    "adverse reactions": lambda n: HEAD + b"".join(
        b"IAM|%d|DA|%d^Drug|MO|Hives|A|%d^B\rIAR|1^Rash|MO\r" % (i, i, i) for i in range(n)),
    "diagnoses": lambda n: HEAD + b"".join(b"DG1|%d||%d^Ill^I10|||F\r" % (i, i) for i in range(n)),
    "insurances": lambda n: HEAD + b"".join(
        b"IN1|%d|P%d|%d|Payer %d||||||||||||Doe^Jane|SEL\r"
        b"IN2|%d|||||||||||||||||||||||||M%d\r" % (i, i, i, i, i, i) for i in range(n)),
    "guarantors": lambda n: HEAD + b"".join(b"GT1|%d|%d|Doe^John%d\r" % (i, i, i) for i in range(n)),
    "procedures": lambda n: HEAD + b"".join(b"PR1|%d||%d^Stitch||20260301\rROL|%d|AD|PP|%d^D\r" % (i, i, i, i) for i in range(n)),
    "consents": lambda n: HEAD + b"".join(b"CON|%d|1|||||||||A|||20260301|20260301\r" % i for i in range(n)),
    "notes": lambda n: HEAD + b"".join(b"OBX|%d|NM|%d^Weight||%d|kg|||||F\rNTE|1||n%d\r" % (i, i, i, i) for i in range(n)),
    "participations": lambda n: HEAD + b"".join(b"PRT|%d|AD||PP|%d^Doc\r" % (i, i) for i in range(n)),
    "roles": lambda n: HEAD + b"".join(b"ROL|%d|AD|PP|%d^Doc\r" % (i, i) for i in range(n)),
    "unknown segments": lambda n: HEAD + b"".join(b"ZZ%d|x\r" % (i % 10) for i in range(n)),
    "patients": lambda n: HEAD.replace(b"A01", b"A40") + b"".join(
        b"PID|1||%d^^^B^MR||D^J\rMRG|%d^^^B^MR\r" % (i, i + 10_000) for i in range(n)),
    "lines of text": lambda n: HEAD.replace(b"Doe", b"\n".join([b"x"] * 20 * n)),
    "wrong lines": lambda n: HEAD + b"x\r" * 20 * n,
}


@pytest.mark.parametrize("what", GROWING)
def test_four_times_the_input_is_about_four_times_the_work(what: str) -> None:
    answer(GROWING[what](2))  # what is read once, whatever comes
    least = work(GROWING[what](1))
    once, four = (work(GROWING[what](n)) - least for n in (61, 241))
    assert four <= 4.4 * max(once, 200)


FIELDS = ["PID-3", "PID-5", "PID-10", "PID-11", "PID-13", "PV1-3", "PV1-7", "PV1-19", "MSH-10", "EVN-2", "ZZZ-1"]
FILLINGS = {"x": b"x" * 1_000_000, "tilde": b"~" * 100_000, "caret": b"^" * 100_000, "amp": b"&" * 100_000,
            "backslash": b"\\" * 100_000, "hex": b"\\X41\\" * 50_000, "mixed": b"1^2&3~" * 20_000, "digits": b"9" * 100_000,
            "null": b'""~' * 30_000, "blanks": b" " * 200_000}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS)
def test_a_huge_field_has_an_answer(field: str, filling: bytes) -> None:
    name, _, number = field.partition("-")
    lines = (HEAD + b"ZZZ|\r").split(b"\r")
    for i, line in enumerate(lines):
        if line.startswith(name.encode()):
            fields = line.split(b"|") + [b""] * 40
            fields[int(number) - (name == "MSH")] = filling
            lines[i] = b"|".join(fields).rstrip(b"|")
    bundle = answer(b"\r".join(lines))
    if bundle is not None:
        assert_sound(bundle)
