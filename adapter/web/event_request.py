"""What is asked of `GET /events`, read from the head of a request; and a notice as a server-sent event. Pure.

Source: WHATWG HTML, server-sent events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import orjson

from adapter.consent.decision import NETWORK
from adapter.errors import Rejected
from adapter.notices.topics import TOPICS, matches
from adapter.settings import host_port
from adapter.store.notices import Notice
from adapter.store.resources import instant
from adapter.web.guard import is_loopback_address

PATH = "/events"
_NAMES = {"organization": "organization", "rule": "code", "state": "business-status", "patient": "patient", "event": "event"}
"""Parameters that choose among notices, and the key of a notice that each compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one listener wants to hear. topic: '' for all. after: number of the last notice it has, None for those from now.

    recipients: who listens, organizations by their number in the network; the network's own programs where nobody is named.
    """

    topic: str
    recipients: tuple[str, ...]
    criteria: Mapping[str, tuple[str, ...]]
    after: int | None

    def hears(self, notice: Notice) -> bool:
        """Whether a notice is for it."""
        return self.topic in ("", notice.topic) and matches(notice, self.criteria)


def read_request(head: bytes) -> Wanted:
    """What the head of a request asks for. Raises Rejected: bad-request, bad-parameter, and as the web side does."""
    lines = head.decode("latin-1").split("\r\n")
    first = lines[0].split(" ")
    if len(first) != 3 or not first[2].startswith("HTTP/1."):
        raise Rejected("bad-request", "", "not HTTP")
    headers = {name.strip().lower(): value.strip() for name, mark, value in (line.partition(":") for line in lines[1:]) if mark}
    _check_host(headers.get("host", ""))
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "same-site", "none"):
        raise Rejected("cross-site")
    address = urlsplit(first[1])
    if address.path != PATH:
        raise Rejected("unknown-route", "", f"the stream is at {PATH}")
    if first[0] != "GET":
        raise Rejected("not-allowed", "", "only GET")
    return _wanted(parse_qsl(address.query, keep_blank_values=True), headers.get("last-event-id", ""))


def _check_host(host: str) -> None:
    """See web/guard.py: a page elsewhere can make its own name mean this machine."""
    try:
        name, _ = host_port(host if ":" in host.rpartition("]")[2] else f"{host}:80")
    except ValueError:
        name = ""
    if name != "localhost" and not is_loopback_address(name):
        raise Rejected("wrong-host")


def _wanted(asked: Sequence[tuple[str, str]], last_event_id: str) -> Wanted:
    topic, criteria, after, recipients = "", dict[str, tuple[str, ...]](), last_event_id, (NETWORK,)
    for name, value in asked:
        if name == "topic" and value in TOPICS:
            topic = value
        elif name == "recipient" and value and NETWORK not in value:
            recipients = tuple(value.split(","))
        elif name == "lastEventId" and value.isdecimal():
            after = after or value
        elif name in _NAMES and value:
            criteria[_NAMES[name]] = tuple(value.split(","))
        else:
            known = ", ".join((f"topic ({', '.join(TOPICS)})", *_NAMES, "recipient", "lastEventId"))
            raise Rejected("bad-parameter", "", f"it takes {known}")
    if after and not (after.isdecimal() and len(after) < 19):
        raise Rejected("bad-parameter", "Last-Event-ID", "a number")
    return Wanted(topic=topic, recipients=recipients, criteria=criteria, after=int(after) if after else None)


def event(notice: Notice) -> bytes:
    """A notice as an event: its number as id, its topic as type, ids and codes as JSON."""
    said = {"what": notice.what, "focus": notice.focus, "subject": notice.subject, "at": instant(notice.at),
            **{name: [*values] for name, values in notice.keys.items() if name not in ("event", "subject", "patient") and values}}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (notice.seq, notice.topic.encode(), orjson.dumps(said))


def pruned_event(last: int) -> bytes:
    """What a listener is told whose last notice lies before some that are kept no longer. last: number of the last of these."""
    return b'event: pruned\ndata: {"last":%d}\n\n' % last
