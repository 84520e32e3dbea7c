"""A FHIR server that may name what it stores itself: outside its ids, inside ours, and a table between them.

As long as the server takes our ids nothing differs. When it refuses them, a resource is created by a conditional POST and found
again by a tag that holds our id, so a lost answer doubles nothing; references are translated both ways. Source: FHIR R4 http,
update as create, conditional create; decision 0022.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from sqlalchemy import Engine

from adapter.compose.references import resolved, targets
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import Capabilities, Page, Version, Write, Written
from adapter.fhirserver.upstream import Creation, UpstreamServer
from adapter.model import Issue, Json
from adapter.store import server_ids
from adapter.store.engine import reading, writing
from adapter.store.keys import key_and_person
from adapter.store.search_params import PARAMS
from adapter.store.server_ids import Key

TAG = "urn:x-careloop:id"
"""System of the tag that holds our id of a resource."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_NAMES = uuid.UUID("6a7f0c1e-6f0e-4d0b-9f39-5d0c6f1b7a52")
_NOT_CREATED = ("HTTP 404", "HTTP 405", "HTTP 410")
"""How servers refuse to create by PUT: 405 is FHIR's, 404 HAPI's; 410 where it was deleted."""


class NamingServer:
    """`port.FhirServer` around an upstream one; `engine`: the database in which the ids it gives are kept."""

    def __init__(self, inner: UpstreamServer, engine: Engine) -> None:
        self._inner = inner
        self._engine = engine
        self._gives = False

    @property
    def name(self) -> str:
        """Short name of the server around which this stands."""
        return self._inner.name

    def capabilities(self) -> Capabilities:
        """What the server's CapabilityStatement allows."""
        return self._inner.capabilities()

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """The current version of a resource that we name so. Raises Unavailable, Rejected (server-refused)."""
        key = (resource_type, resource_id)
        with reading(self._engine) as connection:
            theirs = server_ids.server_ids(connection, self.name, [key]).get(key, resource_id)
        found = self._inner.read(resource_type, theirs) if theirs else None
        return self._ours(found) if found else None

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        """First page of a search; ids in it are ours, as `_id` or `Type/id`."""
        return self._page(self._inner.search(resource_type, [(n, self._asked(resource_type, n, v)) for n, v in params], count))

    def search_page(self, token: str) -> Page:
        """The page a `next` token names."""
        return self._page(self._inner.search_page(token))

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        """Every version since then, by our ids; of what is ours under an id that the server has lost nothing is told.

        A resource that bears our tag and is not noted is ours too: the answer to its creation was lost.
        """
        gives = self._names_itself()
        for version in self._inner.history(since):
            told = self._told(version) if gives or _tagged(version.body or {}) else version
            gives = gives or (told is not version and self._names_itself())
            if told is not None:
                yield told

    def _told(self, version: Version) -> Version | None:
        """A version by our ids, where the server names what it stores; None where the id is gone."""
        key = (version.resource_type, version.id)
        with reading(self._engine) as connection:
            known = server_ids.our_ids(connection, self.name, [key]).get(key)
        if known is None and version.body and (code := self._learned(version.body)):
            known = (code, False)
        if known is not None and version.body:
            self._learn_targets(version.body)
        if known is not None and known[1]:
            return None
        return replace(version, id=known[0] if known else version.id, body=self._ours(version.body) if version.body else None)

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        """All writes or none, as the Protocol says; ids of writes and results are ours."""
        if self._names_itself():
            _check(writes)
            try:
                return self._translated(writes)
            except Rejected as refusal:
                if not (refusal.issue.detail.startswith(_NOT_CREATED) and self._lost(writes)):
                    raise
                return self._translated(writes)
        try:
            return self._inner.transaction(writes)
        except (Rejected, Unavailable) as refusal:
            if not (any(_creates(w) for w in writes) and self._refused_to_create(refusal.issue)):
                raise
            _check(writes)
            return self._translated(writes)

    # --- outwards

    def _names_itself(self) -> bool:
        if not self._gives:
            with reading(self._engine) as connection:
                self._gives = server_ids.any_of(connection, self.name)
        return self._gives

    def _refused_to_create(self, issue: Issue) -> bool:
        """Whether the server names resources itself; it is asked, unless it said so clearly: a proxy has pages for 404 too."""
        refused, barely = issue.code == "server-refused", issue.detail.startswith(_NOT_CREATED)
        if refused == barely:
            return refused
        try:
            able = self._inner.capabilities()
        except Rejected:
            return False
        return able.update_create != able.types

    def _translated(self, writes: Sequence[Write]) -> list[Written]:
        """The writes under the server's ids; what it has not got is created, unless it was and the answer was lost."""
        keys = {(w.resource_type, w.id) for w in writes}
        self._find([(w.resource_type, w.id) for w in writes if w.body is None and w.if_match is None])
        named = {tuple(name.split("/")[:2]) for w in writes for name in targets(w.body, set())}
        with reading(self._engine) as connection:
            theirs = server_ids.server_ids(connection, self.name, keys | {(t, i) for t, i in named})
        new = {(w.resource_type, w.id) for w in writes if w.body is not None and _is_new(w, theirs)}
        names = {f"{t}/{i}": f"{t}/{found}" for (t, i), found in theirs.items() if found}
        names |= {f"{t}/{i}": f"urn:uuid:{_temporary((t, i))}" for t, i in new}
        there = [w for w in writes if w.body is not None or not _is_new(w, theirs)]  # of the others nothing is left to delete
        sent = [(w, _outwards(w, theirs, new, names)) for w in there]
        answers = self._inner.transaction([out for _, out in sent])
        done = {(w.resource_type, w.id): answer for (w, _), answer in zip(sent, answers, strict=True)}
        given = {key: done[key].id for key in new}
        self._note([(*key, found) for key, found in given.items()])
        again = [w for w in writes if (w.resource_type, w.id) in new and done[w.resource_type, w.id].status == 200]
        if again:
            found = {key: done[key].version or None for key in new}
            done |= self._put([replace(w, if_match=found[w.resource_type, w.id]) for w in again])
        return [_result(w, done.get((w.resource_type, w.id))) for w in writes]

    def _find(self, keys: Sequence[Key]) -> None:
        """Note what was created under these and whose answer was lost, so that it can be deleted."""
        with reading(self._engine) as connection:
            theirs = server_ids.server_ids(connection, self.name, keys)
        for resource_type, ours in set(keys) - theirs.keys():
            for body in self._inner.search(resource_type, [("_tag", f"{TAG}|{ours}")], 1).resources:
                self._learned(body)

    def _put(self, writes: Sequence[Write]) -> dict[Key, Written]:
        """Creations that found their resource there, from an answer that was lost: it may have been of an older version."""
        return {(w.resource_type, w.id): one for w, one in zip(writes, self._translated(writes), strict=True)}

    def _note(self, given: Sequence[tuple[str, str, str]]) -> None:
        if given:
            with writing(self._engine) as connection:
                server_ids.note(connection, self.name, given)

    def _lost(self, writes: Sequence[Write]) -> bool:
        """Note which of these the server has not got any more, and will not have again under their ids; whether there are any."""
        keys = [(w.resource_type, w.id) for w in writes if w.body is not None]
        with reading(self._engine) as connection:
            theirs = server_ids.server_ids(connection, self.name, keys)
        lost = [key for key in keys if theirs.get(key) and self._inner.read(key[0], theirs[key]) is None]
        with writing(self._engine) as connection:
            server_ids.end(connection, self.name, lost)
        return bool(lost)

    def _asked(self, resource_type: str, param: str, value: str) -> str:
        """A search's value with the server's ids for ours."""
        types = _named_by(resource_type, param)
        if not types:
            return value
        keys = {one: [(t, i) for t, i in _keys(one, types)] for one in value.split(",")}
        with reading(self._engine) as connection:
            theirs = server_ids.server_ids(connection, self.name, {key for asked in keys.values() for key in asked})
        return ",".join(next((f"{t}/{theirs[t, i]}" if "/" in one else theirs[t, i] for t, i in asked if theirs.get((t, i))), one)
                        for one, asked in keys.items())

    # --- inwards

    def _learned(self, body: Json) -> str:
        """Our id of a resource that bears our tag and is not noted; '' where it is none, or has another id on the server."""
        key = (body.get("resourceType", ""), _tagged(body))
        with reading(self._engine) as connection:
            ours = key[1] and key_and_person(connection, *key) and not server_ids.server_ids(
                connection, self.name, [key]).get(key)
        if ours:
            self._note([(*key, body["id"])])
        return key[1] if ours else ""

    def _learn_targets(self, body: Json) -> None:
        """Note what a resource of ours refers to and was made with it, perhaps, in the answer that was lost: it is told later."""
        named = {(t, i) for t, i, *_ in (name.split("/") for name in targets(body, set()))}
        with reading(self._engine) as connection:
            unknown = named - server_ids.our_ids(connection, self.name, named).keys()
        for resource_type, theirs in unknown:
            self._learned(self._inner.read(resource_type, theirs) or {})

    def _page(self, page: Page) -> Page:
        return replace(page, resources=tuple(map(self._ours, page.resources)), included=tuple(map(self._ours, page.included)))

    def _ours(self, body: Json) -> Json:
        """A resource as the server has it, under our ids, and without our tag where it is ours."""
        own = (body.get("resourceType", ""), body.get("id", ""))
        named = {tuple(name.split("/")[:2]) for name in targets(body, set())}
        with reading(self._engine) as connection:
            ours = server_ids.our_ids(connection, self.name, {own} | {(t, i) for t, i in named})
        if not ours:
            return body
        names = {f"{t}/{i}": f"{t}/{found}" for (t, i), (found, _) in ours.items()}
        body = resolved(body, _renamed(names), set())
        return {**_without_tag(body), "id": ours[own][0]} if own in ours else body


