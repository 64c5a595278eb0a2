"""What goes on while faults happen: turns of an agent and steps of a graph, whose end can be told from what is stored."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Annotated, Any, TypedDict

from graphflow import END, START, Agent, Context, StateGraph, append
from graphflow.models.base import Model, Reply, Request


class Echo(Model):
    """Answers with the question."""

    def respond(self, request: Request) -> Reply:
        return Reply(f"answer to {request.messages[-1].text}")


class State(TypedDict):
    path: Annotated[list[str], append]
    count: int


class Steps:
    """A graph of four steps in a row that counts how often each task was executed."""

    def __init__(self, db: Any) -> None:
        self.executed: Counter[str] = Counter()
        builder = StateGraph(State, name="steps")
        names = ["a", "b", "c", "d"]
        for name in names:
            builder.add_node(name, self._node(name))
        for left, right in zip([START, *names], [*names, END], strict=True):
            builder.add_edge(left, right)
        self.graph = builder.compile(db=db)

    def _node(self, name: str) -> Any:
        def node(state: State, ctx: Context) -> dict[str, Any]:
            self.executed[ctx.task_key] += 1
            return {"path": [name], "count": state["count"] + 1}

        return node


class Talkers:
    """Threads that each say so many things in a session of their own; what they were answered is acknowledged."""

    def __init__(self, db: Any, threads: int, turns: int) -> None:
        self.db = db
        self.turns = turns
        self.acknowledged: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.said = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._talk, args=(f"talk-{n}",)) for n in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def go_on(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        for thread in self._threads:
            thread.join()

    def _talk(self, session: str) -> None:
        agent = Agent(Echo(), db=self.db, session_id=session, num_history_runs=1)
        try:
            for turn in range(self.turns):
                output = agent.run(f"{session}-{turn}")
                assert output.content == f"answer to {session}-{turn}" and output.status == "completed"
                with self._lock:
                    self.acknowledged[session] += 1
                    self.said += 1
        except BaseException as error:
            self.errors.append(error)

    def check(self) -> None:
        """Everything acknowledged is stored once, in order, each question with its answer, and nothing else is."""
        assert not self.errors, self.errors
        for n in range(len(self._threads)):
            session = f"talk-{n}"
            texts = [message.text for message in self.db.get_messages(session)]
            questions = [f"{session}-{turn}" for turn in range(self.turns)]
            assert texts == [text for question in questions for text in (question, f"answer to {question}")]
            runs = self.db.get_runs(session)
            assert [run.status for run in runs] == ["completed"] * self.turns and self.acknowledged[session] == self.turns
        assert self.db.check().ok
