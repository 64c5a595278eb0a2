"""``graphflow chat``: talk to an agent, line by line, in a session that is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel

from graphflow.agent import Agent
from graphflow.cli.failure import Failure, in_one_line, is_expected
from graphflow.cli.reference import load_agent
from graphflow.cli.terminal import plain
from graphflow.core.control import Interrupt
from graphflow.core.ids import new_id
from graphflow.db import InMemoryDb, SqliteDb
from graphflow.errors import SessionNotFound
from graphflow.graph import Snapshot
from graphflow.models.resolve import resolve_model
from graphflow.printing import live
from graphflow.run import Runner, RunOutput, RunStatus

DEFAULT_DB = Path("graphflow.db")
LEAVE = ("exit", "quit")


def chat(
    agent: Annotated[
        str | None, typer.Argument(metavar="[MODULE:AGENT]", help="Your agent; without it, one with the default model.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="The session to begin or to continue.", metavar="ID")] = None,
    user: Annotated[str | None, typer.Option(help="Who talks.", metavar="ID")] = None,
    db: Annotated[Path | None, typer.Option(help="The SQLite file that keeps the sessions.", metavar="FILE")] = None,
) -> None:
    """Talk to an agent. Reads lines from the terminal, or from stdin until its end."""
    talker = _agent(agent, db)
    _Chat(talker, session or talker.session_id or new_id(), user or talker.user_id, Console(highlight=False)).run()


def _agent(reference: str | None, db: Path | None) -> Runner:
    """The agent to talk to, with a database: its own, unless another file is named."""
    if reference is None:
        return Agent(resolve_model(None), db=SqliteDb(DEFAULT_DB if db is None else db))
    loaded = load_agent(reference)
    if db is None and loaded.db is not None:
        return loaded
    loaded.db = InMemoryDb() if db is None else SqliteDb(db)
    return loaded


class _Chat:
    """One conversation."""

    def __init__(self, agent: Runner, session_id: str, user_id: str | None, out: Console) -> None:
        self.agent = agent
        self.session_id = session_id
        self.user_id = user_id
        self.out = out
        self.interactive = sys.stdin.isatty()

    def run(self) -> None:
        """Say each line to the agent until the input ends."""
        if self.interactive:
            self.out.print(plain(f"session {self.session_id}; an empty line or Ctrl-D ends the conversation", "dim"))
        try:
            self._go_on()
            for line in self._lines():
                self._say(line)
        except EOFError:
            self.out.print("The question stays open; chat in this session again to answer it.")
        except KeyboardInterrupt:
            self.out.print()
        self.out.print(plain(f"session {self.session_id}", "dim"))

    def _lines(self) -> Iterator[str]:
        if not self.interactive:
            yield from (text for line in sys.stdin if (text := line.strip()))
            return
        while True:
            try:
                text = self.out.input("[bold cyan]you >[/] ").strip()
            except EOFError:
                return
            if text in ("", *LEAVE):
                return
            yield text

    def _say(self, text: str) -> None:
        """One run. In a terminal the conversation outlives an error."""
        try:
            with live(text) as show:
                for event in self.agent.run(text, stream=True, session_id=self.session_id, user_id=self.user_id):
                    show(event)
            self._answer(event.output)
        except EOFError:
            raise
        except KeyboardInterrupt:
            self.out.print("The run was stopped; chat in this session again to go on with it.")
            raise
        except Exception as error:
            if not self.interactive:
                raise error if is_expected(error) else Failure(in_one_line(error)) from error
            self.out.print(plain(in_one_line(error), "red"))

    def _go_on(self) -> None:
        """Bring the session's last run to its end when it was killed, failed, or waits for an answer."""
        stored = self._stored()
        if stored is None or not stored.next:
            return
        if stored.interrupts:
            self.out.print("The last run waits for an answer.")
            output = self._resumed({question.id: self._ask(question) for question in stored.interrupts})
        else:
            self.out.print("The last run was not finished; going on with it.")
            output = self._resumed()
        self._answer(output)

    def _stored(self) -> Snapshot | None:
        try:
            return self.agent.graph.get_state(self.session_id, user_id=self.user_id)
        except SessionNotFound:
            return None

    def _answer(self, output: RunOutput) -> None:
        """Ask the person in front of the terminal what a paused run wants to know, until it is done."""
        while output.status == RunStatus.PAUSED:
            output = self._resumed({question.id: self._ask(question) for question in output.interrupts})

    def _resumed(self, answers: dict[str, Any] | None = None) -> RunOutput:
        output = self.agent.resume(self.session_id, answers=answers, user_id=self.user_id)
        if output.status == RunStatus.COMPLETED:
            self.out.print(Panel(plain(str(output.content)), title="Response", title_align="left", border_style="green"))
        return output

    # --- questions ---------------------------------------------------------------------------------------------------------

    def _ask(self, question: Interrupt) -> Any:
        """The answer to a question: yes or no (or a note) to a confirmation, a dict to a form, else the line as it is."""
        asked = question.value if isinstance(question.value, dict) else {}
        if asked.get("asks") == "confirmation":
            return _agreed(self._read(f"call {_call(asked)}? [y/n or a note]"))
        if asked.get("asks") == "input":
            return {field: self._read(f"{asked['tool']}: {field}") for field in asked["fields"]}
        return self._read(f"result of {_call(asked)}" if asked.get("asks") == "result" else str(question.value))

    def _read(self, prompt: str) -> str:
        self.out.print(plain(f"{prompt} ", "bold magenta"), end="")
        if self.interactive:
            return self.out.input().strip()
        line = sys.stdin.readline()
        if not line:
            self.out.print()
            raise EOFError
        self.out.print(plain(line.strip()))
        return line.strip()


def _agreed(line: str) -> bool | str:
    known = {"y": True, "yes": True, "n": False, "no": False, "": False}
    return known.get(line.lower(), line)


def _call(asked: dict[str, Any]) -> str:
    return f"{asked['tool']}({', '.join(f'{name}={value!r}' for name, value in asked['arguments'].items())})"
