"""A conversation in the terminal: lines are said, questions are answered, and the session is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graphflow.core.control import Interrupt
from graphflow.core.ids import check_id, check_user, new_id
from graphflow.db import InMemoryDb
from graphflow.drive.stream import Event
from graphflow.errors import SessionNotFound
from graphflow.printing.live import live
from graphflow.printing.panels import error_panel
from graphflow.printing.questions import ask
from graphflow.printing.text import plain

if TYPE_CHECKING:
    from graphflow.run import Runner
    from graphflow.snapshots import Snapshot

LEAVE = ("", "exit", "quit", "bye")
_HELP = """/history   what was said in this session
/resume    go on with a run that was stopped or failed
/help      this list
an empty line, exit or Ctrl-D ends the conversation; Ctrl-C stops a run"""


class Talk:
    """One conversation with an agent, a team or a workflow. ``arguments`` are those of each run, without the session.

    From a terminal it prompts, and outlives errors. From a pipe each line is said, answers to questions are read from it, too,
    and an error ends it. Raises InvalidId before the first line.
    """

    def __init__(
        self,
        runner: Runner,
        session_id: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        out: Console | None = None,
    ) -> None:
        if runner.db is None:  # questions are answered by resuming, which needs something stored
            runner = copy(runner)
            runner.db = InMemoryDb()  # type: ignore[misc]  # the slot is in the classes below Runner
        self.runner = runner
        self.session_id = new_id() if session_id is None else check_id(session_id, "session_id")
        self.arguments = dict(arguments or {})
        check_user(self._user())
        self.out = out or Console(highlight=False)
        self.interactive = sys.stdin.isatty()

    def run(self) -> None:
        """Say each line until the input ends."""
        if self.interactive:
            self._tell(f"session {self.session_id}; an empty line or Ctrl-D ends it, /help says what else there is")
        try:
            self._guarded(self._go_on)
            for line in self._lines():
                self._guarded(lambda line=line: self._say(line))  # type: ignore[misc]
        except EOFError:
            self.out.print("The question stays open; talk in this session again to answer it.")
        except KeyboardInterrupt:
            self.out.print()
        self._tell(f"session {self.session_id}")

    def _lines(self) -> Iterator[str]:
        if not self.interactive:
            yield from (text for line in sys.stdin if (text := line.strip()))
            return
        while True:
            try:
                text = self.out.input("[bold cyan]you >[/] ").strip()
            except EOFError:
                self.out.print()
                return
            if text.lower() in LEAVE:
                return
            yield text

    def _guarded(self, work: Callable[[], None]) -> None:
        """In a terminal the conversation outlives errors and Ctrl-C."""
        try:
            work()
        except KeyboardInterrupt:
            self.out.print("The run was stopped, what it had finished is stored; /resume goes on with it.")
            if not self.interactive:
                raise
        except EOFError:
            raise
        except Exception as error:
            if not self.interactive:
                raise
            self.out.print(error_panel(error))

    def _say(self, text: str) -> None:
        command = {"/help": self._help, "/history": self._history, "/resume": self._go_on}.get(text.lower())
        if command is not None and self.interactive:
            command()
            return

        def run() -> Iterator[Event]:
            return self.runner.run(text, stream=True, session_id=self.session_id, **self.arguments)

        self._shown(None if self.interactive else text, run)

    def _shown(self, text: str | None, run: Callable[[], Iterator[Event]]) -> None:
        """Show a run; when it pauses, put its questions to the person in front of the terminal, and go on."""
        while True:
            with live(text, self.out, talking=True) as show:
                for event in run():
                    show(event)
            questions = event.data.get("interrupts") or ()
            if not questions:
                return
            text, run = None, self._resumed(questions)

    def _resumed(self, questions: Sequence[Interrupt] = ()) -> Callable[[], Iterator[Event]]:
        """The run, to be gone on with once the questions are answered."""
        answers = {question.id: ask(question, self._read) for question in questions} or None
        told = {name: value for name, value in self.arguments.items() if name not in ("idempotency_key", "session_state")}
        return lambda: self.runner.resume(self.session_id, answers=answers, stream=True, **told)

    def _go_on(self) -> None:
        """Bring the session's last run to its end when it was killed, stopped, failed, or waits for an answer."""
        stored = self._stored()
        if stored is None or not stored.next:
            return
        if stored.interrupts:
            self.out.print("The last run waits for an answer.")
            self._shown(None, self._resumed(stored.interrupts))
        else:
            self.out.print("The last run was not finished; going on with it.")
            self._shown(None, self._resumed())

    def _stored(self) -> Snapshot | None:
        try:
            return self.runner.graph.get_state(self.session_id, user_id=self._user())
        except SessionNotFound:
            return None

    def _user(self) -> str | None:
        given: str | None = self.arguments.get("user_id")
        return self.runner.user_id if given is None else given

    # --- the terminal ------------------------------------------------------------------------------------------------------

    def _history(self) -> None:
        try:
            said = self.runner.get_chat_history(self.session_id, user_id=self._user())
        except SessionNotFound:
            said = []
        for message in said:
            if message.text:
                self.out.print(plain(f"{message.role}: ", "bold"), plain(message.text), sep="")
        self._tell(f"{len(said)} messages")

    def _help(self) -> None:
        self._tell(_HELP)

    def _tell(self, text: str) -> None:
        self.out.print(plain(text, "dim"))

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
