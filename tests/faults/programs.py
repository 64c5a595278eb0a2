"""Programs that tests start as processes: ``python -m tests.faults.programs KIND DATABASE PROGRAM [WORD …]``."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from typing import Any, TypedDict

from graphflow import END, START, StateGraph
from graphflow.db import PostgresDb, SqliteDb
from graphflow.errors import SessionBusy
from graphflow.shutdown import graceful_shutdown, install_shutdown_handler


class State(TypedDict):
    limit: int
    count: int


def say(*words: object) -> None:
    print(*words, flush=True)


def looping(db: Any) -> Any:
    """A graph that counts to its limit, ten milliseconds a step; to 2,000 in the first process, to 3 when it is resumed."""
    quick = not sys.argv[0].endswith("programs.py")

    def step(state: State) -> dict[str, int]:
        time.sleep(0.01)
        return {"count": state.get("count", 0) + 1}

    def route(state: State) -> str:
        return END if quick or state["count"] >= state["limit"] else "step"

    builder = StateGraph(State, name="looping").add_node("step", step).add_edge(START, "step")
    return builder.add_conditional_edges("step", route, ["step", END]).compile(db=db)


def loop(db: Any) -> None:
    """Run for half a minute, unless stopped; say the run's id at first."""
    ended: list[Any] = []
    options = {"session_id": "s", "recursion_limit": 10**6}
    thread = threading.Thread(target=lambda: ended.append(looping(db).invoke({"limit": 3000}, **options)))
    thread.start()
    while db.get_session("s") is None:
        time.sleep(0.01)
    say(db.get_runs("s")[0].run_id)
    thread.join()
    say("ended", ended[0].status)


def _keyed(db: Any, key: str, seconds: float) -> None:
    def node(state: State) -> dict[str, int]:
        say("ran")
        time.sleep(seconds)
        return {"count": 7}

    graph = StateGraph(State, name="keyed").add_node("n", node).add_edge(START, "n").add_edge("n", END).compile(db=db)
    result = graph.invoke({"limit": 1}, idempotency_key=key)
    say("result", result.run_id, result["count"])


def keyed(db: Any, key: str) -> None:
    """Run once for a key."""
    _keyed(db, key, 0.5)


def stuck(db: Any, key: str) -> None:
    """Begin a run for a key, and take long."""
    _keyed(db, key, 60)


def server(db: Any, where: str) -> None:
    """Run until told to end."""
    graph, options = looping(db), {"recursion_limit": 10**6}
    with graceful_shutdown():
        say("ready")
        if where == "main":
            while True:
                graph.invoke({"limit": 3000}, session_id="s", **options)
        elif where == "threads":
            for n in range(3):
                threading.Thread(target=_until_refused, args=(graph, f"s{n}", options)).start()
            while True:
                time.sleep(0.1)
        else:
            asyncio.run(_serve(graph, options))


def _until_refused(graph: Any, session_id: str, options: Any) -> None:
    try:
        while True:
            graph.invoke({"limit": 3000}, session_id=session_id, **options)
    except SessionBusy as error:
        say("refused", error)


async def _serve(graph: Any, options: Any) -> None:
    await asyncio.gather(*(graph.ainvoke({"limit": 3000}, session_id=f"s{n}", **options) for n in range(3)))
    await asyncio.sleep(60)


def handled(db: Any) -> None:
    """A server with a handler of its own, which waits for its request to end."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: (say("own handler"), told.set()))
    install_shutdown_handler()
    say("ready")
    result = looping(db).invoke({"limit": 3000}, session_id="s", recursion_limit=10**6)
    assert told.is_set()
    say("ended", result.status)


def daemon(db: Any) -> None:
    """End while a run goes on in a thread that does not keep the process alive."""
    graph = looping(db)
    options = {"session_id": "s", "recursion_limit": 10**6}
    threading.Thread(target=lambda: graph.invoke({"limit": 3000}, **options), daemon=True).start()
    while db.get_session("s") is None or graph.get_state("s").seq < 2:
        time.sleep(0.01)
    say("leaving")


if __name__ == "__main__":
    kind, where, name, *words = sys.argv[1:]
    database: Any = PostgresDb(where) if kind == "postgres" else SqliteDb(where)
    programs = (loop, keyed, stuck, server, handled, daemon)
    {program.__name__: program for program in programs}[name](database, *words)
