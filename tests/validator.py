"""The real HAPI validator for tests: many resources in one run of tools/hapi/fhir-validate.

Needs Java, and the shared material for US Core: mark a test that uses it `hapi` and `shared`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IGS = Path(os.environ.get("CARELOOP_SHARED", ROOT.parent / "shared")) / "igs"


def hapi_errors(resources: list[dict[str, Any]], us_core: bool = True) -> list[str]:
    """What the HAPI validator calls an error or fatal: `Type/id (n-th): place: diagnostics`, [] where all are valid.

    Takes about 10 s, then some 10 ms a resource. us_core: with the US Core 6.1.0 profiles. Raises RuntimeError where
    the validator itself fails.
    """
    guides = ["--ig", str(IGS / "us_core_610.tgz"), "--ig", str(IGS / "stubs")] if us_core else []
    lines = "\n".join(json.dumps(resource) for resource in resources)
    run = subprocess.run(
        [str(ROOT / "tools/hapi/fhir-validate"), *guides, "-"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    if run.returncode not in (0, 1):
        raise RuntimeError(f"fhir-validate ended with {run.returncode}: {run.stderr[-2000:]}")
    found: list[str] = []
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    if len(outcomes) != len(resources):
        raise RuntimeError(f"{len(resources)} resources, {len(outcomes)} outcomes: {run.stderr[-2000:]}")
    for outcome in outcomes:
        what = f"{outcome['resourceType']}/{outcome['id']} (line {outcome['line']})"
        found += [f"{what}: {issue['location']}: {issue['diagnostics']}" for issue in outcome["issue"]
                  if issue["severity"] in ("error", "fatal")]
    return found

