"""burr's loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from burr.core import ApplicationBuilder, action, default, expr

from benchmarks.work import Mode, wait


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


def counting(shape: str, mode: Mode, steps: int) -> Callable[[], None]:
    """An application runs once, so that each run makes one."""

    def application() -> Any:
        builder = ApplicationBuilder().with_actions(step=astep if mode == "async" else step, end=end)
        builder = builder.with_state(count=0).with_entrypoint("step")
        return builder.with_transitions(("step", "end", expr(f"count >= {steps}")), ("step", "step", default)).build()

    def once() -> None:
        app = application()
        _, _, state = wait(app.arun(halt_after=["end"])) if mode == "async" else app.run(halt_after=["end"])
        assert state["count"] == steps

    return once
