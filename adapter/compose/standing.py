"""What may stand: composed resources checked together, references without a target taken out, nothing invalid let through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapter.compose.compose import sealed
from adapter.compose.references import without
from adapter.errors import kind_of
from adapter.model import Composed, Issue, Json

Exists = Callable[[set[str]], set[str]]
Claim = Callable[[Json], list[Issue]]
_NONE = frozenset[str]()


def stand(composed: Sequence[Composed], exists: Exists, claim: Claim, check: Claim) -> list[Composed]:
    """Each resource as it may be stored: profile claimed, checked, sealed; what cannot stand is `deleted`, with its issues.

    exists: of some `Type/id`, those that stand outside this set. claim and check: validate.profiles and validate.check.
    One that is sealed already (it has a hash) stands as it is. A resource that fails takes its references out of the others, until nothing changes.
    """
    alive = {f"{c.resource_type}/{c.id}" for c in composed if not c.deleted}
    gone = {f"{c.resource_type}/{c.id}" for c in composed} - alive
    wanted = {f"{c.resource_type}/{c.id}": c.references for c in composed if not c.deleted}
    outside = set[str]().union(*wanted.values()) - alive - gone if wanted else set[str]()
    known = exists(outside) if outside else set[str]()
    done: dict[str, Composed] = {}
    todo = list(composed)
    while todo:
        failed: set[str] = set()
        for c in todo:
            name = f"{c.resource_type}/{c.id}"
            result = _one(c, wanted.get(name, _NONE) - alive - known, claim, check)
            done[name] = result
            if result.deleted and name in alive:
                failed.add(name)
        alive -= failed
        todo = [c for c in composed if failed & wanted.get(f"{c.resource_type}/{c.id}", _NONE)
                and f"{c.resource_type}/{c.id}" in alive]
    return [done[f"{c.resource_type}/{c.id}"] for c in composed]


def _one(c: Composed, missing: frozenset[str], claim: Claim, check: Claim) -> Composed:
    if c.hash and not missing:
        return c
    if c.deleted:
        return sealed(c, {}, ())
    issues = [Issue(code="fhir-reference", place=c.resource_type, detail=m) for m in sorted(missing)]
    body: Json = without(c.body, missing) if missing else c.body
    dropped: list[Issue] = []
    for _ in range(8):
        current = dict(body)
        claimed = claim(current)
        found = check(current)
        errors = [i for i in found if kind_of(i).severity == "error"] if found else []
        if not errors:
            return sealed(c, current, [*issues, *dropped, *claimed])
        names = {_element(i.place, c.resource_type) for i in errors} & body.keys() - {"resourceType", "id"}
        dropped.extend(errors)
        if not names:
            break
        body = {k: v for k, v in body.items() if k not in names}
    return sealed(c, {}, [*issues, *dropped], deleted=True)


def _element(place: str, resource_type: str) -> str:
    """The top-level element an issue's FHIRPath lies in."""
    path = place.removeprefix(resource_type).lstrip(".")
    return path.split(".", 1)[0].split("[", 1)[0]
