"""An agent: what it costs to have one, and what a run costs apart from the model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, repeat
from typing import Any

from benchmarks.clock import many, per_unit
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.raw import Chat
from benchmarks.shapes import AGENTS, RUNS
from benchmarks.weight import kept_kib
from benchmarks.work import ANSWER, QUESTION, get_weather
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel


@dataclass(slots=True)
class Settings:
    """The least an agent can be: somewhere to put what it was given."""

    model: Any
    tools: list[Any]
    instructions: str | None = None
    name: str | None = None


class Sunny(ScriptedModel):
    """Always the same answer. It does not keep the requests, so that the process does not grow."""

    def __init__(self) -> None:
        super().__init__(repeat(ANSWER))

    def respond(self, request: Any) -> Any:
        """The answer."""
        self.requests.clear()
        return super().respond(request)


def made(place: Place) -> Measured:
    """An agent with one tool; then one that has answered once, so that its graph is compiled."""
    model = Sunny()

    def agent() -> Agent:
        return Agent(model, tools=[get_weather])

    def used() -> Agent:
        one = agent()
        one.run(QUESTION)
        return one

    def settings() -> Settings:
        return Settings(model, [get_weather])

    ours, limit = per_unit(many(agent, AGENTS), many(settings, AGENTS), units=AGENTS)
    [first_run] = per_unit(many(used, AGENTS), units=AGENTS)
    return {
        "made.us": Pair(ours.wall, limit.wall),
        "made.kib": Pair(kept_kib(agent), kept_kib(settings)),
        "used.us": Pair(first_run.wall),
        "used.kib": Pair(kept_kib(used)),
    }


def run(place: Place) -> Measured:
    """Runs of one agent, without a database and on SQLite, each in a session of its own."""
    numbers = count()
    model, db = Sunny(), SqliteDb(place.folder / "graphflow.db")
    chat = Chat(place.folder / "raw.db")
    alone, stored = Agent(model), Agent(model, db=db)

    def answer() -> list[dict[str, str]]:
        return [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]

    without, calling, with_db, rows = per_unit(
        many(lambda: alone.run(QUESTION, session_id=f"session-{next(numbers)}"), RUNS),
        many(answer, RUNS),
        many(lambda: stored.run(QUESTION, session_id=f"session-{next(numbers)}"), RUNS),
        many(lambda: chat.turn(QUESTION, ANSWER, f"session-{next(numbers)}"), RUNS),
        units=RUNS,
    )
    chat.close()
    db.close()
    return {
        "run.us": Pair(without.wall, calling.wall),
        "run.sqlite": Pair(with_db.wall, rows.wall),
        "run.sqlite_cpu": Pair(with_db.cpu, rows.cpu),
    }


CASE = Case(
    "agent",
    (
        Figure("made.us", "making an agent with one tool", "µs", at_most=4),
        Figure("made.kib", "… memory it keeps", "KiB", at_most=1),
        Figure("used.us", "making it and its first run", "µs"),
        Figure("used.kib", "… memory it keeps", "KiB"),
        Figure("run.us", "a run, no database", "µs", at_most=60),
        Figure("run.sqlite", "a run, SqliteDb", "µs", at_most=1200),
        Figure("run.sqlite_cpu", "… processor time", "µs"),
    ),
    {"made": made, "run": run},
)
