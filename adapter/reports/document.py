"""Reports in words, as docs/reports.md publishes them: made of their files, so that a page cannot say anything else. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from adapter.gaps.rules import Parameter, Value
from adapter.reports.definitions import Report, Reports

_WIDTH = 130
_OVER = {"instant": "As things stand at the as-of instant.", "months": "Month by month", "days": "Over a period"}


def document(reports: Reports, names: Sequence[str]) -> str:
    """The reports as Markdown: a section each."""
    return "\n".join(line for name in names for line in _section(reports.reports[name])) + "\n"


def _section(report: Report) -> Iterator[str]:
    asked = f"`careloop report {report.name}` ({report.requirement}, seed {', '.join(report.seed)}). {_over(report)}"
    yield from (f"### {report.title}", "", asked, "")
    said = {"Population": report.population, "Denominator": report.denominator, "Numerator": report.numerator,
            "Definition": report.definition, "Unknown": report.unknown, "Simplified": report.simplified,
            "Small numbers": small_numbers(report)}
    for name, text in said.items():
        if text:
            yield from (*textwrap.wrap(f"**{name}.** {text}", _WIDTH, break_long_words=False, break_on_hyphens=False), "")
    if report.measures:
        yield from ("| measure | title | what | unit | better |", "|---|---|---|---|---|")
        yield from (f"| `{code}` | {one.title} | {one.text} | {one.unit} | {one.better} |"
                    for code, one in report.measures.items())
        yield ""
    if report.topics:
        yield from ("| topic | what |", "|---|---|", *(f"| `{code}` | {text} |" for code, text in report.topics.items()), "")
    if report.parameters:
        yield from ("| parameter | default | unit | what |", "|---|---|---|---|")
        yield from (_parameter(name, one) for name, one in report.parameters.items())
        yield ""
    yield from ("| column | what |", "|---|---|")
    yield from _columns(report)
    if report.opens:
        yield from ("| column of `--members` | what |", "|---|---|")
        yield from _columns(report.opens)


def _columns(report: Report) -> Iterator[str]:
    yield from (f"| `{name}` | {column.text} |" for name, column in report.columns.items() if column.shown != "order")
    yield ""


def _over(report: Report) -> str:
    if report.over == "instant":
        return _OVER["instant"]
    how_many = f"{report.months} months" if report.over == "months" else f"{report.days} days"
    return f"{_OVER[report.over]}; {how_many} up to the as-of instant where no others are asked for."


def small_numbers(report: Report) -> str:
    """What is held back, in words; '' where nothing is."""
    if report.smallest <= 1:
        return ""
    marked = " and marked `suppressed`" if report.form == "rates" else ""
    return (f"Numbers of 1 to {report.smallest - 1} people are held back, and others that would give them away; they are left "
            f"empty{marked}.")


def _parameter(name: str, one: Parameter) -> str:
    return f"| `{name}` | {_value(one.default)} | {one.unit} | {one.text} |"


def _value(value: Value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
