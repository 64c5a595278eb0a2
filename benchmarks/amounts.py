"""How much of everything is measured: the same numbers for all who are measured."""

from __future__ import annotations

from typing import Final

from benchmarks.figure import Size

STEPS: Final = 1_000
"""Steps of a loop, nodes of a chain, branches of a fan-out."""
REPEATS: Final = 5
"""How often a piece of work is measured within one process, after a first time that is not counted."""

TEXT: Final = 500
"""Characters of a message."""
CONTEXT: Final = 6
"""Earlier messages a turn reads: those of three runs."""
MARKS: Final = (10, 100, 500, 1_000)
"""The turns of a conversation that are looked at."""
WINDOW: Final = 10
"""A mark's figure is the median of so many turns before it. The very first turn sets things up and never counts."""

PAIRS: Final = 10
"""Young conversations of ``WINDOW`` turns that are taken by turns with a long one, to see what its length costs."""

WARM_UP: Final = 100
"""Turns of another conversation in the same store beforehand. Without them turn 10 would be dear because the process has just
begun and the write-ahead log still grows, and no later turn could look as if it cost more."""

COLD: Final = 3
"""Fresh processes for one figure of a round, after a first one that is not counted: it may have to write bytecode."""

AGENTS: Final = 300
"""Agents made in a row."""
KEPT: Final = 200
"""Agents held at once, to see what one keeps in memory."""
RUNS: Final = 200
"""Runs of an agent in a row, each in a session of its own."""

GROUP_RUNS: Final = 50
"""Runs of a team or a workflow in a row, each in a session of its own."""

SESSIONS: Final = 200
"""Sessions that talk at once."""
TURNS: Final = 10
"""Turns of each of them."""
POOL: Final = 20
"""Connections they share."""

OPEN_SESSIONS: Final = {"quick": (100, 10), "normal": (1_000, 20), "long": (1_000, 1_000)}
"""Sessions that a process serves, and how many turns each has in the end."""
SERVED: Final = 20
"""Turns of each that the process serves itself; the sessions begin as copies of one that has the others."""


def repeats(size: Size) -> int:
    """How often within one process."""
    return 2 if size == "quick" else REPEATS


def marks(size: Size) -> tuple[int, ...]:
    """The marks of this suite."""
    return MARKS[:2] if size == "quick" else MARKS
