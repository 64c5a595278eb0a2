"""Figures: what is measured, in which unit, and what it should come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.gauge import Gauge
from benchmarks.store import Store, StoreKind, fresh_database, numbers

GRAPHFLOW = "graphflow"
LIMIT = "limit"
"""The least that does the same work: plain calls, sqlite3, psycopg."""

Size = Literal["quick", "normal", "long"]
Measured = dict[str, float]
"""By the names of figures."""


# --- goals -----------------------------------------------------------------------------------------------------------------

Ratios = Mapping[str, float]
"""How many times a subject's cost graphflow's is, by subject."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a subject took, in units of the goal, on the machine where that was set. Units are of one machine: on another the
    goal is reached in proportion where graphflow is as far ahead of the subject as it had to be there.
    """

    subject: str
    took: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """No more than so many units."""

    value: float
    beside: Beside | None = None

    def __str__(self) -> str:
        return f"≤ {self.value:g}{_or_in_proportion(self)}"

    @property
    def share(self) -> float | None:
        """The ratio to ``beside`` that is the same."""
        return None if self.beside is None else self.value / self.beside.took

    def met(self, ours: float, ratios: Ratios, best: str | None) -> bool | None:
        """Whether it is reached."""
        return ours <= self.value


@dataclass(frozen=True, slots=True)
class AtLeast:
    """No fewer than so many units."""

    value: float
    beside: Beside | None = None

    def __str__(self) -> str:
        return f"≥ {self.value:,g}{_or_in_proportion(self)}"

    @property
    def share(self) -> float | None:
        """The ratio to ``beside`` that is the same."""
        return None if self.beside is None else self.beside.took / self.value

    def met(self, ours: float, ratios: Ratios, best: str | None) -> bool | None:
        """Whether it is reached."""
        return ours >= self.value


def _or_in_proportion(goal: AtMost | AtLeast) -> str:
    if goal.beside is None:
        return ""
    subject = goal.beside.subject
    return f", or {goal.share:.2g} {'limits' if subject == LIMIT else f'of {subject}'}"


@dataclass(frozen=True, slots=True)
class Limits:
    """No more than so many times the limit."""

    value: float
    beside = None

    def __str__(self) -> str:
        return f"≤ {self.value:g} limits"

    def met(self, ours: float, ratios: Ratios, best: str | None) -> bool | None:
        """Whether it is reached; None when the limit was not measured."""
        return None if LIMIT not in ratios else ratios[LIMIT] <= self.value


@dataclass(frozen=True, slots=True)
class Faster:
    """At least so many times faster than the best peer."""

    value: float
    beside = None

    def __str__(self) -> str:
        return f"{self.value:g} times as fast as the best peer"

    def met(self, ours: float, ratios: Ratios, best: str | None) -> bool | None:
        """Whether it is reached; None when no peer was measured."""
        return None if best is None or best not in ratios else ratios[best] * self.value <= 1


Goal = AtMost | AtLeast | Limits | Faster


def in_proportion(goal: Goal, ratios: Ratios) -> bool:
    """Whether a goal in units is reached beside who was measured when it was set."""
    if goal.beside is None or goal.share is None or goal.beside.subject not in ratios:
        return False
    return ratios[goal.beside.subject] <= goal.share


# --- what is measured ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. A figure without a goal is there to be read."""

    name: str
    label: str
    unit: str
    goal: Goal | None = None
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a case, measured for one subject in a process of its own."""

    name: str
    figures: tuple[Figure, ...]
    peers: tuple[str, ...] = ()
    """Who else can do it; see ``benchmarks.peers.SUBJECTS``."""
    limit: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the case's function needs to know."""
    long: bool = False
    """Takes minutes: left out unless asked for."""
    longer: bool = False
    """With ``--long`` more is done, which takes minutes."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ours, the limit, the peers."""
        return (GRAPHFLOW, *([LIMIT] if self.limit else []), *self.peers)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how much is measured. ``shared`` lasts as long as the suite, ``folder`` as long as the measurement."""

    folder: Path
    shared: Path
    size: Size
    server: str | None
    """The URL of a PostgreSQL."""
    gauge: Gauge

    def store(self, kind: StoreKind, synchronous: str = "full", database: str | None = None) -> Store:
        """A new store of its own, another one at every call; ``database`` names one that lasts as long as the suite."""
        if kind == "sqlite":
            file = self.shared / f"{database}.db" if database else self.folder / f"store-{next(numbers)}.db"
            return Store(kind, file, None, synchronous)
        if kind == "postgres":
            if self.server is None:
                raise SystemExit("there is no PostgreSQL")
            return Store(kind, None, fresh_database(self.server, database))
        return Store(kind)


Measure = Callable[[str, Part, Place], Measured]
"""Measures a part for the subject of that name."""


@dataclass(frozen=True, slots=True)
class Case:
    """Parts that belong together. ``limit`` says what the least is that they are compared with."""

    letter: str
    name: str
    title: str
    limit: str
    parts: tuple[Part, ...]
    measure: Measure

    def part(self, name: str) -> Part:
        """One of its parts."""
        return next(part for part in self.parts if part.name == name)
