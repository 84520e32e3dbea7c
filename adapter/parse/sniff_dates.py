"""The forms of dates in a sample of a partner's CSV: by which most cells of a column are dates, and how many are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

_DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y",
         "%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
FORMS = tuple(day + time for day in _DAYS for time in _TIMES)
"""Forms that are tried, the likelier first."""
LONGEST = 32
"""Characters in a date with its time, at most."""
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?.*)?")
_SERIAL = re.compile(r"[2-7][0-9]{4}(?:\.[0-9]+)?")
_TIME = re.compile(r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?: ?[AaPp]\.?[Mm]\.?)?")
_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateForms:
    """What the cells of a column are, as dates: falsy where they are none.

    forms: those to be declared, the likelier first; ISO 8601 needs none. others: forms that would do as well. iso: whether
    some are ISO 8601. strange: cells that are in none of these forms, of count. local: some have a time, and no offset.
    """

    forms: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    iso: bool = False
    strange: int = 0
    count: int = 0
    local: bool = False

    def __bool__(self) -> bool:
        return bool(self.forms) or self.iso


def date_forms(values: Sequence[str]) -> DateForms:
    """The forms by which at least half of some texts are dates, and how many are none; those of other columns are no dates."""
    iso = [text for text in values if _ISO.fullmatch(text)]
    local = any(len(text) > 10 and not _OFFSET.search(text) for text in iso)
    rest = [text for text in values if not _ISO.fullmatch(text)]
    serial = [text for text in rest if _SERIAL.fullmatch(text)]
    if len(serial) * 2 >= len(values) > 0:
        return DateForms(forms=("excel",), iso=bool(iso), strange=len(rest) - len(serial), count=len(values),
                         local=local or any("." in text for text in serial))
    taken, others, left = _greedy(rest)
    if not values or len(left) * 2 > len(values):
        return DateForms()
    return DateForms(forms=tuple(taken), others=tuple(form for form in others if form not in taken), iso=bool(iso),
                     strange=len(left), count=len(values), local=local or any("%H" in form or "%I" in form for form in taken))


def _greedy(texts: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The form that most fit, then that of what is left, and so on; forms that would do as well; texts that fit none."""
    taken: list[str] = []
    others: list[str] = []
    rest: list[str] = list(texts)
    while rest:
        count = {form: sum(_fits(text, form) for text in rest) for form in FORMS}
        best = max(FORMS, key=lambda form: count[form])
        if not count[best]:
            break
        fitting: list[str] = [text for text in rest if _fits(text, best)]
        others += [form for form in FORMS if form != best and all(_fits(text, form) for text in fitting)]
        taken.append(best)
        rest = [text for text in rest if not _fits(text, best)]
    return taken, others, rest


def are_times(values: Sequence[str]) -> bool:
    """Whether all of some texts are times of a day."""
    return bool(values) and all(_TIME.fullmatch(text) for text in values)


@lru_cache(maxsize=1 << 18)
def _fits(text: str, form: str) -> bool:
    if len(text) > LONGEST or not any(mark.isdigit() for mark in text):
        return False
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 reason: only whether it can be read
    except ValueError:
        return False
    return 1900 <= moment.year <= 2100
