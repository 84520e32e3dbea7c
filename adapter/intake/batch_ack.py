"""A batch in one frame or body: its messages one by one, their acknowledgements in a batch of their own.

Source: HL7 v2 chapter 2, section 2.10.3 (batch protocol): FHS-12 and BHS-12 name the batch that is answered.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter.errors import message
from adapter.intake.ack import parted
from adapter.model import Issue
from adapter.parse.batch import Envelope, Split, split_messages
from adapter.parse.charset import sniff

_TRAILER = {"FHS": "FTS", "BHS": "BTS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came in one frame. raw: as it came; messages: in order; issues: what its trailers say against it."""

    raw: bytes
    split: Split

    @property
    def messages(self) -> list[bytes]:
        """Its messages, in order."""
        return self.split.messages

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Where trailers and content differ (batch-count)."""
        return self.split.issues


def batch_of(raw: bytes) -> Batch | None:
    """The batch that the bytes hold, None where they begin with no batch header (FHS, BHS)."""
    if raw.startswith(b"MSH"):
        return None
    mark, codec = sniff(raw)
    wide = codec if codec.startswith(("utf-16", "utf-32")) else "latin-1"
    if not raw[mark:mark + 64].decode(wide, "ignore").lstrip("\x0b\r\n \t").startswith(("FHS", "BHS")):
        return None
    split = split_messages(raw)
    return Batch(raw=raw, split=split) if split.envelopes else None


def answer_batch(batch: Batch, answers: Sequence[bytes], now: datetime) -> bytes:
    """The batch of acknowledgements. answers: what answers each message. now: aware, BHS-7.

    BTS-1 counts the acknowledgements, BTS-2 tells of a batch whose own count is wrong.
    """
    mark, codec = sniff(batch.raw)
    codec = codec if codec.startswith(("utf-16", "utf-32")) else "latin-1"
    told = [[_text(one, codec) for one in parted(answer)] for answer in answers]
    text = "".join(_lines(batch, told, now))
    return batch.raw[:mark] * (codec != "latin-1") + text.encode(codec, "replace")


def _lines(batch: Batch, told: Sequence[Sequence[str]], now: datetime) -> Iterator[str]:
    heads = [one for one in batch.split.envelopes if one.name == "BHS"]
    file = next((one for one in batch.split.envelopes if one.name == "FHS"), None)
    if file is not None:
        yield _header(file, now)
    starts = [0, *(one.at for one in heads[1:])] if heads else [0]
    for n, (start, stop) in enumerate(zip(starts, [*starts[1:], len(told)], strict=True)):
        acks = [ack for answer in told[start:stop] for ack in answer]
        head = heads[n] if heads else None
        if head is not None:
            yield _header(head, now)
        yield from acks
        if head is not None:
            comment = "; ".join(message(issue) for issue in batch.issues) if n == len(starts) - 1 else ""
            yield head.separator.join(["BTS", str(len(acks)), *([_plain(comment, head)] if comment else [])]) + "\r"
    if file is not None:
        yield file.separator.join(["FTS", str(len(heads) or 1)]) + "\r"


def _header(one: Envelope, now: datetime) -> str:
    """FHS or BHS of the answer: sender and receiver change places, field 12 names what is answered."""
    encoding, app, facility, to_app, to_facility = (one.get(n) for n in (2, 3, 4, 5, 6))
    fields = [one.name, encoding, to_app, to_facility, app, facility, now.strftime("%Y%m%d%H%M%S%z"), "", "", "",
              secrets.token_hex(10), one.get(11)]
    return one.separator.join(fields) + "\r"


def _plain(text: str, one: Envelope) -> str:
    """A text of ours without the batch's own delimiters."""
    return "".join(" " if char in one.separator + one.get(2) else char for char in text)


def _text(ack: bytes, codec: str) -> str:
    mark, _ = sniff(ack)
    return ack[mark if codec != "latin-1" else 0:].decode(codec, "replace")
