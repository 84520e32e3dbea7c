"""The documents hold: nothing undocumented, links lead somewhere, every example runs and gives what the page says.

What a fenced block is, by the first word behind its fence:
`console`  commands (`$ `) that are run, with the output expected: `...` at a line's end or alone is anything.
           `# exit 1` behind a command is its exit code, else it must be 0.
`sh`       commands that are not run here (they start servers); their names and options must exist.
`http`     requests to /fhir that are made, and the status they answer.
`yaml`, `hl7`, `csv`, `json` with file=: a file that the page's commands find; yaml with row=SEGMENT/Type: rows that compile.
`json`     without file=: a part of some resource in the Bundle that the last command printed.
`text`     a picture.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from adapter.cli import COMMANDS, main
from adapter.gaps.rules import open_rules
from adapter.gateway import Gateway
from adapter.intake.ack import code_for
from adapter.issues import ISSUES
from adapter.mapping.functions import FUNCTIONS
from adapter.mapping.header import load_events
from adapter.mapping.rules import compile_file
from adapter.model import Issue
from adapter.reports.definitions import open_reports
from adapter.reports.document import document
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.queries import backlog
from adapter.store.search_params import PARAMS
from adapter.web.app import create_app
from adapter.web.serve import banner

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = frozenset({"rules.md"})  # its example is run by tests/unit/test_rules.py
KINDS = frozenset({"console", "sh", "http", "yaml", "hl7", "csv", "json", "text"})
_ID = re.compile(r"\{(Patient|Measure|MeasureOfReport)\}")
_FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. words: `name=value` behind the kind."""

    place: str
    kind: str
    words: dict[str, str]
    text: str


