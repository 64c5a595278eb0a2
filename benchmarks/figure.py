"""Figures: what is measured, in which unit, and what it should come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    A goal is either ``at_most`` (in ``unit``) or ``times`` (the limit); a figure without one is there to be read.
    """

    name: str
    label: str
    unit: str
    at_most: float | None = None
    times: float | None = None

    @property
    def goal(self) -> str:
        """The goal as it is shown."""
        if self.times is not None:
            return f"≤ {self.times:g} limits"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    def met(self, ours: float, ratio: float | None) -> bool | None:
        """Whether the goal is reached; None when there is nothing to say."""
        if self.times is not None:
            return None if ratio is None else ratio <= self.times
        return None if self.at_most is None else ours <= self.at_most


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement: ours, and the limit's in the same process (None: there is no such thing)."""

    ours: float
    limit: float | None = None


Measured = dict[str, Pair]
"""By the names of figures."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how much a part measures. ``shared`` lasts as long as the suite, ``folder`` as long as the part."""

    folder: Path
    shared: Path
    quick: bool


Part = Callable[[Place], Measured]
"""A piece of a case that runs in a process of its own."""


@dataclass(frozen=True, slots=True)
class Case:
    """Figures that belong together, and the parts that measure them."""

    name: str
    figures: tuple[Figure, ...]
    parts: Mapping[str, Part]
