"""Rule files: form, lint, and what the documentation says about them."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.errors import Defect
from adapter.gaps import tables
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import evaluate
from adapter.gaps.lint import check_rules
from adapter.gaps.rules import RULES, State, open_rules
from adapter.gaps.statement import Dialect, Target, compile_rule
from adapter.model import Composed
from adapter.store.engine import migrate, open_engine

DOCS = RULES.parents[1] / "docs" / "rules.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "rules"
    shutil.copytree(RULES, copy)
    return copy


def rewrite(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    for other in folder.glob("G*.yaml"):  # only what is changed is read again
        if other.name != name:
            other.unlink()
    (folder / name).write_text(text.replace(old, new, 1))


def test_the_rules_as_shipped_have_no_mistake():
    assert check_rules() == []
    assert {"G01", "G02", "G07", "G13"} <= set(open_rules().rules)


@pytest.mark.parametrize(("file", "old", "new", "told"), [
    ("G01.yaml", "urgency: urgent", "urgency: high", ("G01.yaml, urgency", "'high' is not one of")),
    ("G01.yaml", "reason: not-found", "reason: lost", ("G01.yaml, verdicts.no-lead.reason", "'lost' is not one of")),
    ("G01.yaml", "    reason: not-found\n", "", ("G01.yaml, verdicts.no-lead", "'reason' is a required property")),
    ("G01.yaml", "unit: days", "units: days", ("G01.yaml, parameters.handoff_window_days", "'units' was unexpected")),
    ("G01.yaml", "id: G01", "id: G03", ("G01.yaml, id", "named as its file")),
    ("G01.yaml", "title:", "id: G01\ntitle:", ("G01.yaml, line 1", "there twice")),
    ("G01.yaml", "title: Lead", "title: [Lead", ("G01.yaml, line 3", "expected")),
    ("shared.yaml", "unit: code", "unit: 7", ("shared.yaml, parameters.program.unit", "7 is not of type")),
    ("G13.yaml", "renewal-due:\n", "renewal:\n", ("G13.yaml, verdicts.renewal", "not given by the statement")),
    ("G13.yaml", "'not-agreed' END AS", "'none' END AS", ("G13.yaml, verdicts.none", "not declared")),
    ("G13.yaml", "  renew_days:", "  renew_weeks:", ("G13.yaml, statement", "`:renew_days` is not declared")),
    ("G13.yaml", "parameters:\n", "parameters:\n  spare: {default: 1, unit: days, text: nothing}\n",
     ("G13.yaml, parameters.spare", "not read")),
])
def test_a_mistake_is_told_with_file_and_key(folder: Path, file: str, old: str, new: str, told: tuple[str, str]):
    rewrite(folder, file, old, new)
    found = [(issue.place, issue.detail) for issue in check_rules(folder)]
    assert any(place == told[0] and told[1] in detail for place, detail in found), found


@pytest.mark.parametrize(("condition", "told"), [
    ("status LIKE 'act%'", "LIKE"), ("start_at / 2 > 1", "start_at / 2"), ("LOWER(status) = 'x'", "LOWER(status)"),
    ("resource_id IN (SELECT resource_id FROM team)", "IN (SELECT"),
    ("EXISTS(SELECT resource_id FROM team)", "EXISTS(SELECT"),
    ("start_at = CAST(status AS DATE)", "CAST(status AS DATE)"),
    ("nothing = 1", "nothing"), ("status = :never", "`:never` is not declared"),
    ("1 = 1 ORDER BY status", "outside the portable subset"), ("1 = (", "missing"),
])
def test_what_engines_read_differently_is_refused(folder: Path, condition: str, told: str):
    rewrite(folder, "shared.yaml", "WHERE program = :program\n", f"WHERE {condition} AND program = :program\n"
            if "ORDER" not in condition else f"WHERE {condition}, program\n")
    found = [i for i in check_rules(folder) if i.place == "shared.yaml, tables.enrolled.statement"]
    assert any(told in i.detail for i in found), found


@pytest.mark.parametrize(("old", "new", "told"), [
    ("FROM accountable a", "FROM accountables a", "`accountables` is neither"),
    ("LEFT JOIN enrolled", "RIGHT JOIN enrolled", "RIGHT JOIN"),
    ("FROM accountable a", "FROM accountable a, team", "outside"),
    ("SELECT j.patient AS member_id,", "SELECT *, j.patient AS member_id,", "`*`"),
    ("j.person AS responsible_party", "j.person AS party", "the columns are"),
    ("WITH former_seat AS", "WITH RECURSIVE former_seat AS", "outside"),
    ("'' AS item", "ROW_NUMBER() OVER () AS item", "OVER"),
    ("WITH former_seat AS", "WITH lead_now AS (SELECT member_id FROM team), former_seat AS",
     "`lead_now` is a shared table"),
    ("SELECT j.patient AS member_id,", "SELECT j.member_id,", "`j.member_id`: a member_id is for joins"),
    ("SELECT a.patient,", "SELECT a.member_id AS patient,", "`a.member_id AS patient`: a member_id is for joins"),
    ("e.member_id = a.member_id", "e.member_id = a.patient", "`e.member_id = a.patient`: a member_id is for joins"),
    ("e.member_id IS NULL", "'Patient/' || e.member_id IS NULL", "`'Patient/' || e.member_id`: a member_id is for joins"),
    ("SELECT f.member_id,", "SELECT f.practitioner AS member_id,", "`f.practitioner AS member_id`: only a member_id"),
])
def test_the_statement_of_a_rule_is_linted(folder: Path, old: str, new: str, told: str):
    rewrite(folder, "G01.yaml", old, new)
    assert any(told in issue.detail for issue in check_rules(folder)), check_rules(folder)


def test_a_rule_about_organizations_tells_no_member(folder: Path):
    rewrite(folder, "O01.yaml", "COUNT(*) AS members", "COUNT(DISTINCT e.member_id || 'x') AS members")
    assert any("a member_id is for joins" in issue.detail for issue in check_rules(folder)), check_rules(folder)


@pytest.mark.parametrize(("states", "condition"), [
    ({"open", "missed", "prospective", "closed"}, "NOT verdict IN ('not-enrolled')"),
    ({"not-applicable"}, "verdict IN ('not-enrolled')"),
    ({"withheld"}, "FALSE")])
def test_states_are_asked_for_by_the_shorter_list(states: set[State], condition: str):
    rules = open_rules()
    text = compile_rule(rules, open_catalog(), rules.named("G02"), Target(dialect="duckdb", states=frozenset(states)))
    assert " ".join(text.split()).endswith(f"WHERE {condition}")


def test_a_list_belongs_into_in(folder: Path):
    rewrite(folder, "G07.yaml", "status IN (:ended_statuses)", "status = :ended_statuses")
    found = [issue.detail for issue in check_rules(folder)]
    assert found == ["`:ended_statuses` is a list and belongs into IN (...)"]


@pytest.mark.parametrize(("entry", "told"), [
    ("members: payer:P\n  text: x\n  parameters: {G99: {hours: 12}}", ("programs.0.parameters.G99", "no such rule")),
    ("members: payer:P\n  text: x\n  parameters: {G07: {days: 12}}", ("G07.days", "has no such parameter")),
    ("members: payer:P\n  text: x\n  parameters: {G07: {hours: twelve}}", ("G07.hours", "another type")),
    ("members: payer:P\n  text: x\n  parameters: {O04: {days: 12}}", ("programs.0.parameters.O04", "only rules about members")),
    ("members: P\n  text: x\n  parameters: {G07: {hours: 12}}", ("programs.0.members", "does not match")),
])
def test_programs_are_linted(folder: Path, entry: str, told: tuple[str, str]):
    (folder / "programs.yaml").write_text(f"programs:\n- {entry}\n")
    issue, = check_rules(folder)
    assert issue.place.endswith(told[0])
    assert told[1] in issue.detail


def test_opening_a_wrong_folder_is_our_defect(folder: Path):
    rewrite(folder, "G01.yaml", "urgency: urgent", "urgency: high")
    with pytest.raises(Defect, match="urgency"):
        open_rules(folder)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "duckdb", "spark"])
def test_every_rule_compiles_for_every_engine(dialect: Dialect):
    rules, catalog = open_rules(), open_catalog()
    for rule in rules.rules.values():
        text = compile_rule(rules, catalog, rule, Target(dialect=dialect, one_member=True, states=frozenset(["open"])))
        assert "view_member WHERE member_id" in text or rule.subject != "member"


def test_the_example_of_the_documentation_works(folder: Path, tmp_path: Path):
    block = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    example: dict[str, Any] = yaml.safe_load(block[1])
    (folder / f"{example['id']}.yaml").write_text(block[1])
    assert check_rules(folder) == []
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    program = [{"coding": [{"system": "urn:x-careloop:program", "code": "care-coordination"}]}]
    patient = {"reference": "Patient/p"}
    bodies = {"Patient": {}, "EpisodeOfCare": {"status": "active", "patient": patient, "type": program},
              "Goal": {"lifecycleStatus": "active", "subject": patient}}
    with engine.begin() as connection:
        tables.prepare(connection)
        for resource_type, verdict in (("Patient", "not-enrolled"), ("EpisodeOfCare", "no-goal"),
                                       ("Goal", "has-goals")):
            tables.refresh(connection, [Composed(resource_type=resource_type, id="p", key="", person="", sources={},
                                                 body=bodies[resource_type], hash="")])
            gap, = evaluate(connection, now=datetime(2026, 6, 1, tzinfo=UTC), rule=example["id"],
                            rules=open_rules(folder))
            assert gap.verdict == verdict
    assert gap.evidence == ("Goal/p",)


def test_the_documentation_names_every_key_state_and_reason():
    text = DOCS.read_text()
    assert all(f"| `{view}` |" in text for view in open_catalog().views)
    schema = yaml.safe_load((RULES.parent / "rules.schema.json").read_text())
    verdict = schema["$defs"]["verdict"]["properties"]
    words = [*schema["properties"], *schema["properties"]["subject"]["enum"]]
    for word in [*words, *verdict["state"]["enum"], *verdict["reason"]["enum"]]:
        assert f"`{word}`" in text, word
