"""Processes whose clock is a day off either way, one after the other over one store, each of them killed at work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.accepting import KEY
from tests.acceptance.after_kills import assert_same, assert_there, calm, server_state, settled, store_state, store_url
from tests.acceptance.killing import Point, running
from tests.acceptance.test_kill_points import give
from tests.contract.conftest import DATABASES
from tests.contract.test_lanes import adt
from tests.faulty import fhir_stand_in

DAY = timedelta(days=1)
KINDS = [(n, "A28", 0) for n in range(4)] + [(0, "A40", 1), (2, "A40", 3)] + [(n, "A31", 0) for n in range(4)] * 2


def said(begin: datetime) -> list[bytes]:
    """Messages of a sender whose clock is right but for half a minute, each stating its own time."""
    every: list[bytes] = []
    for n, (number, trigger, old) in enumerate(KINDS):
        stated = f"{begin + timedelta(seconds=30 + n):%Y%m%d%H%M%S}+0000".encode()
        every.append(adt(number, trigger, minute=n, old=old).replace(adt(number, trigger, minute=n).split(b"|")[6], stated))
    return every


@pytest.mark.parametrize("kind", DATABASES)
def test_a_clock_a_day_off_either_way_loses_nothing_and_ends_the_same(tmp_path: Path, kind: str) -> None:
    url, messages = store_url(kind, tmp_path / "store"), said(datetime.now(UTC))
    left: list[bytes] = []
    with fhir_stand_in() as server:
        environment = {"CARELOOP_KEY": KEY, "CARELOOP_DATABASE_URL": url, "CARELOOP_FHIR_URL": server.url}
        for n, off in enumerate((DAY, -DAY, DAY)):
            left += messages[n * 3:n * 3 + 3]
            with running(tmp_path, environment, "serve", ahead=off, point=Point(inside="work", at=40)) as gateway:
                give(gateway, left)
                gateway.killed()
        left += messages[9:]
        for off in (-DAY, timedelta()):
            with running(tmp_path, environment, "serve", ahead=off) as gateway:
                give(gateway, left)
                assert not left
                settled(url)
                assert gateway.terminate() == 0
        state, there = calm(tmp_path / "calm", messages)
        assert_same(store_state(url), state)
        assert_there(server_state(server), there)
