"""The files of `deploy/` hold together: names, ports, users, settings; and what they start runs, as plain processes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest
import requests
import yaml

from adapter.cli import main
from adapter.settings import Settings
from tests.acceptance.served import CARELOOP, served
from tests.servers import postgres_url
from tests.unit.test_gateway import adt

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
KUBERNETES: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))}
POD: dict[str, Any] = KUBERNETES["Deployment"]["spec"]["template"]
PROXY = (DEPLOY / "haproxy.cfg").read_text("utf-8")
KEY = "aa" * 32
BINDS = {int(port) for port in re.findall(r"^\s*bind :(\d+)", PROXY, re.MULTILINE)}


def unit() -> dict[str, dict[str, list[str]]]:
    """The systemd unit: section, directive, values."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (DEPLOY / "careloop.service").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(heading[1], defaultdict(list))
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            section[name].append(value)
    return sections


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", CONTAINERFILE)
    lines = (line for line in joined.splitlines() if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def container(name: str) -> dict[str, Any]:
    return next(one for one in POD["spec"]["containers"] if one["name"] == name)


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "compose": COMPOSE["services"]["careloop"]["environment"],
    "kubernetes": {one["name"]: one.get("value", KEY) for one in container("careloop")["env"]},
    "systemd": dict(one.split("=", 1) for one in unit()["Service"]["Environment"]),
    "image": dict(word.split("=", 1) for name, rest in instructions() if name == "ENV" for word in shlex.split(rest)),
}


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_settings_are_known_and_taken(where: str, tmp_path: Path, no_settings: None) -> None:
    (tmp_path / "raw-keys").write_text(KEY)
    ours = {name.removeprefix("CARELOOP_").lower(): value for name, value in ENVIRONMENTS[where].items()
            if name.startswith("CARELOOP_")}
    assert ours
    assert ours.keys() <= Settings.model_fields.keys()
    Settings(**{name: f"file:{tmp_path / 'raw-keys'}" if name == "raw_keys" else value for name, value in ours.items()})


@pytest.mark.parametrize("words", [
    shlex.split(unit()["Service"]["ExecStart"][0])[1:], COMPOSE["services"]["careloop"]["command"], container("careloop")["args"],
    yaml.safe_load(next(rest for name, rest in instructions() if name == "CMD"))])
def test_commands_are_there(words: list[str]) -> None:
    command = main.get_command(click.Context(main), words[0])
    assert command is not None
    command.make_parser(click.Context(command)).parse_args(words[1:])


def test_the_image_is_built_of_what_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert ignored[0] == "*"
    copied = [word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in shlex.split(rest)[:-1]]
    assert set(copied) == {word[1:] for word in ignored if word.startswith("!")}
    assert all((ROOT / word).exists() for word in copied)
    names = [name for name, _ in instructions()]
    assert set(names) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT",
                          "CMD"}
    assert all(re.fullmatch(r"\S+/\S+:[\w.-]*\d[\w.-]*( AS \w+)?", rest) for name, rest in instructions() if name == "FROM")
    assert "--require-hashes" in CONTAINERFILE


def test_nothing_runs_as_root_and_each_has_time_to_stop() -> None:
    user = next(rest for name, rest in instructions() if name == "USER")
    assert POD["spec"]["securityContext"]["runAsUser"] == int(user) > 0
    assert unit()["Service"]["User"] == ["careloop"]
    for seconds in (POD["spec"]["terminationGracePeriodSeconds"], int(unit()["Service"]["TimeoutStopSec"][0]),
                    int(COMPOSE["services"]["careloop"]["stop_grace_period"].removesuffix("s"))):
        assert seconds >= 75, "a step of work may take a minute"


def test_compose_names_what_it_declares() -> None:
    services = COMPOSE["services"]
    assert services["careloop"]["network_mode"].removeprefix("service:") in services
    for service in services.values():
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
        assert set(service.get("depends_on", ())) <= services.keys()
        named = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        assert {name for name in named if not name.startswith(".")} <= COMPOSE["volumes"].keys()
        assert re.search(r":[\w.-]+$", service["image"]), "an image without a version"
    assert {int(port.rpartition(":")[2]) for port in services["proxy"]["ports"]} == BINDS
    assert "healthcheck" in services["postgres"]


def test_kubernetes_names_what_it_declares() -> None:
    assert {kind: one["apiVersion"] for kind, one in KUBERNETES.items()} == {
        "Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1"}
    volumes = {one["name"] for one in POD["spec"]["volumes"]}
    ports: dict[str, int] = {}
    for one in POD["spec"]["containers"]:
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert "memory" in one["resources"]["limits"]
        ports |= {port["name"]: port["containerPort"] for port in one.get("ports", ())}
    assert set(ports.values()) == BINDS
    assert all(port["targetPort"] in ports for port in KUBERNETES["Service"]["spec"]["ports"])
    probes = [container("proxy")[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert all(probe["port"] in ports and f" {probe['path']}" in PROXY for probe in probes)
    labels = POD["metadata"]["labels"]
    for selector in (KUBERNETES["Deployment"]["spec"]["selector"]["matchLabels"], KUBERNETES["Service"]["spec"]["selector"],
                     KUBERNETES["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()


def test_the_pod_gets_its_password_in_a_way_that_is_heeded() -> None:
    """libpq passes over a password file that a group can read, and fsGroup makes all files of a Secret such files."""
    named = {one["name"]: one for one in container("careloop")["env"]}
    assert "fsGroup" in POD["spec"]["securityContext"]
    assert "PGPASSFILE" not in named
    assert named["PGPASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "careloop", "key": "postgres-password"}


def test_the_proxy_speaks_to_the_gateway_where_it_listens_and_to_known_clients_alone() -> None:
    fields = Settings.model_fields
    assert set(re.findall(r"server one (\S+)", PROXY)) == {fields["http"].default, fields["mllp"].default}
    outer = re.findall(r"bind :(\d+) ssl .* verify required", PROXY)
    assert {int(port) for port in outer} == BINDS - {8081}
    backends = set(re.findall(r"^backend (\w+)", PROXY, re.MULTILINE))
    assert set(re.findall(r"default_backend (\w+)", PROXY)) == backends


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    assert set(unit()) == {"Unit", "Service", "Install"}
    if analyze := shutil.which("systemd-analyze"):
        text = (DEPLOY / "careloop.service").read_text("utf-8").replace("/opt/careloop/bin/careloop", str(CARELOOP))
        (tmp_path / "careloop.service").write_text(text)
        told = subprocess.run([analyze, "verify", "--man=no", str(tmp_path / "careloop.service")], capture_output=True, text=True,
                              check=False)
        assert "careloop.service" not in told.stderr, told.stderr


@pytest.mark.postgres
def test_what_compose_starts_runs_as_a_plain_process(tmp_path: Path) -> None:
    """The gateway with compose's own settings, but for addresses of other containers; stopped as compose stops it."""
    (tmp_path / "raw-keys").write_text(KEY)
    own = {"CARELOOP_DATABASE_URL": postgres_url(), "CARELOOP_RAW_KEYS": f"file:{tmp_path / 'raw-keys'}", "CARELOOP_FHIR_URL": ""}
    service = COMPOSE["services"]["careloop"]
    with served(tmp_path, {**service["environment"], **own}, *service["command"][1:]) as gateway:
        assert requests.get(f"{gateway.http}/readyz", timeout=60).status_code == 200
        assert "MSA|AA|C1" in gateway.send(adt("C1"))
        gateway.settle()
        began = time.monotonic()
        assert gateway.terminate() == 0
        assert time.monotonic() - began < int(service["stop_grace_period"].removesuffix("s"))
