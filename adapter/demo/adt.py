"""An event at a hospital as an HL7 v2 ADT message. Source: HL7 v2.5.1 and 2.3.1, chapter 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from adapter.demo.names import FEMALE, MALE
from adapter.demo.organizations import Practitioner
from adapter.demo.people import HOME_HOSPITAL, Member
from adapter.demo.sites import Site
from adapter.demo.stays import Stay, Step

_STRUCTURE = {"A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01", "A08": "ADT_A01",
              "A11": "ADT_A09", "A13": "ADT_A01", "A28": "ADT_A05", "A31": "ADT_A05", "A40": "ADT_A39"}
_KIN = (("SIS", "Sister", FEMALE), ("BRO", "Brother", MALE), ("MTH", "Mother", FEMALE), ("FND", "Friend", MALE))
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What one message tells. stay, step None: about the person only. occurred, told, sent: times of the event, of its
    entry and of the message. doctor: the member's primary care provider. record, merged: as in `Stay`."""

    code: str
    member: Member
    record: str
    occurred: datetime
    told: datetime
    sent: datetime
    doctor: Practitioner
    stay: Stay | None = None
    step: Step | None = None
    merged: str = ""


def render(site: Site, control_id: str, event: Happening) -> bytes:
    """The message as bytes in the hospital's charset, segments ended by CR."""
    return "".join(f"{segment}\r" for segment in _segments(site, control_id, event)).encode(site.charset[0])


def _segments(site: Site, control_id: str, event: Happening) -> Iterator[str]:
    kind = f"ADT^{event.code}^{_STRUCTURE[event.code]}" if site.new else f"ADT^{event.code}"
    sent = site.time(event.sent) if site.new else event.sent.astimezone(site.zone).strftime("%Y%m%d%H%M%S")
    yield _segment("MSH", {2: "^~\\&", 3: site.application, 4: site.facility, 5: "CARELOOP", 6: "TWORIVERS", 7: sent,
                           9: kind, 10: control_id, 11: "P", 12: site.version, 17: "USA", 18: site.charset[1]})
    yield _segment("EVN", {1: event.code, 2: site.time(event.told), 6: site.time(event.occurred) if site.new else "",
                           7: site.facility if site.new else ""})
    yield _pid(site, event)
    if event.code == "A40":
        yield _segment("MRG", {1: site.record(event.merged)})
        return
    if event.code in ("A01", "A04", "A08", "A28", "A31"):
        yield from _around(site, event)
    yield _pv1(site, event)
    if event.code in ("A01", "A04"):
        yield _segment("PV2", {3: f"^{_reason(event)}"})
    if event.code in ("A01", "A04", "A08", "A28", "A31") and event.member.number % 4 == 0:
        yield _segment("AL1", {1: "1", 2: "DA^Drug Allergy^HL70127" if site.new else "DA", 4: "MO",
                               3: "7980^Penicillin G^RXNORM" if site.new else "^PENICILLIN", 5: "Hives"})
    if event.code in ("A01", "A03", "A04", "A08") and event.stay:
        yield from _diagnoses(site, event, event.stay)
    if event.code in ("A01", "A04", "A08", "A28", "A31") and event.member.payer:
        yield _in1(event.member, event.member.payer)


def _pid(site: Site, event: Happening) -> str:
    m = event.member
    numbers = site.record(event.record)
    visit = "" if site.new or not event.stay else site.visit(event.stay.number)
    if site.organization != HOME_HOSPITAL[m.region]:
        numbers += f"~{m.id}^^^CARELOOP^MB"
    name = (m.last, m.first, m.middle) if site.new else (m.last.upper(), m.first.upper(), m.middle)
    town, state, postal = m.town
    return _segment("PID", {
        1: "1", 3: numbers, 5: "^".join(map(_plain, name)) + ("^^^^L" if site.new else ""), 7: _day(m.born),
        8: site.sex(m), 10: site.race(m), 11: f"{_plain(m.street)}^^{town}^{state}^{postal}^USA^H", 13: site.phones(m),
        15: site.language(m), 16: "SMDW"[m.number % 4], 18: visit, 22: site.ethnicity(m)})


def _around(site: Site, event: Happening) -> Iterator[str]:
    """PD1, ROL and NK1: who stands around the patient."""
    m = event.member
    if not site.new:
        yield _segment("PD1", {4: site.person(event.doctor)})
    elif event.code in ("A28", "A31") or m.number % 3 == 0:
        yield _segment("ROL", {1: f"R{m.number}", 2: "AD", 3: "PP^Primary Care Provider^HL70443",
                               4: site.person(event.doctor), 5: site.time(event.occurred)})
    else:
        yield _segment("PD1", {4: site.person(event.doctor)})
    if m.number % 2 == 0:
        code, name, names = _KIN[m.number // 2 % len(_KIN)]
        yield _segment("NK1", {1: "1", 2: f"{_plain(m.last)}^{names[m.number % len(names)]}",
                               3: f"{code}^{name}^HL70063" if site.new else code, 5: site.phones(m).split("~")[0],
                               7: "C^Emergency Contact^HL70131" if site.new else "C"})


def _pv1(site: Site, event: Happening) -> str:
    stay, step = event.stay, event.step
    if stay is None or step is None:
        return _segment("PV1", {1: "1", 2: "N"})
    left = step.code == "A03"
    return _segment("PV1", {
        1: "1", 2: step.patient_class, 3: f"{step.ward}^{site.facility}", 4: "E" if "emergency" in stay.kind else "R",
        7: site.person(stay.attending), 10: "PSY" if stay.diagnoses[0][0].startswith("F") else "MED",
        14: "7" if "emergency" in stay.kind else "1", 19: site.visit(stay.number) if site.new else "",
        36: site.disposition(step.disposition) if left else "", 44: site.time(stay.begin),
        45: site.time(step.moment) if left else ""})


def _diagnoses(site: Site, event: Happening, stay: Stay) -> Iterator[str]:
    for n, (code, text) in enumerate(stay.diagnoses, 1):
        yield _segment("DG1", {1: str(n), 2: "" if site.new else "I10", 3: site.diagnosis(code, _plain(text)),
                               5: site.time(stay.begin), 6: "F" if event.code == "A03" else "A"})


def _in1(member: Member, payer: tuple[str, str, str]) -> str:
    key, name, short = payer
    return _segment("IN1", {1: "1", 2: f"{short}^{name}", 3: f"{key}^^^CARELOOP", 4: name, 12: _day(member.covered),
                            15: "HMO", 16: f"{_plain(member.last)}^{member.first}", 17: "SEL^Self^HL70063",
                            18: _day(member.born), 36: member.coverage})


def _reason(event: Happening) -> str:
    return _plain(event.stay.diagnoses[0][1] if event.stay else "") + " \\T\\ evaluation"


def _segment(name: str, fields: dict[int, str]) -> str:
    """A segment by field number; MSH-1 is the separator itself."""
    first = 2 if name == "MSH" else 1
    return f"{name}|" + "|".join(fields.get(n, "") for n in range(first, max(fields) + 1)).rstrip("|")


def _plain(text: str) -> str:
    return text.translate(_ESCAPES)


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")
