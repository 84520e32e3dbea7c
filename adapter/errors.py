"""What is wrong, as a value and as an exception, and how it is told.

Bad input is a value (`model.Issue`); its kinds are in `issues.py`. An exception means stop, and there are three.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from adapter.issues import ISSUES, IssueKind
from adapter.model import Issue, Json


class Rejected(Exception):
    """The sender must act: the input cannot be taken as it is. issues: every reason, where there are several; issue the first."""

    def __init__(self, code: str, place: str = "", detail: str = "", issues: tuple[Issue, ...] = ()) -> None:
        self.issue = Issue(code=code, place=place, detail=detail)
        self.issues = issues or (self.issue,)
        super().__init__(message(self.issue))


class Unavailable(Exception):
    """Try again: something outside does not answer now. retry_after: seconds, where the other side named them."""

    def __init__(self, code: str, place: str = "", detail: str = "", retry_after: float | None = None) -> None:
        self.issue = Issue(code=code, place=place, detail=detail)
        self.retry_after = retry_after
        super().__init__(message(self.issue))


class Defect(Exception):
    """We must act: a mapping or the program is wrong."""

    def __init__(self, code: str, place: str = "", detail: str = "") -> None:
        self.issue = Issue(code=code, place=place, detail=detail)
        super().__init__(message(self.issue))


_EXACT: dict[str, tuple[tuple[str, str, str], ...]] = {
    "sequence": ((r" needs ", "a segment is missing", "add it"),
                 (r" does not take it| takes \d|more often", "a segment is one too many", "leave it out"),
                 (r"not part of", "a segment is none of the message's structure", "leave it out"),
                 ("", "a segment is out of its place", "correct the order")),
    "form": ((r"no field of|withdrawn|does not take it", "a field is none of its segment", "leave it empty"),
             (r"may not repeat|repetitions", "a field repeats more often than it may", "send fewer"),
             (r"component", "a field has components that its datatype does not have", "leave them out"),
             (r"characters", "a value is too long", "shorten it"),
             ("", "a value has not the form of its datatype", "correct it")),
}
"""Which of a code's alternatives it is, as the finding's detail says: pattern, what, what to do; the first that fits counts."""
_OF_ROWS = {
    "charset": "save the file in the feed's charset, or correct charset in feed.yaml",
    "no-patient": "fill the column that names the member",
    "bad-date": "write it as the contract says, or name its form in the feed's dates",
    "time-ahead": "correct the time, or the clock of the system that wrote the file",
}
"""What to do about a finding of a CSV row, where that is something else than of a message."""
_HELD = {"tolerated": "it was tolerated", "refused": "the feed is strict"}


def kind_of(issue: Issue) -> IssueKind:
    """The table row of an issue; where the row names alternatives and the issue says which, that one alone.

    Raises KeyError for a code that is not in the table (a defect of ours).
    """
    verb, _, subject = issue.code.partition("-")
    if subject in _EXACT and verb in _HELD:
        return _exact(issue.code, issue.detail)
    if issue.code in _OF_ROWS and issue.place.startswith("row "):
        return replace(ISSUES[issue.code], next_step=_OF_ROWS[issue.code])
    return ISSUES[issue.code]


@lru_cache(maxsize=1024)
def _exact(code: str, detail: str) -> IssueKind:
    verb, _, subject = code.partition("-")
    what, to_do = next((what, to_do) for pattern, what, to_do in _EXACT[subject] if re.search(pattern, detail))
    return replace(ISSUES[code], what=f"{what}; {_HELD[verb]}", next_step=f"{to_do}, or name it in the feed's tolerate")


def message(issue: Issue) -> str:
    """An issue in words: what (where): detail - next step."""
    kind = kind_of(issue)
    where = f" ({issue.place})" if issue.place else ""
    detail = f": {issue.detail}" if issue.detail else ""
    return f"{kind.what}{where}{detail} - {kind.next_step}"


def operation_outcome(issues: list[Issue]) -> Json:
    """The issues as a FHIR OperationOutcome."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": kind_of(i).severity, "code": kind_of(i).fhir, "details": {"text": i.code},
             "diagnostics": message(i)} | ({"expression": [i.place]} if i.place else {})
            for i in issues
        ],
    }
