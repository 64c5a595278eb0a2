"""burr: the loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from burr.core import ApplicationBuilder, action, default, expr

from benchmarks.clock import per_unit, walls
from benchmarks.shapes import STEPS


@action(reads=["count"], writes=["count"])
def step(state: Any) -> Any:
    """A step."""
    return state.update(count=state["count"] + 1)


@action(reads=["count"], writes=["count"])
async def astep(state: Any) -> Any:
    """A step, for asyncio."""
    return state.update(count=state["count"] + 1)


@action(reads=["count"], writes=[])
def end(state: Any) -> Any:
    """Where the loop leads."""
    return state


def application(node: Callable[..., Any]) -> Any:
    """An application runs once, so that each run makes one."""
    builder = ApplicationBuilder().with_actions(step=node, end=end).with_state(count=0).with_entrypoint("step")
    return builder.with_transitions(("step", "end", expr(f"count >= {STEPS}")), ("step", "step", default)).build()


def loop(folder: Path, quick: bool) -> dict[str, float]:
    """A loop, sync and async."""
    works = (
        lambda: application(step).run(halt_after=["end"]),
        lambda: asyncio.run(application(astep).arun(halt_after=["end"])),
    )
    return walls(("loop.sync", "loop.async"), per_unit(*works, units=STEPS))


PARTS = {"machine.loop": loop}
