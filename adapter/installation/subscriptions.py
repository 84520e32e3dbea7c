"""Subscriptions at work: taken from clients, asked for their status, told what happened."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from adapter.deliver.receiver import allowed_hosts, check_endpoint, checked_addresses, post, recipients_of
from adapter.engine.disclosure import Disclosures
from adapter.engine.stays import stay_message
from adapter.errors import Rejected, Unavailable
from adapter.installation.installation import Installation
from adapter.logs import log
from adapter.model import Json
from adapter.notices import bundle
from adapter.notices.subscription import Asked, Content, asked_of, read_subscription
from adapter.notices.topics import ENCOUNTER
from adapter.store import pruning
from adapter.store import subscriptions as kept
from adapter.store.engine import reading, writing
from adapter.store.notices import Notice
from adapter.store.resources import read_resources, with_meta
from adapter.store.search_index import date_range
from adapter.store.subscriptions import Subscribed

TRIES = 8
"""Failures in a row after which a subscription is in error: about two minutes. It is tried on, more rarely."""
HANDSHAKES = 4
"""Failures of its handshake after which a subscription is in error."""
_FIRST_WAIT, _LONGEST_WAIT, _IN_ERROR = 1.0, 60.0, 600.0
_PAGE = 1000
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LOG = log("notices")
Listed = Sequence[Subscribed]


class Subscriptions:
    """Everything about subscriptions of one installation. Each method is a transaction, or none while it sends."""

    def __init__(self, here: Installation, hosts: str, days: int) -> None:
        """hosts: where notices may be sent to, as the setting says it. days: how long they are kept, 0 for good."""
        self._engine = here.engine
        self._now_us = here.now_us
        self._hosts = allowed_hosts(hosts)
        self._days = days
        self._rng = random.Random()

    def bind(self, connection: Connection) -> None:
        """Note whose each subscription is, as the settings say it now."""
        for one in kept.with_status(connection, ("requested", "active", "error", "off")):
            recipients = recipients_of(one.body["channel"].get("endpoint", ""), self._hosts)
            if recipients != one.recipients:
                kept.belongs(connection, one.id, recipients)

    # --- what clients do

    def put(self, subscription_id: str | None, body: Json, base: str, if_match: int | None = None) -> tuple[Subscribed, bool]:
        """Take a Subscription (None: under a new id); as it stands now, and whether it is new.

        base: URL of /fhir as the client knows it. It is sent a handshake, unless its status is `off`. Raises Rejected:
        fhir-structure, subscription-invalid, endpoint-refused, version-conflict.
        """
        asked = read_subscription(body)
        check_endpoint(asked.endpoint, self._hosts)
        subscription_id = subscription_id or uuid.uuid4().hex
        if not _ID.fullmatch(subscription_id) or body.get("id", subscription_id) != subscription_id:
            raise Rejected("fhir-structure", "Subscription.id", "the id is not that of the address")
        now, wanted = self._now_us(), "off" if body["status"] == "off" else "active" if asked.bare else "requested"
        content = {name: value for name, value in body.items() if name not in ("id", "status", "meta", "error", "resourceType")}
        with writing(self._engine) as connection:
            before = kept.read(connection, subscription_id)
            lives = before is not None and before.status != "deleted"
            if if_match is not None and (before is None or before.version != if_match or not lives):
                raise Rejected("version-conflict", f"Subscription/{subscription_id}")
            version = before.version + 1 if before else 1
            one = Subscribed(id=subscription_id, body=content, status=wanted, version=version, updated=now, base=base,
                             due=None if wanted == "off" else now, recipients=recipients_of(asked.endpoint, self._hosts))
            if before is not None and lives:
                missed = before.status == "error" and asked_of(before.body).topic == asked.topic
                one = replace(one, events=before.events, sent=before.sent if missed else before.events,
                              withheld=before.withheld)
            elif before is not None:
                kept.forget_events(connection, subscription_id)
            kept.put(connection, one)
        return one, not lives

    def delete(self, subscription_id: str) -> None:
        """End a subscription. Raises Rejected (not-found, gone)."""
        with writing(self._engine) as connection:
            one = self._read(connection, subscription_id)
            kept.put(connection, replace(one, status="deleted", version=one.version + 1, updated=self._now_us(), due=None))

    def read(self, subscription_id: str) -> Subscribed:
        """One subscription. Raises Rejected (not-found, gone)."""
        with reading(self._engine) as connection:
            return self._read(connection, subscription_id)

    def listed(self) -> Listed:
        """All subscriptions."""
        with reading(self._engine) as connection:
            return kept.with_status(connection, ("requested", "active", "error", "off"))

    def events(self, subscription_id: str, first: int | None, last: int | None, content: Content | None, base: str) -> Json:
        """The answer to $events: events from number `first` (None: the first that is kept) to `last`, a thousand at most.

        Raises Rejected (not-found, gone; events-pruned).
        """
        with reading(self._engine) as connection:
            one = self._read(connection, subscription_id)
            kept_from = pruning.first_event(connection, subscription_id, one.events)
            if first is not None and max(1, first) < kept_from:
                raise Rejected("events-pruned", "eventsSinceNumber", f"they are kept from number {kept_from} on")
            first = kept_from if first is None else first
            told = kept.events(connection, subscription_id, first, last, _PAGE)
            asked = asked_of(one.body)
            allowed = self._allowed(connection, one, told)
            resources = self._resources(connection, content or asked.content, allowed, base)
        status = bundle.status("query-event", subscription=one.id, base=base, topic=asked.topic.url, state=one.status,
                               count=one.events, error=one.error, content=content or asked.content, events=told,
                               named={number for number, _ in allowed})
        return bundle.notification(status, self._now_us(), resources)

    def prune(self) -> int:
        """Forget notices that are older than the setting says; how many. Each transaction is short."""
        count = 0
        while self._days:
            with writing(self._engine) as connection:
                some = pruning.prune(connection, self._now_us() - self._days * 86_400_000_000, _PAGE)
            count += some
            if some < _PAGE:
                break
        return count

    # --- what they are told

    def due(self) -> list[str]:
        """Ids of those to be sent something now."""
        with reading(self._engine) as connection:
            return kept.due(connection, self._now_us())

    def send(self, subscription_id: str) -> int:
        """Send what is due to one subscriber: its handshake, its next events, or a heartbeat; how many events it took.

        Nothing of the store is held while the receiver is waited for. What fails is tried again by itself.
        """
        now = self._now_us()
        with reading(self._engine) as connection:
            one = self._read(connection, subscription_id)
            if one.due is None or one.due > now:
                return 0
            asked = asked_of(one.body)
            events = kept.events(connection, one.id, one.sent + 1, limit=asked.most) if one.status != "requested" else []
            allowed = self._allowed(connection, one, events)
            resources = self._resources(connection, asked.content, allowed, one.base)
        if (end := date_range(asked.until)) and end[1] < now:
            self._end(one)
            return 0
        kind: bundle.Kind = "handshake" if one.status == "requested" else "event-notification" if events else "heartbeat"
        status = bundle.status(kind, subscription=one.id, base=one.base, topic=asked.topic.url, content=asked.content,
                               state="requested" if kind == "handshake" else "active", events=events,
                               count=events[-1][0] if events else one.events, named={number for number, _ in allowed})
        try:
            check_endpoint(asked.endpoint, self._hosts)
            addresses = checked_addresses(asked.endpoint, self._hosts)
            for body in resources.values() if asked.bare else [bundle.notification(status, now, resources)]:
                post(asked.endpoint, asked.headers, body, asked.timeout, addresses)
        except Unavailable as error:
            self._failed(one, f"{error.issue.code} {error.issue.detail}", error.retry_after)
            return 0
        except Rejected as error:
            self._failed(one, error.issue.code, None)
            return 0
        self._taken(one, asked, events[-1][0] if events else one.sent)
        return len(events)

    def _taken(self, one: Subscribed, asked: Asked, number: int) -> None:
        now = self._now_us()
        with writing(self._engine) as connection:
            kept.sent(connection, one, number, now, now + asked.heartbeat * 1_000_000 if asked.heartbeat else None)
        if one.attempts:
            _LOG.info("subscriber reached again", resource_type="Subscription", resource_id=one.id, attempt=one.attempts)

    def _failed(self, one: Subscribed, error: str, retry_after: float | None) -> None:
        tries = one.attempts + 1
        given_up = one.status == "error" or tries >= (HANDSHAKES if one.status == "requested" else TRIES)
        wait = _IN_ERROR if given_up else min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (tries - 1)) * (0.75 + self._rng.random() / 2)
        due: int | None = self._now_us() + round(max(wait, retry_after or 0.0) * 1_000_000)
        status = "error" if given_up else one.status
        if one.status == "requested" and given_up:
            due = None  # nobody ever answered there: whoever subscribed must say so again
        if error.endswith("HTTP 410"):
            status, due = "off", None
        with writing(self._engine) as connection:
            kept.failed(connection, one, status, due, error)
        _LOG.warning("notice not taken", resource_type="Subscription", resource_id=one.id, code=error.partition(" ")[0],
                     attempt=tries, state=status)

    def _end(self, one: Subscribed) -> None:
        with writing(self._engine) as connection:
            kept.failed(connection, one, "off", None, "")

    @staticmethod
    def _read(connection: Connection, subscription_id: str) -> Subscribed:
        one = kept.read(connection, subscription_id)
        if one is None or one.status == "deleted":
            raise Rejected("not-found" if one is None else "gone", "Subscription")
        return one

    def _allowed(self, connection: Connection, one: Subscribed, events: bundle.Events) -> bundle.Events:
        """Of these events those of which its recipients may be told by now: a consent may have ended since."""
        disclosures = Disclosures(connection, self._now_us())
        return [(number, notice) for number, notice in events if disclosures.allows(notice, one.recipients)]

    @staticmethod
    def _resources(connection: Connection, content: Content, events: Sequence[tuple[int, Notice]], base: str) -> dict[str, Json]:
        """What goes along with events as full resources, as it stands now, by full URL."""
        if content != "full-resource":
            return {}
        stays = [stay_message(connection, notice, base) for _, notice in events if notice.topic == ENCOUNTER.name]
        if stays:
            return {f"urn:uuid:{one['id']}": one for one in stays if one is not None}
        focuses = dict.fromkeys(notice.focus for _, notice in events)
        found = read_resources(connection, [(t, i) for t, _, i in (focus.partition("/") for focus in focuses)])
        return {f"{base}/{t}/{i}": with_meta(s.body, s.version, s.updated) for (t, i), s in found.items() if s.body is not None}
