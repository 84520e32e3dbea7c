"""The sections of a member's record on the page, in their order. Pure."""

from __future__ import annotations

from adapter.web.record.decisions import authorizations, consents
from adapter.web.record.plans import care_plan
from adapter.web.record.read import Record
from adapter.web.record.timeline import timeline
from adapter.web.record.treatments import medications, treatments
from adapter.web.record.words import Section, Words


def sections(record: Record, words: Words) -> list[Section]:
    """All that was read of a member, in words."""
    return [made(record, words) for made in (care_plan, treatments, medications, authorizations, consents, timeline)]
