"""Where each microsecond goes: ``python -m benchmarks.profile [step|normal|turn|run] [--db sqlite|memory]``.

A timer stops the program two thousand times a second while it does the same thing again and again, and notes where it is. So
the share of a line is its share of the wall time, calls into C (a commit, a sha256) counted for the line that makes them; and
small functions do not look dearer than they are, as they do under a profiler that follows each call.
"""

from __future__ import annotations

import argparse
import linecache
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import repeat, zip_longest
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.adapters.graphflow.graphs import durable
from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.conversation import text
from benchmarks.scratch import scratch
from benchmarks.store import Store
from graphflow import Agent
from graphflow.models.base import Model, Reply, Request

INTERVAL = 0.0005
SECONDS = 8.0
QUICK = 0.5
KINDS = {
    "step": "One durable step",
    "normal": "One durable step with synchronous=NORMAL",
    "turn": "One chat turn",
    "run": "One run of an agent, nothing stored,",
}
LINES = 20
"""Modules and lines that are listed, at most."""
LONGEST = 80
"""Characters of a line."""


class Answering(Model):
    """Always the same answer of 500 characters."""

    def __init__(self) -> None:
        self._reply = Reply(text("answer"))

    def respond(self, request: Request) -> Reply:
        """It."""
        return self._reply


class Sampler:
    """Notes at every tick which line is executed; a call into C is the line that makes it."""

    def __init__(self) -> None:
        self._ticks: Counter[tuple[str, str, int]] = Counter()

    def run(self, work: Callable[[], int], seconds: float) -> float:
        """Do the work again and again; microseconds per unit, of which each call of it does some."""
        work()
        units, ends = 0, time.perf_counter() + seconds
        signal.signal(signal.SIGALRM, self._tick)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        began = time.perf_counter()
        while time.perf_counter() < ends:
            units += work()
        spent = time.perf_counter() - began
        signal.setitimer(signal.ITIMER_REAL, 0)
        return spent * 1e6 / units

    def _tick(self, _: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename != __file__:
            self._ticks[frame.f_globals.get("__name__", ""), frame.f_code.co_filename, frame.f_lineno or 0] += 1

    def modules(self) -> Counter[str]:
        """Ticks by module; other libraries by their package."""
        counts: Counter[str] = Counter()
        for (module, _, _), ticks in self._ticks.items():
            counts[module if module.startswith("graphflow") else module.partition(".")[0]] += ticks
        return counts

    def lines(self) -> Counter[str]:
        """Ticks by line."""
        counts: Counter[str] = Counter()
        for (module, file, number), ticks in self._ticks.items():
            line = " ".join(linecache.getline(file, number).split()).replace("|", "\\|") or "generated code"
            counts[f"{module.rpartition('.')[2]}: {line}"[:LONGEST]] += ticks
        return counts


def steps(store: Store) -> Callable[[], int]:
    """Durable steps, a thousand a call."""
    loop = durable(store, "sync", "")

    def work() -> int:
        loop(1_000)
        return 1_000

    return work


def turns(store: Store) -> Callable[[], int]:
    """Chat turns of one session."""
    agent, questions = Agent(Answering(), db=db_on(store)), repeat(text("question"))

    def work() -> int:
        agent.run(next(questions), session_id="profiled", user_id="user")
        return 1

    return work


def runs(store: Store) -> Callable[[], int]:
    """Runs of an agent, a hundred a call."""
    agent, questions = Agent(Answering()), repeat(text("question"))

    def work() -> int:
        for _ in range(100):
            agent.run(next(questions))
        return 100

    return work


def profile(kind: str, store: Store, seconds: float) -> str:
    """A table in Markdown: modules and, beside them, lines, the dearest first."""
    sampler = Sampler()
    if kind == "normal":
        store = replace(store, synchronous="normal")
    each = sampler.run({"turn": turns, "run": runs}.get(kind, steps)(store), seconds)
    modules, lines = sampler.modules(), sampler.lines()
    total = lines.total() or 1
    what = KINDS[kind] if kind == "run" else f"{KINDS[kind]} on {store.kind}"
    texts = [
        f"{what} takes {each:.0f} µs ({total:,} samples).",
        "",
        "| module | µs | share | line | µs | share |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    left, right = _listed(modules, total, each), _listed(lines, total, each)
    for module, line in zip_longest(left, right, fillvalue=("", "", "")):
        texts.append(f"| {' | '.join((*module, *line))} |")
    return "\n".join(texts)


def _listed(counts: Counter[str], total: int, each: float) -> list[tuple[str, str, str]]:
    listed = [(f"`{name}`", count) for name, count in counts.most_common(LINES)]
    if rest := total - sum(count for _, count in listed):
        listed.append(("all else", rest))
    return [(name, f"{each * count / total:.1f}", f"{count / total:.0%}") for name, count in listed]


def profiles(kinds: Iterable[str], seconds: float, kind_of_store: Any = "sqlite", within: Path | None = None) -> str:
    """The tables of several, one below the other. Files are written in a folder ``within`` one that is named."""
    with scratch(within) as parent:
        tables = []
        for kind in kinds:
            with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
                tables.append(profile(kind, Store(kind_of_store, Path(folder) / "profile.db"), seconds))
    return "\n\n".join(tables)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description="Where each microsecond of a durable step, a chat turn and a run goes.")
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--db", choices=("sqlite", "memory"), default="sqlite")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where databases go, on a real disk (beside .venv)")
    told = parser.parse_args()
    print(profiles(told.kinds or KINDS, QUICK if told.quick else SECONDS, told.db, told.scratch))


if __name__ == "__main__":
    sys.exit(main())
