"""A graph as plain text, for terminals and logs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from graphflow.core.plan import Plan
from graphflow.draw.canvas import Canvas
from graphflow.draw.layout import Box, Layout, Metric, Route, Span, Wire, lay_out
from graphflow.draw.lettering import columns, lines_of
from graphflow.draw.picture import Line, Picture, Shape, picture_of

COLUMNS = 100
"""A picture that is wider is drawn from left to right instead, if that is narrower."""


def draw_ascii(plan: Plan) -> str:
    """The graph as plain text, top down; from left to right where that would take more than 100 columns.

    Arrows of ``|`` and ``-`` are always taken, those of ``:`` and ``.`` are chosen at run time; see ``draw_mermaid``, which
    shows the same. ``+`` is where a line turns or parts; where one is broken by another they only cross. A nested graph is
    drawn inside its node. Letters beyond ASCII are only those of names.
    """
    standing = _rows(plan, lying=False)
    if _width(standing) > COLUMNS:
        lying = _rows(plan, lying=True)
        standing = min(standing, lying, key=_width)
    return "\n".join(standing) + "\n"


def _rows(plan: Plan, lying: bool) -> list[str]:
    picture = picture_of(plan)
    texts = {shape.key: _text(shape, lying) for shape in picture.shapes}
    ports = _ports(picture)
    boxes = [Box(shape.key, *_size(shape, texts[shape.key], ports[shape.key], lying)) for shape in picture.shapes]
    wires = [Wire(line.source, line.target, line.dashed, _label_size(line, lying)) for line in picture.lines]
    layout = lay_out(boxes, wires, LYING if lying else STANDING)
    canvas = Canvas(lying)
    _draw_lines(canvas, layout)
    for shape, box in zip(picture.shapes, layout.boxes, strict=True):
        _draw_shape(canvas, box, texts[shape.key])
    for line, route in zip(picture.lines, layout.routes, strict=True):
        if route.label is not None:
            _write(canvas, route.label, [_label(line, lying)])
    return canvas.rows()


def _width(rows: Sequence[str]) -> int:
    return max(map(columns, rows), default=0)


# --- shapes --------------------------------------------------------------------------------------------------------------


def _text(shape: Shape, lying: bool) -> list[str]:
    if shape.kind in ("start", "end", "all", "any"):
        return [f"({shape.text})"]
    lines = lines_of(shape.text, 24, rest="...")
    if shape.deferred:
        lines.append("(deferred)")
    if shape.inner is not None:
        lines += ["", *_rows(shape.inner, lying)]
    return lines


def _ports(picture: Picture) -> dict[str, int]:
    """How many ends of lines the busier side of each shape has: one for solid lines, one for dashed ones."""
    leaving: dict[str, set[bool]] = {shape.key: set() for shape in picture.shapes}
    arriving: dict[str, set[bool]] = {shape.key: set() for shape in picture.shapes}
    for line in picture.lines:
        leaving[line.source].add(line.dashed)
        arriving[line.target].add(line.dashed)
    return {key: max(len(leaving[key]), len(arriving[key])) for key in leaving}


def _size(shape: Shape, text: Sequence[str], ports: int, lying: bool) -> tuple[int, int]:
    """Across and along; odd across, so that there is a middle."""
    frame = 0 if shape.kind in ("start", "end", "all", "any") and (ports < 2 or not lying) else 2
    width, height = _width(text) + 2 * frame, len(text) + frame
    across, along = (height, width) if lying else (width, height)
    return max(across, 2 * ports + 1 if frame or not lying else 1) | 1, along


def _draw_shape(canvas: Canvas, box: Box, text: Sequence[str]) -> None:
    left, top, width, height = _area(canvas, box)
    if height > 2:
        for row in range(1, height - 1):
            canvas.write(left, top + row, "|" + " " * (width - 2) + "|")
        for row in (0, height - 1):
            canvas.write(left, top + row, "+" + "-" * (width - 2) + "+")
    _write(canvas, box, text)


def _write(canvas: Canvas, box: Box, text: Sequence[str]) -> None:
    """Text in the middle of a box. What follows an empty line is a picture, whose rows are kept together."""
    left, top, width, height = _area(canvas, box)
    title = text.index("") if "" in text else len(text)
    inner = _width(text[title:])
    for row, line in enumerate(text, top + (height - len(text)) // 2):
        own = inner if row - top - (height - len(text)) // 2 >= title else columns(line)
        canvas.write(left + (width - own) // 2, row, line)


def _area(canvas: Canvas, box: Box) -> tuple[int, int, int, int]:
    """The box on the sheet: column, row, width and height."""
    side = box.centre - box.across // 2
    if canvas.lying:
        return box.start, side, box.along, box.across
    return side, box.start, box.across, box.along


# --- labels --------------------------------------------------------------------------------------------------------------


def _label(line: Line, lying: bool) -> str:
    text = lines_of(line.label, 24, 1, "...")[0]
    return f" {text} " if lying else text


def _label_size(line: Line, lying: bool) -> tuple[int, int] | None:
    if not line.label:
        return None
    width = columns(_label(line, lying))
    return (1, width) if lying else (width | 1, 1)


# --- lines ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Net:
    """Lines that share a bar in a gap: those that leave one end of a shape together, or that all lead to the same ends."""

    before: set[int]
    """Where it meets the layer above."""
    after: set[int]
    """Where it meets the layer below."""
    dashed: bool
    row: int = 0
    """The row of its bar, from 0."""
    rest: _Net | None = None
    """Its second half, with a bar of its own further down, where one bar would run into others; ``after`` leads there."""
    is_rest: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """The columns its bar begins and ends at."""
        return min(self.before | self.after), max(self.before | self.after)


def _port(route: Route) -> Hashable:
    return route.wire.dashed


def _gap(spans: Sequence[Span]) -> int:
    """A row to leave by, the rows of the bars, a row for the arrowheads."""
    return 2 + max((net.row + 1 for net in _nets(spans) if _bends(net)), default=0)


STANDING = Metric(shapes=3, bends=2, ports=2, inset=1, port_of=_port, gap=_gap)
LYING = Metric(shapes=1, bends=1, ports=2, inset=1, port_of=_port, gap=lambda spans: 2 + _gap(spans))


def _nets(spans: Iterable[Span]) -> list[_Net]:
    """The nets of a gap, with their rows. Spans of one beginning are one net; so are nets that lead to the same ends."""
    by_begin: dict[Hashable, list[Span]] = {}
    for span in spans:
        by_begin.setdefault((span.begin, span.begins_above, span.dashed), []).append(span)
    by_ends: dict[Hashable, list[Span]] = {}
    for group in by_begin.values():
        by_ends.setdefault(frozenset((s.end, s.ends_above, s.dashed) for s in group), []).extend(group)
    nets = []
    for group in by_ends.values():
        sides = [(s.begin, s.begins_above) for s in group] + [(s.end, s.ends_above) for s in group]
        before, after = ({place for place, is_above in sides if is_above is side} for side in (True, False))
        nets.append(_Net(before, after, group[0].dashed))
    return _laid(nets)


def _bends(net: _Net) -> bool:
    return len(net.before | net.after) > 1


def _laid(nets: list[_Net]) -> list[_Net]:
    """Give each bar the first row where it has room and lies below the bars whose lines come down where its own go on.

    Where bars wait for each other in a circle, one is parted in two with a column to itself between them (a dogleg).
    """
    taken = {place for net in nets for place in net.before | net.after}
    waiting = [net for net in nets if _bends(net)]
    rows: list[list[tuple[int, int]]] = []
    done = [net for net in nets if not _bends(net)]
    while waiting:
        net = next((net for net in waiting if not any(_is_above(other, net) for other in waiting)), None)
        if net is None:
            parted = waiting.pop(0)
            column = next(c for c in count(parted.reach[1] + 2) if not taken & {c - 1, c, c + 1})
            taken.add(column)
            rest = _Net({column}, parted.after, parted.dashed, is_rest=True)
            waiting += [_Net(parted.before, {column}, parted.dashed, rest=rest), rest]
            continue
        waiting.remove(net)
        # A row stays free between two bars that end in one column, or their corners would seem to meet.
        net.row = max((other.row + (1 if other.rest is net else 2) for other in done if _is_above(other, net)), default=0)
        first, last = net.reach
        while net.row < len(rows) and any(first <= end + 1 and begin <= last + 1 for begin, end in rows[net.row]):
            net.row += 1
        rows += [[] for _ in range(net.row + 1 - len(rows))]
        rows[net.row].append((first, last))
        done.append(net)
    return done


def _is_above(net: _Net, other: _Net) -> bool:
    """Whether a net's bar has to be above that of another."""
    if net is other or net.is_rest:
        return False
    return net.rest is other or bool(net.before & other.after)


