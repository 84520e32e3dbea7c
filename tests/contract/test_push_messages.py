"""What of the messages themselves goes to a FHIR server: their MessageHeader and Provenance, as CARELOOP_PUSH_MESSAGES says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.settings import Settings
from tests.contract.test_lanes import adt
from tests.faulty import FhirStandIn, fhir_stand_in

KEPT = {"all": {"MessageHeader", "Provenance"}, "provenance": {"Provenance"}, "none": set[str]()}


def gateway_of(folder: Path, server: FhirStandIn, messages: str, later: int = 0) -> Gateway:
    """later: minutes, so that what another gateway of this process has claimed is free."""
    settings = Settings.model_validate({"data_dir": folder, "key": "00" * 32, "fhir_url": server.url, "push_messages": messages})
    return Gateway(settings, lambda: datetime.now(UTC) + timedelta(minutes=later))


def settle(gateway: Gateway) -> None:
    while gateway.work() + gateway.delivery.push():
        pass


def told(gateway: Gateway) -> None:
    """One message, whose resources are pushed."""
    gateway.accept([(adt(1), "t")])
    settle(gateway)
    gateway.close()


def sent(server: FhirStandIn) -> set[tuple[str, str]]:
    return set(server.current())


@pytest.mark.parametrize("messages", sorted(KEPT))
def test_what_is_of_the_messages_themselves_goes_as_the_setting_says(tmp_path: Path, messages: str) -> None:
    with fhir_stand_in() as server:
        gateway = gateway_of(tmp_path, server, messages)
        gateway.accept([(adt(1), "t"), (adt(1, "A31", minute=10), "t")])
        settle(gateway)
        there = sent(server)
        assert {kind for kind, _ in there} & {"MessageHeader", "Provenance"} == KEPT[messages]
        assert "Patient" in {kind for kind, _ in there}
        about = [one["reference"] for key, body in server.current().items() if key[0] == "Provenance" for one in body["target"]]
        assert any(name.startswith("MessageHeader/") for name in about) is (messages == "all")
        assert not list(gateway.delivery.differences()), "what does not go there is not missed there"
        here = {kind for kind in ("MessageHeader", "Provenance") if gateway.embedded.search(kind, [], 10).resources}
        assert here == {"MessageHeader", "Provenance"}, "it stands in the gateway's own store all the same"
        gateway.close()


def test_a_server_that_is_filled_anew_gets_the_same(tmp_path: Path) -> None:
    with fhir_stand_in() as server:
        told(gateway_of(tmp_path, server, "provenance"))
        before = sent(server)
    with fhir_stand_in() as server:
        gateway = gateway_of(tmp_path, server, "provenance", later=5)
        gateway.delivery.replay()
        settle(gateway)
        gateway.close()
        assert sent(server) == before


def test_what_stands_there_from_before_the_setting_was_changed_still_goes(tmp_path: Path) -> None:
    """Its feed is withdrawn: nothing of it stays."""
    with fhir_stand_in() as server:
        told(gateway_of(tmp_path, server, "all"))
        gateway = gateway_of(tmp_path, server, "none", later=5)
        assert gateway.operators.withdraw(Withdrawal(feed="default", by="test", reason="over"))
        settle(gateway)
        gateway.close()
        assert not {kind for kind, _ in sent(server)} & {"MessageHeader", "Provenance", "Patient"}
