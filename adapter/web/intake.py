"""`POST /hl7v2` text in, acknowledgement out; `POST /feeds/<feed>` CSV in, report out. Journalled before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

import orjson
from flask import Blueprint, Response, request, url_for
from werkzeug.wsgi import wrap_file

from adapter.errors import Rejected, kind_of
from adapter.intake.ack import parted
from adapter.intake.batch_ack import batch_of
from adapter.intake.framing import HEAD, MAX_FRAME
from adapter.intake.loaded import state_of_file, write_errors
from adapter.intake.mllp import refusal
from adapter.intake.row_errors import RowErrors
from adapter.parse.batch import split_messages
from adapter.parse.charset import sniff
from adapter.web.errors import issue_of, retry_after, told
from adapter.web.services import services

if TYPE_CHECKING:
    from adapter.gateway import LoadReport
    from adapter.model import Json

BLUEPRINT = Blueprint("intake", __name__)

_ER7 = ("", "application/hl7-v2", "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain")
_CSV = ("", "text/csv", "application/csv", "text/plain", "application/octet-stream")
_STATUS = {"AA": 200, "CA": 200, "AE": 422, "AR": 400, "CE": 400, "CR": 400}
_WORST = (200, 422, 400)
_ERRORS_TOLD = 1000


@BLUEPRINT.post("/hl7v2")
def hl7v2() -> Response:
    """One message, or several: the acknowledgement of each, in order; of a batch (BHS, FHS) in a batch. `?feed=` names the feed
    where MSH does not.

    200 all AA; 422 an AE, 400 an AR among them; 413, 415; 503 not stored, send it again. The body is always ER7.
    """
    raw = cast("BinaryIO", request.stream).read(MAX_FRAME + 1)
    try:
        _check_media(_ER7, "send application/hl7-v2 (ER7)")
        if len(raw) > MAX_FRAME:
            raise Rejected("too-large", "", f"above {MAX_FRAME // 1024 // 1024} MB")
        messages = [raw] if batch_of(raw) else split_messages(raw).messages
        if not messages:
            raise Rejected("empty")
        answers = services().gateway.accept([(one, "http") for one in messages], request.args.get("feed"))
    except Exception as error:  # whatever it is, a sender of HL7 v2 reads an acknowledgement only
        return _refusal(raw[:HEAD], error)
    services().wake()
    return _acknowledged(answers)


def _acknowledged(answers: Sequence[bytes]) -> Response:
    told = [one for answer in answers for one in parted(answer)]
    status = max((_STATUS[code] for one in told for code in _codes(one)), key=_WORST.index, default=200)
    return _er7(b"".join(told), status)


def _codes(answer: bytes) -> list[str]:
    """Each MSA-1; an answer without any is taken for a refusal, unless it is of a batch."""
    mark, codec = sniff(answer)
    lines = answer[mark:].decode(codec if codec.startswith("utf-") else "latin-1", "replace").split("\r")
    found = [line[4:6] for line in lines if line.startswith("MSA") and line[4:6] in _STATUS]
    return found or ([] if lines[0][:3] in ("FHS", "BHS") else ["AR"])


def _refusal(head: bytes, error: Exception) -> Response:
    issue, status = issue_of(error)
    response = _er7(refusal(head, issue), status)
    if status == 503:
        response.headers["Retry-After"] = retry_after(error)
    return response


def _er7(body: bytes, status: int) -> Response:
    return Response(body, status, content_type="application/hl7-v2")


@BLUEPRINT.post("/feeds/<feed>")
def feeds(feed: str) -> Response:
    """A CSV of a feed: how many rows were taken, and each error with its place. 422 where no row was.

    `?name=` is the file's name, `?as_of=` the day or time that a snapshot file is of. `error_file` says where every refused row
    is, those that cannot be processed too; `Accept: text/csv` asks for the rows refused so far in place of the report.
    """
    _check_media(_CSV, "send text/csv")
    name = request.args.get("name", f"{feed}.csv")[:200]
    as_of = _as_of(request.args.get("as_of", ""))
    wanted = request.accept_mimetypes.best_match(("application/json", "text/csv"), "application/json")
    rows = _new_errors() if wanted == "text/csv" else None
    with TemporaryFile() as file:  # a CSV is read twice, first for its hash
        copyfileobj(cast("BinaryIO", request.stream), file)
        file.seek(0)
        try:
            report = services().gateway.load(feed, file, name, as_of=as_of, errors=rows)
        except Rejected as error:
            if rows is None or not rows.count:
                raise
            return _error_file(rows, kind_of(error.issue).http)
    services().wake()
    status = 422 if report.refused and not report.accepted else 200
    if rows is None:
        return Response(orjson.dumps(_told(feed, report)), status, content_type="application/json")
    return _error_file(rows, status)


@BLUEPRINT.get("/feeds/<feed>/files/<file>")
def file_state(feed: str, file: str) -> Response:
    """How far a file is: its rows by state, and where its error file is; nothing waits any more once it is whole."""
    gateway = services().gateway
    states = state_of_file(gateway.engine, gateway.feeds.named(feed).feed, file)
    body: Json = {"feed": feed, "file": file, "rows": sum(states.values()), "error_file": _error_path(feed, file),
            "warnings": _warnings(feed, file),
            **{state: states.get(state, 0) for state in ("waiting", "done", "refused", "failed", "withdrawn")}}
    return Response(orjson.dumps(body), content_type="application/json")


@BLUEPRINT.get("/feeds/<feed>/files/<file>/errors.csv")
def file_errors(feed: str, file: str) -> Response:
    """The error file of a file, as `careloop load` writes it: rows refused, and those that could not be processed."""
    gateway, rows = services().gateway, _new_errors()
    write_errors(gateway.engine, gateway.feeds.named(feed).feed, file, rows)
    return _error_file(rows, 200)


def _new_errors() -> RowErrors:
    return RowErrors(cast("BinaryIO", TemporaryFile()))


def _error_path(feed: str, file: str) -> str:
    return url_for("intake.file_errors", feed=feed, file=file)


def _error_file(rows: RowErrors, status: int) -> Response:
    """The rows that were written, read as they are sent; the temporary file goes with the answer."""
    rows.stream.seek(0)
    response = Response(wrap_file(request.environ, rows.stream), status, content_type="text/csv; charset=utf-8",
                        direct_passthrough=True)
    response.headers["Content-Disposition"] = "attachment; filename=errors.csv"
    return response


def _as_of(text: str) -> datetime | None:
    """Raises Rejected (bad-request) for what is no date."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Rejected("bad-request", "as_of", "it is a day or time, as 2026-03-01") from None


def _told(feed: str, report: LoadReport) -> Json:
    errors = [{"row": row.number, **told(issue)} for row in report.refused[:_ERRORS_TOLD] for issue in row.issues]
    return {"feed": feed, "rows": report.rows, "accepted": report.accepted, "refused": report.refused_count,
            "repeated": report.repeated, "issues": [told(issue) for issue in report.issues], "errors": errors,
            "warnings": _warnings(feed, report.file),
            "file": url_for("intake.file_state", feed=feed, file=report.file), "error_file": _error_path(feed, report.file),
            "rows_left_off": max(0, report.refused_count - _ERRORS_TOLD)}


def _warnings(feed: str, file: str) -> list[Json]:
    """By code what was noticed of rows that were taken and are processed by now."""
    return [{"code": one.code, "what": one.words, "count": one.count, "places": one.places}
            for one in services().gateway.warnings_of_file(feed, file)]


def _check_media(taken: Sequence[str], next_step: str) -> None:
    """Raises Rejected (media-type). A compressed body is not unpacked: nobody knows how large it becomes."""
    if request.mimetype not in taken:
        raise Rejected("media-type", "Content-Type", next_step)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Rejected("media-type", "Content-Encoding", "send it uncompressed")
