"""cli_app: a conversation in a real terminal, with questions answered, errors outlived, and the session kept."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphflow.db import SqliteDb

BOT = '''
import time
from pydantic import BaseModel
from graphflow import Agent, Team, interrupt, tool
from graphflow.db import SqliteDb
from graphflow.models import OfflineModel
from graphflow.workflow import Step, Workflow

@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"

@tool(external=True)
def weather() -> str:
    """The weather."""

@tool(user_input=["day"])
def visit(city: str, day: str) -> str:
    """Visit a city."""
    return f"{city} on {day}"

class Guest(BaseModel):
    name: str
    seats: int = 1

def booking(given):
    guest = interrupt("Who comes?", response_schema=Guest)
    nights = interrupt("How many nights?", response_schema=int)
    paid = interrupt("Is it paid?", response_schema=bool)
    return f"{guest.name} and {guest.seats - 1} more, {nights} nights, {'paid' if paid else 'owed'}"

class Moody(OfflineModel):
    def _react(self, request):
        text = request.messages[-1].text
        if text == "fail":
            raise ConnectionError("the line is dead")
        if text == "wait":
            time.sleep(5)

    def stream(self, request):
        self._react(request)
        return super().stream(request)

agent = Agent(Moody(), tools=[pay, weather, visit], db=SqliteDb("talk.db"), session_id="s")
step = Step("draft", lambda given: f"about {given.input}", review="Is it good?")
draft = Workflow([step], db=SqliteDb("talk.db"), session_id="w")
hotel = Workflow([Step("booking", booking)], db=SqliteDb("talk.db"), session_id="h")
forgetful = Agent(Moody(), tools=[pay])
'''

Typed = Callable[..., str]


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, what: str, folder: Path) -> None:
        (folder / "bot.py").write_text(BOT)
        self.ours, theirs = pty.openpty()
        path = os.pathsep.join([str(folder), *sys.path])
        env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "90", "LINES": "40", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            # Tests that run in the background of a shell are deaf to Ctrl-C, and so would be what they start.
            [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); import bot; {what}"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""
        self.at = 0

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Read until a text is seen after what was waited for before; gives what came since."""
        deadline = time.monotonic() + seconds
        while text not in self.seen[self.at :]:
            assert time.monotonic() < deadline, f"no {text!r} in {self.seen[self.at :]!r}"
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    part = os.read(self.ours, 65536)
                except OSError:  # the other end is closed
                    part = b""
                assert part or text in self.seen[self.at :], f"it ended without {text!r}: {self.seen[self.at :]!r}"
                self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", part.decode(errors="replace"))
        end = self.seen.index(text, self.at) + len(text)
        since, self.at = self.seen[self.at : end], end
        return since

    def type(self, line: str) -> None:
        os.write(self.ours, f"{line}\n".encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    opened: list[Terminal] = []

    def open_one(what: str) -> Terminal:
        opened.append(Terminal(what, tmp_path))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_questions_are_asked_and_answered_on_the_spot(terminal, tmp_path):
    shell = terminal("bot.agent.cli_app()")
    shell.wait_for("you >")
    shell.type("Please pay amount 30")
    shell.wait_for("May pay(amount=30) be called? [y/n or a note]")
    shell.type("y")
    shell.wait_for("paid 30")
    shell.wait_for("you >")
    shell.type("Please pay amount 50")
    shell.wait_for("[y/n or a note]")
    shell.type("far too much")
    shell.wait_for("Their note: far too much")
    shell.wait_for("you >")
    shell.type("Tell me the weather")
    shell.wait_for("What is the result of weather()?")
    shell.type("sunny")
    shell.wait_for("The result of weather is: sunny")
    shell.wait_for("you >")
    shell.type("Please visit city Rome")
    shell.wait_for("visit: day")
    shell.type("Monday")
    shell.wait_for("Rome on Monday")
    shell.wait_for("you >")
    shell.type("/history")
    assert "user: Please pay amount 30" in shell.wait_for("messages")
    shell.type("exit")
    shell.wait_for("session s")
    assert shell.process.wait(30) == 0


def test_an_error_is_shown_and_the_conversation_goes_on(terminal):
    shell = terminal("bot.agent.cli_app()")
    shell.wait_for("you >")
    shell.type("fail")
    assert "Traceback" not in shell.wait_for("ConnectionError: the line is dead")
    shell.wait_for("you >")
    shell.type("My name is Ann")
    shell.wait_for("My name is Ann", 30)
    shell.wait_for("you >")
    shell.type("What is my name?")
    shell.wait_for("Your name is Ann")
    shell.wait_for("you >")
    shell.type("")
    assert shell.process.wait(30) == 0


def test_ctrl_c_stops_the_run_and_keeps_the_session(terminal, tmp_path):
    shell = terminal("bot.agent.cli_app()")
    shell.wait_for("you >")
    shell.type("My name is Ann")
    shell.wait_for("you >")
    shell.type("wait")
    shell.wait_for("…")
    time.sleep(0.5)
    os.kill(shell.process.pid, signal.SIGINT)
    shell.wait_for("The run was stopped", 90)
    shell.wait_for("you >")
    shell.type("What is my name?")
    shell.wait_for("Your name is Ann")
    shell.wait_for("you >")
    time.sleep(0.5)  # it says so before it waits for a line, and a signal in between is heard with the next line
    os.kill(shell.process.pid, signal.SIGINT)
    shell.wait_for("session s")
    assert shell.process.wait(30) == 0
    db = SqliteDb(tmp_path / "talk.db")
    assert [message.text for message in db.get_messages("s") if message.role == "user"] == [
        "My name is Ann",
        "wait",
        "What is my name?",
    ]
    db.close()


def test_a_review_of_a_workflow_is_a_part_of_the_conversation(terminal):
    shell = terminal("bot.draft.cli_app()")
    shell.wait_for("you >")
    shell.type("tea")
    assert "about tea" in shell.wait_for("[y/n or a note]")
    shell.type("True")
    shell.wait_for("Response")
    shell.wait_for("about tea")
    shell.wait_for("you >")


def test_a_question_with_a_type_is_asked_until_it_has_an_answer_of_that_type(terminal):
    shell = terminal("bot.hotel.cli_app()")
    shell.wait_for("you >")
    shell.type("a room")
    shell.wait_for("Who comes? [name: text, seats: integer; as JSON, or Enter for one after the other]")
    for prompt, line in (
        ("name", ""),
        ("seats [integer; Enter for 1]", "Ann"),
        ("How many nights? [integer]", "3"),
        ("answer is 'two', but has to be of type integer [integer]", "two"),
        ("Is it paid? [y/n]", "2"),
    ):
        shell.type(line)
        shell.wait_for(prompt)
    shell.type("yes")
    shell.wait_for("Ann and 2 more, 2 nights, paid")
    shell.wait_for("you >")


def test_without_a_database_questions_can_be_answered_all_the_same(terminal, tmp_path):
    shell = terminal("bot.forgetful.cli_app(); print('stored:', bot.forgetful.db)")
    shell.wait_for("you >")
    shell.type("Please pay amount 30")
    shell.wait_for("[y/n or a note]")
    shell.type("y")
    shell.wait_for("paid 30")
    shell.wait_for("you >")
    shell.type("bye")
    shell.wait_for("stored: None")


def test_from_a_pipe_lines_are_said_and_questions_answered(tmp_path):
    (tmp_path / "bot.py").write_text(BOT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "COLUMNS": "90"}
    command = [sys.executable, "-c", "import bot; bot.agent.cli_app(user_id='ann')"]
    said = "Please pay amount 30\ny\n"
    done = subprocess.run(command, input=said, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "paid 30" in done.stdout and "you >" not in done.stdout
    db = SqliteDb(tmp_path / "talk.db")
    session = db.get_session("s")
    assert session is not None and session.user_id == "ann"
    db.close()
