"""Arrivals of made-up networks (type `arrival`: gap_network_reporting): in the journal's tables, and as rows of a snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from adapter.gaps.tables import name_senders
from adapter.store.schema import CSV_FILE, JOURNAL
from tests.unit.gap_network import Resource


def rows(resources: list[Resource]) -> list[tuple[Any, ...]]:
    """Rows of the table `arrival`."""
    return [(feed(a), a["contract"], a["organization"], seconds(a), a["accepted"], a["refused"]) for a in arrivals(resources)]


def arrive(connection: Connection, resources: list[Resource]) -> None:
    """Journal the files and messages, and whose their feeds are."""
    found = arrivals(resources)
    name_senders(connection, sorted({(feed(a), a["contract"], a["organization"]) for a in found}, key=str))
    for a in found:
        if a["contract"].startswith("hl7v2"):
            connection.execute(insert(JOURNAL).values(
                identity=a["id"], kind="hl7v2", feed=feed(a), source="s", arrival=seconds(a) * 1_000_000, raw=b"",
                state="done" if a["accepted"] else "refused"))
        else:
            connection.execute(insert(CSV_FILE).values(
                sha256=a["id"], feed=feed(a), arrival=seconds(a) * 1_000_000, header="[]", accepted=a["accepted"],
                refused=a["refused"], complete=1))


def arrivals(resources: list[Resource]) -> list[Resource]:
    return [r for r in resources if r["resourceType"] == "arrival"]


def feed(arrival: Resource) -> str:
    return f"{arrival['contract']}-{arrival['organization']}" if arrival["organization"] else arrival["contract"]


def seconds(arrival: Resource) -> int:
    return int(datetime.fromisoformat(arrival["at"]).timestamp())
