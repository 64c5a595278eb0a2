"""A conversation: what a turn costs, and what is stored, after 10 turns and after 10,000."""

from __future__ import annotations

from pathlib import Path

from benchmarks.conversation import SESSION, USER, Growth, answers, marked, questions, warm_up
from benchmarks.figure import Case, Figure, Measured, Pair, Place
from benchmarks.raw import Chat
from benchmarks.shapes import MARKS, TEXT, WARM_UP, marks
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel


class Ours:
    """A conversation with an agent on a file."""

    def __init__(self, file: Path, turns: int) -> None:
        self._model = ScriptedModel(answers(turns))
        self._db = SqliteDb(file)
        self._agent = Agent(self._model, db=self._db)

    def turn(self, question: str, session: str) -> None:
        """One question and its answer."""
        self._agent.run(question, session_id=session, user_id=USER)
        # A model that remembers every request would make the process grow, and with it the garbage collector's work.
        self._model.requests.clear()

    def close(self, turns: int) -> None:
        """Make sure that all of it was stored."""
        messages = len(self._agent.get_chat_history(SESSION, user_id=USER))
        self._db.close()
        assert messages == 2 * turns, f"{messages} messages are stored after {turns} turns"


class Limit:
    """The same texts in a table of messages."""

    def __init__(self, file: Path, turns: int) -> None:
        self._answers = iter(answers(turns))
        self._chat = Chat(file)

    def turn(self, question: str, session: str) -> None:
        """One question and its answer."""
        self._chat.turn(question, next(self._answers), session)

    def close(self, turns: int) -> None:
        """Close the file."""
        self._chat.close()


def write(talk: type[Ours] | type[Limit], file: Path, turns: int) -> None:
    """A file with a conversation of so many turns."""
    conversation = talk(file, turns)
    for question in questions(turns):
        conversation.turn(question, SESSION)
    conversation.close(turns)


def session(place: Place) -> Measured:
    """One session of ours and one of the limit's, mark by mark."""
    chosen = marks(place.quick)
    turns = chosen[-1]
    files = place.folder / "graphflow.db", place.folder / "raw.db"
    agent, chat = Ours(files[0], WARM_UP + turns), Limit(files[1], WARM_UP + turns)
    for conversation in (agent, chat):
        warm_up(conversation.turn)
    ours, limit = Growth(agent.turn, turns, files[0]), Growth(chat.turn, turns, files[1])
    measured: Measured = {}
    for mark, [(spent, stored), (raw, raw_stored)] in marked(chosen, ours, limit):
        measured[f"wall.{mark}"] = Pair(spent.wall, raw.wall)
        measured[f"cpu.{mark}"] = Pair(spent.cpu, raw.cpu)
        measured[f"stored.{mark}"] = Pair(stored / 1024, raw_stored / 1024)
        measured["bytes"] = Pair(stored / (mark * 2 * TEXT), raw_stored / (mark * 2 * TEXT))
    agent.close(turns)
    chat.close(turns)
    for clock in ("wall", "cpu"):
        first, last = measured[f"{clock}.{chosen[0]}"], measured[f"{clock}.{turns}"]
        measured[f"growth.{clock}"] = Pair(last.ours / first.ours, (last.limit or 0) / (first.limit or 1))
    return measured


def figures() -> tuple[Figure, ...]:
    """Three for each mark, and how they grow."""
    by_mark = [
        figure
        for mark in MARKS
        for figure in (
            Figure(f"wall.{mark}", f"turn {mark:,}", "ms"),
            Figure(f"cpu.{mark}", "… processor time", "ms"),
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
