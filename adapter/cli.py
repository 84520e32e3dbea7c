"""The command `careloop`. Exit codes: 0 done, 1 something was refused or is unsound, 2 wrong usage."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import cast

import click

from adapter import logs
from adapter.errors import Defect, Rejected, Unavailable, kind_of, message

COMMANDS = {
    "serve": "serving", "convert": "conversion", "send": "sending", "load": "loading", "gaps": "gaps",
    "gap": "gap_lives", "report": "reports", "improvement": "improvements", "views": "views", "cases": "mappings",
    "check": "mappings", "feed": "feeds",
    "remap": "remapping", "identity": "identities", "explain": "explaining", "queue": "queue",
    "reconcile": "reconciling", "replay": "reconciling",
    "raw": "raw", "backup": "backups", "restore": "backups", "doctor": "operations",
}
"""Each command and the module of `adapter.commands` that has it; read when it is asked for, so that all start fast."""

_LOG = logs.log("careloop")


class Careloop(click.Group):
    """Tells a foreseen failure in one line, and an unforeseen one without any value in it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """The commands, in the order of a message's way."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's too
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", getattr(import_module(f"adapter.commands.{COMMANDS[cmd_name]}"), cmd_name))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Rejected, Unavailable, Defect and anything unforeseen end with exit code 1."""
        try:
            return super().invoke(ctx)
        except (Rejected, Unavailable, Defect) as error:
            raise click.ClickException(f"{message(error.issue)} [{error.issue.code}]") from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            _LOG.error("command failed", exc_info=error)
            told = f"{type(error).__name__} at {logs.where(error)}"
            raise click.ClickException(f"the command failed: {told} - {kind_of(_DEFECT).next_step}") from None


_DEFECT = Defect("defect").issue


@click.group(cls=Careloop, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("careloop"), prog_name="careloop")
def main() -> None:
    """HL7 v2 ADT and partner CSV in, FHIR R4 out, care-team gaps queried back.

    Settings come from the environment: CARELOOP_DATA_DIR, CARELOOP_HTTP, CARELOOP_MLLP, CARELOOP_DATABASE_URL,
    CARELOOP_FHIR_URL, CARELOOP_AUTH, CARELOOP_KEY, CARELOOP_MAPPINGS.
    """
    logs.configure()
