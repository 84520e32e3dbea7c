"""The wheel carries what the program reads besides its code: mappings and profiles, inside `adapter/shipped`.

Named in pyproject.toml as the build's `build_py`; a checkout is installed (`pip install -e .`) without it.
"""

from __future__ import annotations

from pathlib import Path

from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mappings", "profiles")


class BuildWithFolders(build_py):
    """Copies the folders beside the code that was built."""

    def run(self) -> None:
        """Build; an editable install reads the checkout's own folders."""
        super().run()
        if self.editable_mode:
            return
        for source in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()):
            target = Path(self.build_lib) / "adapter" / "shipped" / source.relative_to(ROOT)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))
