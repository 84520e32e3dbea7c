"""The gateway as one process: settings from the environment, the application, served. The same as `careloop serve`."""

import click

from adapter import logs
from adapter.commands.installation import settings
from adapter.web.app import create_app
from adapter.web.serve import serve

if __name__ == "__main__":
    logs.configure()
    try:
        raise SystemExit(serve(settings(), create_app))
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
