"""Case J: the shapes of langgraph's own benchmark, driven as it drives them: streamed, and checkpointed in memory or not."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.adapters import adapter
from benchmarks.amounts import repeats
from benchmarks.clock import many, often, per_unit
from benchmarks.figure import Case, Faster, Figure, Measured, Part, Place
from benchmarks.work import Mode

SIZES: dict[str, tuple[tuple[int | str, ...], float]] = {
    "chain": ((10, 1_000), 15),
    "fan_out": ((10, 100), 15),
    "react": ((10, 100), 5),
    "wide": (
        (
            *(f"dataclass-{size}" for size in ("25x300", "15x600", "9x1200")),
            *(f"{form}-9x1200" for form in ("typeddict", "pydantic")),
        ),
        5,
    ),
}
"""How large each shape is, and how many times as fast as langgraph it should be."""
WORDS = {
    "chain": "chain of {} nodes",
    "fan_out": "fan-out to {} nested graphs",
    "react": "agent, {} tool calls",
    "wide": "wide state, {}",
}


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Milliseconds of whole runs, and how many parts came out of one."""
    shape = getattr(adapter(subject, "shapes"), part.options["shape"])
    run = shape(part.options["size"], part.options["mode"], place.store(part.options["store"]))
    times = often(run)
    spent = per_unit(many(run, times), times, repeats(place.size), place.gauge).scaled(1e-3)
    return {**spent.figures(), "parts": run()}


def parts() -> Iterator[Part]:
    """Each size of each shape, sync and async, with and without a checkpointer."""
    modes: tuple[Mode, ...] = ("sync", "async")
    for shape, (sizes, goal) in SIZES.items():
        for size in sizes:
            for store in ("none",) if shape == "chain" else ("none", "memory"):
                for mode in modes:
                    label = WORDS[shape].format(size) + (", checkpoints" if store == "memory" else "")
                    figure = Figure("wall", label + (", async" if mode == "async" else ""), "ms", Faster(goal))
                    yield Part(
                        f"{shape}-{size}-{store}-{mode}",
                        (figure, Figure("cpu", "… processor time", "ms")),
                        ("langgraph",),
                        limit=False,
                        options={"shape": shape, "size": size, "store": store, "mode": mode},
                    )


CASE = Case("J", "shapes", "langgraph's own shapes", "none", tuple(parts()), measure)
