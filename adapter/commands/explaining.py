"""`explain`: who said each element of a resource that stands, where, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from adapter.commands.installation import opened, settings
from adapter.intake.explained import Explained


@click.command()
@click.argument("resource", metavar="TYPE/ID")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def explain(resource: str, form: str) -> None:
    """Tell of each element of a resource which source said it, where in its message or row, and when; never its value.

    Exit 0 told, 2 no such resource, or nobody stated it.
    """
    resource_type, _, identifier = resource.partition("/")
    with opened(settings()) as gateway:
        found = gateway.sources.explain(resource_type, identifier)
    if not found:
        raise click.BadParameter("nothing stands by that name: give it as Type/id, as in Patient/c0e5", param_hint="TYPE/ID")
    lines = [_line(one) for one in found]
    if form == "json":
        for line in lines:
            click.echo(json.dumps(line))
        return
    for line in lines:
        others = f"; also of {', '.join(line['others'])}" if line["others"] else ""
        declared = f", by {line['declared']} in precedence.yaml" if line["declared"] and line["others"] else ""
        click.echo(f"{line['element']}  {line['source']}  {', '.join(line['places']) or '-'}  {line['stated']}{others}{declared}")


def _line(one: Explained) -> dict[str, Any]:
    by = one.spoken.by
    return {"element": one.spoken.element, "source": by.source, "places": list(one.places),
            "stated": datetime.fromtimestamp(by.order.stated / 1_000_000, UTC).isoformat(timespec="seconds"),
            "message": by.message, "others": list(one.spoken.others), "declared": one.spoken.declared}
