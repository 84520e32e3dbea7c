"""The topics that can be subscribed to: what happens, and what each can be filtered by.

Source: Subscriptions R5 Backport 1.1.0 (R4): a topic is known by its canonical URL, filters are search parameters of the
focus or keys that the topic defines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapter.store.notices import Notice

CANONICAL = "urn:x-careloop:topic"
"""Base of the topics' canonical URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic. focus: type of the resource that a notice is about. what: all that can happen.

    filters: name to what it compares; each stands in the keys of its notices.
    """

    name: str
    title: str
    focus: str
    what: tuple[str, ...]
    filters: Mapping[str, str]

    @property
    def url(self) -> str:
        """The canonical URL."""
        return f"{CANONICAL}:{self.name}"


GAP_LIFE = Topic(
    name="gap-life", title="The state of a gap changes", focus="Task",
    what=("due", "opened", "reopened", "closed", "missed", "ended"),
    filters={
        "code": "the rule: `G01`, or with its system",
        "business-status": "the gap's state now",
        "owner": "who is to see to it: `Task.owner`",
        "organization": "the organization that is responsible, whoever sees to it",
        "patient": "the member",
        "subject": "the member, or the organization that the gap is about",
        "event": "what happened",
    })
ENCOUNTER = Topic(
    name="encounter-start-end", title="A stay of a member with an active care team begins or ends", focus="Encounter",
    what=("admitted", "transferred", "discharged", "admission-cancelled", "discharge-cancelled"),
    filters={
        "organization": "an organization on the member's active care team",
        "service-provider": "who gives the care: `Encounter.serviceProvider`",
        "class": "`Encounter.class`",
        "patient": "the member",
        "subject": "the member",
        "event": "what happened",
    })
TOPICS = {topic.name: topic for topic in (GAP_LIFE, ENCOUNTER)}
"""Topics by name."""


def matches(notice: Notice, criteria: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a notice has, of each name, one of the values asked for: `Type/id` or `id`, `system|code` or `code`."""
    return all(any(_is(value, asked) for value in notice.keys.get(name, ()) for asked in values)
               for name, values in criteria.items())


def _is(value: str, asked: str) -> bool:
    return value == asked or value.endswith((f"/{asked}", f"|{asked}"))
