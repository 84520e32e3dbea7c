"""What another client changed in a resource that we had written, as slots of a contribution of its own.

Slots: the element with its new value, `element!` where it was taken out; of lists `element#server 7` for the members that
version 7 added or changed, `element!7` for the identities of those that went. Source: COMPOSE, FHIR server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter.compose.merge import WHOLE, identity_of, member_identity
from adapter.model import Json, is_array, is_object

OURS = frozenset({"resourceType", "id", "meta"})
"""Elements that are never taken over from another client."""


def difference(resource_type: str, base: Json | None, theirs: Json, nested: Callable[[str, str], bool], version: str) -> Json:
    """Slots that turn `base` (what we had pushed, None where nothing) into `theirs`.

    version: of theirs; each has list slots of its own, as a later change says nothing of what an earlier one did.
    nested: whether an element (resource type, path) is composed below it (BackboneElement, Period).
    """
    slots: Json = {}
    _compare(resource_type, "", base or {}, theirs, nested, version, slots)
    return slots


def _compare(resource_type: str, prefix: str, base: Json, theirs: Json, nested: Callable[[str, str], bool], version: str,
             slots: Json) -> None:
    for name in sorted({*base, *theirs} - (OURS if not prefix else set())):
        path, before, after = f"{prefix}{name}", base.get(name), theirs.get(name)
        if before == after:
            continue
        if is_array(before) or is_array(after):
            _lists(resource_type, path, before if is_array(before) else [], after if is_array(after) else [], version, slots)
        elif is_object(after if after is not None else before) and nested(resource_type, path):
            _compare(resource_type, f"{path}.", before or {}, after or {}, nested, version, slots)
        elif after is None:
            slots[f"{path}!"] = True
        else:
            slots[path] = after


def _lists(resource_type: str, path: str, before: list[Any], after: list[Any], version: str, slots: Json) -> None:
    identity = identity_of(resource_type, path)
    old = {member_identity(identity, item): item for item in before}
    new = {member_identity(identity, item): item for item in after}
    added = [item for key, item in new.items() if old.get(key) != item]
    gone = [key for key in old if key not in new]
    if added:
        slots[f"{path}#{WHOLE}{version}"] = added
    if gone:
        slots[f"{path}!{version}"] = gone
