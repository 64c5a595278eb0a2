"""A conversation: its texts, and what its turns cost as it grows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clock import Cost, cost, median
from benchmarks.scratch import stored_bytes
from benchmarks.shapes import TEXT, WINDOW

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


class Growth:
    """Takes the turns of one conversation, mark by mark. ``turn(question)`` is all that is measured."""

    def __init__(self, turn: Callable[[str], Any], turns: int, file: Path) -> None:
        self._turn = turn
        self._questions: Iterator[str] = iter(questions(turns))
        self._file = file
        self._turns = 0

    def up_to(self, mark: int) -> tuple[Cost, int]:
        """Milliseconds of a turn just before the mark, and the bytes stored at it."""
        costs: list[Cost] = []
        while self._turns < mark:
            self._turns += 1
            spent = cost(partial(self._turn, next(self._questions)))
            if self._turns > max(1, mark - WINDOW):
                costs.append(spent)
        return median(costs).scaled(1e3), stored_bytes(self._file)
