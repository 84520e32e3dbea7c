"""`python -m tests.simulation`: many seeds, or one again.

A seed whose promise does not hold is told with what happened step by step; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from adapter.memory import tune_memory
from tests.simulation.world import Broken, run, template


def block(seeds: range) -> list[str]:
    """Run these seeds; what was broken."""
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        empty = template(Path(folder) / "template")
        tune_memory()
        for seed in seeds:
            try:
                run(seed, Path(folder), empty)
            except Broken as error:
                broken.append(str(error))
    return broken


def main() -> int:
    """Run the seeds asked for; 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--workers", type=int, default=2, help="how many processes")
    wanted = parser.parse_args()
    last = wanted.first + wanted.seeds
    blocks = [range(n, min(n + 50, last)) for n in range(wanted.first, last, 50)]
    say = partial(print, flush=True)
    count = done = 0
    with ProcessPoolExecutor(max_workers=wanted.workers) as pool:
        for seeds, broken in zip(blocks, pool.map(block, blocks), strict=True):
            done += len(seeds)
            count += len(broken)
            for told in broken:
                say(told)
            say(f"{done} of {wanted.seeds} seeds, {count} broken")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
