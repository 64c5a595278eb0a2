"""A conversation: what a turn costs, and what is stored, after 10 turns and after 10,000."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.conversation import SESSION, USER, Growth, answers
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.raw import Chat
from benchmarks.shapes import MARKS, TEXT, marks
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel


class Talk:
    """A conversation with an agent on a file."""

    def __init__(self, file: Path, turns: int) -> None:
        self._model = ScriptedModel(answers(turns))
        self._db = SqliteDb(file)
        self._agent = Agent(self._model, db=self._db)

    def turn(self, question: str) -> None:
        """One question and its answer."""
        self._agent.run(question, session_id=SESSION, user_id=USER)
        # A model that remembers every request would make the process grow, and with it the garbage collector's work.
        self._model.requests.clear()

    def close(self, turns: int) -> None:
        """Make sure that all of it was stored."""
        messages = len(self._agent.get_chat_history(SESSION, user_id=USER))
        self._db.close()
        assert messages == 2 * turns, f"{messages} messages are stored after {turns} turns"


def raw_turn(chat: Chat, turns: int) -> Callable[[str], None]:
    """A turn of the limit."""
    replies = iter(answers(turns))
    return lambda question: chat.turn(question, next(replies))


def session(place: Place) -> Measured:
    """One session, mark by mark; the limit comes to each mark right after us."""
    chosen = marks(place.quick)
    turns = chosen[-1]
    files = place.folder / "graphflow.db", place.folder / "raw.db"
    talk, chat = Talk(files[0], turns), Chat(files[1])
    ours, limit = Growth(talk.turn, turns, files[0]), Growth(raw_turn(chat, turns), turns, files[1])
    reached = [(mark, ours.up_to(mark), limit.up_to(mark)) for mark in chosen]
    talk.close(turns)
    chat.close()
    measured: Measured = {}
    for mark, (spent, stored), (raw, raw_stored) in reached:
        measured[f"wall.{mark}"] = Pair(spent.wall, raw.wall)
        measured[f"cpu.{mark}"] = Pair(spent.cpu, raw.cpu)
        measured[f"stored.{mark}"] = Pair(stored / 1024, raw_stored / 1024)
    for clock in ("wall", "cpu"):
        first, last = measured[f"{clock}.{chosen[0]}"], measured[f"{clock}.{turns}"]
        measured[f"growth.{clock}"] = Pair(last.ours / first.ours, (last.limit or 0) / (first.limit or 1))
    texts = turns * 2 * TEXT
    measured["bytes"] = Pair(reached[-1][1][1] / texts, reached[-1][2][1] / texts)
    return measured


def figures() -> tuple[Figure, ...]:
    """Three for each mark, and how they grow."""
    by_mark = [
        figure
        for mark in MARKS
        for figure in (
            Figure(f"wall.{mark}", f"turn {mark:,}", "ms", times=4),
            Figure(f"cpu.{mark}", "… processor time", "ms", times=6),
            Figure(f"stored.{mark}", "… stored by then", "KiB"),
        )
    ]
    return (
        *by_mark,
        Figure("growth.wall", "last turn : turn 10", "ratio", at_most=1.2),
        Figure("growth.cpu", "… processor time", "ratio", at_most=1.2),
        Figure("bytes", "bytes stored : bytes of text", "ratio", at_most=2),
    )


CASE = Case("chat", figures(), {"session": session})
