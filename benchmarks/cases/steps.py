"""Case C: what a step of a graph costs when nothing is stored."""

from __future__ import annotations

from benchmarks.adapters import adapter
from benchmarks.amounts import STEPS, repeats
from benchmarks.clock import cost, median, per_unit
from benchmarks.figure import LIMIT, AtMost, Beside, Case, Figure, Measured, Part, Place


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Microseconds per step of whole runs; of a chain also the milliseconds to declare and compile it."""
    graphs, (shape, mode) = adapter(subject, "graphs"), part.name.split("-")
    run = graphs.counting(shape, mode, STEPS)
    measured = per_unit(run, STEPS, repeats(place.size), place.gauge).figures()
    if any(figure.name == "compile" for figure in part.figures) and hasattr(graphs, "declared"):
        costs = place.gauge.take(lambda: cost(lambda: graphs.declared(shape, mode, STEPS)), repeats(place.size))
        measured["compile"] = median(costs).wall * 1e3
    return measured


def figures(label: str, goal: AtMost) -> tuple[Figure, ...]:
    """The two clocks."""
    return Figure("wall", label, "µs/step", goal), Figure("cpu", "… processor time", "µs/step")


CASE = Case(
    "C",
    "steps",
    "Steps of a graph, nothing stored",
    "calling, or awaiting, the same functions in a loop",
    (
        Part("loop-sync", figures("loop of 1,000 steps", AtMost(4, Beside("burr", 61))), ("langgraph", "burr")),
        Part(
            "loop-async",
            figures("loop of 1,000 steps, async", AtMost(8, Beside("burr", 66))),
            ("langgraph", "burr", "pydantic-graph"),
        ),
        Part(
            "chain-sync",
            (
                *figures("chain of 1,000 nodes", AtMost(4, Beside(LIMIT, 0.15))),
                Figure("compile", "… declaring and compiling it", "ms"),
            ),
            ("langgraph",),
        ),
        Part("chain-async", figures("chain of 1,000 nodes, async", AtMost(8, Beside(LIMIT, 0.32))), ("langgraph",)),
    ),
    measure,
)
