"""Gauge: tells the quiet moments of a machine.

Where others use the machine, too, the same work takes twice as long in one second as in the next, and a median tells how busy
they were. How long a fixed piece of work takes just before and just after what is measured tells in what moment that was done.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

SAMPLE: Final[dict[str, Any]] = {f"key {n}": {"n": n, "texts": ["a", "b"], "pair": (n, None)} for n in range(40)}
"""Copying and writing it takes about a millisecond: calls, small objects and dicts, as in most Python."""
SLACK: Final = 1.1
"""How many times its best the work may take in a quiet moment."""
WATCHED: Final = 20.0
"""Seconds for which it is repeated to see what its best is."""
PATIENCE: Final = 5.0
"""Seconds for which a process waits for quiet moments at most."""
TRIES: Final = 3
"""How often each sample is taken at most: as often of what takes long as of what is done at once."""


def known_work() -> float:
    """Seconds that it takes now."""
    began = time.perf_counter()
    json.dumps(deepcopy(SAMPLE), indent=1)
    return time.perf_counter() - began


@dataclass
class Gauge:
    """A moment is quiet if the known work takes no longer than ``quiet`` seconds, by default always. Counts what was taken."""

    quiet: float = math.inf
    patience: float = PATIENCE
    """Seconds of it that are left."""
    work: Callable[[], float] = known_work
    """Gives the seconds it takes now."""
    samples: int = 0
    disturbed: int = 0
    """Those of the samples that had to be taken in other moments."""

    @classmethod
    def of_machine(cls, *, quick: bool) -> Self:
        """Set by what the known work takes at its best, its fastest twentieth, within some time; in haste always quiet."""
        if quick:
            return cls()
        taken, ends = [known_work()], time.perf_counter() + WATCHED
        while time.perf_counter() < ends:
            taken.append(known_work())
        return cls(sorted(taken)[len(taken) // 20] * SLACK)

    def __str__(self) -> str:
        return "all" if math.isinf(self.quiet) else f"when the known work of gauge.py takes {self.quiet * 1e3:.2f} ms at most"

    def wait(self) -> None:
        """Until a quiet moment, or until patience is over. What is measured next counts as one sample."""
        self.samples += 1
        self.disturbed += self._begin() > self.quiet

    def take(self, sample: Callable[[], T], count: int) -> list[T]:
        """``count`` samples that began and ended in quiet moments. They are taken until there are so many, ``TRIES`` times as
        many at most; what is missing then is made up from the least disturbed of the others.
        """
        taken: list[tuple[float, T]] = []
        while len(taken) < count or (self._quiet(taken) < count and len(taken) < TRIES * count):
            before, one = self._begin(), sample()
            after = min(self.work(), self.work())  # the first finds in the caches what the sample has left there
            taken.append((max(before, after), one))
        self.samples += count
        self.disturbed += max(count - self._quiet(taken), 0)
        return [one for _, one in sorted(taken, key=lambda pair: pair[0])[:count]]

    def _begin(self) -> float:
        """Wait for a quiet moment; what the work took last."""
        taken = self.work()
        while taken > self.quiet and self.patience > 0:
            self.patience -= taken
            taken = self.work()
        return taken

    def _quiet(self, taken: list[tuple[float, T]]) -> int:
        return sum(moment <= self.quiet for moment, _ in taken)
