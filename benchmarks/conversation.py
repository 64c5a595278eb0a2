"""A conversation: its texts, and what its turns cost as it grows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clock import Cost, cost, median
from benchmarks.scratch import stored_bytes
from benchmarks.shapes import TEXT, WARM_UP, WINDOW

SESSION = "conversation"
USER = "user"

_WORDS = [
    first + second
    for first in ("ba", "cor", "de", "fal", "gi", "lu", "mor", "ne", "pil", "sta")
    for second in ("den", "go", "ker", "li", "mast", "na", "ro", "sil", "ton", "ver")
]


def text(seed: object, size: int = TEXT) -> str:
    """Words of exactly ``size`` characters, the same ones for the same seed."""
    words = random.Random(f"{seed}").choices(_WORDS, k=size // 4)
    return " ".join(words)[:size].ljust(size, ".")


def questions(turns: int) -> list[str]:
    """What the user says, turn by turn."""
    return [text(f"question {number}") for number in range(turns)]


def answers(turns: int) -> list[str]:
    """What the model replies, turn by turn."""
    return [text(f"answer {number}") for number in range(turns)]


def warm_up(turn: Callable[[str, str], Any]) -> None:
    """Another conversation, of WARM_UP turns, by the same means. ``turn(question, session)``."""
    for question in questions(WARM_UP):
        turn(question, "warm-up")


class Growth:
    """Takes the turns of one conversation. ``turn(question, session)`` is all that is measured."""

    def __init__(self, turn: Callable[[str, str], Any], turns: int, file: Path) -> None:
        self._turn = turn
        self._file = file
        self._before = stored_bytes(file)
        self._questions = iter(questions(turns))
        self._costs: list[Cost] = []

    def up_to(self, turns: int) -> None:
        """Go on until there were so many turns."""
        while len(self._costs) < turns:
            self._costs.append(cost(partial(self._turn, next(self._questions), SESSION)))

    def recent(self) -> Cost:
        """Milliseconds of a turn: the median of the last ones, without the very first."""
        return median(self._costs[1:][-WINDOW:]).scaled(1e3)

    def stored(self) -> int:
        """Bytes the conversation takes."""
        return stored_bytes(self._file) - self._before


def marked(marks: Sequence[int], *growths: Growth) -> Iterator[tuple[int, list[tuple[Cost, int]]]]:
    """Each mark with what a turn costs before it, and the bytes stored at it, for every conversation.

    Several conversations take turns in stretches no longer than a window, so that a slow moment of the machine meets all.
    """
    for stop in sorted({*marks, *range(WINDOW, marks[-1], WINDOW)}):
        for growth in growths:
            growth.up_to(stop)
        if stop in marks:
            yield stop, [(growth.recent(), growth.stored()) for growth in growths]
