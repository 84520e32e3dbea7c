"""What messages, rows and operators say of numbers: whose they are, what replaced them, what is deleted. COMPOSE, identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter.model import Contribution, Key

INFERRED = "inferred"
CROSSWALK = "crosswalk"
OPERATOR_LINK = "operator-link"
TOGETHER = frozenset(("A24", "A43", OPERATOR_LINK))
"""Events whose links say that two records are of one person, without merging them."""
CHANGES = frozenset(("A46", "A47"))
"""Events after which a record goes by another number: it is the same record, not one that was merged away."""
OPERATOR_UNLINK = "operator-unlink"
"""An operator's unlink alone undoes a merge: HL7 has no event for it."""
ROW = "row"
"""Event of a link that says where the statements of a row of a file stand."""
PROPOSED = "proposed"
"""Event of a link that joins nobody: two records are likely of one person, and somebody should look."""
GROUPED = "#["
"""In the slot of a list member that columns of a row tell from others (`goal#[G1]`)."""
Level = Literal["patient", "account", "visit", "list", "row", "delete", "proposal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One statement about numbers (`system|value`). kind: inferred, crosswalk, or the event.

    level patient: `patient` and `other` are one person; a merge runs from `other` (loser) to `patient` (survivor); cut: they
    are not. A crosswalk is what a source says now of one of its members: its latest counts alone, `other` '' where there is
    none any more. level account, visit: `old` became `new`, or, both equal, was moved from the patient `other` to `patient`.
    level list: what the source says of keys that begin with `old`, but for those in `members`, is over. level row: what the
    row `other` of a file states of the type `new` stands in the resources `members` alone. level delete: what it
    said of the patient, or of the visit `old`, is over. level proposal: the two are likely one person, with `score`, by what
    `members` say (`birthDate: same`). over: a later snapshot file of its source does not repeat it.
    """

    patient: str
    other: str
    kind: str
    order: Key | tuple[int, ...]
    source: str = ""
    cut: bool = False
    level: Level = "patient"
    old: str = ""
    new: str = ""
    members: frozenset[str] = frozenset()
    message: str = ""
    score: float = 0.0
    over: bool = False

    @property
    def merges(self) -> bool:
        """Whether this is a directed merge (or change of number) of a patient's record."""
        return self.level == "patient" and not self.cut and self.kind not in (INFERRED, CROSSWALK) and self.kind not in TOGETHER


def link_of(c: Contribution, *, over: bool = False) -> Link:
    """A contribution of type Link as what it says."""
    body = c.body
    return Link(patient=c.patient, other=c.other, kind=c.event, order=c.order.of_snapshot(), source=c.source,
                cut=c.kind == "unlink", level=body.get("level", "patient"), old=body.get("old", ""), new=body.get("new", ""),
                members=frozenset(body.get("members", ())), message=c.message, score=body.get("score", 0.0), over=over)


def proposals(links: Iterable[Link]) -> dict[frozenset[str], Link]:
    """The latest proposal of each pair of records; one without `members` says that the pair is likely no more."""
    latest: dict[frozenset[str], Link] = {}
    for n in links:
        if n.level == "proposal":
            pair = frozenset((n.patient, n.other))
            if pair not in latest or (n.order, n.message) > (latest[pair].order, latest[pair].message):
                latest[pair] = n
    return latest


@dataclass(frozen=True, slots=True)
class Tie:
    """What a message says of numbers, before it is a contribution; the names as in Link."""

    patient: str
    other: str
    event: str
    kind: Literal["link", "unlink", "withdraw"] = "link"
    body: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def found_by(self) -> list[str]:
        """The numbers that it is found by, beside those of patients: of an account or visit the old and the new one."""
        if self.body.get("level") in ("account", "visit"):
            return sorted({self.body["old"], self.body["new"]})
        return [self.patient]


def survivors(steps: Iterable[tuple[str, str, Any]]) -> tuple[dict[str, str], frozenset[str]]:
    """(loser, survivor, order) of each step -> loser to survivor by the latest, and those whose steps ran in a circle."""
    latest: dict[str, tuple[str, Any]] = {}
    for loser, survivor, order in sorted((s for s in steps if s[0] != s[1]), key=lambda s: (s[2], s[1])):
        latest[loser] = (survivor, order)
    loops: set[str] = set()
    for start in sorted(latest):
        seen: list[str] = []
        node = start
        while node in latest and node not in seen:
            seen.append(node)
            node = latest[node][0]
        if node in latest:
            circle = seen[seen.index(node):]
            last = max(circle, key=lambda n: (latest[n][1], latest[n][0]))
            loops.update(circle)
            del latest[latest[last][0]]
    return {loser: survivor for loser, (survivor, _) in latest.items()}, frozenset(loops)


def final(key: str, became: Mapping[str, str]) -> str:
    """The number that a number goes by in the end."""
    while key in became:
        key = became[key]
    return key


def standing(links: Sequence[Link]) -> tuple[list[Link], set[frozenset[str]]]:
    """The links of patients that count, and the pairs that are not to be together.

    Of a source's crosswalks of one member the latest counts, if it names another number at all. An unlink undoes what linked
    the pair before it; a merge is undone by an operator alone, a crosswalk by an operator whenever it was stated.
    """
    latest: dict[tuple[str, str], Link] = {}
    cuts: dict[frozenset[str], list[Link]] = {}
    for n in links:
        at = (n.source, n.patient)
        if n.cut:
            cuts.setdefault(frozenset((n.patient, n.other)), []).append(n)
        elif n.kind == CROSSWALK and (at not in latest or (n.order, n.other) > (latest[at].order, latest[at].other)):
            latest[at] = n
    counting = [n for n in links if n.level == "patient" and not n.cut and n.other
                and (n.kind != CROSSWALK or latest[n.source, n.patient] == n)]
    if not cuts:
        return counting, set()
    kept = [n for n in counting if not any(_undoes(cut, n) for cut in cuts.get(frozenset((n.patient, n.other)), ()))]
    apart = cuts.keys() - {frozenset((n.patient, n.other)) for n in kept if n.kind != INFERRED}
    return [n for n in kept if n.kind != INFERRED or frozenset((n.patient, n.other)) not in apart], apart


def _undoes(cut: Link, link: Link) -> bool:
    if link.kind == INFERRED:
        return False
    if link.kind == CROSSWALK:
        return cut.kind == OPERATOR_UNLINK
    return tuple(cut.order) > tuple(link.order) and (cut.kind == OPERATOR_UNLINK or not link.merges)
