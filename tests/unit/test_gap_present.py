"""Gaps as rows, CSV, JSON and FHIR."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

from adapter.gaps.engine import Gap
from adapter.gaps.present import COLUMNS, as_bundle, as_csv, as_json, as_rows
from adapter.gaps.rules import open_rules

NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
GAPS = [
    Gap(rule="G01", member_id="p", state="open", reason="not-found", verdict="no-lead", evidence=("CareTeam/t",),
        responsible_org="hub"),
    Gap(rule="G07", member_id="p", item="ServiceRequest/r", state="missed", reason="not-found", verdict="not-met",
        due=NOW - timedelta(days=1), responsible_org="clinic", responsible_party="Practitioner/x"),
    Gap(rule="G13", member_id="p", item="hub>clinic", state="withheld"),
    Gap(rule="G02", member_id="q", state="not-applicable", verdict="not-enrolled"),
]


def test_rows_say_the_finding_in_words():
    first, second, third, _ = as_rows(GAPS, {"hub": "The Hub"})
    assert (first["responsible_org"], first["finding"]) == ("The Hub", "no lead coordinator on the care team")
    assert first["closes"] == open_rules().rules["G01"].verdicts["no-lead"].closes
    assert (second["due"], second["state"]) == ("2026-06-14T16:00:00Z", "missed")
    assert (third["state"], third["reason"], third["evidence"]) == ("withheld", "", "")


def test_csv_reads_back_and_runs_no_formula():
    rows = as_rows(GAPS, {"hub": "=HYPERLINK(\"x\")", "clinic": "a,\"b\"\nc"})
    back = list(csv.DictReader(io.StringIO(as_csv(rows), newline="")))
    assert tuple(back[0]) == COLUMNS
    assert [row["responsible_org"] for row in back[:2]] == ["'=HYPERLINK(\"x\")", "a,\"b\"\nc"]
    for start in "=+-@\t\r":
        assert as_csv([dict.fromkeys(COLUMNS, f"{start}1")]).splitlines(keepends=False)[1].lstrip('"').startswith("'")


def test_json_is_the_rows():
    assert json.loads(as_json(as_rows(GAPS))) == as_rows(GAPS)


def test_bundle_has_a_detected_issue_for_each_gap_that_may_be_told():
    bundle = as_bundle(GAPS, NOW)
    issues = [entry["resource"] for entry in bundle["entry"]]
    assert [i["resourceType"] for i in issues] == ["DetectedIssue", "DetectedIssue", "DetectedIssue",
                                                   "OperationOutcome"]
    status = [i["modifierExtension"][0]["valueCodeableConcept"]["coding"] for i in issues[:3]]
    assert [[c["code"] for c in s] for s in status] == [["open-gap"], ["open-gap", "missed"], ["not-applicable"]]
    assert issues[0]["evidence"][0]["detail"] == [{"reference": "CareTeam/t"}]
    assert issues[0]["evidence"][0]["code"][0]["coding"][0]["code"] == "NotFound"
    assert {e["url"] for e in issues[1]["extension"]} == {"urn:x-careloop:gap-due", "urn:x-careloop:gap-responsible"}
    assert "hub" not in json.dumps(issues[3])
    assert as_bundle(GAPS, NOW) == bundle
    assert "entry" not in as_bundle([], NOW)


def test_every_detected_issue_is_valid_r4():
    from fhir.resources.R4B.detectedissue import DetectedIssue

    for entry in as_bundle(GAPS, NOW)["entry"][:3]:
        DetectedIssue.model_validate(entry["resource"])
