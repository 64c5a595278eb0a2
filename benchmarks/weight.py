"""Weight: what an object keeps in memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.shapes import KEPT


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
