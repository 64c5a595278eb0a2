"""The plot: for each figure with a goal, graphflow, the best peer and the limit on one logarithmic line, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.figure import GRAPHFLOW, LIMIT
from benchmarks.results import Picked, Results, Row

WIDTH, LEFT, RIGHT, LINE, TOP = 1_100, 430, 130, 24, 60
COLOURS = {GRAPHFLOW: "#1a7f37", LIMIT: "#8c959f", "best peer": "#cf222e"}


def svg(results: Results, picked: Picked) -> str:
    """Each line is drawn relative to graphflow: left of it costs less, right of it more."""
    labelled = [(case.letter, row) for case, parts in picked for row in results.rows(case, parts) if _drawn(row)]
    rows = [(f"{letter}  {row.part}: {row.figure.name}", row) for letter, row in labelled]
    spread = max((abs(math.log10(ratio)) for _, row in rows for _, ratio in _ratios(row)), default=1.0) or 1.0
    height = TOP + LINE * (len(rows) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_legend(),
        *_axis(spread, height),
    ]
    for number, (label, row) in enumerate(rows):
        y = TOP + LINE * (number + 1)
        parts.append(f'<text x="{LEFT - 15}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#eaeef2"/>')
        parts += [_dot(ratio, spread, y, COLOURS[name]) for name, ratio in _ratios(row)]
        parts.append(_dot(1.0, spread, y, COLOURS[GRAPHFLOW], radius=6))
        if row.best is not None:
            parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4}" fill="#57606a">{escape(row.best)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(row: Row) -> bool:
    return row.figure.goal is not None and any(True for _ in _ratios(row))


def _ratios(row: Row) -> Iterator[tuple[str, float]]:
    """How many times graphflow's cost the limit and the best peer have."""
    for name, ratio in ((LIMIT, row.of_limit), ("best peer", row.of_peer)):
        if ratio:
            yield name, 1 / ratio


def _x(ratio: float, spread: float) -> float:
    middle, half = (LEFT + WIDTH - RIGHT) / 2, (WIDTH - RIGHT - LEFT) / 2
    return middle + half * math.log10(ratio) / spread


def _dot(ratio: float, spread: float, y: float, colour: str, radius: float = 5) -> str:
    return f'<circle cx="{_x(ratio, spread):.1f}" cy="{y}" r="{radius}" fill="{colour}"/>'


def _legend() -> Iterator[str]:
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + 150 * number
        yield f'<circle cx="{x}" cy="20" r="5" fill="{colour}"/><text x="{x + 12}" y="24">{name}</text>'


def _axis(spread: float, height: float) -> Iterator[str]:
    for power in range(-math.floor(spread), math.floor(spread) + 1):
        x = _x(10.0**power, spread)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 12}" y2="{height - LINE}" stroke="#d0d7de"/>'
        yield f'<text x="{x:.1f}" y="{TOP - 16}" text-anchor="middle" fill="#57606a">{_times(power)}</text>'


def _times(power: int) -> str:
    return f"{10.0**power:g}"
