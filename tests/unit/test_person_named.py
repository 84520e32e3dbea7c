"""A visit that two sources state of different persons: whom its Encounter names, whose it is, and that it is told."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, RESOURCE

STANNE = "urn:oid:2.16.840.1.113883.3.9999.1"
MESSAGE = "\r".join([
    "MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260115034000-0500||ADT^A03|A03-1|P|2.5.1",
    "EVN|A03|20260115034000-0500", "PID|1||700002^^^STANNE^MR||Wrenmere^Viola||19580409|F",
    "PV1|1|E|3W^312^A^MAIN||||||||||||||||V1900003^^^STANNE^VN" + "|" * 25 + "20260114221000-0500|20260115034000-0500",
    ""]).encode()
BILLED = (b"visit_id,member_id,payer_id,payer_name,visit_type,started_at,ended_at,organization_id,claim_status,"
          b"processed_date,visit_number,visit_system,updated_at\n"
          b"EVG-V-900123,M90001,ORG-EVERGREEN,Evergreen Health Plan,emergency,2026-01-14T22:10:00-05:00,"
          b"2026-01-15T03:40:00-05:00,ORG-STANNE,paid,2026-02-03,V1900003,urn:oid:2.16.840.1.113883.3.9999.1,2026-02-03T06:00:00-05:00\n")


@pytest.mark.parametrize("order", list(permutations(("message", "billed"))))
def test_a_visit_is_the_persons_whom_it_names(tmp_path: Path, order: tuple[str, ...]) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32))
    for what in order:
        if what == "message":
            assert b"MSA|AA" in gateway.accept([(MESSAGE, "test")])[0]
        else:
            gateway.load("utilization", BILLED)
        while gateway.work():
            pass
    with reading(gateway.engine) as connection:
        one = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Encounter", RESOURCE.c.deleted == 0,
                                                        RESOURCE.c.key == f"{STANNE}|V1900003")).one()
        patient = orjson.loads(one.body)["subject"]["reference"].partition("/")[2]
        named = connection.execute(select(RESOURCE.c.key).where(RESOURCE.c.resource_type == "Patient",
                                                                RESOURCE.c.id == patient)).one()
        told = connection.execute(select(FINDING.c.place).where(FINDING.c.code == "person-differs")).scalars().all()
    gateway.close()
    assert one.person == named.key
    assert told == ["Encounter.subject"]
