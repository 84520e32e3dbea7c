"""Who sends: hospitals' interface engines and partners with files, each with its own habits, all drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from adapter.gateway import Gateway
from tests.property.test_orders import CANCELS, MERGE, PAIR, PERSON, SEGMENTS, VISIT, Told

MEMBERS = ("member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
           "attributed_org_name,updated_at\n")
SEATS = "member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"


def message(rng: random.Random, hour: int, last: int) -> bytes:
    """Any message about two persons' visits, stated at an hour."""
    event = rng.choice((rng.choice(VISIT), rng.choice(VISIT), rng.choice(("A01", "A02", "A03", "A08")), rng.choice(PERSON),
                        rng.choice(MERGE), rng.choice(PAIR)))
    occurred = rng.randrange(last) if event in CANCELS or rng.random() < 0.5 else None
    return Told(
        event=event, hour=hour, occurred=occurred, number=rng.choice("1112"), other=rng.choice("23"),
        visit=rng.choice(("V1", "V1", "V2")), account=rng.choice(("", "ACC1", "ACC2")), kind=rng.choice("IEOP"),
        bed=rng.choice(("3W^312^A", "ICU^2^B", "")), phone=rng.choice(("", "^PRN^PH^^1^518^5550161")),
        admitted=rng.random() < 0.5, segments=tuple(rng.sample(SEGMENTS, rng.randrange(3)))).raw()


def files(rng: random.Random) -> list[tuple[str, bytes]]:
    """Files of two partners about one member, (feed, bytes): a later state of the same rows among them."""
    found = [("members", f"{MEMBERS}M1,Viola,Wrenmere,1958-04-09,care-coordination,enrolled,2026-01-05,ORG-MAPLE,Maple,"
                         "2026-03-01T07:00:00-05:00\n")]
    for n in range(rng.randrange(1, 4)):
        ended = rng.choice(("", "2026-03-10"))
        found.append(("care_team", f"{SEATS}M1,care-coordination,ORG-MAPLE,Maple,2000001018,Odile,Marlwick,lead-coordinator,"
                                   f"2026-01-12,{ended},2026-03-0{n + 2}T07:00:00-05:00\n"))
    return [(feed, text.encode()) for feed, text in found]


@dataclass(slots=True, kw_only=True)
class Engine:
    """An interface engine: it sends a message again until it has the acknowledgement, and now and then once more."""

    name: str
    messages: list[bytes]
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set[int])

    @property
    def done(self) -> bool:
        """Whether all it has is acknowledged."""
        return len(self.acknowledged) == len(self.messages)

    def send(self, gateway: Gateway, rng: random.Random, *, careful: bool) -> None:
        """Send one message or a few. careful: the ones that wait, all answers read. Raises Unavailable: nothing was taken."""
        waiting = [n for n in range(len(self.messages)) if n not in self.acknowledged]
        batch = waiting[: rng.randrange(1, 4)]
        if not careful and rng.random() < 0.2:
            batch = [rng.randrange(len(self.messages)) for _ in range(rng.randrange(1, 3))]
        if not batch:
            return
        answers = gateway.accept([(self.messages[n], self.name) for n in batch])
        for n, answer in zip(batch, answers, strict=True):
            lost = not careful and rng.random() < 0.15
            if not lost and b"MSA|AA" in answer:
                self.acknowledged.add(n)


@dataclass(slots=True, kw_only=True)
class Partner:
    """A partner that sends files, in any order, and some again."""

    files: list[tuple[str, bytes]]
    loaded: set[int] = field(default_factory=set[int])

    @property
    def done(self) -> bool:
        """Whether every file was taken."""
        return len(self.loaded) == len(self.files)

    def send(self, gateway: Gateway, rng: random.Random, *, careful: bool) -> None:
        """Send one file. Raises Unavailable."""
        waiting = [n for n in range(len(self.files)) if n not in self.loaded]
        if not waiting and careful:
            return
        n = rng.choice(waiting or range(len(self.files)))
        feed, content = self.files[n]
        gateway.load(feed, content)
        self.loaded.add(n)
