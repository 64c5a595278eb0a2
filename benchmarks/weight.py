"""Weight: what objects keep in memory, and what this process holds."""

from __future__ import annotations

import gc
import resource
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.amounts import KEPT


def kept_kib(make: Callable[[], Any]) -> float:
    """KiB that live on per object, while KEPT of them are held."""
    make()
    gc.collect()
    tracemalloc.start()
    held = [make() for _ in range(KEPT)]
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(held) / 1024


def resident_mib() -> float:
    """MiB this process has in memory now; its peak where the system does not tell."""
    return _status("VmRSS")


def peak_mib() -> float:
    """MiB this process had in memory at most."""
    return _status("VmHWM")


def _status(name: str) -> float:
    # On Linux ru_maxrss outlives exec: it would tell the peak of whoever started the process.
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
