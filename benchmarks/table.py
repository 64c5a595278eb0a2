"""The table: medians over the rounds, for the terminal and as Markdown."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.figure import Case, Figure, Pair
from graphflow import __version__

COLUMNS = ("figure", "unit", "graphflow", "limit", "ratio", "goal")
SIGNS = {True: "✓", False: "✗", None: ""}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all rounds. ``ratio`` is the median of the rounds' ratios, ours : limit."""

    figure: Figure
    ours: float | None
    limit: float | None
    ratio: float | None
    peers: Sequence[float | None]

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal, or when it was not measured."""
        return None if self.ours is None else self.figure.met(self.ours, self.ratio)

    def cells(self) -> list[str]:
        """The row as texts."""
        goal = f"{self.figure.goal} {SIGNS[self.met]}".strip()
        numbers = [shown(number) for number in (self.ours, self.limit, self.ratio)]
        return [self.figure.label, self.figure.unit, *numbers, goal, *map(shown, self.peers)]


@dataclass
class Results:
    """Everything measured so far, by case and figure."""

    peers: Mapping[str, str] = field(default_factory=dict)
    """Names and versions."""
    ours: dict[tuple[str, str], list[Pair]] = field(default_factory=lambda: defaultdict(list))
    theirs: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, case: Case) -> list[Row]:
        """The rows of a case: those of which anything was measured."""
        rows = [self._row(case.name, figure) for figure in case.figures]
        return [row for row in rows if row.ours is not None or any(value is not None for value in row.peers)]

    def _row(self, case: str, figure: Figure) -> Row:
        pairs = self.ours.get((case, figure.name), [])
        beside = [pair for pair in pairs if pair.limit is not None]
        return Row(
            figure,
            median([pair.ours for pair in pairs]),
            median([pair.limit for pair in beside if pair.limit is not None]),
            median([pair.ours / pair.limit for pair in beside if pair.limit]),
            [median(self.theirs.get((peer, case, figure.name), [])) for peer in self.peers],
        )


def median(values: Sequence[float]) -> float | None:
    """The median, if there is anything."""
    return statistics.median(values) if values else None


def shown(number: float | None) -> str:
    """About three digits."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def versions(results: Results) -> str:
    """What was measured, and on what."""
    peers = "".join(f", {peer} {version}" for peer, version in results.peers.items())
    return (
        f"graphflow {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors{peers}"
    )


def goals(results: Results, cases: Sequence[Case]) -> str:
    """How many goals are reached."""
    met = [row.met for case in cases for row in results.rows(case) if row.met is not None]
    return f"{sum(met)} of {len(met)} goals reached"


def for_terminal(results: Results, cases: Sequence[Case]) -> Table:
    """The table in colours."""
    table = Table(box=box.SIMPLE_HEAD, title=versions(results), caption=goals(results, cases), title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("figure", "unit", "goal") else "right", no_wrap=True)
    for peer in results.peers:
        table.add_column(peer, justify="right", no_wrap=True, style="dim")
    colours: Mapping[bool | None, str] = {True: "green", False: "red", None: ""}
    for case in cases:
        table.add_row(Text(case.name, style="bold"))
        for row in results.rows(case):
            cells: list[str | Text] = [*row.cells()]
            cells[COLUMNS.index("goal")] = Text(str(cells[COLUMNS.index("goal")]), colours[row.met])
            table.add_row(*cells)
        table.add_section()
    return table


def as_markdown(results: Results, cases: Sequence[Case], rounds: int) -> str:
    """The table as a page."""
    columns = [*COLUMNS, *results.peers]
    aligned = ["---" if name in ("figure", "unit", "goal") else "---:" for name in columns]
    lines = [f"{versions(results)}. Rounds: {rounds}; figures are medians. {goals(results, cases)}."]
    for case in cases:
        lines += ["", f"## {case.name}", "", *(markdown_row(cells) for cells in (columns, aligned))]
        lines += [markdown_row(row.cells()) for row in results.rows(case)]
    return "\n".join(lines) + "\n"


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
