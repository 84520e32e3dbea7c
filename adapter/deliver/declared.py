"""FHIR servers of others: to whom they belong, what for, and which data may go there. A push is a disclosure, so all is declared.

Between outbox and server stands `DisclosingServer`: at the moment of sending it asks what may go. What may not is left out, and
where it stands there already, or may, it is deleted: so a revocation withdraws what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from adapter.errors import Rejected
from adapter.fhirserver.port import Capabilities, FhirServer, Page, Version, Write, Written
from adapter.model import Json, is_array, is_object
from adapter.store.offers import ANY
from adapter.validate.facts import known_type

PURPOSES = frozenset({"TREAT", "CAREMGT"})
"""Purposes (v3-ActReason) for which consents are reckoned with."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_KEYS = {"name", "url", "recipient", "purpose", "classes", "types"}

Permit = Callable[[Sequence[Write]], Mapping[tuple[str, str], Json]]
"""Of some writes, the bodies of those that may go, as they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server to which data is disclosed. recipient: number of an Organization in the network, `*` for the network itself.

    classes: of data (urn:x-careloop:data-class) that may go there; types: of resources.
    """

    name: str
    url: str
    recipient: str
    purpose: str
    classes: frozenset[str]
    types: frozenset[str]


def read_targets(path: Path) -> tuple[Target, ...]:
    """The targets of a file. Raises Rejected (targets-invalid), saying what is wrong with which."""
    try:
        listed: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise Rejected("targets-invalid", path.name, type(error).__name__) from error
    if not is_array(listed):
        raise Rejected("targets-invalid", path.name, "write a list of targets")
    found = tuple(_target(one, f"{path.name}, target {n}") for n, one in enumerate(listed, 1))
    if len({one.name for one in found}) < len(found):
        raise Rejected("targets-invalid", path.name, "two targets have one name")
    return found


def _target(written: Any, place: str) -> Target:
    if not is_object(written) or set(written) != _KEYS:
        raise Rejected("targets-invalid", place, f"it has to have {', '.join(sorted(_KEYS))}, and nothing else")
    for key in ("name", "url", "recipient", "purpose"):
        if not isinstance(written[key], str) or not written[key]:
            raise Rejected("targets-invalid", place, f"{key} is a text")
    for key in ("classes", "types"):
        if not is_array(written[key]) or not all(isinstance(one, str) for one in written[key]):
            raise Rejected("targets-invalid", place, f"{key} is a list of texts")
    if not _NAME.fullmatch(written["name"]) or not re.match(r"https?://[^/@]+", written["url"]):
        raise Rejected("targets-invalid", place, "name is of small letters, digits and -; url begins with https://host")
    if written["purpose"] not in PURPOSES:
        raise Rejected("targets-invalid", place, f"purpose is one of {', '.join(sorted(PURPOSES))}")
    if unknown := [one for one in written["types"] if not known_type(one)]:
        raise Rejected("targets-invalid", place, f"no resource type {unknown[0]}")
    return Target(name=written["name"], url=written["url"], recipient=written["recipient"], purpose=written["purpose"],
                  classes=frozenset(written["classes"]), types=frozenset(written["types"]))


class DisclosingServer:
    """`port.FhirServer` around another's server; `permit` is asked with every transaction what of it may go."""

    def __init__(self, inner: FhirServer, permit: Permit) -> None:
        self._inner = inner
        self._permit = permit

    @property
    def name(self) -> str:
        """The target's name."""
        return self._inner.name

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        """What may go is written; what may not, and stands there, is deleted; the rest is passed over, with version ''."""
        allowed = self._permit([w for w in writes if w.body is not None])
        sent: dict[tuple[str, str], Write] = {}
        for w in writes:
            body = allowed.get((w.resource_type, w.id)) if w.body is not None else None
            if body is not None or w.if_match is not None:
                sent[w.resource_type, w.id] = replace(w, body=body, if_match=None if w.if_match == ANY else w.if_match)
        done = dict(zip(sent, self._inner.transaction(list(sent.values())) if sent else (), strict=True))
        return [done[key] if key in done and sent[key].body is not None
                else Written(resource_type=key[0], id=key[1], version="", status=204)
                for key in ((w.resource_type, w.id) for w in writes)]

    def capabilities(self) -> Capabilities:
        """What the server allows."""
        return self._inner.capabilities()

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """The current version there."""
        return self._inner.read(resource_type, resource_id)

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        """First page of a search there."""
        return self._inner.search(resource_type, params, count)

    def search_page(self, token: str) -> Page:
        """A further page."""
        return self._inner.search_page(token)

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        """The history there: nothing of it is read back, for others' servers are no source of ours."""
        return self._inner.history(since)
