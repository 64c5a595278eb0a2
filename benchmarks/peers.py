"""Peers: other libraries doing the same, in an interpreter that has them (its path: GRAPHFLOW_BENCH_PEERS).

``python -m benchmarks.peers`` prints which peers can be measured in which parts, ``… PEER CASE.PART FOLDER [quick]`` the
figures of one. Peers are loaded by name, because an interpreter may lack some, and each process measures one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import shapes
from benchmarks.clock import Cost, cost, many, median, per_unit, walls
from benchmarks.conversation import SESSION, Growth, answers, marked, questions, text, warm_up
from benchmarks.process import coldest, json_of
from benchmarks.weight import kept_kib
from benchmarks.work import QUESTION

PEERS = {"langgraph": "langgraph", "agno": "agno", "openai-agents": "openai_agents", "burr": "burr"}
"""Names as the package index has them, and the modules of ``benchmarks.adapters``."""
LONGEST = 1_000
"""Turns of a peer's conversation: with ten times as many one of them would write 200 GB."""

Measured = dict[str, float]


def adapter(peer: str) -> Any:
    """The peer's module. Raises ImportError when the peer, or a part of it, is not installed."""
    return import_module(f"benchmarks.adapters.{PEERS[peer]}")


def parts(peer: str) -> dict[str, Callable[[Path, bool], Measured]]:
    """What can be measured of a peer."""
    module = adapter(peer)
    if not hasattr(module, "chat"):
        return dict(module.PARTS)
    alike = {"chat.session": chat, "fresh.first": fresh, "imports.processes": imports, "agent.made": made, "agent.run": run}
    return {**module.PARTS, **{name: partial(part, peer) for name, part in alike.items()}}


# --- what is measured of all alike ---------------------------------------------------------------------------------------


def chat(peer: str, folder: Path, quick: bool) -> Measured:
    """A conversation, mark by mark, after another one that is not measured."""
    marks = [mark for mark in shapes.marks(quick) if mark <= LONGEST]
    file = folder / "chat.db"
    ask = adapter(peer).chat(file, answers(shapes.WARM_UP + marks[-1]))
    warm_up(ask)
    growth = Growth(ask, marks[-1], file)
    measured: Measured = {}
    for mark, [(spent, stored)] in marked(marks, growth):
        measured |= {f"wall.{mark}": spent.wall, f"cpu.{mark}": spent.cpu, f"stored.{mark}": stored / 1024}
        measured["bytes"] = stored / (mark * 2 * shapes.TEXT)
    return measured | grown(measured, marks[0], marks[-1])


def write(peer: str, file: Path, turns: int) -> None:
    """A file with a conversation of so many turns."""
    module = adapter(peer)
    ask = module.chat(file, answers(turns), **module.WRITING)
    for question in questions(turns):
        ask(question, SESSION)


def grown(measured: Measured, short: int, long: int) -> Measured:
    """How the clocks grew from a short conversation to a long one."""
    return {f"growth.{clock}": measured[f"{clock}.{long}"] / measured[f"{clock}.{short}"] for clock in ("wall", "cpu")}


def fresh(peer: str, folder: Path, quick: bool) -> Measured:
    """The first turn of a fresh process, on a short and on a long session in turns."""
    lengths = [turns for turns in shapes.lengths(quick) if turns <= LONGEST]
    files = {turns: folder.parent / f"fresh-{peer}-{turns}.db" for turns in lengths}
    for turns, file in files.items():
        if not file.exists():
            write(peer, file, turns)
    spent: dict[int, list[Cost]] = {turns: [] for turns in files}
    for _ in range(shapes.COLD + 1):
        for turns, file in files.items():
            spent[turns].append(Cost(*json_of(["-m", "benchmarks.peers", peer, "first_turn", str(file)])))
    costs = {turns: median(own[1:]) for turns, own in spent.items()}
    measured = {f"{clock}.{turns}": getattr(own, clock) for turns, own in costs.items() for clock in ("wall", "cpu")}
    return measured | grown(measured, lengths[0], lengths[-1])


def first_turn(peer: str, file: Path) -> list[float]:
    """Wall and processor milliseconds of one turn, after imports."""
    module, question, replies = adapter(peer), text("first question"), [text("first answer")]
    spent = cost(lambda: module.chat(file, replies)(question, SESSION)).scaled(1e3)
    return [spent.wall, spent.cpu]


def imports(peer: str, folder: Path, quick: bool) -> Measured:
    """Imports in fresh processes."""
    measured = coldest({name: [statement] for name, statement in adapter(peer).IMPORTS.items()})
    return {f"{name}.{key}": spent[key] for name, spent in measured.items() for key in ("ms", "mib")}


def made(peer: str, folder: Path, quick: bool) -> Measured:
    """An agent with one tool; then one that has answered once."""
    make = adapter(peer).agents(None, tools=True)

    def used() -> Any:
        agent, ask = make()
        ask(QUESTION, SESSION)
        return agent

    costs = per_unit(many(make, shapes.AGENTS), many(used, shapes.AGENTS), units=shapes.AGENTS)
    return {**walls(("made.us", "used.us"), costs), "made.kib": kept_kib(make), "used.kib": kept_kib(used)}


def run(peer: str, folder: Path, quick: bool) -> Measured:
    """Runs of an agent, without a database and on SQLite, each in a session of its own."""
    numbers = count()

    def runs(file: Path | None) -> Callable[[], None]:
        _, ask = adapter(peer).agents(file, tools=False)()
        return many(lambda: ask(QUESTION, f"session-{next(numbers)}"), shapes.RUNS)

    alone, stored = per_unit(runs(None), runs(folder / "runs.db"), units=shapes.RUNS)
    return {"run.us": alone.wall, "run.sqlite": stored.wall, "run.sqlite_cpu": stored.cpu}


# --- the program ---------------------------------------------------------------------------------------------------------


def able() -> dict[str, dict[str, Any]]:
    """The peers this interpreter has: their versions, and the parts they can be measured in."""
    found: dict[str, dict[str, Any]] = {}
    for peer in PEERS:
        try:
            found[peer] = {"version": version(peer), "parts": list(parts(peer))}
        except ImportError as error:
            print(f"without {peer}: {error}", file=sys.stderr)
    return found


def main(words: list[str]) -> object:
    """What is to be printed."""
    if not words:
        return able()
    peer, part, place = words[:3]
    if part == "first_turn":
        return first_turn(peer, Path(place))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        return parts(peer)[part](Path(folder), "quick" in words[3:])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])), flush=True)
    os._exit(0)  # some peers keep threads that nobody joins
