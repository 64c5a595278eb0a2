"""A conversation: its texts, and what its turns cost as it grows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from benchmarks.amounts import TEXT, WINDOW
from benchmarks.clock import Cost, cost, median
from benchmarks.gauge import Gauge

SESSION = "conversation"
USER = "user"

_WORDS = [
    first + second
    for first in ("ba", "cor", "de", "fal", "gi", "lu", "mor", "ne", "pil", "sta")
    for second in ("den", "go", "ker", "li", "mast", "na", "ro", "sil", "ton", "ver")
]


class Talk(Protocol):
    """A conversation with somebody who answers at once. Made, it has opened its store and read nothing of a session."""

    def turn(self, question: str, session: str = SESSION) -> object:
        """One question and its answer, stored."""

    def needed(self) -> int:
        """Read what the next turn needs; how many messages that are, of those of three runs at least."""

    def all(self) -> int:
        """Read the whole conversation; how many messages it has."""


def text(seed: object, size: int = TEXT) -> str:
    """Words of exactly ``size`` characters, the same ones for the same seed."""
    words = random.Random(f"{seed}").choices(_WORDS, k=size // 4)
    return " ".join(words)[:size].ljust(size, ".")


def questions(turns: int) -> Iterator[str]:
    """What the user says, turn by turn."""
    return (text(f"question {number}") for number in range(turns))


def answers(known: int = 100) -> Iterator[str]:
    """What the model replies, turn by turn, without end. Made beforehand: taking one costs nothing."""
    made = [text(f"answer {number}") for number in range(known)]
    while True:
        yield from made


class Growth:
    """Takes the turns of one conversation, and keeps what the last ones cost."""

    def __init__(self, talk: Talk, turns: int, gauge: Gauge) -> None:
        self._talk = talk
        self._gauge = gauge
        self._questions = questions(turns)
        self._costs: list[Cost] = []

    def up_to(self, turns: int) -> Cost:
        """Go on until there were so many turns; milliseconds of one: the median of the last ones, without the very first. A
        quiet moment is waited for before these.
        """
        while len(self._costs) < turns:
            if len(self._costs) == max(turns - WINDOW, 1):
                self._gauge.wait()
            self._costs.append(cost(partial(self._talk.turn, next(self._questions))))
        return median(self._costs[1:][-WINDOW:]).scaled(1e3)