def _blocks(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCE.finditer(source):
        words = dict(word.partition("=")[::2] for word in match[2].split())
        line = source.count("\n", 0, match.start()) + 1
        found.append(Block(place=f"{page.name}:{line}", kind=match[1], words=words, text=match[3]))
    return found


def _named(pages: list[Path]) -> list[Any]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def _page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _section(source: str, heading: str) -> str:
    return re.split(r"^## ", source.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _first_cells(source: str) -> set[str]:
    """What stands in backquotes in the first cell of table rows."""
    return {name for cell in re.findall(r"^\| ([^|]*) \|", source, re.MULTILINE) for name in re.findall(r"`([^`]+)`", cell)}


# --- nothing undocumented

@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_is_documented(name: str) -> None:
    section = _section(_page("docs/commands.md"), name)
    assert section, f"docs/commands.md has no section {name}"
    for option in _options(name) - {"-h", "--help"}:
        assert f"`{option}" in section, f"docs/commands.md, {name}: {option} is not documented"


def test_each_setting_is_documented_with_its_default() -> None:
    page = _page("docs/operators.md")
    for name, setting in Settings.model_fields.items():
        row = re.search(rf"^\| `CARELOOP_{name.upper()}` \| ([^|]*) \|", page, re.MULTILINE)
        assert row, f"docs/operators.md: CARELOOP_{name.upper()} is not documented"
        default = f"`{setting.default}`" if setting.default != "" else "none"
        assert row[1] == ("`mappings` of the program" if name == "mappings" else default), name
    for page in PAGES:
        written = set(re.findall(r"CARELOOP_([A-Z_]+[A-Z])", page.read_text(encoding="utf-8")))
        tests_own = {"SHARED", "REQUIRE_ALL", "TEST_HAPI", "TEST_HAPI_NAMING", "FUZZ", "KILLS"}
        assert written <= {n.upper() for n in Settings.model_fields} | tests_own, page.name


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_mapping_function_is_documented_with_its_options(name: str) -> None:
    taken = list(inspect.signature(FUNCTIONS[name].call).parameters.values())[2:]
    options = ", ".join(f"`{p.name}`" + ("*" if p.default is p.empty else "") for p in taken)
    row = f"| `{name}` | {options} |"
    assert row in _page("docs/mappings.md"), f"docs/mappings.md, functions: write a row that begins {row}"


def test_no_mapping_function_is_documented_that_is_gone() -> None:
    assert _first_cells(_section(_page("docs/mappings.md"), "Functions")) == set(FUNCTIONS)


@pytest.mark.parametrize("code", ISSUES)
def test_each_issue_code_is_documented(code: str) -> None:
    kind = ISSUES[code]
    row = f"| `{code}` | {kind.severity} | {code_for(Issue(code=code, place=''))} | {kind.err3} | {kind.http} | {kind.what} |"
    assert row in _page("docs/operators.md"), f"docs/operators.md, codes of findings: write\n{row}"


def test_no_issue_code_is_documented_that_is_gone() -> None:
    assert _first_cells(_section(_page("docs/operators.md"), "Codes of findings")) == set(ISSUES)


def test_each_gap_rule_is_documented() -> None:
    page = _page("docs/gaps.md")
    for rule in open_rules().rules.values():
        assert f"| {rule.id} | {rule.title} |" in page, f"docs/gaps.md: {rule.id} is not documented"


def test_each_report_is_published_in_the_words_of_its_file() -> None:
    reports = open_reports()
    published = _page("docs/reports.md").partition("\n## The reports\n\n")[2]
    assert published == document(reports, list(reports.reports)), "docs/reports.md, The reports: put `careloop report about`"


def test_each_key_of_map_files_is_documented() -> None:
    schema = orjson.loads((ROOT / "profiles" / "mapping.schema.json").read_bytes())
    section = _section(_page("docs/mappings.md"), "Map files, key by key")
    of_file, of_map, of_row = (_first_cells(part) for part in section.split("| key of a ")[1:])
    for keys, documented, what in ((set(schema["properties"]) - set(schema["$defs"]["map"]["properties"]), of_file, "file"),
                                   (set(schema["$defs"]["map"]["properties"]), of_map, "map"),
                                   (set(schema["$defs"]["row"]["properties"]), of_row, "row")):
        assert keys == documented, f"docs/mappings.md, keys of a {what}"


def test_each_key_of_feed_yaml_is_documented() -> None:
    """The keys that the program asks for, read off its source, and those that any feed writes."""
    asked = re.compile(r"""(?:taken\.pop|options\.get|load_yaml\([^)]*\)\.get)\(["'](\w+)["']""")
    sources = [*(ROOT / "adapter" / "mapping").rglob("*.py"), ROOT / "adapter" / "feeds.py"]
    keys = {name for path in sources for name in asked.findall(path.read_text(encoding="utf-8"))} | {"extends"}
    for feed in (ROOT / "mappings").glob("*/feed.yaml"):
        keys |= set(re.findall(r"^(\w+):", feed.read_text(encoding="utf-8"), re.MULTILINE))
    section = _section(_page("docs/mappings.md"), "feed.yaml, key by key")
    head, _, of_csv = section.partition("### ")
    assert keys - {"table"} == _first_cells(head)
    written = re.findall(r"""written(?:\.get\(|\[)["'](\w+)["']|for name in \("delimiter", "quote", "decimal"\)""",
                         (ROOT / "adapter" / "parse" / "rows_options.py").read_text(encoding="utf-8"))
    assert {w for w in written if w} | {"delimiter", "quote", "decimal"} == _first_cells(of_csv)


def test_each_event_is_documented_as_it_is_built() -> None:
    page = _page("docs/events.md")
    events = load_events(ROOT / "mappings" / "common" / "events.yaml")
    built = set(re.findall(r"^\| (A\d\d) \|", page, re.MULTILINE))
    waiting = set(re.findall(r"A\d\d", _section(page, "Not built yet").partition("A19 ")[0]))
    assert built == {code for code, event in events.items() if event.built}
    assert waiting == {code for code, event in events.items() if not event.built}


def test_each_searchable_type_is_documented() -> None:
    types = _section(_page("docs/fhir-clients.md"), "Types").partition(". ")[0].replace("\n", " ").strip()
    assert set(types.split(", ")) == set(PARAMS)


# --- what the pages name is there

@pytest.mark.parametrize("page", _named(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, heading = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, f"{page.name}: {link}"


@pytest.mark.parametrize("page", _named(PAGES))
def test_files_and_targets_that_a_page_names_are_there(page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"(?:`|^|=1 )make ([a-z-]+)", source, re.MULTILINE):
        assert target in targets, f"{page.name}: make {target}"
    for path in re.findall(r"`((?:adapter|mappings|profiles|tests|tools|bench|docs|fixtures)/[\w./-]+)`", source):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_readme_shows_what_is_printed_at_the_start() -> None:
    printed = banner("127.0.0.1:8000", "127.0.0.1:2575", "").partition("  try")[0]
    assert printed in _page("README.md")


def test_the_readme_gives_the_command_of_ci() -> None:
    assert "CARELOOP_REQUIRE_ALL=1 make test" in _page("README.md")
    script = ROOT / ".ci" / "run"
    if script.exists():
        text = script.read_text(encoding="utf-8")
        assert "make test" in text
        assert "CARELOOP_REQUIRE_ALL" in text


def test_each_case_is_in_the_changelog() -> None:
    lines = re.findall(r"^- (\w[\w-]*): (.*?)(?=^- |^#|\Z)", _page("CHANGELOG.md"), re.MULTILINE | re.DOTALL)
    named = {(feed, name) for feed, names in lines for name in re.split(r"[,\s]+", names)}
    for case in (ROOT / "mappings").glob("*/cases/*/case.yaml"):
        assert (case.parts[-4], case.parts[-2]) in named, f"CHANGELOG.md, Mappings: {case.parts[-4]}/{case.parts[-2]}"


def test_each_decision_is_listed() -> None:
    page = _page("docs/adr/README.md")
    for path in (ROOT / "docs" / "adr").glob("0*.md"):
        assert f"({path.name})" in page, path.name
        source = path.read_text(encoding="utf-8")
        assert [h for h in ("## Context", "## Decision", "## Consequences", "## Measured") if h not in source] == [], path.name


# --- examples

def _options(name: str) -> set[str]:
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"no command {name}"
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    params = [param for one in commands for param in one.params if isinstance(param, click.Option)]
    return {option for param in params for option in param.opts} | {"--help", "-h"}


@pytest.mark.parametrize("page", _named(PAGES))
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    if page.name not in OTHERS:
        for block in _blocks(page):
            assert block.kind in KINDS, f"{block.place}: {block.kind}"
            placed = {"file", "row"} & block.words.keys()
            assert placed or block.kind not in ("yaml", "hl7", "csv"), f"{block.place}: file= or row="


@pytest.mark.parametrize("page", _named(PAGES))
def test_commands_that_are_not_run_exist(page: Path) -> None:
    for block in _blocks(page):
        for line in block.text.splitlines() if block.kind == "sh" else ():
            words = shlex.split(line, comments=True)
            at = next((n for n, word in enumerate(words) if word.endswith("careloop")), None)
            if at is not None:
                used = {word for word in words[at + 2:] if word.startswith("-")}
                assert used <= _options(words[at + 1]), block.place


@pytest.mark.parametrize("page", _named(PAGES))
def test_rows_compile(page: Path, tmp_path: Path) -> None:
    for block in _blocks(page):
        if "row" in block.words:
            segment, _, resource = block.words["row"].partition("/")
            path = tmp_path / "example.map.yaml"
            path.write_text(f"segment: {segment}\nresource: {resource}\nrows:\n{block.text}", encoding="utf-8")
            assert compile_file(path), block.place


@pytest.mark.parametrize("page", _named([p for p in PAGES if "```console" in p.read_text(encoding="utf-8")]))
def test_examples_run(page: Path, tmp_path: Path) -> None:
    _workspace(tmp_path)
    bundle: list[Any] = []
    for block in _blocks(page):
        if "file" in block.words:
            path = tmp_path / block.words["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            for command, code, expected in _commands(block):
                told = _run(command, code, tmp_path, block.place)
                _compare(told, expected, f"{block.place}: {command}")
                if told and told[0].startswith('{"resourceType":"Bundle"'):
                    bundle = [entry["resource"] for entry in orjson.loads(told[0])["entry"]]
        elif block.kind == "json":
            part = orjson.loads(block.text)
            assert any(_holds(one, part) for one in bundle), f"{block.place}: no resource of the last Bundle holds this"


def _workspace(folder: Path) -> None:
    """A checkout to play in: the program's folders by link, mappings that a page may add to."""
    (folder / "mappings").mkdir()
    for path in (ROOT / "mappings").iterdir():
        (folder / "mappings" / path.name).symlink_to(path)
    (folder / "fixtures").symlink_to(ROOT / "fixtures")


def _commands(block: Block) -> Iterator[tuple[str, int, list[str]]]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        code = re.search(r"# exit (\d)$", command)
        yield command, int(code[1]) if code else 0, expected


def _run(command: str, code: int, folder: Path, place: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARELOOP_")}
    environment = {**kept, "CARELOOP_DATA_DIR": str(folder / "careloop-data"), "CARELOOP_MAPPINGS": str(folder / "mappings"),
                   "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == code, f"{place}: {command}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]


def _compare(told: list[str], expected: list[str], place: str) -> None:
    for n, line in enumerate(expected):
        if line == "...":
            return
        actual = told[n] if n < len(told) else "(nothing)"
        same = actual.startswith(line.removesuffix("...").rstrip()) if line.endswith("...") else actual == line
        assert same, f"{place}\nthe page says {line}\nit prints     {actual[:500]}"
    assert len(told) == len(expected), f"{place}\nit prints more: {told[len(expected)][:500]}"


def _holds(whole: Any, part: Any) -> bool:
    """Whether `part` stands in `whole`: of an object some members, of a list some items."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and _holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(_holds(one, wanted) for one in whole) for wanted in part)
    return whole == part


@pytest.mark.parametrize("page", _named([p for p in PAGES if "```http" in p.read_text(encoding="utf-8")]))
def test_requests_answer_as_the_page_says(page: Path, tmp_path: Path, no_settings: None) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00"))  # pyright: ignore[reportCallIssue]  # the rest has defaults
    try:
        gateway.load("members", (ROOT / "fixtures/csv/members/good.csv").read_bytes())
        gateway.accept([((ROOT / "fixtures/hl7v2/A01/admission.hl7").read_bytes(), "test")])
        while gateway.work(500):
            pass
        with reading(gateway.engine) as connection:
            assert backlog(connection).journal == {"done": 4}
        patient = gateway.embedded.search("Patient", [("identifier", "urn:x-careloop:member|M90001")]).resources[0]["id"]
        gateway.publish()
        measure, of_report = (gateway.embedded.search("Measure", [("identifier", f"urn:x-careloop:{one}")]).resources[0]["id"]
                              for one in ("rule|G01", "report|performance-G01"))
        ids = {"Patient": patient, "Measure": measure, "MeasureOfReport": of_report}
        client = create_app(gateway).test_client()
        for block in _blocks(page):
            for line in block.text.splitlines() if block.kind == "http" else ():
                request, _, status = _ID.sub(lambda found: ids[found[1]], line).partition(" -> ")
                method, address, *form = request.split(" ", 2)
                sent = {"data": form[0], "content_type": "application/x-www-form-urlencoded"} if form else {}
                answer = client.open(address, method=method, **sent)
                assert answer.status_code == int(status), f"{block.place}: {line}"
                if answer.status_code == 200 and answer.json["resourceType"] == "Bundle":
                    assert answer.json.get("entry") or answer.json.get("total"), f"{block.place}: {line}: nothing found"
    finally:
        gateway.close()
