"""The report: the table for the terminal, and RESULTS.md."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.curves import LINEAR, Curve
from benchmarks.figure import GRAPHFLOW, LIMIT
from benchmarks.results import Picked, Results, Row

COLUMNS = ("what", "unit", "graphflow", "limit", ": limit", "best peer", ": best peer", "goal", "met")
NUMBERS = ("graphflow", "limit", ": limit", ": best peer", "slope")
WORDS = {True: "yes", False: "**no**", None: ""}


def shown(number: float | None) -> str:
    """About three digits."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def cells(row: Row) -> list[str]:
    """A row as texts."""
    best = f"{row.best} {shown(row.medians[row.best])}" if row.best else ""
    goal = str(row.figure.goal) if row.figure.goal is not None else ""
    numbers = [shown(row.medians.get(GRAPHFLOW)), shown(row.medians.get(LIMIT)), shown(row.of_limit)]
    return [row.figure.label, row.figure.unit, *numbers, best, shown(row.of_peer), goal, verdict(row)]


def verdict(row: Row) -> str:
    """Whether a goal is reached."""
    return WORDS[row.met] if row.met_beside is None else f"beside {row.met_beside}"


def goals(results: Results, picked: Picked) -> str:
    """How many goals are reached."""
    rows = [row for case, parts in picked for row in results.rows(case, parts) if row.met is not None]
    reached, beside = sum(row.met is True for row in rows), sum(row.met_beside is not None for row in rows)
    more = f", {beside} more in proportion" if beside else ""
    return f"{reached} of {len(rows)} goals reached{more}"


def setting(versions: Mapping[str, str], postgres: str | None) -> str:
    """What was measured, and on what."""
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    base = ", ".join(f"{name} {version(name)}" for name in ("pydantic", "sqlalchemy", "psycopg"))
    machine = f"{platform.system()} {platform.release()} {platform.machine()}, {_processor()}, {os.cpu_count()} processors"
    return (
        f"graphflow {version('graphflow-agents')}; {libraries or 'no peers'}; Python {platform.python_version()}, {base}, "
        f"SQLite {sqlite3.sqlite_version}, PostgreSQL {postgres or 'none'}; {machine}"
    )


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


# --- the terminal ------------------------------------------------------------------------------------------------------------


def case_table(results: Results, picked: Picked) -> Table:
    """All cases in colours."""
    table = Table(box=box.SIMPLE_HEAD, caption=goals(results, picked))
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=True)
    colours: Mapping[bool | None, str] = {True: "green", False: "red", None: ""}
    for case, parts in picked:
        table.add_row(Text(f"{case.letter}: {case.title}", style="bold"))
        for row in results.rows(case, parts):
            *texts, met = cells(row)
            table.add_row(*map(Text, texts), Text(met.strip("*"), "yellow" if row.met_beside else colours[row.met]))
        table.add_section()
    return table


def curve_table(results: Results, curves: Iterable[Curve]) -> Table:
    """All curves."""
    table = Table(box=box.SIMPLE_HEAD, title="cost as the work grows", title_justify="left")
    for name in ("curve", "processor time in ms, by size", "slope", "linear or better"):
        table.add_column(name)
    for curve in curves:
        table.add_row(*curve_cells(results, curve))
    return table


def curve_cells(results: Results, curve: Curve) -> list[str]:
    """A curve as texts."""
    steepness = results.slope(curve)
    points = " · ".join(f"{size:,}: {shown(value)}" for size, value in results.points(curve).items())
    verdict = WORDS[None if steepness is None else steepness <= LINEAR].strip("*")
    return [f"{curve.title} ({curve.of})", points, "" if steepness is None else f"{steepness:.2f}", verdict]


# --- Markdown ----------------------------------------------------------------------------------------------------------------


def markdown(results: Results, picked: Picked, curves: Sequence[Curve], words: Mapping[str, str]) -> str:
    """The page. ``words``: ``setting``, ``rounds``, what moments are ``quiet``, ``profiles``, what is done ``by_hand``, and the
    name of the ``plot``.
    """
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. {words['setting']}.",
        "",
        f"Rounds: {words['rounds']}; figures are medians over them, ratios medians of the rounds' ratios; below 1, graphflow "
        f"is the better. **{goals(results, picked)}.** [README.md](README.md) says what each case does, and what a goal is "
        "beside somebody.",
        "",
        f"Quiet moments of the machine: {words['quiet']}. {results.disturbed():.0%} of the samples had to be taken in others.",
        "",
        f"![graphflow beside the best peer and the limit]({words['plot']})",
    ]
    for case, parts in picked:
        lines += ["", f"## {case.letter}: {case.title}", "", f"Limit: {case.limit}.", "", *_head(COLUMNS)]
        lines += [_line(cells(row)) for row in results.rows(case, parts)]
    lines += ["", "## Every peer", "", *_peers(results, picked)]
    if curves:
        columns = ("curve", "processor time in ms, by size", "slope", "linear or better")
        lines += ["", "## Cost as the work grows", "", *_head(columns)]
        lines += [_line(curve_cells(results, curve)) for curve in curves]
    if words["profiles"]:
        lines += ["", "## Where each microsecond goes", "", words["profiles"]]
    if words["by_hand"]:
        lines += ["", "## What the statements take by themselves", "", words["by_hand"]]
    return "\n".join(lines) + "\n"


def _peers(results: Results, picked: Picked) -> list[str]:
    """The medians of all peers, one line per figure that any of them has."""
    lines = _head(("case", "what", "unit", "graphflow", "peers"))
    for case, parts in picked:
        for row in results.rows(case, parts):
            others = {name: value for name, value in row.medians.items() if name not in (GRAPHFLOW, LIMIT)}
            if others:
                peers = ", ".join(f"{name} {shown(value)}" for name, value in others.items())
                lines.append(_line([case.letter, row.figure.label, row.figure.unit, shown(row.medians.get(GRAPHFLOW)), peers]))
    return lines


def _head(columns: Sequence[str]) -> list[str]:
    aligned = ["---:" if name in NUMBERS else "---" for name in columns]
    return [_line(columns), _line(aligned)]


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
