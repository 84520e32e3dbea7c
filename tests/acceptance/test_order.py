"""The promise: standing resources are a pure function of the set of accepted messages, whatever order they arrive in.

Each message carries its own times, so arrival decides nothing. MessageHeader and Provenance are about one message each;
the rest must be equal to the byte, whether messages are processed one by one or all at once, once or several times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.gateway import Gateway
from tests.fuzz import examples
from tests.stands import Bodies, assert_equal, installation, stand

AUTHORITY = "&2.16.840.1.113883.3.9999.31&ISO"
DOCTOR = "2000001026^Marlwick^Odile^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"


def message(
    event: str, day: int, clock: str, *segments: str, occurred: str = "", facility: str = "EAST", control: str = ""
) -> bytes:
    """An ADT message stated on a day of March 2026; its MSH-10 is made of event and time unless one is given."""
    stated = f"202603{day:02d}{clock}00-0500"
    name = control or f"{event}-{day:02d}{clock}"
    head = [
        rf"MSH|^~\&|EXAMPLE|{facility}|CARELOOP|NETWORK|{stated}||ADT^{event}|{name}|P|2.5.1",
        f"EVN|{event}|{stated}||||{occurred}",
    ]
    return ("\r".join([*head, *segments]) + "\r").encode()


def pid(number: str, more: str = "", family: str = "Tarnhill", phone: str = "5550161", account: str = "") -> str:
    """A PID; more: further repetitions of PID-3."""
    numbers = f"{number}^^^EAST{AUTHORITY}^MR" + (f"~{more}" if more else "")
    return f"PID|1||{numbers}||{family}^Bess||19610514|F|||4 Mill Road^^Alderton^NY^12999||^PRN^PH^^1^518^{phone}|||||{account}"


def pv1(visit: str, bed: str = "3W^312^A^EAST", kind: str = "I", start: str = "", end: str = "") -> str:
    """A PV1; visit: PV1-19."""
    fields = [
        "1",
        kind,
        bed,
        "",
        "",
        "",
        DOCTOR,
        *[""] * 11,
        f"{visit}^^^EAST{AUTHORITY}^VN",
        *[""] * 16,
        "01" if end else "",
        *[""] * 7,
        start,
        end,
    ]
    return "PV1|" + "|".join(fields).rstrip("|")


def mrg(number: str) -> str:
    return f"MRG|{number}^^^EAST{AUTHORITY}^MR"


def at(day: int, clock: str) -> str:
    return f"202603{day:02d}{clock}00-0500"


STAY: Sequence[bytes] = (
    message("A28", 1, "0700", pid("800002", family="Tarnhil", phone="5550100")),
    message(
        "A04", 1, "0701", pid("800002", phone="5550101"), pv1("V1", "ED^4^^EAST", "E", at(1, "0700")), occurred=at(1, "0700")
    ),
    message(
        "A01",
        1,
        "0810",
        pid("800002", account="ACC1"),
        pv1("V1", start=at(1, "0805")),
        "DG1|1||I50.9^Heart failure^I10C|||A",
        occurred=at(1, "0805"),
    ),
    message("A02", 2, "1402", pid("800002"), pv1("V1", "ICU^2^B^EAST", start=at(1, "0805")), occurred=at(2, "1400")),
    message(
        "A08",
        2,
        "1500",
        pid("800002", phone="5550162"),
        f"PD1||||{DOCTOR}",
        pv1("V1", "9Z^1^A^EAST", "O"),
        "AL1|1|DA|7980^Penicillin^RXNORM",
    ),
    message(
        "A03", 4, "1105", pid("800002"), pv1("V1", "ICU^2^B^EAST", start=at(1, "0805"), end=at(4, "1100")), occurred=at(4, "1100")
    ),
    message("A13", 4, "1230", pid("800002"), pv1("V1", "ICU^2^B^EAST"), occurred=at(4, "1100")),
    message("A03", 6, "0915", pid("800002"), pv1("V1", "ICU^2^B^EAST", end=at(5, "1700")), occurred=at(5, "1700")),
    message("A01", 3, "0900", pid("800003", family="Reedmoor"), pv1("V9", start=at(3, "0855")), occurred=at(3, "0855")),
    message("A11", 3, "0930", pid("800003", family="Reedmoor"), pv1("V9"), occurred=at(3, "0855")),
    message("A31", 5, "1000", pid("800001", family="Oakhurst", phone="")),
    message("A40", 7, "0800", pid("800001", family="Oakhurst"), mrg("800002")),
    message("A08", 8, "0800", pid("800002", phone="5550177"), pv1("V1"), "NK1|1|Tarnhill^Corin|SPO||^PRN^PH^^1^518^5550170||C"),
)
"""One patient's stay under a number that is merged away later, another's admission that is taken back."""

TANGLED: Sequence[bytes] = (
    message("A28", 1, "0700", pid("1", "M77^^^CARELOOP^MB")),
    message(
        "A01", 2, "0810", pid("2", "M77^^^CARELOOP^MB", account="FAMILY"), pv1("V2", start=at(2, "0805")), occurred=at(2, "0805")
    ),
    message("A28", 3, "0700", pid("3", account="FAMILY")),
    message("A08", 4, "0800", pid("3"), pv1("V2")),
    message("A40", 5, "0800", pid("2"), mrg("4")),
    message("A28", 2, "0700", pid("4", phone="5550104")),
    message("A40", 6, "0800", pid("4"), mrg("5")),
    message("A40", 7, "0800", pid("5"), mrg("2")),
    message("A28", 1, "0900", pid("5", account="FAMILY")),
    message("A01", 8, "0800", pid("6", "M88^^^CARELOOP^MB"), pv1("V6", start=at(8, "0755")), occurred=at(8, "0755")),
    message("A08", 9, "0800", pid("6", "M88^^^CARELOOP^MB", account="FAMILY"), pv1("V2")),
)
"""What goes wrong in life: one member number in two records, a family's account, a visit moved by A08, merges in a circle."""