def _draw_lines(canvas: Canvas, layout: Layout) -> None:
    gaps: dict[int, list[Span]] = {}
    for route in layout.routes:
        _draw_ends(canvas, layout, route)
        for span in route.spans:
            gaps.setdefault(span.gap, []).append(span)
    for gap, spans in gaps.items():
        begin = layout.layers[gap - 1][1] if gap else 0
        end = layout.layers[gap][0] if gap < len(layout.layers) else layout.along
        for net in _nets(spans):
            _draw_net(canvas, net, begin, end)


def _draw_net(canvas: Canvas, net: _Net, begin: int, end: int) -> None:
    if net.dashed:
        canvas.dash(net)
    if not _bends(net):
        for across in net.before:
            canvas.along(net, across, begin, end)
        return
    bar = begin + 1 + net.row
    canvas.bar(net, bar, net.before, net.after)
    for across in () if net.is_rest else net.before:
        canvas.along(net, across, begin, bar)
    for across in net.after:
        canvas.along(net, across, bar + 1, end if net.rest is None else begin + 1 + net.rest.row)


def _draw_ends(canvas: Canvas, layout: Layout, route: Route) -> None:
    """What of a line is in the layers: from the source to the layer's end, through bends, from the layer's begin to the tip."""
    if route.wire.dashed:
        canvas.dash(route)
    source, target = route.boxes[0], route.boxes[-1]
    canvas.along(route, route.spans[0].begin, source.start + source.along, layout.layers[source.rank][1])
    for bend in route.boxes[1:-1]:
        begin, end = layout.layers[bend.rank]
        canvas.along(route, bend.centre, begin, end)
        if route.back:
            canvas.put(bend.centre, (begin + end) // 2, "<" if canvas.lying else "^")
    tip = route.spans[-1].end
    canvas.along(route, tip, layout.layers[target.rank][0], target.start)
    canvas.put(tip, target.start - 1, ">" if canvas.lying else "v")
