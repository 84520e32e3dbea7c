"""Seconds of the processor that other processes have used, as Linux tells them."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_of(process: int) -> float:
    """Of one process."""
    return _used(_told(process))


def children_cpu() -> float:
    """Of the processes that this one started and that still run."""
    used = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = _told(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
        used += _used(told) if int(told[1]) == os.getpid() else 0.0
    return used


def _told(process: int) -> list[str]:
    """The fields of /proc/<process>/stat from its state on (proc(5)): its parent is the second."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()


def _used(told: list[str]) -> float:
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