STORIES = {"stay": STAY, "tangled": TANGLED}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with closing(installation(tmp_path_factory.mktemp("installation"))) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def expected(gateway: Gateway) -> dict[str, Bodies]:
    """What stands after each story, by its name."""
    return {name: of_all(stand(gateway, story, at_once=True)) for name, story in STORIES.items()}


def of_all(found: Bodies) -> Bodies:
    """Without the resources that are about one message each."""
    return {at: body for at, body in found.items() if at[0] not in ("MessageHeader", "Provenance")}


@st.composite
def arrivals(draw: st.DrawFn, story: Sequence[bytes]) -> list[bytes]:
    """All messages of a story in any order, some of them twice."""
    return draw(st.permutations([*story, *draw(st.lists(st.sampled_from(story), max_size=3))]))


ORDERS = settings(max_examples=examples(15, 400))


@ORDERS
@example(messages=list(STAY[::-1]), at_once=False)
@given(messages=arrivals(STAY), at_once=st.booleans())
def test_a_stay_in_any_order(gateway: Gateway, expected: dict[str, Bodies], messages: list[bytes], at_once: bool) -> None:
    assert_equal(of_all(stand(gateway, messages, at_once=at_once)), expected["stay"])


@ORDERS
@example(messages=list(TANGLED), at_once=False)
@example(messages=list(TANGLED[::-1]), at_once=False)
@given(messages=arrivals(TANGLED), at_once=st.booleans())
def test_a_tangle_of_identities_in_any_order(gateway: Gateway, expected: dict[str, Bodies], messages: list[bytes],
                                             at_once: bool) -> None:
    assert_equal(of_all(stand(gateway, messages, at_once=at_once)), expected["tangled"])


@pytest.mark.parametrize("story", STORIES)
def test_the_story_is_taken_whole(expected: dict[str, Bodies], story: str) -> None:
    """What the orders are compared with is itself what was meant."""
    types = {t for t, _ in expected[story]}
    assert types >= {"Patient", "Encounter", "Practitioner", "Location", "Organization", "Account"}