def _named_by(resource_type: str, param: str) -> Collection[str]:
    """The types of resources whose ids may stand in a search's value; none where it holds no ids."""
    name, _, modifier = param.partition(":")
    if name == "_id":
        return (resource_type,)
    declared = PARAMS.get(resource_type, {}).get(name)
    if declared is None or declared.type != "reference":
        return ()
    return (modifier,) if modifier in PARAMS else PARAMS if "*" in declared.targets else declared.targets


def _keys(value: str, types: Collection[str]) -> Iterator[Key]:
    """What `Type/id`, or an id alone, may mean."""
    head, slash, tail = value.rpartition("/")
    yield from ((head, tail),) if slash else ((t, value) for t in types)


def _check(writes: Sequence[Write]) -> None:
    """That each write fits its address, and is the only one to it. Raises Rejected (fhir-structure)."""
    if len({(w.resource_type, w.id) for w in writes}) < len(writes):
        raise Rejected("fhir-structure", "transaction", "a resource is written twice")
    for write in writes:
        if not _ID.fullmatch(write.id) or (write.body or {}).get("resourceType", write.resource_type) != write.resource_type:
            raise Rejected("fhir-structure", write.resource_type, "the resource does not fit its address")


def _creates(write: Write) -> bool:
    return write.body is not None and write.if_match is None


