"""Flows within flows: whoever hands the effects of one on may look at each before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.core.effects import Flow, T


def handed_on(flow: Flow[T], look: Callable[[Any], Flow[Any] | None]) -> Flow[T]:
    """A flow whose effects are those of another, or what ``look`` gives instead of one: a flow, which may have effects of its
    own before. What that raises, and what comes of the effect, goes back into ``flow``.
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
            instead = look(effect)
            if instead is not None:
                effect = yield from instead
            outcome, step = (yield effect), flow.send
        except BaseException as error:
            outcome, step = error, flow.throw
