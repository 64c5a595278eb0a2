"""What every picture of a graph shows, before it is Mermaid, text or SVG: shapes, and lines between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from graphflow.core.control import END, START
from graphflow.core.plan import NodePlan, Plan
from graphflow.draw.ways import Way, ways_of

ShapeKind = Literal["start", "end", "node", "flow", "graph", "all", "any"]

ANY = "__any__"
"""The key of the circle "any"; no node can be called so."""

MAX_OPEN = 12
"""More undeclared ways than this, from several nodes, are drawn by way of one circle "any"."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Something a line leads to."""

    key: str
    kind: ShapeKind
    """start, end · node: of a user's function, flow: ready-made, graph: nested · all: a join, any: one of what follows."""
    text: str
    deferred: bool = False
    inner: Plan | None = None
    """The graph inside, of a nested one."""


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow between two shapes."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False
    """Whether it is chosen at run time."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph as it is drawn. END is there only if something leads to it."""

    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]


def picture_of(plan: Plan) -> Picture:
    """The picture of a graph; those of nested ones are made from ``Shape.inner``."""
    ways = ways_of(plan)
    lines = tuple(dict.fromkeys([*_taken(ways), *_joined(plan), *_open([way for way in ways if way.open])]))
    shapes = [Shape(START, "start", "START"), *map(_shape, plan.nodes.values())]
    shapes += [Shape(circle(join.key), "all", "all") for join in plan.joins]
    shapes += [Shape(ANY, "any", "any")] if any(line.target == ANY for line in lines) else []
    shapes += [Shape(END, "end", "END")] if any(line.target == END for line in lines) else []
    return Picture(tuple(dict.fromkeys(shapes)), lines)


def kind_of(node: NodePlan) -> Literal["node", "flow", "graph"]:
    """What a node is to readers: a nested graph, a ready-made flow, or a function of the user's."""
    if node.graph is not None:
        return "graph"
    return "flow" if node.function.own.kind == "flow" else "node"


def circle(join: str) -> str:
    """What stands for a join among the names of nodes, none of which can be like it."""
    return f"__join__{join}"


def _shape(node: NodePlan) -> Shape:
    return Shape(node.name, kind_of(node), node.name, node.defer, node.graph)


def _taken(ways: Iterable[Way]) -> Iterator[Line]:
    return (Line(way.source, way.target, way.label, way.kind != "edge") for way in ways if way.kind != "join" and not way.open)


def _joined(plan: Plan) -> Iterator[Line]:
    for join in plan.joins:
        yield from (Line(source, circle(join.key)) for source in join.sources)
        yield Line(circle(join.key), join.target)


def _open(ways: list[Way]) -> list[Line]:
    """Undeclared ways: few as they are, many by way of one circle, so that n nodes do not need n² lines."""
    sources = dict.fromkeys(way.source for way in ways)
    if len(ways) <= MAX_OPEN or len(sources) == 1:
        return [Line(way.source, way.target, dashed=True) for way in ways]
    targets = dict.fromkeys(way.target for way in ways)
    return [*(Line(source, ANY, dashed=True) for source in sources), *(Line(ANY, target, dashed=True) for target in targets)]
