"""Clocks: wall and processor time of work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.shapes import REPEATS

Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: wall time, and processor time of all threads of the process, in one unit."""

    wall: float
    cpu: float

    def scaled(self, factor: float) -> Cost:
        """The same in another unit."""
        return Cost(self.wall * factor, self.cpu * factor)


def cost(work: Work) -> Cost:
    """What one call costs, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def median(costs: list[Cost]) -> Cost:
    """The median of each clock."""
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def per_unit(*works: Work, units: int, repeats: int = REPEATS) -> list[Cost]:
    """Microseconds per unit of each work: the median of ``repeats`` calls after one that is not counted.

    Several works take turns, so that a slow moment of the machine meets all of them.
    """
    for work in works:
        work()
    costs: list[list[Cost]] = [[] for _ in works]
    for _ in range(repeats):
        for work, own in zip(works, costs, strict=True):
            own.append(cost(work))
    return [median(own).scaled(1e6 / units) for own in costs]


def walls(names: Iterable[str], costs: Iterable[Cost]) -> dict[str, float]:
    """The wall times, by name."""
    return {name: spent.wall for name, spent in zip(names, costs, strict=True)}


def many(work: Work, times: int) -> Work:
    """The work so many times in a row."""

    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated
