"""The command `careloop`. Exit codes: 0 done, 1 something was refused or is unsound, 2 wrong usage."""

from __future__ import annotations

from importlib.metadata import version

import click

from adapter import logs
from adapter.commands.conversion import convert
from adapter.commands.gaps import gaps
from adapter.commands.mappings import cases, check
from adapter.commands.operations import doctor, queue
from adapter.commands.sending import load, send
from adapter.commands.serving import serve
from adapter.errors import Defect, Rejected, Unavailable, kind_of, message


class Told(click.Group):
    """A group whose commands tell a foreseen failure in one line, and an unforeseen one without any value in it."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Rejected, Unavailable, Defect and anything unforeseen end with exit code 1."""
        try:
            return super().invoke(ctx)
        except (Rejected, Unavailable, Defect) as error:
            raise click.ClickException(f"{message(error.issue)} [{error.issue.code}]") from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            logs.log("careloop").error("command failed", exc_info=error)
            raise click.ClickException(f"the command failed ({type(error).__name__}) - {kind_of_defect()}") from None


def kind_of_defect() -> str:
    """The next step of a defect."""
    return kind_of(Defect("defect").issue).next_step


@click.group(cls=Told, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("careloop"), prog_name="careloop")
def main() -> None:
    """HL7 v2 ADT and partner CSV in, FHIR R4 out, care-team gaps queried back.

    Settings come from the environment: CARELOOP_DATA_DIR, CARELOOP_HTTP, CARELOOP_MLLP, CARELOOP_DATABASE_URL,
    CARELOOP_FHIR_URL, CARELOOP_AUTH, CARELOOP_KEY, CARELOOP_MAPPINGS.
    """
    logs.configure()


for command in (serve, convert, send, load, gaps, cases, check, queue, doctor):
    main.add_command(command)
