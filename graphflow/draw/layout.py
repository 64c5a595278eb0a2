"""A layered layout: where the shapes of a graph stand and which way its lines take, in any unit.

After Sugiyama, Tagawa and Toda (1981): layers by topological order, bends where a line passes through a layer, an order
within each layer that has few crossings, then places. *Along* is the direction the lines lead in, *across* the one of the
layers; whoever draws decides which is down. A line that leads back leaves its node at the bottom like any other, turns, and
goes up round the nodes between.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf

from graphflow.draw.network import ranks

SWEEPS = 12
"""How often the layers are gone through for fewer crossings, and for straighter lines."""


@dataclass(slots=True, eq=False)
class Box:
    """Something that takes room in a layer: a shape, or the place where a line passes through."""

    key: str
    """The shape's key; "" for a bend of a line."""
    across: int
    along: int
    rank: int = 0
    centre: int = 0
    """Of the box, across."""
    start: int = 0
    """Where the box begins, along."""
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)
    beside: list[Box] = field(default_factory=list)
    """For the first and the last bend of a line that leads back: the shape it turns to."""


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """A line to lay."""

    source: str
    target: str
    dashed: bool = False
    label: tuple[int, int] | None = None
    """The room the label needs, across and along."""


@dataclass(slots=True, eq=False)
class Span:
    """The part of a line between two layers. ``gap`` is the number of the layer below it; a side is above or below the gap."""

    gap: int
    begin: int
    end: int
    begins_above: bool
    ends_above: bool
    dashed: bool


@dataclass(slots=True, eq=False)
class Route:
    """The way of a line: source, bends, target, and the spans between them."""

    wire: Wire
    boxes: list[Box]
    back: bool
    spans: list[Span] = field(default_factory=list)

    @property
    def label(self) -> Box | None:
        """The bend that has room for the label."""
        return self.boxes[1] if self.wire.label is not None else None


@dataclass(frozen=True, slots=True)
class Metric:
    """The distances of a drawing."""

    shapes: int
    """Between shapes of a layer."""
    bends: int
    """Between a line that passes a layer and its neighbours."""
    ports: int
    """Between the ends of lines at a shape."""
    inset: int
    """Between the corner of a shape and the end of a line."""
    port_of: Callable[[Route], Hashable]
    """Lines of which this is equal meet at the same end of a shape."""
    gap: Callable[[Sequence[Span]], int]
    """The height of a gap with these spans."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A graph laid out, from 0 on in both directions."""

    boxes: Sequence[Box]
    """The shapes, without bends."""
    routes: Sequence[Route]
    layers: Sequence[tuple[int, int]]
    """Where each layer begins and ends, along."""
    across: int
    along: int


def lay_out(boxes: Sequence[Box], wires: Sequence[Wire], metric: Metric) -> Layout:
    """Give every box its place, and every wire its route."""
    routes = _routes(boxes, wires)
    layers = _ordered(boxes, routes)
    _place(layers, routes, metric)
    _span(routes, metric)
    bounds = _stack(layers, routes, metric)
    across = _shift(layers, routes)
    below = [span for route in routes for span in route.spans if span.gap == len(layers)]
    return Layout(boxes, routes, bounds, across, bounds[-1][1] + (metric.gap(below) if below else 0))


# --- layers --------------------------------------------------------------------------------------------------------------


def _routes(boxes: Sequence[Box], wires: Sequence[Wire]) -> list[Route]:
    """Rank the boxes and give each wire a bend for every layer it passes. Labels get layers of their own."""
    rank, back = ranks((box.key for box in boxes), ((wire.source, wire.target) for wire in wires))
    speaking = {rank[w.source] for w in wires if w.label is not None and (w.source, w.target) not in back}
    home = {box.key: box for box in boxes}
    for box in boxes:
        box.rank = rank[box.key] + sum(1 for other in speaking if other < rank[box.key])
    return [_route(wire, home[wire.source], home[wire.target], (wire.source, wire.target) in back) for wire in wires]


def _route(wire: Wire, source: Box, target: Box, back: bool) -> Route:
    passed = range(source.rank, target.rank - 1, -1) if back else range(source.rank + 1, target.rank)
    bends = [Box("", 1, 1, rank) for rank in passed]
    if wire.label is not None:
        bends[0].across, bends[0].along = wire.label
    if back:
        bends[0].beside.append(source)
        bends[-1].beside.append(target)
        _link(reversed(bends))
    else:
        _link([source, *bends, target])
    return Route(wire, [source, *bends, target], back)


def _link(chain: Iterable[Box]) -> None:
    for upper, lower in pairwise(chain):
        upper.below.append(lower)
        lower.above.append(upper)


