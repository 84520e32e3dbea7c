"""Gaps as people and programs read them: rows, CSV, JSON, and FHIR DetectedIssues in a Bundle. Pure."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from adapter.gaps.engine import Gap
from adapter.gaps.life import subject_of
from adapter.gaps.rules import Rule, Rules, Verdict, open_rules
from adapter.model import Json

COLUMNS = ("rule", "title", "member", "organization", "item", "state", "reason", "finding", "closes", "due", "responsible_org",
           "responsible_party", "evidence")
"""Columns of rows, CSV and JSON, in this order."""

DEQM = "http://hl7.org/fhir/us/davinci-deqm"
GAP_STATUS = {"closed": "closed-gap", "prospective": "prospective-gap", "not-applicable": "not-applicable",
              "open": "open-gap", "missed": "open-gap"}
"""State to DEQM's status of a gap, which has none for what is withheld."""
_IDS = uuid.UUID("6f1c0d0a-2f0b-5b57-9a5e-4a0a6b1d7c11")  # name space of DetectedIssue ids
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GAP_REASON = {"not-found": "NotFound", "missing-element": "Missing", "date-out-of-range": "DateOutOfRange",
               "count-out-of-range": "CountOutOfRange", "not-computable": "NonComputableDocumentation"}
_SEVERITY = {"urgent": "high", "soon": "moderate", "routine": "low"}
_WITHHELD = Verdict(state="withheld", text="withheld: it reads a class of data that the asker may not see")


def as_rows(gaps: Sequence[Gap], organizations: Mapping[str, str] | None = None,
            rules: Rules | None = None) -> list[dict[str, str]]:
    """One row a gap, every cell text. organizations: id to name, shown for the organization that a gap is about, and for
    the responsible one."""
    rules, names = rules or open_rules(), organizations or {}
    return [_row(gap, rules.rules[gap.rule], names) for gap in gaps]


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as CSV (RFC 4180, with a header); what a spreadsheet would run as a formula gets a leading `'`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)
    return text.getvalue()


def as_json(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as a JSON list of objects."""
    return orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode()


def as_bundle(gaps: Sequence[Gap], now: datetime, rules: Rules | None = None) -> Json:
    """A collection Bundle of one DetectedIssue (CAREGAP, DEQM gapStatus) a gap; equal gaps give equal bytes.

    A withheld gap is left out and an OperationOutcome names its rule only. now: the as-of instant, with a zone.
    """
    rules = rules or open_rules()
    entries = [_entry(gap, rules.rules[gap.rule], now) for gap in gaps if gap.state != "withheld"]
    withheld = sorted({gap.rule for gap in gaps if gap.state == "withheld"})
    if withheld:
        issues = [{"severity": "information", "code": "suppressed", "diagnostics": f"{rule}: {_WITHHELD.text}"}
                  for rule in withheld]
        entries.append({"fullUrl": f"urn:uuid:{uuid.uuid5(_IDS, ' '.join(withheld))}",
                        "resource": {"resourceType": "OperationOutcome", "issue": issues}})
    bundle: Json = {"resourceType": "Bundle", "type": "collection", "timestamp": _instant(now)}
    return bundle | ({"entry": entries} if entries else {})


def _verdict(gap: Gap, rule: Rule) -> Verdict:
    return _WITHHELD if gap.state == "withheld" else rule.verdicts[gap.verdict]


def _row(gap: Gap, rule: Rule, names: Mapping[str, str]) -> dict[str, str]:
    verdict = _verdict(gap, rule)
    about = names.get(gap.organization_id, gap.organization_id)
    cells = (gap.rule, rule.title, gap.member_id, about, gap.item, gap.state, gap.reason or "", verdict.text, verdict.closes,
             _instant(gap.due) if gap.due else "", names.get(gap.responsible_org, gap.responsible_org),
             gap.responsible_party, " ".join(gap.evidence))
    return dict(zip(COLUMNS, cells, strict=True))


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _entry(gap: Gap, rule: Rule, now: datetime) -> Json:
    name = f"{gap.rule}|{subject_of(gap)}|{gap.item}"  # as its Task has it
    return {"fullUrl": f"urn:uuid:{uuid.uuid5(_IDS, name)}", "resource": _detected_issue(gap, rule, now, name)}


def _detected_issue(gap: Gap, rule: Rule, now: datetime, name: str) -> Json:
    verdict = _verdict(gap, rule)
    issue: Json = {
        "resourceType": "DetectedIssue",
        "modifierExtension": [{"url": f"{DEQM}/StructureDefinition/extension-gapStatus",
                               "valueCodeableConcept": _gap_status(gap)}],
        "identifier": [{"system": "urn:x-careloop:gap", "value": name}],
        "status": "final",
        "code": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "CAREGAP"}],
                 "text": f"{rule.id} {rule.title}"},
        "severity": _SEVERITY[rule.urgency],
        **_subject(gap),
        "identifiedDateTime": _instant(now),
        "detail": f"{verdict.text}; closed by: {verdict.closes}" if verdict.closes else verdict.text,
    }
    extensions = _extensions(gap)
    evidence = _evidence(gap)
    return issue | ({"extension": extensions} if extensions else {}) | ({"evidence": [evidence]} if evidence else {})


def _subject(gap: Gap) -> Json:
    """The member, or the organization: R4 has no other element for it than what the issue is about."""
    if gap.member_id:
        return {"patient": {"reference": f"Patient/{gap.member_id}"}}
    return {"implicated": [{"reference": f"Organization/{gap.organization_id}"}]}


def _gap_status(gap: Gap) -> Json:
    coding = [{"system": f"{DEQM}/CodeSystem/gaps-status", "code": GAP_STATUS[gap.state]}]
    if gap.state == "missed":
        coding.append({"system": "urn:x-careloop:gap-state", "code": "missed"})
    return {"coding": coding}


def _extensions(gap: Gap) -> list[Json]:
    extensions: list[Json] = []
    if gap.due:
        extensions.append({"url": "urn:x-careloop:gap-due", "valueDateTime": _instant(gap.due)})
    for reference in (f"Organization/{gap.responsible_org}" if gap.responsible_org else "", gap.responsible_party):
        if reference:
            extensions.append({"url": "urn:x-careloop:gap-responsible", "valueReference": {"reference": reference}})
    return extensions


def _evidence(gap: Gap) -> Json:
    evidence: Json = {}
    if gap.reason:
        reason = {"system": f"{DEQM}/CodeSystem/care-gap-reason", "code": _GAP_REASON[gap.reason]}
        evidence["code"] = [{"coding": [reason]}]
    if gap.evidence:
        evidence["detail"] = [{"reference": reference} for reference in gap.evidence]
    return evidence
