"""Every finding the gateway can make, in one table: what it is, how each protocol says it, and the next step.

Bad input is a value (`model.Issue`). An exception means stop, and there are three.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from adapter.model import Issue, Json, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueKind:
    """How one finding is told: severity, ERR-3 (table 0357), OperationOutcome issue type, HTTP status, next step."""

    what: str
    next_step: str
    severity: Severity = "error"
    err3: str = "207"
    fhir: str = "processing"
    http: int = 422


def _kind(what: str, next_step: str, severity: Severity = "error", err3: str = "207", fhir: str = "processing",
          http: int = 422) -> IssueKind:
    return IssueKind(what=what, next_step=next_step, severity=severity, err3=err3, fhir=fhir, http=http)


ISSUES: dict[str, IssueKind] = {
    # --- the whole message cannot be taken
    "empty": _kind("nothing was received", "send a message or file with content", err3="100", fhir="structure", http=400),
    "not-hl7": _kind("the text does not begin with an MSH segment", "send HL7 v2 (ER7), MSH first", err3="100",
                     fhir="structure", http=400),
    "binary": _kind("the content is binary, not text", "send HL7 v2 or CSV as text", err3="100", fhir="structure", http=400),
    "bad-delimiters": _kind("MSH-1 and MSH-2 do not declare usable delimiters", "declare them, usually |^~\\&",
                            err3="100", fhir="structure", http=400),
    "charset": _kind("the bytes are not valid in the declared charset", "correct MSH-18, or the feed's charset", err3="102",
                     fhir="structure", http=400),
    "charset-differs": _kind("the bytes are not in the charset that MSH-18 declares; the feed's charset was used",
                             "correct MSH-18", "warning", err3="102", fhir="value"),
    "several-messages": _kind("one frame holds more than one message", "send each message in a frame of its own", err3="100",
                              fhir="structure", http=400),
    "frame-incomplete": _kind("the frame has no end block (1C 0D)", "send it again, whole, between 0B and 1C 0D", err3="100",
                              fhir="structure", http=400),
    "frame-start": _kind("bytes stand outside a frame and were passed over", "begin each frame with 0B", err3="100",
                         fhir="structure", http=400),
    "batch-count": _kind("a batch does not hold what its trailer says", "compare BTS-1 and FTS-1 with what was sent", "warning",
                         err3="102", fhir="value"),
    "no-message-type": _kind("neither MSH-9 nor EVN-1 names an event", "fill MSH-9 with message type and trigger event",
                             err3="101", fhir="required", http=400),
    "no-control-id": _kind("MSH-10 is empty", "give each message a control id in MSH-10", err3="101", fhir="required",
                           http=400),
    "unsupported-type": _kind("the message type is not ADT", "send ADT to this listener", err3="200", fhir="not-supported",
                              http=422),
    "unsupported-event": _kind("the trigger event is not an ADT event", "send one of A01 to A62", err3="201",
                               fhir="not-supported", http=422),
    "unknown-version": _kind("MSH-12 is not a version of HL7 v2", "use 2.1 to 2.9", err3="203", fhir="not-supported", http=422),
    "processing-id": _kind("MSH-11 is not P, T or D", "use P, or T for a test", err3="202", fhir="value", http=422),
    "no-patient": _kind("no identifier names the patient", "fill PID-3 (or the feed's primary identifier)", err3="101",
                        fhir="required"),
    "nothing-mapped": _kind("no resource came out of the message", "check the feed's mapping", err3="207", fhir="processing"),
    "unknown-feed": _kind("no such feed", "use the name of a folder in mappings/; restart a gateway that is older than it",
                          err3="207", fhir="not-found", http=404),
    "too-large": _kind("the message is larger than the limit", "split it, or raise the limit", err3="207", fhir="too-long",
                       http=413),
    "store-unavailable": _kind("the message could not be stored", "send it again later", err3="207", fhir="transient",
                               http=503),
    "receiver-unavailable": _kind("the receiving system does not answer", "check host and port, then send again",
                                  err3="207", fhir="transient", http=503),
    "address-unusable": _kind("the address cannot be listened on", "free the port, or choose another", err3="207",
                              fhir="transient", http=503),
    # --- a place in it
    "segment-unknown": _kind("a segment is not part of this mapping", "map it in the feed, or drop it with a reason",
                             "warning", err3="100", fhir="not-supported"),
    "segment-malformed": _kind("a line does not begin with a segment name", "correct the segment", "warning", err3="100",
                               fhir="structure"),
    "tolerated-sequence": _kind("a segment is out of its place, or missing; it was tolerated",
                                "correct the order, or name it in the feed's tolerate", "information", err3="100",
                                fhir="structure"),
    "tolerated-required": _kind("a field that HL7 v2 requires is empty; it was tolerated",
                                "fill it, or name it in the feed's tolerate", "information", err3="101", fhir="required"),
    "tolerated-form": _kind("a field has not the form of its datatype, or is none of its segment; it was tolerated",
                            "correct it, or name it in the feed's tolerate", "information", err3="102", fhir="value"),
    "tolerated-value": _kind("a value is not one of its table; it was tolerated",
                             "correct it, or name it in the feed's tolerate", "information", err3="103", fhir="code-invalid"),
    "refused-sequence": _kind("a segment is out of its place, or missing; the feed is strict",
                              "correct the order, or name it in the feed's tolerate", err3="100", fhir="structure"),
    "refused-required": _kind("a required field is empty; the feed is strict", "fill it, or name it in the feed's tolerate",
                              err3="101", fhir="required"),
    "refused-form": _kind("a field has not the form of its datatype, or is none of its segment; the feed is strict",
                          "correct it, or name it in the feed's tolerate", err3="102", fhir="value"),
    "refused-value": _kind("a value is not one of its table; the feed is strict",
                           "correct it, or name it in the feed's tolerate", err3="103", fhir="code-invalid"),
    "required-missing": _kind("a required value is missing", "fill it at the source", "warning", err3="101", fhir="required"),
    "bad-date": _kind("not a date or time", "use YYYY[MM[DD[HHMM[SS[.S]]]]][+ZZZZ], or the feed's date form", "warning",
                      err3="102", fhir="value"),
    "bad-number": _kind("not a number", "correct the value", "warning", err3="102", fhir="value"),
    "bad-value": _kind("the value does not fit the element", "correct the value", "warning", err3="102", fhir="value"),
    "unknown-code": _kind("the code is not in the concept map", "add it to the feed's codes, or correct it", "warning",
                          err3="103", fhir="code-invalid"),
    "bad-escape": _kind("an escape sequence is not known", "correct it; the text stands as it was sent", "warning",
                        err3="102", fhir="value"),
    "no-visit-number": _kind("no identifier names the visit", "fill PV1-19 (or the feed's visit number)", "warning",
                             err3="101", fhir="required"),
    "event-without-effect": _kind("the event's effect is not built yet: segments are kept, status, merges and deletions are not",
                                  "follow the changelog", "warning", err3="201", fhir="not-supported"),
    "mapping-failed": _kind("a mapping, or a rule of it, cannot be used", "correct it; careloop check tells each mistake",
                            err3="207", fhir="exception", http=500),
    "mappings-changed": _kind("files of the mappings differ from those that the gateway runs with",
                              "run careloop check, then restart careloop serve", "warning", err3="207", fhir="informational"),
    # --- order and identity
    "order-tied": _kind("two statements have equal order keys and differ; arrival decided",
                        "give times: EVN-6, EVN-2 or MSH-13 in a message, the stated column (updated_at) in a CSV",
                        "warning", fhir="business-rule"),
    "same-id-other-bytes": _kind("MSH-10 was used before for other content", "give each message its own control id",
                                 "warning", err3="205", fhir="duplicate"),
    "time-ahead": _kind("a time lies more than 24 h ahead of arrival and was passed over", "set the sender's clock", "warning",
                        err3="102", fhir="value"),
    "cancel-unmatched": _kind("a cancel found nothing to cancel; it is kept and pairs later", "none, if the event is on its way",
                              "information", fhir="business-rule"),
    "event-after-end": _kind("an event of a visit was told for a time after its discharge; it moves nobody and opens nothing",
                             "cancel the discharge (A13), or correct EVN-6", "warning", fhir="business-rule"),
    "identity-conflict": _kind("inferred links would join two persons; they were dropped", "review the identifiers", "warning",
                               err3="204", fhir="conflict"),
    "merge-loop": _kind("merges run in a circle; the latest statement stands", "review the merges", "warning", err3="204",
                        fhir="conflict"),
    # --- CSV
    "csv-header": _kind("the header row does not fit the feed", "correct the header, or name it in the feed's columns",
                        fhir="structure", http=422),
    "csv-column-missing": _kind("a required column is missing", "add the column, or name its header in the feed's columns",
                                fhir="required", http=422),
    "csv-row-ragged": _kind("the row has not as many cells as the header", "quote cells that hold the delimiter",
                            fhir="structure"),
    "csv-quote": _kind("a quote is not closed, or stands inside a cell", "double quotes inside quoted cells", fhir="structure"),
    "csv-value-missing": _kind("a required cell is empty", "fill it", fhir="required"),
    "csv-code": _kind("the cell's code is not in the list", "use a listed code, or translate it in the feed's codes",
                      fhir="code-invalid"),
    "csv-date": _kind("the cell is not a date or time in the feed's form", "write it as the contract says", fhir="value"),
    "csv-number": _kind("the cell is not a number", "correct it", fhir="value"),
    "csv-value": _kind("the cell has not the form that the contract asks for", "write it as the contract says", fhir="value"),
    "csv-nul": _kind("the cell holds a NUL character", "export the file as text again", fhir="value"),
    "csv-cell-long": _kind("a cell or record is longer than the limit", "shorten it, or look for a quote that is not closed",
                           fhir="too-long"),
    "csv-row-empty": _kind("the row is blank", "remove it", "information", fhir="structure"),
    "csv-row-skipped": _kind("rows that the feed leaves out", "none, if rows of the feed's csv options means them", "information",
                             fhir="structure"),
    "csv-header-missing": _kind("the file lacks a header that split or join of the feed names",
                                "correct its name, or write a text of your own as =TEXT", "warning", fhir="not-supported"),
    "csv-column-unknown": _kind("the contract has no such column; its cells are kept under the header's name",
                                "name it in the feed's columns, or leave it out", "warning", fhir="not-supported"),
    "csv-error-rate": _kind("more rows are refused than the feed allows; the file is refused whole, and nothing of it counts",
                            "correct the rows of the error file, and send the whole file again", fhir="business-rule", http=422),
    "csv-file-date": _kind("nobody says what time the snapshot file is of", "name the file as the feed says, or give its date",
                           fhir="required", http=422),
    "csv-row-repeats": _kind("the row has the key of an earlier row of its file, and says otherwise: the later one counts",
                             "give each row a key of its own, or say in updated_at which one is the later", "warning",
                             fhir="duplicate"),
    "csv-file-again": _kind("the same file was loaded before: it holds as of that time, and later files of its feed stand",
                            "to state its rows anew give the time they are of: --as-of, or ?as_of= over HTTP", "warning",
                            fhir="duplicate"),
    "csv-snapshot-open": _kind("the snapshot file has refused rows, or none: what it leaves out was not ended",
                               "correct the rows, and send the whole file again", "warning", fhir="incomplete"),
    "csv-feed": _kind("the feed's contract or CSV options cannot be used", "correct feed.yaml or the contract", fhir="exception",
                      http=500),
    # --- FHIR
    "fhir-structure": _kind("the resource does not fit FHIR R4", "correct the mapping", fhir="structure"),
    "fhir-reference": _kind("a reference has no target; it is left out until the target stands",
                            "send what it names too; where that never comes, correct the number, or the mapping", "warning",
                            fhir="not-found"),
    "must-have-absent": _kind("US Core asks for an element that the source does not give; marked as unknown",
                              "fill it at the source", "information", fhir="required"),
    "profile-not-claimed": _kind("a mandatory US Core element is missing and cannot be marked; no profile is claimed",
                                 "fill it at the source", "warning", fhir="required"),
    "not-found": _kind("no such resource", "check type and id", fhir="not-found", http=404),
    "unknown-route": _kind("no such address", "see the README for addresses", fhir="not-found", http=404),
    "bad-search": _kind("the search cannot be understood", "see /fhir/metadata for what can be searched", fhir="invalid",
                        http=400),
    "not-allowed": _kind("this is not allowed here", "see /fhir/metadata", fhir="not-supported", http=405),
    "unknown-type": _kind("no resources of this type are held here", "see /fhir/metadata for the types", fhir="not-supported",
                          http=404),
    "gone": _kind("the resource was deleted", "read its history", fhir="deleted", http=410),
    "not-acceptable": _kind("only JSON is written here", "ask for application/fhir+json", fhir="not-supported", http=406),
    "bad-request": _kind("the request cannot be understood", "correct it", fhir="invalid", http=400),
    "wrong-host": _kind("the request names another host, and sign-in is not built yet", "ask by localhost or 127.0.0.1",
                        fhir="security", http=421),
    "cross-site": _kind("another web site's page made this request", "send it from a program, not from a page",
                        fhir="security", http=403),
    "version-conflict": _kind("the resource has changed since", "read it again and repeat", fhir="conflict", http=412),
    "media-type": _kind("the media type is not supported here", "send the media type the page names", fhir="not-supported",
                        http=415),
    "server-unavailable": _kind("the FHIR server does not answer", "it is tried again by itself", fhir="transient", http=503),
    "server-refused": _kind("the FHIR server refused the resource", "see the queue; correct and retry", fhir="processing",
                            http=502),
    # --- gaps
    "view-invalid": _kind("a ViewDefinition cannot be compiled", "correct the file in profiles/fhir/views", fhir="exception",
                          http=500),
    "view-failed": _kind("a view gives more than one value where one belongs", "correct the view's path, or the resource",
                         fhir="exception", http=500),
    "rule-invalid": _kind("a rule file cannot be used", "correct it; docs/rules.md says how", fhir="exception", http=500),
    "report-invalid": _kind("a report file cannot be used", "correct it; docs/reports.md says how", fhir="exception", http=500),
    "bad-period": _kind("a report's period ends before it begins, or begins after the as-of instant",
                        "ask about days that have begun", fhir="invalid", http=400),
    "month-not-over": _kind("a month that is not over cannot be frozen", "freeze it when it has ended", fhir="business-rule",
                            http=409),
    "month-frozen": _kind("the month is frozen, and stays as it is", "look at its adjustments", fhir="conflict", http=409),
    "plan-open": _kind("the organization has an open improvement plan for that rule", "go on with it, or close it",
                       fhir="conflict", http=409),
    "unknown-plan": _kind("no open improvement plan of that number", "see `careloop report improvement`",
                          fhir="not-found", http=404),
    "unknown-area": _kind("no such health service area", "use the area's name, or its Location id", fhir="not-found", http=404),
    "snapshot-invalid": _kind("the tables or resources for a population cannot be read",
                              "name a folder with NDJSON files, or one that `careloop views export` made", fhir="invalid",
                              http=400),
    "spark-missing": _kind("Spark is not installed here", "install the extra `spark` (and Java 17), or use --engine duckdb",
                           fhir="not-supported", http=501),
    "outside-calendar": _kind("the day lies outside the calendar that rules reckon with",
                              "ask about another day, or widen profiles/calendar.yaml", fhir="not-found", http=400),
    "unknown-rule": _kind("no such rule", "use the id of a file in profiles/rules", fhir="not-found", http=404),
    "bad-parameter": _kind("a parameter of the operation is missing, unknown or cannot be understood",
                           "see docs/fhir-clients.md for what it takes", fhir="invalid", http=400),
    "report-too-large": _kind("the report would be about more than 1000 members", "ask by member, organization or practitioner",
                              fhir="too-costly", http=422),
    "unknown-measure": _kind("no such Measure", "search /fhir/Measure for those there are", fhir="not-found", http=404),
    "unknown-gap": _kind("no gap is kept under this Task", "name a Task that careloop gap list shows", fhir="not-found",
                          http=404),
    "unknown-member": _kind("no such member", "use a Patient id or a member id of the network", fhir="not-found", http=404),
    "unknown-organization": _kind("no such organization", "use an Organization id or its id in the network", fhir="not-found",
                                  http=404),
    # --- notices
    "subscription-invalid": _kind("the subscription asks for something that is not there",
                                  "docs/fhir-clients.md says what can be subscribed to", fhir="not-supported", http=422),
    "endpoint-refused": _kind("notices may not be sent to this address",
                              "let the operator name its host in CARELOOP_NOTICE_HOSTS", fhir="forbidden", http=422),
    "too-many-listeners": _kind("as many listen to the events as may", "come again later", fhir="throttled", http=503),
    # --- likely duplicates
    "linkage-missing": _kind("the library for likely duplicates is not installed", "pip install 'careloop[linkage]'",
                             fhir="not-supported", http=501),
    "linkage-invalid": _kind("the model of likely duplicates cannot be used", "correct it; profiles/linkage.yaml says how",
                             fhir="exception", http=500),
    "defect": _kind("the gateway failed", "report it with the time", err3="207", fhir="exception", http=500),
}


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
