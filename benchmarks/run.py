"""Runs the benchmarks, prints one table of medians and writes RESULTS.md; see README.md in this folder.

Each thing is measured in a process of its own. A round measures all of them once, so that a slow minute of the machine touches
everybody, and the rounds are repeated.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import peers, report
from benchmarks.catalogue import NAMES, chosen
from benchmarks.curves import CURVES, Curve, named
from benchmarks.figure import GRAPHFLOW, LIMIT, Measured
from benchmarks.gauge import Gauge
from benchmarks.plot import svg
from benchmarks.process import Failed, json_of, text_of
from benchmarks.results import Picked, Results
from benchmarks.scratch import scratch
from benchmarks.server import server

HERE = Path(__file__).parent
WIDE = 220
"""Columns to print to when the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Job:
    """One process: what it is asked, and where its figures go."""

    label: str
    request: dict[str, Any]
    measured: list[Any]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Measure graphflow beside other libraries and the least that could do.")
    add = parser.add_argument
    add("--cases", default="", metavar="A,B,…", help=f"letters, names ({', '.join(NAMES)}), or parts (steps.loop-sync); none")
    add("--curves", default="", metavar="…", help=f"of {', '.join(CURVES)}; or none")
    add("--peers", default=",".join(peers.PEERS), metavar="…", help=f"of {', '.join(peers.PEERS)}; or none")
    add("--rounds", type=int, metavar="N", help="medians are taken over so many (3; 1 with --quick)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="small amounts, to see that all works")
    size.add_argument("--long", dest="size", action="store_const", const="long", help="also what takes minutes: 100,000 turns")
    add("--no-profile", dest="profile", action="store_false", help="leave out where each microsecond goes")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the Markdown goes, a plot beside it (RESULTS.md, when everything is measured; else nowhere)",
    )
    add("--scratch", type=Path, metavar="FOLDER", help="where databases are written, on a real disk (beside .venv)")
    told = parser.parse_args(words)
    told.size = told.size or "normal"
    told.rounds = told.rounds or (1 if told.size == "quick" else 3)
    whole = not told.cases and not told.curves and set(listed(told.peers)) == set(peers.PEERS)
    if told.output is None and whole and told.size != "quick":
        told.output = HERE / "RESULTS.md"
    long = told.size == "long"
    try:
        told.cases = [] if told.cases == "none" else chosen(listed(told.cases), long=long)
        told.curves = [] if told.curves == "none" else named(listed(told.curves))
        told.peers = [] if told.peers == "none" else listed(told.peers)
        if unknown := set(told.peers) - set(peers.PEERS):
            raise ValueError(f"there is no peer {sorted(unknown)[0]!r}; the peers are {', '.join(peers.PEERS)}")
    except ValueError as error:
        parser.error(str(error))
    return told


def listed(words: str) -> list[str]:
    """The words between commas."""
    return [word for word in words.split(",") if word]


def jobs(
    told: argparse.Namespace, there: Sequence[str], common: dict[str, Any], results: Results, *, first: bool
) -> Iterator[Job]:
    """A round; what takes minutes is measured in the first one. Whoever is not there is left out, and what needs a PostgreSQL
    that is not there.
    """
    for case, parts in told.cases:
        for part in parts:
            if not first and (part.long or (part.longer and told.size == "long")):
                continue
            if common["server"] is None and "postgres" in (part.name.split("-")[0], part.options.get("store")):
                continue
            for subject in part.subjects:
                if subject in (GRAPHFLOW, LIMIT) or peers.peer_of(subject) in there:
                    request = {**common, "case": case.name, "part": part.name, "subject": subject}
                    yield Job(f"{case.name}.{part.name}: {subject}", request, results.cases[case.name, part.name, subject])
    for curve in told.curves:
        for at in curve.chosen("normal" if told.size == "long" and not first else told.size):
            request = {**common, "curve": curve.name, "at": at}
            yield Job(f"{curve.title} at {at:,}", request, results.curves[curve.name, at])


def measure(told: argparse.Namespace, there: Sequence[str], common: dict[str, Any], results: Results, progress: Console) -> int:
    """All rounds; how many measurements failed."""
    failures = 0
    with progress.status("") as status:
        for number in range(told.rounds):
            for job in jobs(told, there, common, results, first=number == 0):
                status.update(f"round {number + 1} of {told.rounds}: {job.label}")
                try:
                    measured: Measured = json_of(["-m", "benchmarks.measure", json.dumps(job.request)])
                except Failed as failed:
                    failures += 1
                    progress.print(f"{job.label} failed:\n{failed}", style="red", markup=False, soft_wrap=True)
                    if "curve" not in job.request:
                        job.measured.append(None)
                else:
                    job.measured.append(measured["cost"] if "curve" in job.request else measured)
    return failures


def printed(module: str, told: argparse.Namespace, folder: Path, progress: Console) -> str:
    """What a module of this folder prints, as part of the profile; nothing when that is not wanted, or cannot be had. What it
    writes goes into ``folder``, which is deleted whatever becomes of it.
    """
    try:
        quick = ["--quick"] if told.size == "quick" else []
        return text_of(["-m", f"benchmarks.{module}", "--scratch", str(folder), *quick]).strip() if told.profile else ""
    except Failed as failed:
        progress.print(f"benchmarks.{module} failed:\n{failed}", style="red", markup=False, soft_wrap=True)
        return ""


def postgres_version(url: str | None) -> str | None:
    """What the server calls itself."""
    if url is None:
        return None
    import psycopg  # noqa: PLC0415 - only where there is a server

    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        return str(connection.info.parameter_status("server_version"))


def write(told: argparse.Namespace, results: Results, **words: str) -> None:
    """RESULTS.md and the plot."""
    plot = told.output.with_suffix(".svg")
    picked: Picked = told.cases
    curves: list[Curve] = told.curves
    rounds = f"{told.rounds}, of what takes minutes 1" if told.size == "long" and told.rounds > 1 else str(told.rounds)
    words |= {"rounds": rounds, "plot": plot.name}
    told.output.write_text(report.markdown(results, picked, curves, words), "utf-8")
    plot.write_text(svg(results, picked), "utf-8")


def main() -> int:
    """0, or 1 when something could not be measured. A goal that is missed does not count as that."""
    told = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the scratch folder is deleted then, too
    out, progress = Console(), Console(stderr=True)
    if not out.is_terminal:
        out = Console(width=WIDE)
    there, results = peers.install(told.peers), Results()
    gauge = Gauge.of_machine(quick=told.size == "quick")
    with scratch(told.scratch) as folder:
        with server(folder) as url:
            common = {"shared": str(folder), "server": url, "size": told.size, "quiet": gauge.quiet}
            failures = measure(told, list(there), common, results, progress)
            setting = report.setting(there, postgres_version(url))
        out.print(setting, highlight=False)
        if told.cases:
            out.print(report.case_table(results, told.cases))
        if told.curves:
            out.print(report.curve_table(results, told.curves))
        profile, by_hand = (printed(module, told, folder, progress) for module in ("profile", "statements"))
        for text in (profile, by_hand):
            out.print(text, markup=False, highlight=False)
    if told.output:
        write(told, results, setting=setting, quiet=str(gauge), profiles=profile, by_hand=by_hand)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
