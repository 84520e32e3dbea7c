"""What a resource is found by: its body to rows of the search index. Pure, and on the write path.

A row is (param, value, low, high). value: token `code|system` (`|` escaped in the code: so `code|` begins it under any
system), string `folded` + SEPARATOR + `as written`, reference `Type/id` or URL, uri as written. low, high: first and
last microsecond since 1970 UTC that a date, dateTime, instant or Period covers. Source: FHIR R4 search.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeGuard

from adapter.model import Json
from adapter.store.search_params import PARAMS, SearchParam

IndexRow = tuple[str, str, int | None, int | None]
Known = dict[tuple[str, str, int], list[IndexRow]]
"""Type, element and the `id` of its value, to the rows of it."""
EARLIEST, LATEST = -(2**62), 2**62
SEPARATOR = "\x1f"
LONGEST = 400
"""Characters of a value that are indexed (an index row of PostgreSQL is small); a query is cut at the same place."""

_OWN = frozenset(("identifier", "subject", "patient", "beneficiary", "for", "name", "telecom", "address", "birthDate", "period"))
"""Elements that hardly two resources share."""
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}"
                   r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?")
_DAY = 86_400_000_000
_SECOND = 1_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_PARTS = ("family", "given", "prefix", "suffix", "text", "line", "city", "district", "state", "postalCode",
               "country")


def index_rows(resource: Json, known: Known | None = None) -> list[IndexRow]:
    """The rows of one resource, each once; none for a type that cannot be searched.

    known: rows of values that several resources share, as those of a file's rows do; it holds as long as all of them live.
    """
    rows: dict[IndexRow, None] = {}
    resource_type = resource["resourceType"]
    for element, takers in _TAKERS.get(resource_type, {}).items():
        value = resource.get(element)
        if value is None:
            continue
        if known is None or element in _OWN:
            own = _rows_of(takers, value)
        else:
            at = (resource_type, element, id(value))
            found = known.get(at)
            own = known[at] = _rows_of(takers, value) if found is None else found
        for row in own:
            rows[row] = None
    return list(rows)


def _rows_of(takers: Sequence[_Taker], value: Any) -> list[IndexRow]:
    """The rows of one element."""
    return [row for taker in takers
            for leaf in (_leaves(value, taker.path) if taker.path else value if value.__class__ is list else (value,))
            for row in taker.extract(taker.param, leaf)]


def token_value(code: str, system: str = "") -> str:
    """A token as it stands in the index; without a system it is also what the code begins with under any system."""
    return f"{_escaped(code)}|{system}"[:LONGEST]


def fold(text: str) -> str:
    """Text without case, accents and doubled blanks, as string searches compare it."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return " ".join(text.lower().replace(SEPARATOR, " ").split())[: LONGEST // 2]


def string_value(text: str) -> str:
    """A string as it stands in the index."""
    return f"{fold(text)}{SEPARATOR}{text[: LONGEST // 2]}"


