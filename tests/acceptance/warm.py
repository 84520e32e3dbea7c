"""Read once by the process that children are forked from: mappings, definitions and rules are there when a child begins."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.acceptance.test_accept_kill import adt

with tempfile.TemporaryDirectory() as folder:
    _gateway = Gateway(Settings(data_dir=Path(folder), key="00" * 32, database_url="", fhir_url=""))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    _gateway.publish()
    create_app(_gateway)
    _gateway.accept([(adt(0, 0), "test")])
    _gateway.work()
    _gateway.close()
