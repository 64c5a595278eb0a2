"""A graph as an SVG picture that needs no other program, for notebooks and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from graphflow.core.plan import Plan
from graphflow.draw.layout import Box, Layout, Metric, Route, Span, Wire, lay_out
from graphflow.draw.lettering import lines_of, pixels, printable
from graphflow.draw.picture import Line, Picture, Shape, picture_of

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
SIZE, SMALL = 14, 12
"""Pixels of names and of labels."""
ROW = 18
"""Pixels from one line of a name to the next."""
WIDE = 2400
"""A picture that is wider leads from left to right instead, if that is narrower: pages scroll down more easily."""
MARGIN = 16
"""Pixels round the picture, and round that of a nested graph."""
INK, LINE = "#1f2937", "#64748b"
FILL = {"node": "#eef2ff", "flow": "#ecfdf5", "graph": "#f8fafc", "start": "#1f2937", "end": "#1f2937"}
EDGE = {"node": "#6366f1", "flow": "#10b981", "graph": "#94a3b8", "start": "#1f2937", "end": "#1f2937"}


def draw_svg(plan: Plan) -> str:
    """The graph as a whole SVG file, top down, on a white ground; from left to right where it would be very wide.

    Solid arrows are always taken, dashed ones are chosen at run time; see ``draw_mermaid``, which shows the same. Green: a
    ready-made node. A nested graph is drawn inside its node. A name that does not fit is cut; the whole of it is shown where
    the pointer rests.
    """
    drawn = _drawing(plan)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawn.width} {drawn.height}" '
        f'width="{drawn.width}" height="{drawn.height}" '
        f'font-family="{FONT}" font-size="{SIZE}" text-anchor="middle" role="img">\n'
        f"<title>{_text(plan.name)}</title>\n"
        f'<rect width="{drawn.width}" height="{drawn.height}" rx="8" fill="#ffffff"/>\n' + "\n".join(drawn.body) + "\n</svg>\n"
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A graph's picture: its elements, and its size in pixels."""

    body: list[str]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A layout on its sheet. A standing one leads down, a lying one to the right."""

    layout: Layout
    lying: bool

    def point(self, across: int, along: float) -> str:
        """A place, as SVG writes it."""
        return f"{along:g} {across}" if self.lying else f"{across} {along:g}"

    def area(self, box: Box) -> tuple[int, int, int, int]:
        """Left, top, width and height of a box."""
        side = box.centre - box.across // 2
        return (box.start, side, box.along, box.across) if self.lying else (side, box.start, box.across, box.along)


def _drawing(plan: Plan) -> _Drawing:
    picture = picture_of(plan)
    inside = {shape.key: _drawing(shape.inner) for shape in picture.shapes if shape.inner is not None}
    sheet = _sheet(picture, inside, lying=False)
    if sheet.layout.across > WIDE:
        sheet = min(sheet, _sheet(picture, inside, lying=True), key=_width)
    layout = sheet.layout
    parts = [_path(route, sheet) for route in layout.routes]
    for shape, box in zip(picture.shapes, layout.boxes, strict=True):
        parts += _shape(shape, sheet.area(box), inside.get(shape.key))
    for line, route in zip(picture.lines, layout.routes, strict=True):
        if route.label is not None:
            parts += _label(line, sheet.area(route.label))
    width, height = (layout.along, layout.across) if sheet.lying else (layout.across, layout.along)
    body = [f'<g transform="translate({MARGIN} {MARGIN})">', *parts, "</g>"]
    return _Drawing(body, width + 2 * MARGIN, height + 2 * MARGIN)


def _sheet(picture: Picture, inside: Mapping[str, _Drawing], lying: bool) -> _Sheet:
    boxes = [Box(shape.key, *_turned(_size(shape, inside.get(shape.key)), lying)) for shape in picture.shapes]
    wires = [
        Wire(line.source, line.target, line.dashed, _turned(_label_size(line), lying) if line.label else None)
        for line in picture.lines
    ]
    return _Sheet(lay_out(boxes, wires, METRIC), lying)


def _turned(size: tuple[int, int], lying: bool) -> tuple[int, int]:
    """Width and height as across and along."""
    return (size[1], size[0]) if lying else size


def _width(sheet: _Sheet) -> int:
    return sheet.layout.along if sheet.lying else sheet.layout.across


# --- shapes --------------------------------------------------------------------------------------------------------------


def _size(shape: Shape, inner: _Drawing | None) -> tuple[int, int]:
    if shape.kind in ("all", "any"):
        return 34, 34
    lines = _name(shape)
    width = ceil(max(pixels(line, SIZE) for line in lines)) + 28
    if shape.kind in ("start", "end"):
        return width, 30
    height = ROW * len(lines) + 18 + (14 if shape.deferred else 0)
    if inner is not None:
        return max(width, inner.width), height + inner.height - MARGIN
    return max(width, 64), height


def _name(shape: Shape) -> list[str]:
    return lines_of(shape.text, 28)


def _shape(shape: Shape, area: tuple[int, int, int, int], inner: _Drawing | None) -> list[str]:
    left, top, width, height = area
    middle = left + width // 2
    if shape.kind in ("all", "any"):
        circle = f'<circle cx="{middle}" cy="{top + 17}" r="17" fill="#ffffff" stroke="{LINE}"/>'
        return [circle, f'<text x="{middle}" y="{top + 21}" font-size="{SMALL}" fill="{INK}">{shape.text}</text>']
    round_ends = shape.kind in ("start", "end")
    frame = (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{15 if round_ends else 6}" '
        f'fill="{FILL[shape.kind]}" stroke="{EDGE[shape.kind]}"/>'
    )
    lines = _name(shape)
    first = top + (20 if round_ends else 23)
    parts = [f"<g><title>{_text(shape.text)}</title>", frame, *_rows(lines, middle, first, "#ffffff" if round_ends else INK)]
    if shape.deferred:
        bottom = first + ROW * len(lines) - 3
        parts.append(f'<text x="{middle}" y="{bottom}" font-size="11" font-style="italic" fill="{LINE}">deferred</text>')
    if inner is not None:
        place = f"{middle - inner.width // 2} {top + height - inner.height}"
        parts += [f'<g transform="translate({place})">', *inner.body, "</g>"]
    return [*parts, "</g>"]


def _rows(lines: Sequence[str], middle: int, first: int, ink: str) -> list[str]:
    return [f'<text x="{middle}" y="{first + ROW * n}" fill="{ink}">{_text(line)}</text>' for n, line in enumerate(lines)]


def _text(text: str) -> str:
    return escape(printable(text))


# --- lines ---------------------------------------------------------------------------------------------------------------


def _gap(spans: Sequence[Span]) -> int:
    """High enough for slanting lines not to be flat."""
    widest = max((abs(span.end - span.begin) for span in spans), default=0)
    return 34 + min(90, widest // 6)


METRIC = Metric(shapes=28, bends=18, ports=14, inset=12, port_of=id, gap=_gap)


def _path(route: Route, sheet: _Sheet) -> str:
    """The line as curves between the layers and straight pieces through them, with its arrowhead."""
    source, target, layers = route.boxes[0], route.boxes[-1], sheet.layout.layers
    across = route.spans[0].begin
    path = [f"M{sheet.point(across, source.start + source.along)}"]
    if (edge := layers[source.rank][1]) > source.start + source.along:
        path.append(f"L{sheet.point(across, edge)}")
    for span in route.spans:
        path.append(_curve(span, sheet))
        if span is not route.spans[-1]:
            leaving = layers[span.gap - 1][0] if span.ends_above else layers[span.gap][1]
            path.append(f"L{sheet.point(span.end, leaving)}")
    tip = sheet.point(route.spans[-1].end, target.start)
    path.append(f"L{sheet.point(route.spans[-1].end, target.start - 6)}")
    dash = ' stroke-dasharray="5 4"' if route.wire.dashed else ""
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="{LINE}" stroke-width="1.4"{dash}/>'
        f'<path d="M{tip} {"l-8.5 -4.5 v9" if sheet.lying else "l-4.5 -8.5 h9"} z" fill="{LINE}"/>'
    )


def _curve(span: Span, sheet: _Sheet) -> str:
    """From one side of a gap to the other, or back to the same side in a turn."""
    layers = sheet.layout.layers
    top = layers[span.gap - 1][1] if span.gap else 0
    bottom = layers[span.gap][0] if span.gap < len(layers) else sheet.layout.along
    begin, end = top if span.begins_above else bottom, top if span.ends_above else bottom
    if span.begin == span.end:
        return f"L{sheet.point(span.end, end)}"
    turn = (begin + end) / 2
    if begin == end:
        turn += (bottom - top) * (0.85 if span.begins_above else -0.85)
    return f"C{sheet.point(span.begin, turn)} {sheet.point(span.end, turn)} {sheet.point(span.end, end)}"


def _label_size(line: Line) -> tuple[int, int]:
    lines = _label_rows(line)
    return ceil(max(pixels(text, SMALL) for text in lines)) + 8, 15 * len(lines) + 3


def _label_rows(line: Line) -> list[str]:
    return lines_of(line.label, 28, 2)


def _label(line: Line, area: tuple[int, int, int, int]) -> list[str]:
    left, top, width, height = area
    ground = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="3" fill="#ffffff" fill-opacity="0.9"/>'
    rows = [
        f'<text x="{left + width // 2}" y="{top + 13 + 15 * number}" font-size="{SMALL}" fill="{INK}">{_text(text)}</text>'
        for number, text in enumerate(_label_rows(line))
    ]
    return [f"<g><title>{_text(line.label)}</title>", ground, *rows, "</g>"]