def _is_new(write: Write, theirs: Mapping[Key, str]) -> bool:
    """Whether the server has to make it: it has no id there, or one that is lost.

    What we pushed under our own id before the server stopped to take those has a version, and no id there.
    """
    found = theirs.get((write.resource_type, write.id))
    return write.if_match is None if found is None else not found


def _temporary(key: Key) -> str:
    """By what the other writes of a transaction refer to a resource that has no id yet."""
    return str(uuid.uuid5(_NAMES, "/".join(key)))


def _outwards(write: Write, theirs: Mapping[Key, str], new: Collection[Key], names: Mapping[str, str]) -> Write:
    key = (write.resource_type, write.id)
    body = resolved(write.body, _renamed(names), set()) if write.body is not None else None
    if body is not None and (key in new or key in theirs):
        body = _with_tag(body, write.id)
    if key in new:
        return Creation(resource_type=write.resource_type, id=_temporary(key), body=body,
                        unless=f"_tag={quote(f'{TAG}|{write.id}', safe='')}")
    return replace(write, id=theirs.get(key, write.id), body=body)


def _result(write: Write, done: Written | None) -> Written:
    return replace(done, id=write.id) if done else Written(resource_type=write.resource_type, id=write.id, version="", status=204)


def _renamed(names: Mapping[str, str]) -> Callable[[str], str]:
    """`Type/id` to its other name, a version behind it left out (versions of the two are not the same)."""
    return lambda reference: names.get(reference) or names.get(reference.partition("/_history/")[0], reference)


def _with_tag(body: Json, code: str) -> Json:
    meta = body.get("meta", {})
    return {**body, "meta": {**meta, "tag": [*meta.get("tag", ()), {"system": TAG, "code": code}]}}


def _without_tag(body: Json) -> Json:
    meta = body.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != TAG]
    rest = {name: value for name, value in meta.items() if name != "tag"}
    return {**body, "meta": {**rest, "tag": tags} if tags else rest}


def _tagged(body: Json) -> str:
    """Our id that a resource bears, '' where it bears none."""
    tags = body.get("meta", {}).get("tag", ())
    return next((tag.get("code", "") for tag in tags if tag.get("system") == TAG), "")
