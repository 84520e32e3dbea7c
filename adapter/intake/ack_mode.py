"""Which acknowledgements a message gets: one in original mode; in enhanced mode those that MSH-15 and MSH-16 ask for.

Source: HL7 v2 chapter 2, sections 2.9.2 (original mode), 2.9.3 (enhanced mode); tables 0008, 0155.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapter.model import Issue

_NOT_OURS = frozenset({"no-message-type", "unsupported-type", "unsupported-event", "unknown-version", "processing-id"})
"""What MSH-9, MSH-11 and MSH-12 can say that no resending mends: CR. Any other refusal is CE."""


def codes(accept: str, application: str, code: str, issues: Sequence[Issue]) -> list[str]:
    """MSA-1 of each acknowledgement that is due, in order.

    accept, application: MSH-15 and MSH-16 (table 0155: AL, NE, ER, SU), both empty in original mode. code: AA, AE or AR. AR is a
    refusal to keep the message at all, so it is told by the accept acknowledgement where one is wanted, AE by the application's.
    """
    if not accept and not application:
        return [code]
    kept = code != "AR"
    found: list[str] = []
    if _asked(accept, success=kept):
        found.append("CA" if kept else "CR" if issues and issues[0].code in _NOT_OURS else "CE")
    if (kept or not found) and _asked(application, success=code == "AA"):
        found.append(code)
    return found


def wants_application(accept: str, application: str) -> bool:
    """Whether an answer may have to say how the message fared, not only that it is stored (original mode: by the feed)."""
    return bool(accept or application) and application not in ("", "NE")


def _asked(kind: str, *, success: bool) -> bool:
    if kind in ("ER", "SU"):
        return success == (kind == "SU")
    return kind not in ("", "NE")
