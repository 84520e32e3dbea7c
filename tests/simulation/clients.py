"""Other clients of the FHIR server: they change what is ours, add to it, create resources and delete some, drawn from a seed.

What they wrote is kept here, so that it can be asked whether all of it, and nothing else, came to the store as theirs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from adapter.compose.references import targets
from adapter.model import Json
from tests.simulation.server import Key, SimulatedServer

NOTE = "urn:x-other:note"
"""Url of an extension that only other clients write."""
CHANGES: dict[str, dict[str, tuple[str, ...]]] = {
    "Patient": {"gender": ("male", "other", ""), "birthDate": ("1961-05-15", "1960", "")},
    "Encounter": {"status": ("onleave", "finished")},
    "Organization": {"name": ("Alder House", "Alder Mills")},
}
"""Elements that our sources state and other clients change, by type; '' takes one out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """One write of another client: the version that it made, what stood before and after; None: nothing."""

    key: Key
    version: int
    before: Json | None
    after: Json | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """One value that another client gave to an element that only such clients write."""

    key: Key
    element: str
    value: str


@dataclass(slots=True, kw_only=True)
class Clients:
    """What other clients do. added: values of elements that are theirs, in their order; own: of these, which a resource got last,
    by element; created: resources that are theirs, whole."""

    server: SimulatedServer
    rng: random.Random
    wrote: list[Wrote] = field(default_factory=list[Wrote])
    added: list[Added] = field(default_factory=list[Added])
    own: dict[Key, dict[str, int]] = field(default_factory=dict[Key, dict[str, int]])
    created: dict[Key, Json | None] = field(default_factory=dict[Key, "Json | None"])

    def act(self) -> str:
        """One write; what it was, '' where there is nothing to write on."""
        name, act = self.rng.choice((("adds", self._add), ("changes", self._change), ("creates", self._create),
                                     ("deletes", self._delete)))
        return name if act() else ""

    def _ours(self) -> list[Key]:
        return sorted(key for key, told in self.server.standing.items() if told.body is not None and key not in self.created)

    def _add(self) -> bool:
        ours = self._ours()
        if not ours:
            return False
        often = [key for key in ours if key[0] in CHANGES]  # what messages change again
        return self.add(self.rng.choice(often if often and self.rng.random() < 0.8 else ours))

    def add(self, key: Key) -> bool:
        """Add to a resource an element that our sources do not state."""
        body, value = self._body(key), f"n{len(self.wrote)}"
        if self.rng.random() < 0.5:
            extensions: list[Any] = [one for one in body.get("extension", ()) if one.get("url") != NOTE]
            body["extension"] = [*extensions, {"url": NOTE, "valueString": value}]
            self._note(key, "extension", value)
        else:
            body["language"] = "de" if body.get("language") == "fr" else "fr"
            self._note(key, "language", body["language"])
        return self._put(key, body)

    def _note(self, key: Key, element: str, value: str) -> None:
        self.own.setdefault(key, {})[element] = len(self.added)
        self.added.append(Added(key=key, element=element, value=value))

    def _change(self) -> bool:
        able = [(key, name) for key in self._ours() for name in CHANGES.get(key[0], ())]
        if not able:
            return False
        key, name = self.rng.choice(able)
        return self.change(key, name, self.rng.choice(CHANGES[key[0]][name]))

    def change(self, key: Key, name: str, value: str) -> bool:
        """Change an element that our sources state, or ('') take it out."""
        body = self._body(key)
        if body.get(name, "") == value:
            return False
        return self._put(key, {**body, name: value} if value else {n: v for n, v in body.items() if n != name})

    def _create(self) -> bool:
        patients = [key for key in self._ours() if key[0] == "Patient"]
        if patients and self.rng.random() < 0.6:
            key = ("Observation", f"c{len(self.wrote)}")
            body: Json = {"resourceType": key[0], "status": "final", "code": {"text": "mood"}, "valueString": key[1],
                          "subject": {"reference": "/".join(self.rng.choice(patients))}}
        else:
            key = ("Organization", f"c{len(self.wrote)}")
            body = {"resourceType": key[0], "active": True, "name": f"Elder House {key[1]}"}
        self.created[key] = body
        return self._put(key, body)

    def _delete(self) -> bool:
        standing = {key: told.body for key, told in self.server.standing.items() if told.body is not None}
        named = set[str]().union(*(targets(body, set[str]()) for body in standing.values()))
        able = sorted(key for key in standing if "/".join(key) not in named)
        if not able:
            return False
        key = self.rng.choice(able)
        self.own.pop(key, None)
        if key in self.created:
            self.created[key] = None
        return self._put(key, None)

    def _body(self, key: Key) -> Json:
        return dict(self.server.standing[key].body or {})

    def _put(self, key: Key, body: Json | None) -> bool:
        before = self.server.standing.get(key)
        told = self.server.write(key, body, client=True)
        self.wrote.append(Wrote(key=key, version=told.version, before=before.body if before else None, after=body))
        return True
