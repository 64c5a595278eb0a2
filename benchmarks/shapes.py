"""How much of everything is measured. The library, the limits and the peers read the same numbers."""

from __future__ import annotations

from typing import Final

STEPS: Final = 1_000
"""Steps of a loop, nodes of a chain, branches of a fan-out."""
REPEATS: Final = 5
"""How often a piece of work is measured within one process, after a first time that is not counted."""

MARKS: Final = (10, 100, 1_000, 10_000)
"""The turns of a conversation that are looked at."""
QUICK_MARKS: Final = MARKS[:-1]
WINDOW: Final = 20
"""A mark's figure is the median of so many turns before it. The very first turn sets things up and never counts."""
WARM_UP: Final = 400
"""Turns of another conversation in the same file beforehand. Without them turn 10 would be dear because the process has just
begun and the write-ahead log still grows, and no later turn could look as if it cost more."""
TEXT: Final = 500
"""Characters of a message."""
CONTEXT: Final = 6
"""Earlier messages a turn reads: those of three runs."""

COLD: Final = 5
"""Fresh processes for one figure, after a first one that is not counted: it may have to write bytecode."""

AGENTS: Final = 300
"""Agents made in a row."""
KEPT: Final = 200
"""Agents held at once, to see what one keeps in memory."""
RUNS: Final = 200
"""Runs of an agent in a row, each in a session of its own."""


FRESH: Final = (10, 1_000, 10_000)
"""Turns of the sessions that a fresh process opens."""
QUICK_FRESH: Final = FRESH[:-1]


def marks(quick: bool) -> tuple[int, ...]:
    """The marks of this suite."""
    return QUICK_MARKS if quick else MARKS


def lengths(quick: bool) -> tuple[int, ...]:
    """The sessions of this suite."""
    return QUICK_FRESH if quick else FRESH
