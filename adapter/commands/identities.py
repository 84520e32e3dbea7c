"""`identity`: who is whom, and an operator's word on it; likely duplicates. Each decision is journalled: by whom, and why."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click
from sqlalchemy import Connection

from adapter.commands.installation import opened, settings
from adapter.engine.duplicates import search
from adapter.gateway import BATCH, Gateway
from adapter.identity.linkage_model import MODEL, read_model
from adapter.identity.links import Link
from adapter.identity.persons import resolve, standing
from adapter.intake.decisions import Decision, Proposals, Proposed
from adapter.pipeline import MEMBER_SYSTEM
from adapter.store import persons as stored_persons
from adapter.store.contributions import chunks
from adapter.store.engine import reading
from adapter.store.keys import key_and_person
from adapter.store.queries import moment


def _on_two_records(command: Callable[..., None]) -> Callable[..., None]:
    """What every decision about two records takes."""
    for parameter in (click.option("--by", default=getpass.getuser, show_default="your account", help="Who decides."),
                      click.option("--reason", required=True, help="Why; kept with the decision."),
                      click.argument("other"), click.argument("record")):
        command = parameter(command)
    return command


@click.group()
def identity() -> None:
    """Show which records are one person, link two of them, or part them again (a merge too).

    A record is named by its number, `system|value`, or as `Patient/id`.
    """


@identity.command()
@click.argument("record")
def show(record: str) -> None:
    """Print the numbers of a record's person, what became of each, and the statements that tie them."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        number = _number(connection, _with_system(connection, record))
        links = stored_persons.links_around(connection, [number])
        everyone = {number}.union(*((n.patient, n.other) for n in links)) - {""}
        person = resolve(everyone, links, stored_persons.records(connection, everyone), (MEMBER_SYSTEM,))[number]
    for one in sorted(person.members):
        became = f"goes by {person.merged[one]} now" if one in person.merged else "the main record" if one == person.main else \
            "a record" if one in person.records else "a number"
        click.echo(f"{one}  {became}")
    in_force, _ = standing(links)
    for link in sorted((n for n in links if n.level == "patient" and n.other), key=lambda n: (n.patient, n.other, n.order)):
        undone = "" if link.cut or link in in_force else "; undone since"
        click.echo(f"  {link.patient} {_verb(link)} {link.other}  ({link.kind} of {link.source}, stated {_stated(link)}{undone})")
    for issue in person.issues:
        click.echo(f"  {issue.code}: look at both records, then `careloop identity link` or `unlink`")


def _stated(link: Link) -> str:
    """When it was stated, UTC to the minute; of a feed ordered by arrival when it arrived."""
    return f"{moment(link.order[3] or link.order[-1]):%Y-%m-%d %H:%M}"


def _with_system(connection: Connection, record: str) -> str:
    """A number without a system as `system|value`, where one alone has it. Raises UsageError that names the systems."""
    if "|" in record or record.startswith("Patient/"):
        return record
    numbers = stored_persons.numbers_of(connection, record)
    if len(numbers) > 1:
        systems = ", ".join(number.rpartition("|")[0] for number in numbers)
        raise click.UsageError(f"{len(numbers)} systems have that number: {systems} - give it as system|value")
    return numbers[0] if numbers else record


def _verb(link: Link) -> str:
    return "is not" if link.cut else "took over" if link.merges else "is"


@identity.command()
@_on_two_records
def link(record: str, other: str, reason: str, by: str) -> None:
    """Say that two records are of one person; neither is merged away."""
    _decide("link", record, other, reason, by)


@identity.command()
@_on_two_records
def unlink(record: str, other: str, reason: str, by: str) -> None:
    """Say that two records are of two persons. Undoes links and merges of the two that were stated before."""
    _decide("unlink", record, other, reason, by)


@identity.command()
@_on_two_records
def distinct(record: str, other: str, reason: str, by: str) -> None:
    """Say that two records are of two persons, so that they are not proposed again. The same word as `unlink`."""
    _decide("unlink", record, other, reason, by)


@identity.command()
@click.option("--dry-run", is_flag=True, help="Tell what would be proposed, and propose nothing.")
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Probability from which on a pair is proposed; the model's without it.")
@click.option("--model", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=MODEL,
              show_default="profiles/linkage.yaml", help="What is compared, and how it counts.")
@click.option("--by", default=getpass.getuser, show_default="your account", help="Who has it searched.")
def duplicates(dry_run: bool, threshold: float | None, path: Path, by: str) -> None:
    """Look for likely duplicates by demographics; each becomes a Task for a person to decide. Nothing is merged."""
    model = read_model(path)
    with opened(settings()) as gateway:
        with reading(gateway.engine) as connection:
            found = search(connection, model, threshold)
        for pair in found.new:
            click.echo(f"Patient/{pair.ids[0]} Patient/{pair.ids[1]}  {pair.score:.4f}  {', '.join(pair.found)}")
        changes = [Proposed(patient=p.patient, other=p.other, score=p.score, found=p.found) for p in found.new]
        changes += [Proposed(patient=a, other=b) for a, b in found.over]
        for part in () if dry_run else chunks(changes, BATCH):
            gateway.operators.decide(Proposals(pairs=part, by=by, model=model.path))
    click.echo(f"{found.persons} persons; pairs {'to propose' if dry_run else 'proposed'}: {len(found.new)}, "
               f"known: {found.known}, likely no more: {len(found.over)}")


def _decide(does: Literal["link", "unlink"], record: str, other: str, reason: str, by: str) -> None:
    with opened(settings()) as gateway:
        with reading(gateway.engine) as connection:
            pair = _number(connection, record), _number(connection, other)
        if pair[0] == pair[1]:
            raise click.UsageError("both name the same record")
        gateway.operators.decide(Decision(does=does, patient=pair[0], other=pair[1], by=by, reason=reason))
        _report(gateway, pair)


def _report(gateway: Gateway, pair: tuple[str, str]) -> None:
    with reading(gateway.engine) as connection:
        links = stored_persons.links_around(connection, pair)
        everyone = set(pair).union(*((n.patient, n.other) for n in links)) - {""}
        persons = resolve(everyone, links, stored_persons.records(connection, everyone), (MEMBER_SYSTEM,))
    click.echo("one person now" if persons[pair[0]] is persons[pair[1]] else "two persons now")


def _number(connection: Connection, record: str) -> str:
    """The number (`system|value`) that a record goes by. Raises UsageError where there is none."""
    number = record
    if record.startswith("Patient/"):
        found = key_and_person(connection, "Patient", record.removeprefix("Patient/"))
        number = found[0] if found else ""
    if not number or not (stored_persons.records(connection, [number]) or stored_persons.links_around(connection, [number])):
        raise click.UsageError("no record goes by that number: give it as system|value, or as Patient/id")
    return number
