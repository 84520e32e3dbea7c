"""Rule files (profiles/rules): read, checked against their JSON Schema, as frozen records. For authors: docs/rules.md.

A mistake is an Issue `rule-invalid` whose place is file and key: `G01.yaml, verdicts.no-lead.reason`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import orjson
import yaml
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from adapter.errors import Defect, Rejected
from adapter.home import PROFILES
from adapter.model import Issue, Json

RULES = PROFILES / "rules"
SHARED = "shared.yaml"
PROGRAMS = "programs.yaml"

_NO_RULES = {SHARED: "shared", PROGRAMS: "programs"}  # files beside the rules, and what of the schema holds for them

State = Literal["withheld", "not-applicable", "closed", "prospective", "open", "missed"]
Reason = Literal["not-found", "missing-element", "date-out-of-range", "count-out-of-range", "not-computable"]
Urgency = Literal["urgent", "soon", "routine"]
Value = int | str | list[int | str]
Subject = Literal["member", "organization", "pair"]
"""Whom a rule is about; a pair of organizations is told by its item, `id>id`, and belongs to the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number or code that a program may set; default, unit and meaning."""

    default: Value
    unit: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One answer of a rule: the gap's state, its reason where open or missed, and what would close it."""

    state: State
    reason: Reason | None = None
    text: str
    closes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One rule as its file has it; fields as in profiles/rules.schema.json."""

    id: str
    title: str
    seed: list[str]
    measure: str
    population: str
    closed_when: str
    urgency: Urgency
    data_classes: list[str]
    evidence: str
    refusal: str
    unknown: str
    responsible: str
    verdicts: dict[str, Verdict]
    statement: str
    subject: Subject = "member"
    item: str = ""
    parameters: dict[str, Parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTable:
    """A table that several rules read, as one SELECT."""

    text: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Members to whom other parameters apply (programs.yaml). members: a code of the shared table `member_program`.

    parameters: rule id to name and value.
    """

    members: str
    text: str
    parameters: dict[str, dict[str, Value]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """All rules by id, the shared tables in the order of their file, with their parameters, and the programs.

    Of several programs of one member the first of the list counts.
    """

    rules: dict[str, Rule]
    tables: dict[str, SharedTable]
    parameters: dict[str, Parameter]
    programs: list[Program]

    def named(self, rule: str) -> Rule:
        """The rule of that id, in capitals or not. Raises Rejected (unknown-rule)."""
        found = self.rules.get(rule.upper())
        if found is None:
            raise Rejected("unknown-rule", rule)
        return found

    def programs_of(self, rule: Rule) -> list[Program]:
        """The programs that set parameters of that rule."""
        return [program for program in self.programs if rule.id in program.parameters]


@cache
def open_rules(folder: Path = RULES) -> Rules:
    """Read the rules of a folder. Raises Defect (rule-invalid) for the first mistake; `lint.check_rules` tells all."""
    for issue in schema_issues(folder):
        raise Defect(issue.code, issue.place, issue.detail)
    shared: dict[str, Any] = read_yaml(folder / SHARED)
    programs: list[Any] = read_yaml(folder / PROGRAMS)["programs"] if (folder / PROGRAMS).exists() else []
    rules = [_rule(read_yaml(path)) for path in rule_files(folder)]
    return Rules(rules={rule.id: rule for rule in rules},
                 tables={name: SharedTable(**table) for name, table in shared["tables"].items()},
                 parameters=_parameters(shared), programs=[Program(**program) for program in programs])


def rule_files(folder: Path) -> list[Path]:
    """The rule files of a folder, the shared tables and the programs apart."""
    return [path for path in sorted(folder.glob("*.yaml")) if path.name not in _NO_RULES]


def schema_issues(folder: Path) -> Iterator[Issue]:
    """What is wrong with the form of the files of a folder, each mistake by itself."""
    programs = [folder / PROGRAMS] if (folder / PROGRAMS).exists() else []
    for path in [folder / SHARED, *programs, *rule_files(folder)]:
        try:
            content = read_yaml(path)
        except (yaml.YAMLError, OSError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            problem = str(getattr(error, "problem", None) or error)
            yield Issue(code="rule-invalid", place=f"{path.name}{line}", detail=problem)
            continue
        for error in _validator(_NO_RULES.get(path.name, "")).iter_errors(content):
            key = ".".join(str(part) for part in error.absolute_path)
            yield Issue(code="rule-invalid", place=f"{path.name}, {key}" if key else path.name, detail=error.message)
        if path.name not in _NO_RULES and isinstance(content, dict) and cast("Json", content).get("id") != path.stem:
            yield Issue(code="rule-invalid", place=f"{path.name}, id", detail="a rule is named as its file")


@cache
def _validator(part: str) -> Validator:
    """The schema of a rule, or of that part of it."""
    schema = orjson.loads((PROFILES / "rules.schema.json").read_bytes())
    if part:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    return Draft202012Validator(schema)


class _Loader(yaml.CSafeLoader):
    """Safe YAML that refuses a key written twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"`{twice.pop()}` is there twice", node.start_mark)
        return cast("dict[Any, Any]", super().construct_mapping(node, deep))


def read_yaml(path: Path) -> Any:
    """What a YAML file says. Raises yaml.YAMLError, for a key that is there twice too, and OSError."""
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)


def _rule(content: Mapping[str, Any]) -> Rule:
    words: Json = {key: value.strip() if isinstance(value, str) else value for key, value in content.items()}
    words["verdicts"] = {code: Verdict(**verdict) for code, verdict in content["verdicts"].items()}
    words["parameters"] = _parameters(content)
    return Rule(**words)


def _parameters(content: Mapping[str, Any]) -> dict[str, Parameter]:
    return {name: Parameter(**parameter) for name, parameter in content.get("parameters", {}).items()}
