"""A graph as an SVG picture that needs no other program, for notebooks and pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil

from graphflow.core.plan import Plan
from graphflow.draw.layout import Box, Layout, Metric, Route, Span, Wire, lay_out
from graphflow.draw.lettering import lines_of, pixels, printable
from graphflow.draw.picture import Line, Shape, picture_of

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
SIZE, SMALL = 14, 12
"""Pixels of names and of labels."""
ROW = 18
"""Pixels from one line of a name to the next."""
MARGIN = 16
"""Pixels round the picture, and round that of a nested graph."""
INK, LINE, FAINT = "#1f2937", "#64748b", "#94a3b8"
FILL = {"node": "#eef2ff", "flow": "#ecfdf5", "graph": "#f8fafc", "start": "#1f2937", "end": "#1f2937"}
EDGE = {"node": "#6366f1", "flow": "#10b981", "graph": "#94a3b8", "start": "#1f2937", "end": "#1f2937"}


def draw_svg(plan: Plan) -> str:
    """The graph as a whole SVG file, top down, on a white ground.

    Solid arrows are always taken, dashed ones are chosen at run time; see ``draw_mermaid``, which shows the same. Green: a
    ready-made node. A nested graph is drawn inside its node. A name that does not fit is cut; the whole of it is shown where
    the pointer rests.
    """
    body, width, height = _drawing(plan)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}" font-size="{SIZE}" text-anchor="middle" role="img">\n'
        f"<title>{_text(plan.name)}</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _drawing(plan: Plan) -> tuple[list[str], int, int]:
    """The elements of a graph's picture, and its size."""
    picture = picture_of(plan)
    inside = {shape.key: _drawing(shape.inner) for shape in picture.shapes if shape.inner is not None}
    boxes = [Box(shape.key, *_size(shape, inside)) for shape in picture.shapes]
    wires = [Wire(line.source, line.target, line.dashed, _label_size(line)) for line in picture.lines]
    layout = lay_out(boxes, wires, METRIC)
    parts = [_path(route, layout) for route in layout.routes]
    for shape, box in zip(picture.shapes, layout.boxes, strict=True):
        parts += _shape(shape, box, inside)
    for line, route in zip(picture.lines, layout.routes, strict=True):
        parts += _label(line, route)
    width, height = layout.across + 2 * MARGIN, layout.along + 2 * MARGIN
    return [f'<g transform="translate({MARGIN} {MARGIN})">', *parts, "</g>"], width, height


# --- shapes --------------------------------------------------------------------------------------------------------------


def _size(shape: Shape, inside: dict[str, tuple[list[str], int, int]]) -> tuple[int, int]:
    if shape.kind in ("all", "any"):
        return 34, 34
    lines = _name(shape)
    width = ceil(max(pixels(line, SIZE) for line in lines)) + 28
    if shape.kind in ("start", "end"):
        return width, 30
    height = ROW * len(lines) + 18 + (14 if shape.deferred else 0)
    if shape.key in inside:
        _, inner_width, inner_height = inside[shape.key]
        return max(width, inner_width), height + inner_height - MARGIN
    return max(width, 64), height


def _name(shape: Shape) -> list[str]:
    return lines_of(shape.text, 28)


