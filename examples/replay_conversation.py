"""Replay a real conversation through an agent. Kill it whenever you like and start it again: nothing is lost or done twice.

    python examples/replay_conversation.py                       # a small conversation that comes with the examples
    python examples/replay_conversation.py FILE.json --db my.db
    python examples/replay_conversation.py --kill-after 20       # kills itself in the middle of turn 20; then start it again

FILE is the JSON of a conversation between people on several dates, in the form of the LoCoMo data set:
``{id, speakers, sessions: [{n, when, turns: [{id, speaker, text}]}], questions: [{question, answer, evidence: [turn id]}]}``.

How it is stored: one session per dated session, and one user per speaker. A session has one owner, and nobody else's words are
ever put into its context. So each speaker has a session of their own for each date, ``<conversation>-<n>-<speaker>``, and talks
in it to the agent: a turn is a run in its speaker's session, with the turn's text as the user's message.

The only state is the database. Which turns are stored is read from the sessions at the start, and a run that was killed is
resumed before the next turn begins.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.drive.stream import Event
from graphflow.errors import SessionNotFound
from graphflow.models import Model, Reply, Request, resolve_model

CONVERSATION = Path(__file__).with_name("conversation.json")
QUESTIONS = 5
"""How many of the file's questions are asked at the end."""
WHOLE_SESSION = 10_000
"""Earlier runs put into the context of a question: more than a dated session has turns."""

out = Console(highlight=False)


@dataclass(frozen=True)
class Turn:
    """Something that was said."""

    number: int
    """1, 2, 3… over the whole conversation."""
    id: str
    session_id: str
    user_id: str
    text: str


def read_turns(conversation: dict[str, Any]) -> list[Turn]:
    """All turns in the order they were said, each with the session it belongs to."""
    spoken = [(dated["n"], turn) for dated in conversation["sessions"] for turn in dated["turns"]]
    return [
        Turn(number, turn["id"], f"{conversation['id']}-{n}-{turn['speaker']}", turn["speaker"], turn["text"])
        for number, (n, turn) in enumerate(spoken, 1)
    ]


def count_stored(db: SqliteDb, turns: list[Turn]) -> int:
    """How many turns are in the database: the first so many, because they are said one after the other."""
    heard: dict[str, Iterator[str]] = {}
    for turn in turns:
        if turn.session_id not in heard:
            heard[turn.session_id] = iter([m.text for m in db.get_messages(turn.session_id) if m.role == "user"])
        text = next(heard[turn.session_id], None)
        if text is None:
            return turn.number - 1
        if text != turn.text:
            sys.exit(f"session {turn.session_id!r} holds something else than this conversation; give another file with --db")
    return len(turns)


def is_unfinished(agent: Agent, turn: Turn) -> bool:
    """Whether the run of a stored turn was cut off."""
    try:
        return bool(agent.graph.get_state(turn.session_id, user_id=turn.user_id).next)
    except SessionNotFound:
        return False


class Mortal(Model):
    """A model that, when armed, kills its own process instead of answering: as kill -9 does, without a chance to clean up."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.id = model.id
        self.armed = False

    def respond(self, request: Request) -> Reply:
        """The model's answer, or the end."""
        self._perhaps_die()
        return self.model.respond(request)

    def stream(self, request: Request) -> Iterator[Any]:
        """The model's answer in pieces, or the end."""
        self._perhaps_die()
        yield from self.model.stream(request)

    def _perhaps_die(self) -> None:
        if self.armed:
            os.kill(os.getpid(), signal.SIGKILL)


def journal(path: Path) -> Callable[[Event], None]:
    """Writes a line for each node that starts or completes, so that one can see afterwards what ran when, in which process."""
    file = path.open("a", encoding="utf-8")

    def note(event: Event) -> None:
        if event.type in ("node_started", "node_completed"):
            line = {
                "pid": os.getpid(),
                "type": event.type,
                "session": event.session_id,
                "node": event.node,
                "task": event.task_id,
            }
            print(json.dumps(line), file=file, flush=True)

    return note


# --- the replay ------------------------------------------------------------------------------------------------------------


