"""`mappings/precedence.yaml`: whose word counts first, element by element; read and linted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import orjson
from jsonschema import Draft202012Validator

from adapter.errors import Defect
from adapter.home import PROFILES
from adapter.mapping.lint_csv import close
from adapter.mapping.yaml_lines import load_yaml, without_lines
from adapter.validate.facts import field, fields, resource_types

NAME = "precedence.yaml"
SERVER = "server"
"""The name that stands for what other clients write on a FHIR server."""
_SCHEMA = PROFILES / "precedence.schema.json"


def load_precedence(mappings: Path) -> Mapping[str, Sequence[str]]:
    """`Type` or `Type.path` to feeds, the first counts most; empty without the file. Raises Defect (mapping-failed)."""
    path = mappings / NAME
    if not path.exists():
        return {}
    declared = without_lines(load_yaml(path))
    errors = sorted(_schema().iter_errors(declared), key=lambda e: list(e.absolute_path))  # pyright: ignore[reportUnknownMemberType]  # jsonschema is untyped here
    if errors:
        name = str(next(iter(errors[0].absolute_path), ""))
        raise Defect("mapping-failed", f"{NAME}:{_line(path, name)}", errors[0].message)
    return declared


def precedence_faults(mappings: Path, feeds: Collection[str]) -> Iterator[str]:
    """Each mistake in the file, as `precedence.yaml:line: what - what was meant`. feeds: names, abstract ones too."""
    path = mappings / NAME
    try:
        declared = load_precedence(mappings)
    except Defect as error:
        yield f"{error.issue.place}: {error.issue.detail}"
        return
    known = {*feeds, SERVER}
    for name, named in declared.items():
        at = f"{NAME}:{_line(path, name)}"
        resource_type, _, element = name.partition(".")
        if resource_type not in resource_types():
            yield f"{at}: no resource type {resource_type}{close(resource_type, resource_types())}"
        elif element and not _known(resource_type, element):
            yield f"{at}: {resource_type} has no element {element}{close(element, fields(resource_type))}"
        for feed in named:
            if feed not in known:
                yield f"{at}: no feed `{feed}`{close(feed, known)}"


def _known(resource_type: str, element: str) -> bool:
    """Whether an element is one of the type; a choice goes by its name with [x], as it is one element."""
    if element.endswith("[x]"):
        return any(one.choice == element for one in fields(resource_type).values())
    found = field(resource_type, element)
    return found is not None and not found.choice


def _line(path: Path, name: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if name and line.startswith((f"{name}:", f'"{name}"'))), 1)


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(_SCHEMA.read_bytes()))
