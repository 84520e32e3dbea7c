"""Snapshot feeds on SQLite and on PostgreSQL: what a complete file leaves out is over, whichever database holds it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.gateway import Gateway
from adapter.intake.load import LoadReport
from adapter.settings import Settings
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url

MAPPINGS = Path(__file__).parents[2] / "mappings"
START = datetime(2026, 3, 20, 12, tzinfo=UTC)
HEADER = "contact_id,member_id,organization_id,contact_type,started_at,outcome\n"
FEEDS = {"all": "snapshot: true", "by-organization": "snapshot: {per: organization_id}",
         "dated": "snapshot: {dated: 'visits_%Y%m%d.csv'}"}


@pytest.fixture(scope="module", params=DATABASES)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of each database, whose feeds are contacts as snapshots; tests use members and feeds of their own."""
    home = tmp_path_factory.mktemp("snapshots")
    for name in ("network", "contacts", "members", "common"):
        shutil.copytree(MAPPINGS / name, home / "mappings" / name)
    for name, line in FEEDS.items():
        (home / "mappings" / name).mkdir()
        (home / "mappings" / name / "feed.yaml").write_text(f"extends: contacts\ncontract: contacts\n{line}\n")
    ticks = itertools.count()
    url = postgres_url() if request.param == "postgresql" else f"sqlite:///{home / 'store.db'}"
    made = Gateway(Settings(data_dir=home / "data", mappings=home / "mappings", key="00" * 32, database_url=url),  # pyright: ignore[reportCallIssue]  # the settings fill the rest
                   lambda: START + timedelta(minutes=3 * next(ticks)))
    yield made
    made.close()


def row(contact: str, organization: str = "ORG-A", outcome: str = "reached") -> str:
    return f"{contact},M1,{organization},telephone,2026-03-01T08:00:00-05:00,{outcome}\n"


def load(gateway: Gateway, feed: str, rows: Sequence[str], **more: Any) -> LoadReport:
    report = gateway.load(feed, (HEADER + "".join(rows)).encode(), **more)
    while gateway.work():
        pass
    return report


def standing(gateway: Gateway, beginning: str) -> set[str]:
    """The ids of contacts that stand, of those that begin so."""
    last: dict[str, str] = {}
    for version in gateway.embedded.history():
        if version.resource_type == "Encounter":
            last[version.id] = next((i["value"] for i in version.body["identifier"]), "") if version.body else ""
    return {value for value in last.values() if value.startswith(beginning)}


def test_a_vanished_row_is_over_and_comes_back(gateway: Gateway) -> None:
    load(gateway, "all", [row("A1"), row("A2")])
    load(gateway, "all", [row("A1")])
    assert standing(gateway, "A") == {"A1"}
    load(gateway, "all", [row("A1"), row("A2"), row("A3")])
    assert standing(gateway, "A") == {"A1", "A2", "A3"}


def test_a_file_with_a_refused_row_ends_nothing_until_it_comes_whole(gateway: Gateway) -> None:
    load(gateway, "all", [row("B1"), row("B2")])
    report = load(gateway, "all", [row("B1"), row("B3", outcome="perhaps")])
    assert [issue.code for issue in report.issues] == ["csv-snapshot-open"]
    assert standing(gateway, "B") == {"B1", "B2"}
    load(gateway, "all", [row("B1"), row("B3")])
    assert standing(gateway, "B") == {"B1", "B3"}


def test_a_file_speaks_for_organizations_that_have_a_row(gateway: Gateway) -> None:
    load(gateway, "by-organization", [row("C1"), row("C2", "ORG-B"), row("C3", "ORG-B")])
    load(gateway, "by-organization", [row("C3", "ORG-B")])
    assert standing(gateway, "C") == {"C1", "C3"}


def test_an_older_file_that_comes_later_changes_nothing(gateway: Gateway) -> None:
    load(gateway, "dated", [row("D2")], name="visits_20260302.csv")
    load(gateway, "dated", [row("D1"), row("D2")], name="visits_20260301.csv")
    assert standing(gateway, "D") == {"D2"}
    load(gateway, "dated", [row("D2"), row("D3")], name="visits_20260303.csv")
    assert standing(gateway, "D") == {"D2", "D3"}


def test_a_load_that_was_cut_off_ends_nothing_until_it_is_taken_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "all", [row(f"E{n}") for n in range(5)])
    monkeypatch.setattr("adapter.intake.load.ROWS", 2)
    left = [row(f"E{n}") for n in range(4)]

    def cut(_done: int, _all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(gateway, "all", left, progress=cut)
    while gateway.work():
        pass
    assert len(standing(gateway, "E")) == 5
    assert load(gateway, "all", left).accepted == 4
    assert standing(gateway, "E") == {f"E{n}" for n in range(4)}
    assert load(gateway, "all", left).repeated