def _layers(boxes: Sequence[Box], routes: Sequence[Route], side: int) -> list[list[Box]]:
    """The boxes of each rank, in the order a walk along the lines meets them; bends of lines that lead back stand on one
    side (-1, 1) of the shape the walk came from.
    """
    layers: list[list[Box]] = [[] for _ in range(1 + max(box.rank for box in boxes))]
    leaving: dict[Box, list[Box]] = {}
    returning: dict[Box, list[Box]] = {}
    for route in routes:
        if route.back:
            returning.setdefault(route.boxes[0], []).extend(route.boxes[1:-1])
        else:
            leaving.setdefault(route.boxes[0], []).extend(route.boxes[1:])
    seen: set[Box] = set()
    for root in boxes:
        pending = [root]
        while pending:
            box = pending.pop()
            if box not in seen:
                seen.add(box)
                turning = returning.get(box, [])
                layers[box.rank] += [*(b for b in turning if b.rank == box.rank), box][::-side]
                for bend in turning:
                    seen.add(bend)
                    if bend.rank != box.rank:
                        layers[bend.rank].insert(0 if side < 0 else len(layers[bend.rank]), bend)
                pending += reversed(leaving.get(box, []))
    return layers


# --- order ---------------------------------------------------------------------------------------------------------------


def _ordered(boxes: Sequence[Box], routes: Sequence[Route]) -> list[list[Box]]:
    """The layers with few crossings: lines that lead back are tried on the right and on the left of their shapes."""
    tried = [_sorted(_layers(boxes, routes, side), side) for side in (1, -1)]
    return min(tried, key=lambda attempt: attempt[0])[1]


def _sorted(layers: list[list[Box]], side: int) -> tuple[int, list[list[Box]]]:
    """Sort each layer by where its neighbours stand (the barycentre), down and up in turn; the best order seen stays."""
    place = {box: index for layer in layers for index, box in enumerate(layer)}
    best, fewest = [list(layer) for layer in layers], _crossings(layers, place)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wanted = {box: _barycentre(box, box.above if down else box.below, side, place) for box in layer}
            layer.sort(key=wanted.__getitem__)
            place.update({box: index for index, box in enumerate(layer)})
        crossings = _crossings(layers, place)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return fewest, best


def _barycentre(box: Box, neighbours: list[Box], side: int, place: dict[Box, int]) -> float:
    places = [*(place[other] for other in neighbours), *(place[other] + side / 2 for other in box.beside)]
    return sum(places) / len(places) if places else place[box]


def _crossings(layers: Sequence[Sequence[Box]], place: dict[Box, int]) -> int:
    """How many pairs of lines cross between neighbouring layers, and how many boxes are turned round by those that lead
    back.
    """
    count = 0
    for layer in layers:
        passed: list[int] = []
        for box in layer:
            count += sum(abs(place[box] - place[other]) - 1 for other in box.beside)
            targets = sorted(place[other] for other in box.below)
            count += sum(len(passed) - bisect_left(passed, target + 1) for target in targets)
            for target in targets:
                insort(passed, target)
    return count


# --- places across -------------------------------------------------------------------------------------------------------


def _place(layers: Sequence[Sequence[Box]], routes: Sequence[Route], metric: Metric) -> None:
    """Put each box as near to the middle of its neighbours as the order allows; long lines are kept straight first."""
    room = [[_distance(left, right, metric) for left, right in pairwise(layer)] for layer in layers]
    for layer, distances in zip(layers, room, strict=True):
        for box, centre in zip(layer, spread([0] * len(layer), [1] * len(layer), distances), strict=True):
            box.centre = centre
    for sweep in range(SWEEPS + 1):
        down = sweep % 2 == 0
        for layer, distances in list(zip(layers, room, strict=True))[:: 1 if down else -1]:
            wishes = [_wish(box, box.above if down else box.below, metric) for box in layer]
            centres = spread([wish for wish, _ in wishes], [weight for _, weight in wishes], distances)
            for box, centre in zip(layer, centres, strict=True):
                box.centre = centre
    _straighten(layers, room, routes)


def _straighten(layers: Sequence[Sequence[Box]], room: Sequence[Sequence[int]], routes: Sequence[Route]) -> None:
    """Put all bends of a line below each other where their neighbours leave room for it."""
    least: dict[Box, tuple[Box, int]] = {}
    most: dict[Box, tuple[Box, int]] = {}
    for layer, distances in zip(layers, room, strict=True):
        for (left, right), distance in zip(pairwise(layer), distances, strict=True):
            least[right], most[left] = (left, distance), (right, distance)
    for route in routes:
        bends = route.boxes[1:-1]
        low = max((least[bend][0].centre + least[bend][1] for bend in bends if bend in least), default=-inf)
        high = min((most[bend][0].centre - most[bend][1] for bend in bends if bend in most), default=inf)
        if len(bends) > 1 and low <= high:
            middle = sum(bend.centre for bend in bends) // len(bends)
            for bend in bends:
                bend.centre = int(min(high, max(low, middle)))


