"""Other clients' writes on a FHIR server as journal entries, with all that is needed to read them again later."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import orjson
from sqlalchemy import Connection

from adapter.deliver.read_back import Written, identity_of, moment_of, patient_of
from adapter.fhirserver.embedded import check_versions
from adapter.fhirserver.port import Version, Write
from adapter.model import Json
from adapter.store import compared, journal, outbox, server_state, unanswered
from adapter.store.journal import Entry
from adapter.store.keys import key_and_person
from adapter.store.resources import without_meta


def bring_in(connection: Connection, version: Version, server: str, now_us: int, *, first: bool = False) -> bool:
    """Journal one version of an upstream server; False where it is ours, or known already.

    first: its history was never read before, so that ours may stand there unnoted; later that is an old version told again.
    """
    at = (version.resource_type, version.id)
    ours = server_state.pushed(connection, server, [at]).get(at)
    if ours is not None and is_ours(version, ours.version):
        return False
    body = without_meta(version.body) if version.body is not None else None
    if unanswered.take(connection, server, at, body, ours.version if ours else ""):
        if body is None:
            outbox.forget(connection, server, *at, now_us, version.version)
        elif ours is not None:  # it may have been committed late, over a newer one
            compared.push_again(connection, server, *at, version.version, body, now_us)
        else:
            server_state.note_version(connection, server, *at, version.version, body)
        return False
    theirs = ours is not None and bool(journal.known(connection, [identity_of(server, *at, ours.version)]))
    if body is not None and not theirs and server_state.adopt(connection, server, *at, body, version.version):
        return False  # on another client's version ours is known by what was sent on that alone
    unnoted = body if first and ours is None else None
    if unnoted is not None and compared.recognized(connection, server, *at, version.version, unnoted, now_us):
        return False
    base = ours.body if ours else None
    entry = _entry(connection, server, Write(resource_type=at[0], id=at[1], body=version.body), version.version,
                   moment_of(version.last_updated), base, now_us, known=ours is not None)
    if journal.known(connection, [entry.identity]):
        return False
    journal.append(connection, [entry])
    if ours is not None and version.body is None:
        outbox.forget(connection, server, *at, now_us, version.version)
    elif ours is not None:
        server_state.note_version(connection, server, *at, version.version, body)
    return True


def found(connection: Connection, version: Version, server: str, base: Json | None, now_us: int) -> None:
    """Journal what another client left on a server whose history does not tell it; base: what we had there then."""
    at = (version.resource_type, version.id)
    body = without_meta(version.body) if version.body else None
    name = f"{version.version}.{moment_of(version.last_updated)}"  # version ids may be used again after a restoration
    entry = _entry(connection, server, Write(resource_type=at[0], id=at[1], body=body), name, moment_of(version.last_updated),
                   base, now_us, known=True)
    if not journal.known(connection, [entry.identity]):
        journal.append(connection, [entry])
    server_state.note_version(connection, server, *at, version.version, body)


def take(connection: Connection, writes: Sequence[Write], server: str, now_us: int) -> list[Entry]:
    """Journal another client's transaction on the embedded server; the entries of those writes that change something.

    Raises Rejected (version-conflict) where an If-Match is not current.
    """
    before = check_versions(connection, writes)
    entries: list[Entry] = []
    for w in writes:
        stored = before.get((w.resource_type, w.id))
        if (stored.body if stored else None) == (without_meta(w.body) if w.body else None):
            continue
        entry = _entry(connection, server, w, _name(w, stored.version + 1 if stored else 1, now_us), now_us,
                       stored.body if stored else None, now_us, known=stored is not None)
        entries.append(replace(entry, state="done"))
    known = journal.known(connection, [e.identity for e in entries])
    new = [e for e in entries if e.identity not in known]
    journal.append(connection, new)
    return new


def _name(w: Write, version: int, now_us: int) -> str:
    """What tells a write on the embedded server apart: where other sources prevail it makes no version of its own."""
    content = hashlib.sha256(orjson.dumps(w.body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{version}.{now_us}.{content[:12]}"


def _entry(connection: Connection, server: str, w: Write, version: str, moment: int, base: Json | None, now_us: int, *,
           known: bool) -> Entry:
    key, person = (key_and_person(connection, w.resource_type, w.id) or ("", "")) if known else ("", "")
    about = patient_of(w.body)
    patient = (key_and_person(connection, "Patient", about.removeprefix("Patient/")) or ("", ""))[0] if about else ""
    written = Written(server=server, resource_type=w.resource_type, id=w.id, version=version, moment=moment, base=base,
                      body=without_meta(w.body) if w.body else None, key=key, person=person, patient=patient)
    return Entry(identity=written.identity, kind="fhir", feed=f"server:{server}", source=f"server:{server}", arrival=now_us,
                 raw=written.journalled(), state="waiting", origin=server,
                 lane=person or patient or f"{w.resource_type}/{w.id}")


def is_ours(version: Version, pushed: str) -> bool:
    """Whether a version is the one we pushed last, or (by numbers) an older one."""
    if version.version.isdigit() and pushed.isdigit():
        return int(version.version) <= int(pushed)
    return version.version == pushed
