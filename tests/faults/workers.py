"""Programs that are killed: run as ``python workers.py PROGRAM DATABASE JOURNAL [KILL]``.

DATABASE is a file or the URL of a PostgreSQL. Each program writes what it does to a journal that survives the kill (one line,
one write, appended). ``KILL`` says when the process kills itself: ``before:N`` or ``after:N`` its N-th commit, before its N-th
``statement:N`` in a transaction that writes, at ``COMMIT:N``, when the N-th such transaction is about to be committed, or at
``committed:N``, when it is and nobody knows it yet. A commit that is one statement is a transaction of its own: it has no
``COMMIT``. A program that comes to its end writes beside its journal how often it passed each point.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict

from graphflow import (
    END,
    START,
    Agent,
    Context,
    Message,
    Send,
    StateGraph,
    SummaryPolicy,
    Team,
    add_messages,
    append,
    interrupt,
    logged,
)
from graphflow.db import PostgresDb, SqliteDb, atonce
from graphflow.db.transactions import Transaction
from graphflow.db.turns import session_queue
from graphflow.errors import LeaseLost, SessionNotFound
from graphflow.messages import ToolCall
from graphflow.models.base import Model, Reply, Request
from graphflow.states import ConversationState
from graphflow.workflow import Loop, Parallel, Step, StepInput, Steps, Workflow

SESSION = "session"


class Journal:
    """An append-only file; one line is one write, so a kill never leaves half a line behind another."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def __call__(self, *words: Any) -> None:
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())


class Killing:
    """A database whose process dies at a chosen point."""

    kill = ("", 0)
    passed: ClassVar[Counter[str]] = Counter()

    counting = threading.Lock()  # several threads may commit at the same time

    def reach(self, point: str) -> None:
        with self.counting:
            self.passed[point] += 1
            number = self.passed[point]
        if self.kill == (point, number):
            os.kill(os.getpid(), signal.SIGKILL)

    def commit(self, effect: Any) -> None:
        self.reach("before")
        super().commit(effect)  # type: ignore[misc]
        self.reach("after")

    def watched(self, tx: Transaction) -> Transaction:
        """The same transaction, each of whose statements is a point."""

        def execute(*statement: Any) -> Any:
            self.reach("statement")
            return tx.execute(*statement)

        return Transaction(execute, tx.sql)

    def _write_once(self, work: Any) -> Any:
        def watched(tx: Transaction) -> Any:
            result = work(self.watched(tx))
            self.reach("COMMIT")
            return result

        written = super()._write_once(watched)  # type: ignore[misc]
        self.reach("committed")
        return written


class KillingSqliteDb(Killing, SqliteDb):
    """In a file, where a step is one statement and no transaction is begun for it."""

    def _at_once(self, opened: Any, work: Any) -> Any:
        done = super()._at_once(opened, lambda tx: work(self.watched(tx)))
        self.reach("committed")
        return done


class KillingPostgresDb(Killing, PostgresDb):
    """In a PostgreSQL, where a plain commit is one statement and no transaction is begun for it."""

    def _ready(self) -> Any:
        return WatchedPool(super()._ready(), self)


class WatchedPool:
    """Connections on which the commits that are one statement have their points, too."""

    def __init__(self, pool: Any, db: KillingPostgresDb) -> None:
        self.pool = pool
        self.db = db

    def transact(self, begin: str | None, work: Any, **how: Any) -> Any:
        if getattr(work, "func", None) is not atonce.write:
            return self.pool.transact(begin, work, **how)
        written = self.pool.transact(begin, lambda tx: work(self.db.watched(tx)))
        if written:
            self.db.reach("committed")
        return written


def opened(place: str, **options: Any) -> Any:
    """The database at a place."""
    return KillingPostgresDb(place, **options) if place.startswith("postgres") else KillingSqliteDb(place, **options)


class State(TypedDict):
    path: Annotated[list[str], append]
    messages: Annotated[list[Message], add_messages, logged]
    total: int


