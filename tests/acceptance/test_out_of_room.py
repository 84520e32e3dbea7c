"""A disk that fills up while a gateway serves: it says so, loses nothing, and goes on."""

from __future__ import annotations

import resource
from pathlib import Path

import requests

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.acceptance.served import served, until
from tests.unit.test_gateway import adt

KEY = "5e" * 32
BIG = 60_000
"""Characters of a segment that nobody maps, so that a small disk is soon full."""


def message(n: int) -> bytes:
    return adt(f"C{n}", number=f"8{n:05}") + b"ZZZ|" + b"x" * BIG + b"\r"


def test_a_disk_that_fills_up_and_is_freed(tmp_path: Path) -> None:
    """No file may grow beyond a limit, which is what a full disk does to a write; then the limit is lifted."""
    with served(tmp_path, {"CARELOOP_KEY": KEY}) as gateway:
        assert requests.get(f"{gateway.http}/readyz", timeout=60).status_code == 200
        room = max(file.stat().st_size for file in (tmp_path / "data").iterdir()) + 600_000  # a message takes some 110,000
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        taken: list[int] = []
        for n in range(200):
            answer = gateway.send(message(n))
            if "MSA|AA|" in answer:
                taken.append(n)
            else:
                assert f"MSA|AR|C{n}" in answer
                assert "207" in answer
                break
        assert 0 < len(taken) < 200
        refused = requests.post(f"{gateway.http}/hl7v2", message(201), headers={"Content-Type": "text/plain"}, timeout=60)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        ready = requests.get(f"{gateway.http}/readyz", timeout=60)
        assert (ready.status_code, ready.json()["reasons"][0]["code"]) == (503, "store-unavailable")
        assert requests.get(f"{gateway.http}/healthz", timeout=60).status_code == 200
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: requests.get(f"{gateway.http}/readyz", timeout=60).status_code == 200, 60)
        more = len(taken) + 3
        for n in range(len(taken), more):
            assert "MSA|AA|" in gateway.send(message(n))
        gateway.settle()
        patients = [key for key in gateway.resources() if key[0] == "Patient"]
        assert len(patients) == more, "nothing lost, nothing doubled"
        assert gateway.terminate() == 0


def test_less_room_than_asked_for_is_not_ready(tmp_path: Path) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, disk_free_mb=2**40))
    client = create_app(gateway).test_client()
    answer = client.get("/readyz")
    gateway.close()
    assert answer.status_code == 503
    assert [reason["code"] for reason in answer.json["reasons"]] == ["disk-full"]
    assert f"careloop_disk_free_bytes {0:.1f}" not in client.get("/metrics").text
