"""What two Patients are compared by: names, dates and numbers brought to one form, and what stands for "not known" left out.

Pure. Columns of a row, as profiles/linkage.yaml names them: family, given (the main name's, in small letters without accents),
families, givens (of all names, in parts), suffix, birth_order, newborn, born (YYYY-MM-DD), born_set (year, and day and month
in either order), gender (male, female), phones (digits), emails, streets (with postal code), postal, numbers (`system|value`),
number_systems. None, or an empty list, is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapter.model import Json

Row = dict[str, Any]
LISTS = ("families", "givens", "phones", "emails", "streets", "postal", "numbers", "number_systems")
TEXTS = ("family", "given", "suffix", "born", "born_set", "gender")
_SUFFIXES = {"jr": "jr", "junior": "jr", "ii": "jr", "2nd": "jr", "sr": "sr", "senior": "sr", "iii": "iii", "3rd": "iii",
             "iv": "iv", "4th": "iv"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SECOND = ("old", "maiden", "nickname", "anonymous", "temp")
"""Uses of names that are not the one a person goes by first."""
_REPEATED = re.compile(r"(\d)\1{6}$")


def folded(text: str) -> str:
    """Text in small letters, without accents; what is no letter or digit is a blank."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in plain.replace("'", "").replace("’", "")).split())


def row_of(patient: Json, nothing: Mapping[str, frozenset[str]], identifiers: frozenset[str]) -> Row:
    """The row of a Patient. nothing: values that stand for "not known"; identifiers: types of numbers that are compared."""
    names: list[Json] = patient.get("name", [])
    main = min(names, key=lambda n: (n.get("use") in _SECOND, n.get("use") != "official"), default=Json())
    spoken = folded(" ".join(main.get("given", ())))
    newborn = not nothing["newborn"].isdisjoint(spoken.split()[:2])
    family = _known(main.get("family", ""), nothing["names"])
    given = None if newborn else _known(next(iter(main.get("given", ())), ""), nothing["names"])
    born = _born(patient.get("birthDate", ""), nothing["dates"])
    numbers = {f"{i.get('system', '')}|{_packed(i['value'])}" for i in patient.get("identifier", ())
               if i.get("value") and _kinds(i) & identifiers}
    return {
        "family": family, "given": given, "newborn": newborn, "suffix": _suffix(main),
        "families": _parts((n.get("family", "") for n in names), nothing["names"]),
        "givens": [] if newborn else _parts((g for n in names for g in n.get("given", ())), nothing["names"]),
        "birth_order": patient.get("multipleBirthInteger"),
        "born": born, "born_set": born and born[:4] + "".join(sorted((born[5:7], born[8:]))),
        "gender": patient["gender"] if patient.get("gender") in ("male", "female") else None,
        "phones": sorted(_phones(patient, nothing["phones"])), "emails": sorted(_emails(patient, nothing["emails"])),
        "streets": sorted(_streets(patient, nothing["streets"])),
        "postal": sorted({_packed(a["postalCode"])[:5] for a in patient.get("address", ()) if a.get("postalCode")}),
        "numbers": sorted(numbers), "number_systems": sorted({n.rpartition("|")[0] for n in numbers}),
    }


def without_crowds(rows: Sequence[Row], limits: Mapping[str, int]) -> None:
    """Take out of the rows what more of them share than a person and a household would."""
    for column, limit in limits.items():
        shared = Counter(value for row in rows for value in row[column])
        crowds = {value for value, count in shared.items() if count > limit}
        if crowds:
            for row in rows:
                row[column] = [value for value in row[column] if value not in crowds]
    for row in rows:
        row["number_systems"] = sorted({n.rpartition("|")[0] for n in row["numbers"]})


def _known(text: str, nothing: frozenset[str]) -> str | None:
    plain = folded(text)
    return plain if plain and plain not in nothing else None


def _parts(texts: Iterator[str], nothing: frozenset[str]) -> list[str]:
    """Every name, and every part of a double one; initials say too little."""
    found = {part for text in texts for whole in (folded(text),) for part in (whole, *whole.split())}
    return sorted(part for part in found if len(part) > 1 and part not in nothing)


def _suffix(name: Json) -> str | None:
    return next((_SUFFIXES[s] for s in (folded(text) for text in name.get("suffix", ())) if s in _SUFFIXES), None)


def _born(text: str, nothing: frozenset[str]) -> str | None:
    return text if _DATE.fullmatch(text) and text not in nothing else None


def _packed(text: str) -> str:
    return folded(text).replace(" ", "")


def _kinds(identifier: Json) -> frozenset[str]:
    return frozenset(c.get("code", "") for c in identifier.get("type", {}).get("coding", ()))


def _telecom(patient: Json, *systems: str) -> Iterator[str]:
    return (t["value"] for t in patient.get("telecom", ()) if t.get("system") in systems and t.get("value"))


def _phones(patient: Json, nothing: frozenset[str]) -> set[str]:
    """Ten digits; the country code of North America and what is dialled inside a house are left out."""
    told = (re.split(r"(?i)\s*(?:x|ext)", text)[0] for text in _telecom(patient, "phone", "sms"))
    digits = ("".join(c for c in text if c.isascii() and c.isdigit()).removeprefix("1")[:10] for text in told)
    return {d for d in digits if len(d) >= 7 and not _REPEATED.search(d) and not d.endswith(tuple(nothing))}


def _emails(patient: Json, nothing: frozenset[str]) -> set[str]:
    told = (text.strip().casefold() for text in _telecom(patient, "email"))
    return {text for text in told if "@" in text and text.partition("@")[0] not in nothing}


def _streets(patient: Json, nothing: frozenset[str]) -> set[str]:
    found = ((folded(" ".join(a.get("line", ()))), _packed(a.get("postalCode", ""))[:5]) for a in patient.get("address", ()))
    return {f"{postal} {street}" for street, postal in found if street and postal and street not in nothing}
