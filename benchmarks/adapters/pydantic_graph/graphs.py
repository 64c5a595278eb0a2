"""pydantic-graph's loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_graph import GraphBuilder, StepContext

from benchmarks.work import Mode, wait


@dataclass
class State:
    """How far it is."""

    count: int = 0


def loop_of(steps: int) -> Any:
    """One step that runs ``steps`` times."""
    builder: Any = GraphBuilder(state_type=State, input_type=int, output_type=int)

    async def bump(ctx: StepContext[State, None, int]) -> int:
        ctx.state.count += 1
        return ctx.state.count

    step = builder.step(bump)
    enough = builder.match(int, matches=lambda count: count >= steps).to(builder.end_node)
    more = builder.decision().branch(enough).branch(builder.match(int).to(step))
    builder.add(builder.edge_from(builder.start_node).to(step), builder.edge_from(step).to(more))
    return builder.build()


def counting(shape: str, mode: Mode, steps: int) -> Callable[[], None]:
    """A run of the loop."""
    graph = loop_of(steps)

    def once() -> None:
        assert wait(graph.run(state=State(), inputs=0)) == steps

    return once