def microseconds(moment: datetime) -> int:
    """A moment with time zone as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def date_range(text: str) -> tuple[int, int] | None:
    """First and last microsecond of a FHIR date, dateTime or instant of any precision; None where it is none.

    What names no time zone counts as UTC.
    """
    if not _DATE.fullmatch(text):
        return None
    try:
        return _moment_range(text) if "T" in text else _day_range(text)
    except ValueError:
        return None


def _day_range(text: str) -> tuple[int, int]:
    parts = [int(part) for part in text.split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    first = date(year, month, day)
    if len(parts) == 1:
        length = 366 if first.replace(month=12, day=31).timetuple().tm_yday == 366 else 365
    elif len(parts) == 2:
        length = ((first.replace(day=28) + timedelta(days=4)).replace(day=1) - first).days
    else:
        length = 1
    low = (first.toordinal() - _EPOCH_DAY) * _DAY
    return low, low + length * _DAY - 1


def _moment_range(text: str) -> tuple[int, int]:
    moment = datetime.fromisoformat(text)
    low = microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    clock = text[11:].replace("Z", "").replace("-", "+").partition("+")[0]
    whole = _SECOND if clock.count(":") == 2 else 60 * _SECOND
    width = 10 ** max(0, 6 - len(clock.partition(".")[2])) if "." in clock else whole
    return low, low + width - 1


def _escaped(code: str) -> str:
    return code.replace("%", "%25").replace("|", "%7C") if "|" in code or "%" in code else code


@dataclass(frozen=True, slots=True)
class _Taker:
    param: SearchParam
    path: tuple[str, ...]
    extract: Callable[[SearchParam, Any], Iterable[IndexRow]]


def _is_json(value: object) -> TypeGuard[Json]:
    return isinstance(value, dict)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType] - a JSON list
            yield from _leaves(item, path)
    elif not path:
        yield value
    elif _is_json(value) and (below := value.get(path[0])) is not None:
        yield from _leaves(below, path[1:])


def _tokens(param: SearchParam, leaf: Any) -> Sequence[IndexRow]:
    if isinstance(leaf, bool):
        return ((param.name, token_value("true" if leaf else "false"), None, None),)
    if isinstance(leaf, str):
        return ((param.name, token_value(leaf, param.system), None, None),)
    if not _is_json(leaf):
        return ()
    return [(param.name, token_value(code, coding.get("system", "")), None, None)
            for coding in leaf.get("coding", (leaf,)) if (code := coding.get("code") or coding.get("value"))]


def _contact_points(system: str) -> Callable[[SearchParam, Any], Sequence[IndexRow]]:
    return lambda param, leaf: _tokens(param, leaf) if leaf.get("system") == system else ()


def _presence(param: SearchParam, leaf: Any) -> Sequence[IndexRow]:
    return ((param.name, token_value("true"), None, None),) if leaf else ()


def _strings(param: SearchParam, leaf: Any) -> Iterator[IndexRow]:
    if isinstance(leaf, str):
        yield param.name, string_value(leaf), None, None
    elif _is_json(leaf):
        for part in _TEXT_PARTS:
            for text in _leaves(leaf.get(part, ()), ()):
                if text:
                    yield param.name, string_value(text), None, None


def _references(param: SearchParam, leaf: Any) -> Sequence[IndexRow]:
    target: str = leaf.get("reference", "").partition("/_history/")[0]
    if target and target[0] != "#" and param.points_at(type_of(target)):
        return ((param.name, target[:LONGEST], None, None),)
    return ()


def type_of(target: str) -> str:
    """The type of a resource that a reference names, as `Type/id` or URL."""
    return target.rpartition("/")[0].rpartition("/")[2]


def _uris(param: SearchParam, leaf: Any) -> Sequence[IndexRow]:
    return ((param.name, leaf[:LONGEST], None, None),)


def _dates(param: SearchParam, leaf: Any) -> Sequence[IndexRow]:
    if isinstance(leaf, str):
        span = date_range(leaf)
    elif "event" in leaf or "repeat" in leaf:
        span = _timing(leaf)
    else:
        span = _period(leaf)
    return ((param.name, "", *span),) if span else ()


def _period(period: Json) -> tuple[int, int] | None:
    start = date_range(period["start"]) if "start" in period else (EARLIEST, EARLIEST)
    end = date_range(period["end"]) if "end" in period else (LATEST, LATEST)
    return (start[0], end[1]) if start and end and len(period) and ("start" in period or "end" in period) else None


def _timing(timing: Json) -> tuple[int, int] | None:
    spans = [span for moment in timing.get("event", ()) if (span := date_range(moment))]
    bounds = timing.get("repeat", {}).get("boundsPeriod")
    if bounds and (span := _period(bounds)):
        spans.append(span)
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


_EXTRACT = {"token": _tokens, "string": _strings, "reference": _references, "date": _dates, "uri": _uris}


def _takers(params: dict[str, SearchParam]) -> dict[str, list[_Taker]]:
    by_element: dict[str, list[_Taker]] = {}
    for param in (param for param in params.values() if not param.stands_as):
        for path in param.paths:
            extract = _presence if path[0] == "?" else _EXTRACT[param.type]
            steps, _, system = path.lstrip("?").partition("[")
            if system:
                extract = _contact_points(system.rstrip("]"))
            first, *rest = steps.split(".")
            by_element.setdefault(first, []).append(_Taker(param, tuple(rest), extract))
    return by_element


_TAKERS = {resource_type: _takers(params) for resource_type, params in PARAMS.items()}
