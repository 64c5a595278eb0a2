"""Flows within flows: whoever hands the effects of one on may look at each before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.core.effects import Flow, T


def handed_on(flow: Flow[T], look: Callable[[Any], Flow[Any]]) -> Flow[T]:
    """A flow whose effects are those that ``look`` gives for the effects of another.

    ``look`` may have effects of its own before. What it raises, and what comes of the effect, goes back into ``flow``.
    """
    outcome: Any = None
    step: Callable[[Any], Any] = flow.send
    while True:
        try:
            effect = step(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            effect = yield from look(effect)
            outcome, step = (yield effect), flow.send
        except BaseException as error:
            outcome, step = error, flow.throw