def _distance(left: Box, right: Box, metric: Metric) -> int:
    between = metric.shapes if left.key and right.key else metric.bends
    return ceil((left.across + right.across) / 2) + between


def _wish(box: Box, neighbours: Sequence[Box], metric: Metric) -> tuple[float, float]:
    """Where a box would like to be, and how much."""
    pulls = [(other.centre, (1 if other.key else 3) * (1 if box.key else 3)) for other in neighbours]
    for other in box.beside:
        side = 1 if box.centre >= other.centre else -1
        pulls.append((other.centre + side * _distance(box, other, metric), 1))
    weight = sum(pull for _, pull in pulls)
    if not weight:
        return box.centre, 0.1
    return sum(centre * pull for centre, pull in pulls) / weight, weight


def spread(wanted: Sequence[float], weights: Sequence[float], distances: Sequence[int]) -> list[int]:
    """Places in this order, at least so far apart, as near to the wanted ones as possible (in the least squares; the
    pool-adjacent-violators algorithm).
    """
    offsets = [0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=False):
        value, total, size = want - offset, weight, 1
        while pools and pools[-1][0] >= value:
            before, load, count = pools.pop()
            value = (before * load + value * total) / (load + total)
            total, size = load + total, count + size
        pools.append((value, total, size))
    starts = [round(value) for value, _, size in pools for _ in range(size)]
    return [start + offset for start, offset in zip(starts, offsets, strict=False)]


# --- lines ---------------------------------------------------------------------------------------------------------------


def _span(routes: Sequence[Route], metric: Metric) -> None:
    """Give every route its spans; their ends at shapes are put where the line is straight, if the shape is wide enough."""
    for route in routes:
        first, last = route.boxes[0], route.boxes[-1]
        for begin, end in pairwise(route.boxes):
            above = (True, False) if not route.back else (begin is first, end is not last)
            gap = begin.rank if not above[0] else begin.rank + 1
            route.spans.append(Span(gap, begin.centre, end.centre, *above, route.wire.dashed))
    leaving: dict[Box, list[Route]] = {}
    arriving: dict[Box, list[Route]] = {}
    for route in routes:
        leaving.setdefault(route.boxes[0], []).append(route)
        arriving.setdefault(route.boxes[-1], []).append(route)
    for _ in range(2):
        for box, group in leaving.items():
            for route, port in _ports(box, group, [route.spans[0].end for route in group], metric):
                route.spans[0].begin = port
        for box, group in arriving.items():
            for route, port in _ports(box, group, [route.spans[-1].begin for route in group], metric):
                route.spans[-1].end = port


def _ports(box: Box, routes: Sequence[Route], others: Sequence[int], metric: Metric) -> Iterable[tuple[Route, int]]:
    """Where each route meets the box: in the order of where it comes from or goes to."""
    groups: dict[Hashable, list[int]] = {}
    for route, other in zip(routes, others, strict=True):
        groups.setdefault(metric.port_of(route), []).append(other)
    order = sorted(groups, key=lambda key: sum(groups[key]) / len(groups[key]))
    reach, last = max(0, box.across // 2 - metric.inset), len(order) - 1
    apart = min(metric.ports, 2 * reach // max(1, last))
    wanted = [sum(groups[key]) / len(groups[key]) - box.centre for key in order]
    if last == 0 and abs(wanted[0]) > reach:
        wanted = [0]
    places = spread(wanted, [1] * len(order), [apart] * last)
    held = [min(reach - (last - i) * apart, max(i * apart - reach, place)) for i, place in enumerate(places)]
    port = {key: box.centre + place for key, place in zip(order, held, strict=True)}
    return [(route, port[metric.port_of(route)]) for route in routes]


# --- places along --------------------------------------------------------------------------------------------------------


def _stack(layers: Sequence[Sequence[Box]], routes: Sequence[Route], metric: Metric) -> list[tuple[int, int]]:
    """Put the layers below each other, with gaps as high as what passes through them needs."""
    passing: list[list[Span]] = [[] for _ in range(len(layers) + 1)]
    for route in routes:
        for span in route.spans:
            passing[span.gap].append(span)
    bounds: list[tuple[int, int]] = []
    end = 0
    for rank, layer in enumerate(layers):
        begin = end + (metric.gap(passing[rank]) if rank or passing[rank] else 0)
        end = begin + max(box.along for box in layer)
        for box in layer:
            box.start = begin + (end - begin - box.along) // 2
        bounds.append((begin, end))
    return bounds


def _shift(layers: Sequence[Sequence[Box]], routes: Sequence[Route]) -> int:
    """Move everything so that it begins at 0; returns how far it reaches."""
    boxes = [box for layer in layers for box in layer]
    least = min(box.centre - box.across // 2 for box in boxes)
    for box in boxes:
        box.centre -= least
    for route in routes:
        for span in route.spans:
            span.begin -= least
            span.end -= least
    return max(box.centre + ceil(box.across / 2) for box in boxes)