def chain_graph(db: Any, journal: Journal) -> Any:
    """Ten steps in a row, a fan-out of eight with a join, a loop: each execution of a node is a line in the journal."""

    def step(name: str, seconds: float = 0.002) -> Any:
        def node(state: State, ctx: Context) -> dict[str, Any]:
            journal("run", ctx.task_key, name)
            time.sleep(random.uniform(0, seconds))
            return {"path": [name], "messages": [("assistant", name)]}

        async def anode(state: State, ctx: Context) -> dict[str, Any]:
            journal("run", ctx.task_key, name)
            await asyncio.sleep(random.uniform(0, seconds))
            return {"path": [name], "messages": [("assistant", name)]}

        return anode if hash(name) % 2 else node

    def work(item: int, ctx: Context) -> dict[str, Any]:
        journal("run", ctx.task_key, f"work{item}")
        time.sleep(random.uniform(0, 0.01))
        return {"path": [f"work{item}"]}

    builder = StateGraph(State)
    names = [f"step{i}" for i in range(10)]
    for name in names:
        builder.add_node(name, step(name))
    builder.add_node("work", work).add_node("end", step("end"))
    builder.add_edge(START, names[0])
    for left, right in pairwise(names):
        builder.add_edge(left, right)
    builder.add_conditional_edges(names[-1], lambda s: [Send("work", i) for i in range(8)], ["work"])
    builder.add_edge("work", "end").add_edge("end", END)
    return builder.compile(db=db)


EXPECTED_PATH = [*(f"step{i}" for i in range(10)), *(f"work{i}" for i in range(8)), "end"]


def chain(db: Any, journal: Journal) -> None:
    """Run the graph, or go on with it."""
    graph = chain_graph(db, journal)
    try:
        result = graph.resume(SESSION)
    except SessionNotFound:
        result = graph.invoke({"total": 1, "messages": [("user", "go")]}, session_id=SESSION)
    journal("done", *result["path"])