def replay(agent: Agent, model: Mortal, turns: list[Turn], kill_after: int | None) -> None:
    """Say every turn that is not stored yet, after finishing the one that was cut off."""
    stored = count_stored(agent.db, turns)
    out.print(f"{stored} of {len(turns)} turns are stored in {agent.db.db_file}")
    if stored and is_unfinished(agent, last := turns[stored - 1]):
        out.print(f"turn {stored} was not finished: resuming its run in session {last.session_id}")
        answer = agent.resume(last.session_id, user_id=last.user_id)
        out.print(f"turn {stored} is answered now: {answer.content}", markup=False)
    if kill_after is not None and kill_after <= stored:
        out.print(f"turn {kill_after} is stored already, so this process is not killed")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("turns"), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        bar = progress.add_task("replaying", total=len(turns), completed=stored)
        for turn in turns[stored:]:
            if turn.number == kill_after:
                out.print(f"turn {turn.number}: killing this process (SIGKILL) while the model is asked")
                model.armed = True
            agent.run(turn.text, session_id=turn.session_id, user_id=turn.user_id)
            progress.advance(bar)


# --- what there is to see at the end -----------------------------------------------------------------------------------------


def report(db: SqliteDb, turns: list[Turn]) -> None:
    """What is stored, and what a turn cost at the beginning and at the end, in time and in bytes of rows."""
    sessions = list(dict.fromkeys(turn.session_id for turn in turns))
    exported = [db.export_session(session_id) for session_id in sessions]
    runs = sorted((run for session in exported for run in session["runs"]), key=lambda run: run["created_at"])
    written: dict[str, int] = {run["run_id"]: len(json.dumps(run)) for run in runs}
    for row in (row for session in exported for part in ("checkpoints", "messages") for row in session[part]):
        written[row["run_id"]] += len(json.dumps(row))
    ends = [*(run["created_at"] for run in runs[1:]), runs[-1]["ended_at"]]
    took = [(end - run["created_at"]) / 1000 for run, end in zip(runs, ends, strict=True)]
    table = Table("", "ms per turn (median)", "bytes per turn (mean)", title="What a turn costs")
    tenth = max(1, len(runs) // 10)
    for name, part in (("first tenth", slice(tenth)), ("last tenth", slice(-tenth, None))):
        table.add_row(name, f"{median(took[part]):.1f}", f"{mean(written[run['run_id']] for run in runs[part]):.0f}")
    out.print(f"{len(runs)} turns are stored, in {len(sessions)} sessions of {len({turn.user_id for turn in turns})} users")
    out.print(table)


def ask(agent: Agent, turns: list[Turn], questions: list[dict[str, Any]]) -> None:
    """Ask some of the file's questions, each in a fork of the session with the answer, so that the session stays as it was."""
    place = {turn.id: turn for turn in turns}
    answerable = [(place[id], question) for question in questions for id in question.get("evidence", [])[:1] if id in place]
    if not answerable:
        return
    table = Table("user", "question", "the agent's answer", "expected", title="Questions")
    for turn, question in answerable[:QUESTIONS]:
        fork = agent.fork(turn.session_id, user_id=turn.user_id)
        answer = agent.run(question["question"], session_id=fork, user_id=turn.user_id, num_history_runs=WHOLE_SESSION)
        agent.db.delete_session(fork)
        table.add_row(turn.user_id, question["question"], str(answer.content), str(question.get("answer", "")))
    out.print(table)


def main() -> None:
    """Read the command line and replay."""
    parser = argparse.ArgumentParser(description="Replay a conversation through an agent; kill it and start it again.")
    parser.add_argument("file", nargs="?", type=Path, default=CONVERSATION, help="the conversation (default: a small one)")
    parser.add_argument("--db", type=Path, default=Path("replay.db"), help="the SQLite file (default: replay.db)")
    parser.add_argument("--model", default="offline", help="offline (default), or for example openai:gpt-5-mini")
    parser.add_argument(
        "--kill-after", type=int, metavar="N", help="SIGKILL this process in turn N, after its input was stored"
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="note which node ran when")
    arguments = parser.parse_args()
    conversation = json.loads(arguments.file.read_text("utf-8"))
    turns = read_turns(conversation)
    model = Mortal(resolve_model(arguments.model))
    db = SqliteDb(arguments.db)
    agent = Agent(model, name="listener", db=db, on_event=journal(arguments.journal) if arguments.journal else None)
    out.print(
        f"conversation {conversation['id']}: {' and '.join(conversation['speakers'])}, on {len(conversation['sessions'])} dates"
    )
    replay(agent, model, turns, arguments.kill_after)
    report(db, turns)
    ask(agent, turns, conversation.get("questions", []))


if __name__ == "__main__":
    main()
