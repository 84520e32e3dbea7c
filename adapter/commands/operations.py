"""`doctor`: is this installation sound."""

from __future__ import annotations

import click
from rich.console import Console

from adapter.commands.checks import Finding, examine
from adapter.commands.installation import settings

_MARK = {"sound": "[green]ok[/]", "note": "[yellow]note[/]", "unsound": "[red]unsound[/]"}


def age(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 5 h, 3 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


@click.command()
def doctor() -> None:
    """Is this installation sound? Each line says what was looked at and, where it is not sound, the next step."""
    found = examine(settings())
    console = Console(soft_wrap=True)
    for finding in found:
        _print(console, finding)
    if any(finding.verdict == "unsound" for finding in found):
        raise SystemExit(1)


def _print(console: Console, finding: Finding) -> None:
    console.print(_MARK[finding.verdict], end="  ")
    step = f" - {finding.next_step}" if finding.next_step else ""
    console.print(f"{finding.what}: {finding.told}{step}", markup=False, highlight=False)
