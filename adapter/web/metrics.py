"""Counts and times for Prometheus. Labels are feeds, events and codes of ours: never a text that somebody sent."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection, Engine

from adapter.intake.silence import Heard
from adapter.store import figures, queries, subscriptions
from adapter.store.engine import reading
from adapter.web.errors import route

_EVENT = re.compile(r"[A-Z][0-9A-Z]{2}")
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Meters:
    """All figures of one gateway. Counters of messages and findings are counted on from the journal at each reading."""

    def __init__(self, engine: Engine, changed: Callable[[], int], heard: Callable[[], Sequence[tuple[Heard, bool]]]) -> None:
        """Register everything in a registry of its own, so that several applications can live in one process.

        changed: how many files of the mappings differ from those that the gateway runs with. heard: feeds that are watched, and
        whether each is silent.
        """
        self.registry = CollectorRegistry()
        self.requests = Histogram("careloop_request_seconds", "Duration of web requests", ("route", "method", "status"),
                                  buckets=_SECONDS, registry=self.registry)
        Gauge("careloop_mappings_changed", "Files of the mappings changed since the start",
              registry=self.registry).set_function(changed)
        self.registry.register(_Journalled(engine))
        self.registry.register(_Listened(heard))

    def disk(self, free: Callable[[], int]) -> None:
        """Register how many bytes are free in the data folder."""
        Gauge("careloop_disk_free_bytes", "Free space in the data folder", registry=self.registry).set_function(free)

    def text(self) -> bytes:
        """The figures in Prometheus' text form."""
        return generate_latest(self.registry)


class _Journalled:
    """What the database knows. Journal and findings only grow: each reading adds what came since the last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._last_entry = self._last_finding = 0
        self._messages: Counter[tuple[str, str, str]] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[tuple[str, str, str]] = Counter()

    def describe(self) -> list[Metric]:
        """Nothing is asked of the database at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, as of now."""
        with self._lock, reading(self._engine) as connection:
            self._count_on(connection)
            backlog = queries.backlog(connection)
            oldest, lanes = figures.oldest(connection), figures.lanes_by_state(connection)
            states, waiting = subscriptions.counts(connection), subscriptions.waiting(connection)
            withheld = subscriptions.withheld(connection)
        yield _counted("careloop_messages", "Journalled messages and rows", ("feed", "event", "ack"), self._messages)
        yield _counted("careloop_findings", "Findings of the gateway", ("severity", "code"), self._findings)
        yield _gauged("careloop_journal_entries", "Journal entries by state", "state",
                      {"waiting": 0, "failed": 0} | backlog.journal)
        yield _gauged("careloop_outbox_entries", "Resources on their way by state", "state",
                      {"waiting": 0, "dead": 0} | backlog.outbox)
        yield _counted("careloop_refusals", "Reasons of refused messages and rows", ("code", "feed", "event"), self._refusals)
        yield _ages(oldest)
        yield _gauged("careloop_lanes", "Lanes with something that waits", "state", {"free": 0, "claimed": 0} | lanes)
        yield _gauged("careloop_resources", "Current resources by type", "type", backlog.resources)
        yield _gauged("careloop_subscriptions", "Subscriptions by status", "status", {"active": 0, "error": 0} | states)
        yield GaugeMetricFamily("careloop_notices_waiting", "Events that subscribers were not told of yet", waiting)
        yield GaugeMetricFamily("careloop_notices_withheld", "Notices that subscribers may not be told of", withheld)

    def _count_on(self, connection: Connection) -> None:
        self._last_entry, entries = queries.acknowledged_since(connection, self._last_entry)
        for feed, event, ack, count in entries:
            self._messages[feed, _known(event), ack] += count
        before = self._last_finding
        self._last_finding, found = queries.findings_since(connection, self._last_finding)
        for severity, code, count in found:
            self._findings[severity, code] += count
        for code, feed, event, count in figures.refusals(connection, before, self._last_finding):
            self._refusals[code, feed, _known(event)] += count


class _Listened:
    """The feeds that something is to come of."""

    def __init__(self, heard: Callable[[], Sequence[tuple[Heard, bool]]]) -> None:
        self._heard = heard

    def describe(self) -> list[Metric]:
        """Nothing is asked of the database at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, as of now."""
        heard = self._heard()
        yield _gauged("careloop_feed_silent", "1: nothing came for longer than usual", "feed",
                      {one.feed: int(silent) for one, silent in heard})
        yield _gauged("careloop_feed_heard_timestamp_seconds", "When something came last", "feed",
                      {one.feed: one.last // 1_000_000 for one, _ in heard})


def _known(event: str) -> str:
    return event if _EVENT.fullmatch(event) else "other" if event else ""


def _counted(name: str, what: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _ages(oldest: Mapping[tuple[str, str], int]) -> Metric:
    family = GaugeMetricFamily("careloop_oldest_seconds", "Age of the oldest entry", labels=("place", "state"))
    known = {("journal", "waiting"): 0, ("journal", "failed"): 0, ("outbox", "waiting"): 0, ("outbox", "dead"): 0}
    for at in {**known, **oldest}:
        family.add_metric(at, max(0.0, time.time() - oldest[at] / 1_000_000) if at in oldest else 0.0)
    return family


def _gauged(name: str, what: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def install(app: Flask, meters: Meters) -> None:
    """Time each request."""

    def start() -> None:
        g.started = time.perf_counter()

    def observe(response: Response) -> Response:
        if "started" in g:
            seconds = time.perf_counter() - g.started
            meters.requests.labels(route(), _method(), str(response.status_code)).observe(seconds)
        return response

    app.before_request(start)
    app.after_request(observe)


def _method() -> str:
    """The method where it is a known one: a sender can write any word there."""
    return request.method if request.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
