"""Runs the benchmarks and prints one table of medians; see README.md in this folder.

Every part of every case is measured in a process of its own. A round measures each part once, so that a slow minute of the
machine touches all of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.catalogue import NAMES, chosen
from benchmarks.figure import Case, Pair
from benchmarks.process import Failed, json_of
from benchmarks.scratch import scratch
from benchmarks.table import Results, as_markdown, for_terminal

PEERS = "GRAPHFLOW_BENCH_PEERS"
WITHOUT_PEERS = f"No peers: set {PEERS} to a Python that has langgraph, agno, … (benchmarks/README.md) to see their columns."
WIDE = 200
"""Columns to print to when the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Job:
    """One part to be measured: ours (no peer), or a peer's."""

    case: str
    part: str
    peer: str | None = None

    def __str__(self) -> str:
        return f"{self.case}.{self.part}" + (f" of {self.peer}" if self.peer else "")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Measure graphflow beside what the same work costs without it.")
    parser.add_argument("--cases", nargs="+", default=[], metavar="CASE", help=f"of {', '.join(NAMES)}; or machine.loop")
    parser.add_argument("--rounds", type=int, metavar="N", help="medians are taken over so many (3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="conversations stop at 1,000 turns")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where databases are written (beside .venv)")
    told = parser.parse_args(words)
    told.rounds = told.rounds or (1 if told.quick else 3)
    try:
        told.cases = chosen(name for word in told.cases for name in word.split(","))
    except ValueError as error:
        parser.error(str(error))
    return told


def peers_of(python: str | None) -> dict[str, Any]:
    """The peers an interpreter has: their versions, and the parts they can be measured in. Raises Failed."""
    found: dict[str, Any] = json_of(["-m", "benchmarks.peers"], python) if python else {}
    return found


def jobs(cases: Sequence[tuple[Case, Sequence[str]]], peers: Mapping[str, Any]) -> Iterator[Job]:
    """What a round consists of; a peer's part follows ours."""
    for case, parts in cases:
        for part in parts:
            yield Job(case.name, part)
            yield from (Job(case.name, part, peer) for peer, has in peers.items() if f"{case.name}.{part}" in has["parts"])


def measure(job: Job, folder: Path, quick: bool, results: Results, peers_python: str | None) -> None:
    """Run a job and keep what it measured. Raises Failed."""
    words = [f"{job.case}.{job.part}", str(folder), *(["quick"] if quick else [])]
    if job.peer is None:
        for name, pair in json_of(["-m", "benchmarks.measure", *words]).items():
            results.ours[job.case, name].append(Pair(*pair))
    else:
        for name, value in json_of(["-m", "benchmarks.peers", job.peer, *words], peers_python or "").items():
            results.theirs[job.peer, job.case, name].append(value)


def main() -> int:
    """0, or 1 when something could not be measured."""
    told = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the scratch folder is deleted then, too
    python = os.environ.get(PEERS)
    out, progress = Console(), Console(stderr=True)
    if not out.is_terminal:
        out = Console(width=WIDE)
    try:
        peers = peers_of(python)
    except Failed as failed:
        progress.print(f"{PEERS}: {failed}", style="red", markup=False, soft_wrap=True)
        return 1
    results, failures = Results({peer: has["version"] for peer, has in peers.items()}), 0
    with scratch(told.scratch) as folder, progress.status("") as status:
        for number in range(told.rounds):
            for job in jobs(told.cases, peers):
                status.update(f"round {number + 1} of {told.rounds}: {job}")
                try:
                    measure(job, folder, told.quick, results, python)
                except Failed as failed:
                    failures += 1
                    progress.print(f"{job} failed:\n{failed}", style="red", markup=False, soft_wrap=True)
    cases = [case for case, _ in told.cases]
    out.print(for_terminal(results, cases))
    if not python:
        out.print(WITHOUT_PEERS, highlight=False)
    if told.markdown:
        told.markdown.write_text(as_markdown(results, cases, told.rounds), "utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