class EchoModel(Model):
    """Asks for two tools, then answers with the question; each request is a line in the journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def respond(self, request: Request) -> Reply:
        question = next(m.text for m in reversed(request.messages) if m.role == "user")
        answered = request.messages[-1].role == "tool"
        self.journal("model", question, "answer" if answered else "ask")
        time.sleep(random.uniform(0, 0.004))
        if answered:
            return Reply(f"answer to {question}")
        return Reply(tool_calls=[ToolCall(f"{question}-{i}", "note", {"text": f"{question}-{i}"}) for i in range(2)])


TURNS = 8


def agent(db: Any, journal: Journal) -> None:
    """Say eight things to an agent with a tool, from where the conversation stands; each acknowledged answer is a line."""

    def note(text: str, ctx: Context) -> str:
        journal("tool", ctx.task_key, text)
        ctx.session_state["notes"] = ctx.session_state.get("notes", 0)
        return f"noted {text}"

    bot = Agent(EchoModel(journal), tools=[note], db=db, session_id=SESSION)
    runs = db.get_runs(SESSION) if db.get_session(SESSION) is not None else []
    if runs and runs[-1].status == "crashed":
        output = bot.resume()
        journal("acknowledged", output.messages[0].text, output.content)
    for turn in range(len(runs), TURNS):
        output = bot.run(f"question-{turn}")
        journal("acknowledged", f"question-{turn}", output.content)
    journal("done")


def parallel(db: Any, journal: Journal) -> None:
    """Twenty nodes at once, sync and async by turns, of which only the first ``FINISHING`` end in the first process."""
    finishing = int(os.environ["FINISHING"])

    def work(item: int, ctx: Context) -> dict[str, Any]:
        journal("run", ctx.task_key, item)
        if item >= finishing:
            time.sleep(60)
        return {"path": [str(item)]}

    async def awork(item: int, ctx: Context) -> dict[str, Any]:
        journal("run", ctx.task_key, item)
        if item >= finishing:
            await asyncio.sleep(60)
        return {"path": [str(item)]}

    builder = StateGraph(State).add_node("work", work).add_edge("work", END).add_node("awork", awork).add_edge("awork", END)
    sends = [Send("awork" if item % 2 else "work", item) for item in range(20)]
    graph = builder.add_conditional_edges(START, lambda s: sends, ["work", "awork"]).compile(db=db)
    try:
        result = graph.resume(SESSION)
    except SessionNotFound:
        result = graph.invoke({"total": 0}, session_id=SESSION)
    journal("done", *result["path"])


def rival(db: Any, journal: Journal) -> None:
    """Say things on a session that other processes talk on too, and count them in the session's state."""

    def count(state: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return {"session_state": {"count": state["session_state"].get("count", 0) + 1}}

    bot = Agent(EchoModel(journal), tools=[note_down], db=db, session_id=SESSION)
    counter = StateGraph(ConversationState, name="counter").add_node("count", count)
    counter.add_edge(START, "count").add_edge("count", END)
    counting = counter.compile(db=db)
    for turn in range(int(os.environ["TURNS"])):
        question = f"{os.getpid()}-{turn}"
        journal("acknowledged", question, bot.run(question).content)
        counting.invoke({}, session_id=SESSION)
    journal("done")


def workflow_of(db: Any, journal: Journal) -> Workflow:
    """Steps in a row, branches, a loop: each execution of a step is a line in the journal. ``DIE_IN=step:N`` kills the process
    in the N-th execution of a step.
    """
    dying = os.environ.get("DIE_IN", ":").split(":")
    calls: dict[str, int] = {}

    def work(name: str) -> Step:
        def step(given: StepInput, ctx: Context) -> str:
            calls[name] = calls.get(name, 0) + 1
            journal("run", name, ctx.task_key)
            time.sleep(random.uniform(0, 0.004))
            if dying == [name, str(calls[name])]:
                time.sleep(0.5)  # long enough for what runs beside it to be stored
                os.kill(os.getpid(), signal.SIGKILL)
            return f"{name}<{len(str(given.message))}"

        return Step(name, step)

    branches = Parallel(work("left"), Steps("right", [work("right1"), work("right2")]), name="both")
    turns = Loop([work("turn1"), work("turn2")], 3, forward_output=True, name="turns")
    return Workflow([work("one"), branches, turns, work("three")], db=db, session_id=SESSION, name="killed")


def workflow(db: Any, journal: Journal) -> None:
    """Run the workflow, or go on with it."""
    flow = workflow_of(db, journal)
    try:
        output = flow.resume()
    except SessionNotFound:
        output = flow.run("input")
    journal("done", output.content, *output.steps)


def stalled(db: Any, journal: Journal) -> None:
    """Ask a model that takes its time: long enough to be stopped in the middle, and to go on when everything has changed."""

    class Slow(Model):
        def respond(self, request: Request) -> Reply:
            journal("asked")
            time.sleep(0.3)
            return Reply("the stalled answer")

    try:
        Agent(Slow(), db=db, session_id=SESSION).run("stalled question")
        journal("acknowledged")
    except LeaseLost as error:
        journal("lost", str(error).replace(" ", "_"))


def held_graph(db: Any, who: str, shape: str, journal: Any, gate: Path | None) -> Any:
    """A graph that waits in its middle until the file ``gate`` is there, and has the rest of its ``shape`` to do then."""

    def says(name: str) -> Any:
        return lambda state: {"path": [f"{who} {name}"], "messages": [("assistant", f"{who} {name}")]}

    def beside(state: State) -> dict[str, Any]:
        while gate is not None and not gate.exists():
            time.sleep(0.01)
        time.sleep(0.3)  # so that what ran beside it is recorded on its own
        return {"path": [f"{who} beside"]}

    def middle(state: State, ctx: Context) -> dict[str, Any]:
        journal("waiting")
        while gate is not None and not gate.exists():
            time.sleep(0.01)
        if shape == "records a step":
            ctx.step("recorded", lambda: who)
        if shape == "asks":
            interrupt(f"{who} asks")
        if shape == "fails":
            raise ConnectionError(who)
        return {"path": [f"{who} middle"], "messages": [("assistant", f"{who} middle")]}

    builder = StateGraph(State, name="held").add_node("first", says("first")).add_edge(START, "first")
    node: Any = middle
    if shape == "nested":
        node = (
            StateGraph(State, name="inner")
            .add_node("middle", middle)
            .add_edge(START, "middle")
            .add_edge("middle", END)
            .compile()
        )
    builder.add_node("middle", node).add_edge("first", "middle")
    if shape == "siblings":
        builder.add_node("beside", beside).add_edge("first", "beside").add_edge("beside", END)
    if shape == "ends":
        return builder.add_edge("middle", END).compile(db=db)
    return builder.add_node("last", says("last")).add_edge("middle", "last").add_edge("last", END).compile(db=db)


def held(db: Any, journal: Journal) -> None:
    """Run such a graph, and say how it ended."""
    who, shape = os.environ["WHO"], os.environ["SHAPE"]
    graph = held_graph(db, who, shape, journal, Path(sys.argv[3]).with_suffix(".go"))
    durability: Any = os.environ["DURABILITY"]
    options: Any = {"session_id": SESSION, "user_id": os.environ["OWNER"] or None, "on_unfinished": "abandon"}
    try:
        journal(who, graph.invoke({}, durability=durability, **options).status)
    except LeaseLost as error:
        journal(who, "LeaseLost", error)
    except ConnectionError:
        journal(who, "error")


def standing(db: Any, journal: Journal) -> None:
    """In each round, stand in line six times for a session, and leave four places of it when the file of the round is there:
    the first, which asks other processes whether it is its turn, two neighbours, and the last.
    """
    who, rounds = os.environ["WHO"], int(os.environ["ROUNDS"])
    gates = Path(os.environ["GATES"])

    async def one(session_id: str) -> None:
        graphs = [held_graph(db, f"{who}{n}", "ends", lambda *words: None, None) for n in range(6)]
        tasks = []
        for place, graph in enumerate(graphs):
            tasks.append(asyncio.ensure_future(graph.ainvoke({}, session_id=session_id)))
            while (
                not session_queue().is_used(db.identity, session_id) or session_queue().waiting(db.identity, session_id) < place
            ):
                await asyncio.sleep(0.001)
        journal("standing", session_id)
        while not (gates / session_id).exists():
            await asyncio.sleep(0.001)
        for place in (0, 2, 3, 5):
            tasks[place].cancel()
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        journal("ended", session_id, *(getattr(end, "status", type(end).__name__) for end in ends))

    async def all_rounds() -> None:
        for number in range(rounds):
            await one(f"s{number}")

    asyncio.run(all_rounds())


class CrewModel(Model):
    """Leads "quick" and "slow", or is one of them; each request is a line in the journal.

    Slow notes something first, and with ``STALL`` in the environment it never comes to answering.
    """

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.journal = journal

    def respond(self, request: Request) -> Reply:
        answered = request.messages[-1].role == "tool"
        self.journal("model", self.name, "answer" if answered else "ask")
        if self.name == "leader" and not answered:
            tasks = [{"member_id": name, "task": f"task of {name}"} for name in ("quick", "slow")]
            return Reply(tool_calls=[ToolCall(f"d{n}", "delegate_task_to_member", task) for n, task in enumerate(tasks)])
        if self.name == "slow":
            if not answered:
                return Reply(tool_calls=[ToolCall("n", "note_down", {"text": "x"})])
            if os.environ.get("STALL"):
                time.sleep(60)
        return Reply(f"{self.name} is done")


def team(db: Any, journal: Journal) -> None:
    """Have two members work at the same time, or go on with it."""

    def note_down(text: str) -> str:
        """Note it."""
        journal("tool", text)
        return f"noted {text}"

    members = [
        Agent(CrewModel("quick", journal), name="quick"),
        Agent(CrewModel("slow", journal), name="slow", tools=[note_down]),
    ]
    crew = Team(members, model=CrewModel("leader", journal), db=db, session_id=SESSION)
    try:
        output = crew.resume()
    except SessionNotFound:
        output = crew.run("go")
    journal("done", *output.content.split())


class Keeper(Model):
    """Keeps what the user said in its own words, summarises what it is shown, and otherwise answers; each job is a line."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def respond(self, request: Request) -> Reply:
        said, told = request.messages[-1].text, request.messages[0].text
        for job, start in (("remember", "Extract facts"), ("summarise", "Summarise the conversation")):
            if told.startswith(start):
                self.journal(job, str(len(request.messages[-1].text.splitlines())))
                time.sleep(random.uniform(0, 0.004))
                return Reply(
                    f"{said}, noted at {time.time_ns()}" if job == "remember" else f"{len(said.splitlines())} more lines"
                )
        return Reply(f"answer to {said}")


def memory(db: Any, journal: Journal) -> None:
    """Five turns of an agent that keeps memories and summaries."""
    bot = Agent(
        Keeper(journal),
        db=db,
        session_id=SESSION,
        user_id="ann",
        update_memory_on_run=True,
        enable_session_summaries=True,
        summary=SummaryPolicy(after_messages=4, keep_last=1),
    )
    runs = db.get_runs(SESSION) if db.get_session(SESSION) is not None else []
    if runs and runs[-1].status != "completed":
        bot.resume()
    for turn in range(len(runs), 5):
        bot.run(f"I like number {turn}")
    journal("done")


def note_down(text: str) -> str:
    """Note it."""
    return f"noted {text}"


if __name__ == "__main__":
    program, path, journal_path = sys.argv[1:4]
    if len(sys.argv) > 4:
        where, number = sys.argv[4].split(":")
        Killing.kill = (where, int(number))
    database = opened(path, lease_ttl=float(os.environ.get("LEASE_TTL", "30")), busy_timeout=600)
    programs = {"chain": chain, "agent": agent, "parallel": parallel, "rival": rival, "stalled": stalled}
    {**programs, "team": team, "workflow": workflow, "memory": memory, "held": held, "standing": standing}[program](
        database, Journal(journal_path)
    )
    database.close()
    Path(f"{journal_path}.passed").write_text(json.dumps(Killing.passed))
