"""Mappings with a feed of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path


def with_feed(folder: Path, **feeds: str) -> Path:
    """The mappings that are shipped, and a feed of each name with these lines in its feed.yaml; the folder."""
    mappings = folder / "mappings"
    shutil.copytree("mappings", mappings, ignore=shutil.ignore_patterns("cases"))
    for name, lines in feeds.items():
        (mappings / name).mkdir()
        (mappings / name / "feed.yaml").write_text(f"extends: common\n{lines}\n")
    return mappings
