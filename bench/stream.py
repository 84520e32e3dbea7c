"""A stream of messages as a hospital sends it: each is about somebody else, the hospital's own words are the same.

Out of each message others are made: in all that is about the person, the stay and the message (names, numbers, dates,
addresses) names, digits and days differ from one to the next; what is the hospital's (doctors, wards, codes) stays.
`stays` makes whole stays instead, of eight messages each.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from adapter.home import HOME
from adapter.validate.numbers import valid_npi

PERSONAL = {
    "MSH": {7, 10}, "EVN": {2, 3, 6}, "PID": {2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 18, 19, 20, 21, 29, 33, 40},
    "NK1": {2, 4, 5, 6, 8, 9, 12, 16, 26, 30, 31, 32, 33, 37, 40, 41}, "PV1": {5, 19, 44, 45, 50}, "PV2": {8, 9, 26, 33, 48},
    "MRG": {1, 2, 3, 4, 5, 6, 7}, "GT1": {2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 18, 19, 45}, "DG1": {5, 20, 21, 22}, "PR1": {5, 19},
    "AL1": {6}, "OBX": {5, 14, 19}, "IN1": {2, 8, 12, 13, 16, 18, 19, 36, 49}, "IN2": {1, 2, 3, 6, 8, 25, 26, 61, 63, 69},
    "IN3": {2, 6, 7, 10, 21}, "ACC": {1}, "UB2": set[int](), "ROL": {5, 6}, "PD1": {13, 14, 21}}
"""Fields that are each person's, stay's or message's own, by segment."""
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?=\d*)")
_NUMBER = re.compile(r"\d{4,}")
_NAME = re.compile(r"\b[A-Za-z]{4,}\b")
_NAMES = {("PID", 5), ("PID", 6), ("PID", 9), ("PID", 11), ("NK1", 2), ("NK1", 4), ("GT1", 3), ("GT1", 4), ("GT1", 5),
          ("IN1", 16), ("IN1", 19), ("MRG", 7)}


def another(raw: bytes, n: int) -> bytes:
    """The n-th other message like this one; of the same segments, fields and lengths but for names."""
    lines = raw.decode("latin-1").replace("\r\n", "\r").replace("\n", "\r").split("\r")
    return "\r".join(_line(line, n) for line in lines).encode("latin-1")


def _line(line: str, n: int) -> str:
    name = line[:3]
    fields = line.split("|")
    shift = 1 if name == "MSH" else 0
    for field in PERSONAL.get(name, ()):
        at = field - shift
        if at < len(fields) and fields[at]:
            fields[at] = _text(fields[at], n, names=(name, field) in _NAMES)
    return "|".join(fields)


def _text(text: str, n: int, *, names: bool) -> str:
    if _DAY.match(text):
        return _DAY.sub(lambda found: _day(found, n), text, count=1)
    text = _NUMBER.sub(lambda found: f"{(int(found[0]) + n * 7919) % 10 ** len(found[0]):0{len(found[0])}d}", text)
    return _NAME.sub(lambda found: found[0] + _letters(n), text) if names else text


def _day(found: re.Match[str], n: int) -> str:
    try:
        return (date(int(found[1]), int(found[2]), int(found[3])) - timedelta(days=n % 2000)).strftime("%Y%m%d")
    except ValueError:
        return found[0]


def _letters(n: int) -> str:
    letters = ""
    while n:
        n, rest = divmod(n, 26)
        letters += chr(97 + rest)
    return letters


STAY = (("A04/emergency", b""), ("A01/admission", b""), ("A02/transfer", b""), ("A08/update", b""), ("A08/deleted-phone", b""),
        ("A08/update", b"20260303090000"), ("A08/update", b"20260303200000"), ("A03/discharge", b""))
"""One stay in the order of time: fixtures about one person and one visit, at times of their own. Half of them are A08, which say
all again and change little or nothing, as in real traffic."""
WARD = 40
"""People who are in hospital at once: messages of so many stays come between one another."""
_DOCTORS = [n for n in range(2000001018, 2000003018) if valid_npi(str(n))][:40]


def stays(first: int, count: int) -> list[bytes]:
    """Messages of so many stays, each of somebody else, from the first number on; those of one ward's people in turns.

    Doctors (40), beds and payers come again and again. Control ids and record numbers are each's own.
    """
    texts = [_fixture(name, moment) for name, moment in STAY]
    numbers = range(first, first + count)
    wards = [numbers[start:start + WARD] for start in range(0, count, WARD)]
    return [_of_a_stay(text, step, n) for ward in wards for step, text in enumerate(texts) for n in ward]


def _fixture(name: str, moment: bytes) -> bytes:
    """Its text; moment: when it was sent and recorded instead (MSH-7, EVN-2), where that is given."""
    text = (HOME / "fixtures" / "hl7v2" / f"{name}.hl7").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r")
    stated = text.split(b"|", 7)[6]
    return text.replace(stated[:14], moment) if moment else text


def _of_a_stay(text: bytes, step: int, n: int) -> bytes:
    """A fixture's message of another person: control id, record, visit, policy, name, telephone, address, doctor and bed."""
    letters = _letters(n + 1).encode()
    new = {b"700001": b"7%07d" % n, b"V900001": b"V%07d" % n, b"EVG-400017": b"EVG-%07d" % n, b"Wrenmere": b"Wrenmere" + letters,
           b"Corinne": b"Corinne" + letters, b"5550134": b"%07d" % (2000000 + n), b"5550141": b"%07d" % (3000000 + n),
           b"12 Orchard": b"%d Orchard" % (n % 900 + 1), b"2000001018^Marlwick": b"%d^Marlwick%s" % (
               _DOCTORS[n % 40], _letters(n % 40 + 1).encode()), b"^312^": b"^%d^" % (300 + n % WARD),
           b"^7^A": b"^%d^A" % (n % 12)}
    for old, one in new.items():
        text = text.replace(old, one)
    fields = text.split(b"|", 10)
    fields[9] = b"S%d-%d" % (n, step)
    return b"|".join(fields)
