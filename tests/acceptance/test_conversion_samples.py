"""Every public sample converts, each on its own; what comes out, and the rest of what we make, is valid FHIR."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter import cli, logs
from adapter.feeds import Feeds, open_feeds
from adapter.gateway import Gateway
from adapter.model import Received
from adapter.pipeline import Conversion, convert
from tests.acceptance.conftest import ROOT, SAMPLES
from tests.acceptance.served import CARELOOP
from tests.validator import hapi_errors

Json = dict[str, Any]
KEY = "5a" * 32
VARYING = {"id", "versionId", "lastUpdated"}
FREE = {"family", "given", "text", "line", "city", "postalCode", "value", "valueString", "title", "description", "name",
        "display", "subscriberId"}

sample = pytest.mark.parametrize("path", SAMPLES or [Path("none")], ids=lambda p: p.stem)


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    return open_feeds(ROOT / "mappings")


@pytest.fixture(scope="module")
def conversions(shared: Path, feeds: Feeds) -> dict[str, Conversion]:
    """Each sample's conversion by its file's stem."""
    arrival = datetime(2026, 4, 1, tzinfo=UTC)
    return {path.stem: convert(Received(raw=path.read_bytes(), arrival=arrival), feeds, bytes.fromhex(KEY))
            for path in SAMPLES}


@pytest.fixture(scope="module")
def written(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `convert --out --loss` writes for the whole folder."""
    folder = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CARELOOP_")]:
            patch.delenv(name)
        patch.setenv("CARELOOP_KEY", KEY)
        patch.setattr(logs, "configure", lambda: None)
        arguments = ["convert", str(shared / "samples/hl7v2"), "--out", str(folder), "--loss"]
        result = CliRunner().invoke(cli.main, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return folder


@pytest.mark.shared
def test_all_27_convert_and_none_is_refused(written: Path) -> None:
    assert len(SAMPLES) == 27
    assert {path.name for path in written.iterdir()} == {
        name for path in SAMPLES for name in (f"{path.stem}.json", f"{path.stem}.loss.json")}


@pytest.mark.shared
def test_the_installed_command_writes_the_same(written: Path, shared: Path, tmp_path: Path) -> None:
    command = [CARELOOP, "convert", shared / "samples/hl7v2", "--out", tmp_path / "out", "--loss"]
    run = subprocess.run(command, env={"CARELOOP_KEY": KEY}, cwd=tmp_path, capture_output=True, text=True, check=False,
                         timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files.keys() == {path.name for path in written.iterdir()}
    for name, content in files.items():
        assert json.loads(content) == json.loads((written / name).read_bytes()), name


@pytest.mark.shared
@sample
def test_a_bundle_is_whole(path: Path, written: Path) -> None:
    bundle: Json = json.loads((written / f"{path.stem}.json").read_bytes())
    resources: list[Json] = [entry["resource"] for entry in bundle["entry"]]
    assert bundle["type"] == "transaction"
    assert {"Patient", "MessageHeader", "Provenance"} <= {one["resourceType"] for one in resources}
    names = [f"{one['resourceType']}/{one['id']}" for one in resources]
    assert len(names) == len(set(names))
    assert [entry["request"] for entry in bundle["entry"]] == [{"method": "PUT", "url": name} for name in names]
    assert set(references(resources)) <= set(names)


@pytest.mark.shared
@sample
def test_no_event_is_out_of_scope(path: Path, conversions: dict[str, Conversion]) -> None:
    assert "event-without-effect" not in [issue.code for issue in conversions[path.stem].issues]


@pytest.mark.shared
@sample
def test_the_loss_report_accounts_for_every_leaf(path: Path, written: Path) -> None:
    loss: Json = json.loads((written / f"{path.stem}.loss.json").read_bytes())
    bundle: Json = json.loads((written / f"{path.stem}.json").read_bytes())
    standing: dict[str, set[str]] = {"Bundle": set(bundle)}
    for entry in bundle["entry"]:
        standing.setdefault(entry["resource"]["resourceType"], set()).update(entry["resource"])
    kinds = standing.keys()
    leaves: list[Json] = loss["leaves"]
    assert len(leaves) == len(list(valued(path))) == sum(loss["counts"].values())
    assert len({leaf["place"] for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        match leaf["status"]:
            case "mapped":
                assert leaf["element"].partition(".")[0] in kinds, leaf
                first, _, second = leaf["element"].partition(" -> ")
                kind, _, way = (second if second[:1].isupper() else first).partition(".")
                top = re.split(r"[^A-Za-z]", way)[0]
                assert any(name.lstrip("_").startswith(top) for name in standing[kind]), leaf
                assert leaf["rule"], leaf
            case "dropped":
                assert leaf["reason"], leaf
            case status:
                pytest.fail(f"{leaf['place']} is {status}")


@pytest.mark.hapi
@pytest.mark.shared
def test_resources_of_the_samples_are_valid(conversions: dict[str, Conversion]) -> None:
    assert hapi_errors(shapes(entry["resource"] for conversion in conversions.values()
                              for entry in conversion.bundle["entry"])) == []


@pytest.mark.hapi
@pytest.mark.shared
def test_the_bundles_are_valid_with_their_references_followed(conversions: dict[str, Conversion]) -> None:
    assert hapi_errors([{**conversion.bundle, "id": name} for name, conversion in conversions.items()]) == []


@pytest.mark.hapi
@pytest.mark.shared
def test_resources_of_network_and_cases_are_valid(demonstration: Gateway) -> None:
    cases = [entry["resource"] for path in sorted(ROOT.glob("mappings/*/cases/*/expected.json"))
             for entry in json.loads(path.read_bytes()).get("entry", ())]
    assert hapi_errors(shapes([*cases, *network(demonstration)])) == []


def network(gateway: Gateway) -> Iterator[Json]:
    """Every resource of a store."""
    for kind in sorted(gateway.embedded.capabilities().types):
        page = gateway.embedded.search(kind, [], 500)
        yield from page.resources
        while page.next:
            page = gateway.embedded.search_page(page.next)
            yield from page.resources


def shapes(resources: Iterable[Json]) -> list[Json]:
    """One resource of each shape: those that differ only in names, free texts, digits and ids are judged once."""
    return list({json.dumps(shape(one, ""), sort_keys=True): one for one in resources}.values())


def shape(value: Any, name: str) -> Any:
    """A part of a resource without what differs from person to person; every code and system stays."""
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [shape(inner, name) for inner in value]
    if not isinstance(value, str):
        return value > 0 if isinstance(value, float) or name == "value" else value
    if name == "reference":
        return value.partition("/")[0]
    text = re.sub("[a-z]+", "a", re.sub("[A-Z]+", "A", value)) if name in FREE else value
    return re.sub("[0-9]", "0", text) if name in FREE or re.match("[0-9]{4}", value) else value


def references(value: Any) -> Iterator[str]:
    """Every reference below a value."""
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield inner
            else:
                yield from references(inner)


def segments(path: Path) -> list[list[str]]:
    """A sample's segments as fields, split by hand; the samples use the usual delimiters, and no escapes of them."""
    lines = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r").split("\r")
    return [line.split("|") for line in lines if line.strip()]


def valued(path: Path) -> Iterator[str]:
    """Every valued leaf, counted without our reader; blanks are no value."""
    for fields in segments(path):
        for text in fields[2 if fields[0] == "MSH" else 1:]:
            yield from (leaf for leaf in text.replace("~", "^").replace("&", "^").split("^") if leaf.strip())
