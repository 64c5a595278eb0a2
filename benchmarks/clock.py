"""Clocks: wall and processor time of work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmarks.gauge import Gauge

Work = Callable[[], Any]
LONG_ENOUGH: Final = 0.05
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: wall time, and processor time of all threads of the process, in one unit."""

    wall: float
    cpu: float

    def scaled(self, factor: float) -> Cost:
        """The same in another unit."""
        return Cost(self.wall * factor, self.cpu * factor)

    def figures(self) -> dict[str, float]:
        """As figures."""
        return {"wall": self.wall, "cpu": self.cpu}


def cost(work: Work) -> Cost:
    """What one call costs, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def median(costs: list[Cost]) -> Cost:
    """The median of each clock."""
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def per_unit(work: Work, units: int, repeats: int, gauge: Gauge) -> Cost:
    """Microseconds per unit of the work: the median of ``repeats`` calls in quiet moments, after one that is not counted."""
    work()
    return median(gauge.take(partial(cost, work), repeats)).scaled(1e6 / units)


def often(work: Work) -> int:
    """How many times in a row the work takes ``LONG_ENOUGH``, as ``timeit`` finds it out: the first calls of what takes
    microseconds show how an interpreter warms up.
    """
    times = 1
    while cost(many(work, times)).wall < LONG_ENOUGH:
        times *= 2
    return times


def many(work: Work, times: int) -> Work:
    """The work so many times in a row."""

    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated
