"""Log lines that cannot hold patient data: only declared fields pass, an exception is told by type and place.

One JSON object a line on standard error. A name, a person's identifier, a message's text have no field to stand in.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

FIELDS = frozenset({
    "event", "level", "timestamp", "logger",  # what, how bad, when (UTC), who says it
    "code", "place", "feed", "kind", "trigger", "ack", "state", "origin",  # of a message
    "certificate",  # names of a client's, which is a machine (tls.told)
    "journal", "resource_type", "resource_id", "version", "server", "target",  # of a resource; ids are keyed hashes
    "route", "method", "status", "seconds",  # of a request
    "host", "port", "count", "rows", "accepted", "refused", "attempt", "retry_after",  # of the process and its work
    "exception", "at",  # type and place of an exception
})
"""Every key a log line may have. Adding one is a decision: can a patient's data ever stand in it?"""

_LONGEST = 200
_HOME = Path(__file__).resolve().parent.parent


def log(name: str = "careloop") -> FilteringBoundLogger:
    """A logger whose lines hold declared fields only, whether or not `configure` has been called.

    The event is a constant text; whatever varies goes into a field.
    """
    return cast("FilteringBoundLogger", _BoundLogger(None, _PROCESSORS, {"logger": name}))


def configure() -> None:
    """Hold every log line of the process to the rules here: ours, those of libraries, and of uncaught exceptions."""
    structlog.configure(processors=_PROCESSORS, wrapper_class=_BoundLogger)
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING, force=True)
    logging.raiseExceptions = False  # else a line that cannot be written is shown with its values
    logging.captureWarnings(True)
    sys.excepthook = lambda _kind, error, _where: _uncaught(error)
    threading.excepthook = lambda args: _uncaught(args.exc_value)


def where(error: BaseException) -> str:
    """The place an exception was raised at: `file:line function`, of our own code where any took part."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_HOME / "adapter")]
    frame = (ours or frames)[-1]
    path = Path(frame.filename)
    return f"{path.relative_to(_HOME) if path.is_relative_to(_HOME) else path.name}:{frame.lineno} {frame.name}"


def _uncaught(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, KeyboardInterrupt):
        log("process").error("uncaught exception", exc_info=error)


class _Handler(logging.Handler):
    """A library's record: its logger, level and the line that wrote it say which it is; its text may hold values."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"event": "library message", "logger": record.name, "level": record.levelname.lower(),
                                  "at": f"{record.module}:{record.lineno} {record.funcName}"}
        if record.exc_info and record.exc_info[1]:
            fields["exc_info"] = record.exc_info[1]
        for step in (_stamp, _exception, _declared):
            fields = dict(step(None, "", fields))
        _print(fields)


def _exception(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    error: Any = fields.pop("exc_info", None)
    if error and not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        fields["exception"] = type(error).__name__
        fields["at"] = where(error)
    return fields


def _declared(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value[:_LONGEST] if isinstance(value, str) else value for key, value in fields.items()
            if key in FIELDS and isinstance(value, str | int | float | None)}


def _write(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> Any:
    _print(fields)
    raise structlog.DropEvent


def _print(fields: MutableMapping[str, Any]) -> None:
    with suppress(OSError, ValueError):  # nobody reads: no reason to stop working
        sys.stderr.write(orjson.dumps(dict(fields)).decode() + "\n")
        sys.stderr.flush()


_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
_PROCESSORS: list[Any] = [structlog.processors.add_log_level, _stamp, _exception, _declared, _write]
_BoundLogger: Any = structlog.make_filtering_bound_logger(logging.INFO)
