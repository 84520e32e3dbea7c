"""A built wheel is the whole program: installed alone, it lints, converts and makes a store in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BUILT_OF = ("adapter", "mappings", "profiles", "tools/wheel.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
MESSAGE = ROOT / "fixtures" / "hl7v2" / "A01" / "admission.hl7"
KEY = "00" * 32


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds what `pip install` of the wheel put there, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_OF:
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", str(folder), str(folder / "source")], check=True)
    shutil.rmtree(folder / "source")
    wheel = next(folder.glob("careloop-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def careloop(site: Path, folder: Path, *words: str) -> str:
    """What the program prints that stands in `site`, run in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARELOOP_")}
    environment |= {"PYTHONPATH": str(site), "CARELOOP_KEY": KEY}
    command = [sys.executable, "-c", "from adapter.cli import main; main()", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_mappings_are_inside_and_sound(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run([sys.executable, "-c", "import adapter.home as h; print(h.HOME)"], cwd=tmp_path, text=True,
                           env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, check=True).stdout.strip()
    assert where == str(installed / "adapter" / "shipped")
    assert "sound" in careloop(installed, tmp_path, "check")


def test_it_converts_as_the_checkout_does(installed: Path, tmp_path: Path) -> None:
    for site, out in ((installed, "wheel"), (ROOT, "checkout")):
        careloop(site, tmp_path, "convert", str(MESSAGE), "--out", out)
    wheel, checkout = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("wheel", "checkout"))
    assert wheel == checkout
    assert wheel


def test_it_makes_a_store(installed: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "fixtures" / "csv" / "members" / "good.csv", tmp_path / "members.csv")
    assert "accepted" in careloop(installed, tmp_path, "load", "members", "members.csv")
    assert (tmp_path / "careloop-data" / "careloop.db").is_file()
