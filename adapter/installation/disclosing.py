"""An installation and the servers of others: what changes is offered to each, and decided on at the moment when it goes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import orjson

from adapter.deliver.declared import DisclosingServer, Target
from adapter.deliver.push import push
from adapter.engine.disclosed import Permits, permitted_bodies
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.http import new_session
from adapter.fhirserver.naming import NamingServer
from adapter.fhirserver.port import Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.installation.installation import Installation
from adapter.model import Json
from adapter.store import compared, journal, offers, outbox, server_state, targets
from adapter.store.engine import reading, writing
from adapter.store.keys import key_and_person

AT_ONCE = 500
DECIDING = frozenset({"Consent", "CareTeam"})
"""Types on which it depends what may be told of a person."""


class Disclosing:
    """Pushes to declared targets."""

    def __init__(self, here: Installation, targets: Sequence[Target]) -> None:
        self._here = here
        self._rng = random.Random()
        self._targets = targets
        self._servers = {one.name: DisclosingServer(
            NamingServer(UpstreamServer(one.url, new_session(), one.name), here.engine), partial(self._permit, one))
            for one in targets}

    def push(self) -> int:
        """Offer what changed to each target, and push what may go there; how many resources were looked at and sent."""
        here = self._here
        return sum(self._offer(one) + self._look_again(one) + push(
            here.engine, self._servers[one.name], here.now_us, self._rng, here.owner, read_back=False) for one in self._targets)

    def sweep(self) -> int:
        """Decide anew on all that was sent, or was not: consents begin and end by themselves; how many go again, or go away."""
        return sum(self._sweep(one) for one in self._targets)

    def left_with(self) -> dict[str, int]:
        """Of targets that were declared and are no more: how many resources of ours they have yet."""
        with reading(self._here.engine) as connection:
            return offers.left_with(connection, [one.name for one in self._targets])

    def _offer(self, target: Target) -> int:
        """Queue what was written since the last time, and all of a person about whom it has to be decided anew."""
        said = [target.url, target.recipient, target.purpose, sorted(target.classes), sorted(target.types)]
        declared = hashlib.sha256(orjson.dumps(said)).hexdigest()
        cursor = offers.cursor_name(target.name)
        with writing(self._here.engine) as connection:
            before, _, seq = journal.cursor(connection, cursor).partition(" ")
            if before != declared:  # it was declared otherwise: everything is decided anew
                seq = "0"
                offers.queue_sent(connection, target.name, self._here.now_us())
            last, written = offers.written(connection, int(seq), AT_ONCE)
            if last == int(seq) and before == declared:
                return 0
            persons = {person for (t, _), person in written.items() if t in DECIDING} - {""}
            keys = [key for key in written if key[0] in target.types] + offers.of_persons(connection, persons, target.types)
            offers.queue(connection, target.name, keys, self._here.now_us())
            journal.set_cursor(connection, cursor, f"{declared} {last}")
        return len(written)

    def _look_again(self, target: Target) -> int:
        """Have ours, or its deletion, go over what changed on a target: nothing of it is read back, and what is revoked goes
        away whoever wrote on it. How many resources stand there otherwise than was noted."""
        here, server, count = self._here, self._servers[target.name], 0
        with writing(here.engine) as connection:
            if not (stuck := offers.changed_there(connection, target.name, here.now_us(), AT_ONCE)) or not targets.take(
                    connection, target.name, here.owner, here.now_us()):
                return 0
        with suppress(Unavailable, Rejected):  # which the push that follows tells
            for key in stuck:
                there = server.read(*key)
                version = str(there.get("meta", {}).get("versionId", "")) if there else ""
                with writing(here.engine) as connection:
                    noted = server_state.versions(connection, target.name, [key]).get(key, "")
                    if there is None:
                        outbox.forget(connection, target.name, *key, here.now_us())
                    elif version != noted:
                        compared.renumber(connection, target.name, *key, version, there)
                count += version != noted
        return count

    def _sweep(self, target: Target) -> int:
        count, after = 0, ("", "")
        while True:
            with writing(self._here.engine) as connection:
                page = offers.sent(connection, target.name, after, AT_ONCE)
                permits = Permits(connection, target.recipient, target.classes, target.types, self._here.now_us())
                turned = [one.key for one in page if one.body is not None and permits.may(one.key, one.body) != one.there]
                persons = {person for key in turned for _, person in [key_and_person(connection, *key) or ("", "")]} - {""}
                others = offers.of_persons(connection, persons, target.types)  # which may refer to these
                offers.queue(connection, target.name, turned + others, self._here.now_us())
            count += len(turned)
            if len(page) < AT_ONCE:
                return count
            after = page[-1].key

    def _permit(self, target: Target, writes: Sequence[Write]) -> dict[tuple[str, str], Json]:
        stated = {(w.resource_type, w.id): w.body for w in writes if w.body is not None}
        with writing(self._here.engine) as connection:
            bodies = permitted_bodies(connection, target.name, target.recipient, target.classes, target.types, stated,
                                      self._here.now_us())
            offers.begin(connection, target.name, [(w.resource_type, w.id) for w in writes
                                                   if w.if_match is None and (w.resource_type, w.id) in bodies])
        return bodies
