"""A subscriber for tests: a real HTTP server that keeps what it is sent, and answers as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Json = dict[str, Any]
TOPIC = "urn:x-careloop:topic:gap-life"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"


class Receiver:
    """Keeps every Bundle it is sent. answers: statuses and headers of the next answers; 200 when they are used up."""

    def __init__(self, port: int = 0) -> None:
        self.bundles: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.before_answer: Callable[[Json], None] = lambda _bundle: None
        self.came = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where notices are to be sent."""
        return f"http://127.0.0.1:{self.port}/notices"

    def stop(self) -> None:
        """Go away: the port refuses connections."""
        self._server.shutdown()
        self._server.server_close()

    def until(self, enough: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until enough has come. Raises AssertionError."""
        with self.came:
            assert self.came.wait_for(enough, seconds), f"not enough within {seconds:.0f} s: {self.kinds()}"

    def kinds(self) -> list[str]:
        """The type of each notification, in order."""
        return [value(bundle, "type") for bundle in self.bundles]

    def events(self) -> list[tuple[int, str]]:
        """Number and focus of each event, in the order in which they came."""
        return [(int(part(event, "event-number")), part(event, "focus").get("reference", ""))
                for bundle in self.bundles for event in events_of(bundle)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body: Json = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with receiver.came:
                    receiver.bundles.append(body)
                    receiver.headers.append({name.lower(): text for name, text in self.headers.items()})
                    status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                    receiver.came.notify_all()
                receiver.before_answer(body)
                self.send_response(status)
                for name, text in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, text)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: tests look at what came."""

        return Handler


@contextmanager
def receiving(port: int = 0) -> Generator[Receiver]:
    """A receiver, stopped at the end."""
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.stop()


def subscription(endpoint: str, *filters: str, topic: str = TOPIC, content: str = "id-only", **channel: Any) -> Json:
    """A Subscription as a client writes it."""
    criteria = {"_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": one}
                                            for one in filters]}} if filters else {}
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "to see to them", "criteria": topic, **criteria,
        "channel": {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json", **channel,
                    "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]}},
    }


def parameters(bundle: Json) -> list[Json]:
    """The status that a notification begins with."""
    found: list[Json] = bundle["entry"][0]["resource"]["parameter"]
    return found


def value(bundle: Json, name: str) -> Any:
    """A value of the status."""
    return part(parameters(bundle), name)


def events_of(bundle: Json) -> Iterator[list[Json]]:
    """The parts of each event of a notification."""
    return (one["part"] for one in parameters(bundle) if one["name"] == "notification-event")


def part(parts: list[Json], name: str) -> Any:
    """The value of the part of that name, {} without."""
    found = next((one for one in parts if one["name"] == name), Json())
    return next((found[key] for key in found if key.startswith("value")), Json())
