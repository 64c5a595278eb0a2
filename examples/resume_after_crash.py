"""A process dies in the middle of a superstep; another one goes on, and what was finished is not done again.

    python examples/resume_after_crash.py

Three parcels are packed at the same time, each by a task of its own. While the third is being packed, its process kills itself
with SIGKILL, which leaves no time for cleaning up. The database has the first two by then, because in a superstep of several
tasks each is stored when it is finished. Every packing writes a line to a log file, so one can count.
Ends with 1 if a parcel that was finished is packed again, or one is missing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, TypedDict

from graphflow import END, START, Context, Send, StateGraph, append
from graphflow.db import SqliteDb
from graphflow.graph import Graph

PARCELS = ["books", "bowls", "bread"]
FRAGILE = "bread"
"""The parcel that is being packed when the process dies."""


class State(TypedDict):
    """What is known of the order."""

    parcels: list[str]
    packed: Annotated[list[str], append]
    receipt: str


def build(folder: Path) -> Graph:
    """The graph, on a database in this folder."""

    def pack(parcel: str, ctx: Context) -> dict[str, list[str]]:
        with (folder / "log.txt").open("a") as log:
            print(parcel, file=log)
        if parcel == FRAGILE and os.environ.get("DIE"):
            wait_for_the_others(folder)
            os.kill(os.getpid(), signal.SIGKILL)
        return {"packed": [f"{parcel} ({ctx.task_key[:6]})"]}

    def send_off(state: State) -> dict[str, str]:
        return {"receipt": f"{len(state['packed'])} parcels sent"}

    builder = StateGraph(State, name="order")
    builder.add_node("pack", pack)
    builder.add_node("send_off", send_off)
    builder.add_conditional_edges(START, lambda state: [Send("pack", parcel) for parcel in state["parcels"]], ["pack"])
    builder.add_edge("pack", "send_off")
    builder.add_edge("send_off", END)
    return builder.compile(db=SqliteDb(folder / "order.db"))


def wait_for_the_others(folder: Path) -> None:
    """Wait until the database says that the other tasks are done."""
    graph = build(folder)
    deadline = time.monotonic() + 10
    while [task.state for task in graph.get_state("order-1").tasks].count("done") < len(PARCELS) - 1:
        if time.monotonic() > deadline:
            sys.exit("the finished tasks were not stored")
        time.sleep(0.01)


def main() -> int:
    """Run the graph in a process that dies, and go on in this one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = subprocess.run([sys.executable, __file__, name], env={**os.environ, "DIE": "yes"})
        print(f"the first process ended with {child.returncode} (SIGKILL is {-signal.SIGKILL})")
        graph = build(folder)
        for task in graph.get_state("order-1").tasks:
            print(f"   stored: {task.node} {task.id[:6]} is {task.state}")
        result = graph.resume("order-1")
        log = (folder / "log.txt").read_text().split()
        print(f"after resume: {result.status}, {result['receipt']}: {', '.join(result['packed'])}")
        print("how often each parcel was packed:", {parcel: log.count(parcel) for parcel in PARCELS})
        graph.db.close()
    once = all(log.count(parcel) == 1 for parcel in PARCELS if parcel != FRAGILE)
    complete = [text.split()[0] for text in result["packed"]] == PARCELS
    print("nothing finished was done again" if once and complete else "WRONG: finished work was repeated or lost")
    return 0 if once and complete and child.returncode == -signal.SIGKILL else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        build(Path(sys.argv[1])).invoke({"parcels": PARCELS}, session_id="order-1")
    else:
        sys.exit(main())