def _shape(shape: Shape, box: Box, inside: dict[str, tuple[list[str], int, int]]) -> list[str]:
    left, top, middle = box.centre - box.across // 2, box.start, box.centre
    if shape.kind in ("all", "any"):
        circle = f'<circle cx="{middle}" cy="{top + 17}" r="17" fill="#ffffff" stroke="{LINE}"/>'
        return [circle, f'<text x="{middle}" y="{top + 21}" font-size="{SMALL}" fill="{INK}">{shape.text}</text>']
    round_ends = shape.kind in ("start", "end")
    parts = [f"<g><title>{_text(shape.text)}</title>"]
    parts.append(
        f'<rect x="{left}" y="{top}" width="{box.across}" height="{box.along}" rx="{15 if round_ends else 6}" '
        f'fill="{FILL[shape.kind]}" stroke="{EDGE[shape.kind]}"/>'
    )
    ink = "#ffffff" if round_ends else INK
    first = top + (20 if round_ends else 23)
    lines = _name(shape)
    parts += [
        f'<text x="{middle}" y="{first + ROW * number}" fill="{ink}">{_text(line)}</text>' for number, line in enumerate(lines)
    ]
    if shape.deferred:
        bottom = first + ROW * len(lines) - 3
        parts.append(f'<text x="{middle}" y="{bottom}" font-size="11" font-style="italic" fill="{LINE}">deferred</text>')
    if shape.key in inside:
        body, width, height = inside[shape.key]
        down = top + box.along - height
        parts += [f'<g transform="translate({middle - width // 2} {down})">', *body, "</g>"]
    return [*parts, "</g>"]


def _text(text: str) -> str:
    return escape(printable(text))


# --- lines ---------------------------------------------------------------------------------------------------------------


def _gap(spans: Sequence[Span]) -> int:
    """High enough for slanting lines not to be flat."""
    widest = max((abs(span.end - span.begin) for span in spans), default=0)
    return 34 + min(90, widest // 6)


METRIC = Metric(shapes=28, bends=18, ports=14, inset=12, port_of=id, gap=_gap)


def _path(route: Route, layout: Layout) -> str:
    """The line as curves between the layers and straight pieces through them, with its arrowhead."""
    source, target = route.boxes[0], route.boxes[-1]
    begin = route.spans[0].begin
    path = [f"M{begin} {source.start + source.along}"]
    if (edge := layout.layers[source.rank][1]) > source.start + source.along:
        path.append(f"V{edge}")
    for span in route.spans:
        path.append(_curve(span, layout))
        if span is not route.spans[-1]:
            leaving = layout.layers[span.gap - 1][0] if span.ends_above else layout.layers[span.gap][1]
            path.append(f"V{leaving}")
    tip, end = target.start, route.spans[-1].end
    path.append(f"V{tip - 6}")
    dash = ' stroke-dasharray="5 4"' if route.wire.dashed else ""
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="{LINE}" stroke-width="1.4"{dash}/>'
        f'<path d="M{end} {tip} l-4.5 -8.5 h9 z" fill="{LINE}"/>'
    )


def _curve(span: Span, layout: Layout) -> str:
    """From one side of a gap to the other, or back to the same side in a turn."""
    top = layout.layers[span.gap - 1][1] if span.gap else 0
    bottom = layout.layers[span.gap][0] if span.gap < len(layout.layers) else layout.along
    high = bottom - top
    begin, end = top if span.begins_above else bottom, top if span.ends_above else bottom
    if begin == end:
        turn = begin + (high if span.begins_above else -high) * 0.85
        return f"C{span.begin} {turn:g} {span.end} {turn:g} {span.end} {end}"
    if span.begin == span.end:
        return f"V{end}"
    middle = (begin + end) / 2
    return f"C{span.begin} {middle:g} {span.end} {middle:g} {span.end} {end}"


def _label_size(line: Line) -> tuple[int, int] | None:
    if not line.label:
        return None
    lines = lines_of(line.label, 28, 2)
    return ceil(max(pixels(text, SMALL) for text in lines)) + 8, 15 * len(lines) + 3


def _label(line: Line, route: Route) -> list[str]:
    box = route.label
    if box is None:
        return []
    left, lines = box.centre - box.across // 2, lines_of(line.label, 28, 2)
    parts = [f"<g><title>{_text(line.label)}</title>"]
    parts.append(
        f'<rect x="{left}" y="{box.start}" width="{box.across}" height="{box.along}" rx="3" fill="#ffffff" fill-opacity="0.9"/>'
    )
    parts += [
        f'<text x="{box.centre}" y="{box.start + 13 + 15 * number}" font-size="{SMALL}" fill="{INK}">{_text(text)}</text>'
        for number, text in enumerate(lines)
    ]
    return [*parts, "</g>"]
