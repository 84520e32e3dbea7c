"""The golden reports over the demonstration network: `python -m tests.acceptance.reports` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection

from adapter.commands.demonstration import load_demonstration
from adapter.demo import DEMO_AS_OF
from adapter.gaps.organizations import find
from adapter.gateway import Gateway
from adapter.reports.definitions import open_reports
from adapter.reports.present import as_csv, columns_of, fact_rows, figure_rows
from adapter.reports.run import organizations
from adapter.reports.tables import of_store
from adapter.settings import Settings
from adapter.store.engine import reading
from tests.unit.report_checks import of

GOLDEN = Path(__file__).parents[1] / "golden" / "reports"
ONE_ORGANIZATION = frozenset({"worklist"})
"""Reports with so many rows that one organization's are enough."""
CHOSEN = "ORG-MAPLE"


def texts(connection: Connection) -> Iterator[tuple[Path, str]]:
    """Each golden file and what stands in it: the figures of a report of rates, the rows of a list."""
    reports = open_reports()
    with of_store(connection) as tables:
        chosen = find("organization", organizations(tables), CHOSEN)
    for name, report in reports.reports.items():
        answered = of(connection, name, DEMO_AS_OF, organization=chosen if name in ONE_ORGANIZATION else "")
        rates = report.form == "rates"
        rows = figure_rows(answered, reports.rules) if rates else fact_rows(answered)
        yield GOLDEN / f"{name}.csv", as_csv(rows, columns_of(answered, figures=rates)).replace("\r\n", "\n")


def loaded(folder: Path) -> Gateway:
    """The demonstration network in a gateway of its own."""
    gateway = Gateway(Settings(data_dir=folder, key="d0" * 32), clock=lambda: DEMO_AS_OF)
    load_demonstration(gateway)
    return gateway


def main() -> None:
    """Write the golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        gateway = loaded(Path(folder))
        with reading(gateway.engine) as connection:
            for path, text in texts(connection):
                path.write_text(text, encoding="utf-8")
                print(path.name, text.count("\n") - 1)  # noqa: T201 - a command
        gateway.close()


if __name__ == "__main__":
    main()
