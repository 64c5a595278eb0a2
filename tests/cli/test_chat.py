"""``graphflow chat``: a conversation from stdin, in a session that is there the next time."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphflow.db import SqliteDb

if TYPE_CHECKING:
    from tests.cli.conftest import Command
    from tests.postgres import Server


def messages(file: Path, session_id: str) -> list[str]:
    """What is stored in a session."""
    db = SqliteDb(file)
    try:
        return [f"{message.role}: {message.text}" for message in db.get_messages(session_id)]
    finally:
        db.close()


def test_lines_are_answered_until_the_input_ends(graphflow: Command, tmp_path: Path) -> None:
    done = graphflow("chat", "--session", "s1", said="Hi, my name is Alice\n\nWhat is my name?\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Your name is Alice." in done.stdout and "session s1" in done.stdout
    assert len(messages(tmp_path / "graphflow.db", "s1")) == 4


def test_the_session_goes_on_in_the_next_process(graphflow: Command) -> None:
    graphflow("chat", "--session", "s1", said="My name is Alice")
    assert "Your name is Alice." in graphflow("chat", "--session", "s1", said="What is my name?").stdout
    assert "Alice" not in graphflow("chat", "--session", "s2", said="What is my name?").stdout


def test_a_session_without_an_id_is_given_one_that_can_be_continued(graphflow: Command) -> None:
    said = graphflow("chat", said="My name is Alice").stdout.splitlines()[-1].removeprefix("session ")
    assert "Your name is Alice." in graphflow("chat", "--session", said, said="What is my name?").stdout


def test_the_database_file_can_be_named(graphflow: Command, tmp_path: Path) -> None:
    graphflow("chat", "--db", "talk.db", "--session", "s1", said="Hello")
    assert messages(tmp_path / "talk.db", "s1")[0] == "user: Hello"
    assert not (tmp_path / "graphflow.db").exists()


def test_a_session_is_its_users_own(graphflow: Command) -> None:
    graphflow("chat", "--session", "s1", "--user", "ann", said="Hello")
    done = graphflow("chat", "--session", "s1", "--user", "bob", said="What did she say?")
    assert done.returncode == 1
    assert done.stderr.startswith("graphflow: session 's1' belongs to another user") and done.stderr.count("\n") == 1


@pytest.mark.usefixtures("bot")
def test_an_agent_of_ones_own_asks_before_it_calls(graphflow: Command, tmp_path: Path) -> None:
    said = "Please pay amount 30\ny\nPlease pay amount 50\nfar too much\nTell me the weather\nParis\n"
    done = graphflow("chat", "bot:agent", "--db", "b.db", "--session", "s1", said=said)
    assert (done.returncode, done.stderr) == (0, "")
    told = [line for line in messages(tmp_path / "b.db", "s1") if line.startswith("tool")]
    assert told == [
        "tool: paid 30",
        "tool: The user declined this call. Their note: far too much",
        "tool: sunny in Paris",
    ]


@pytest.mark.usefixtures("bot")
def test_a_question_can_be_answered_the_next_time(graphflow: Command, tmp_path: Path) -> None:
    asked = graphflow("chat", "bot:agent", "--db", "b.db", "--session", "s1", said="Please pay amount 30")
    assert asked.returncode == 0 and "The question stays open" in asked.stdout
    answered = graphflow("chat", "bot:agent", "--db", "b.db", "--session", "s1", said="n\n")
    assert answered.returncode == 0 and "waits for an answer" in answered.stdout
    assert messages(tmp_path / "b.db", "s1")[2] == "tool: The user declined this call."


@pytest.mark.usefixtures("bot")
def test_an_agent_without_a_database_remembers_as_long_as_the_chat(graphflow: Command, tmp_path: Path) -> None:
    done = graphflow("chat", "bot:agent", said="My name is Alice\nWhat is my name?")
    assert "Your name is Alice." in done.stdout
    assert list(tmp_path.glob("*.db")) == []


def test_a_run_that_was_killed_is_finished_first(graphflow: Command, tmp_path: Path) -> None:
    lines = [
        "import os, signal",
        "from graphflow import Agent",
        "from graphflow.db import SqliteDb",
        "from graphflow.testing import *",
    ]
    lines += ["def die(request): os.kill(os.getpid(), signal.SIGKILL)"]
    lines += ["Agent(ScriptedModel([die]), db=SqliteDb()).run('My name is Alice', session_id='s1')"]
    path = os.pathsep.join(sys.path)
    killed = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert killed.returncode == -signal.SIGKILL
    done = graphflow("chat", "--session", "s1", said="What is my name?")
    assert "was not finished; going on with it" in done.stdout and "Your name is Alice." in done.stdout
    assert [line.split(":")[0] for line in messages(tmp_path / "graphflow.db", "s1")] == ["user", "assistant"] * 2


def test_without_a_model_it_says_what_to_do(graphflow: Command, tmp_path: Path) -> None:
    done = graphflow("chat", said="Hello", GRAPHFLOW_MODEL="")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "OPENAI_API_KEY" in done.stderr and "GRAPHFLOW_MODEL=offline" in done.stderr
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.usefixtures("bot")
def test_a_run_that_fails_is_told_in_a_line(graphflow: Command) -> None:
    done = graphflow("chat", "bot:keyless", said="Hello")
    assert done.returncode == 1
    assert done.stderr.startswith("graphflow: ") and "OPENAI_API_KEY" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_reply_that_the_terminal_cannot_show_is_written_out(graphflow: Command, tmp_path: Path, encoding: str) -> None:
    lines = ["from graphflow import Agent", "from graphflow.testing import ScriptedModel"]
    lines += [r"agent = Agent(ScriptedModel(['tea \U0001fad6', 'caf\udce9']))"]
    (tmp_path / "odd.py").write_text("\n".join(lines), "utf-8")
    done = graphflow("chat", "odd:agent", said="Hello\nHello\n", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"tea \U0001fad6" in done.stdout and r"caf\udce9" in done.stdout


@pytest.mark.usefixtures("bot")
def test_a_graph_is_nobody_to_talk_to(graphflow: Command) -> None:
    done = graphflow("chat", "bot:graph", said="Hello")
    assert done.returncode == 1
    assert done.stderr.startswith("graphflow: bot:graph is of type Graph, not an agent; bot has bot:agent")


def test_an_id_that_cannot_be_one_is_told_in_a_line(graphflow: Command) -> None:
    done = graphflow("chat", "--session", "x" * 300, said="Hello")
    assert done.returncode == 1 and "session_id" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--session", "--user"])
def test_an_empty_id_is_none_and_chooses_nobody_else(graphflow: Command, option: str) -> None:
    done = graphflow("chat", option, "", said="Hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"graphflow: {option[2:]}_id '' cannot be used: give 1-255 printable characters\n"


def test_a_file_that_is_no_database_is_told_in_a_line(graphflow: Command, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello, I am a text\n" * 100, "utf-8")
    done = graphflow("chat", "--db", "x.db", said="Hello")
    assert done.returncode == 1 and "not a database" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "code", "told"),
    [
        ("postgresql://ai:secret@127.0.0.1:1/ai", 1, "no connection to postgresql://127.0.0.1:1/ai"),
        ("postgresql://ai:secret@127.0.0.1:port/ai", 2, "db_url="),
        ("mysql://ai:secret@localhost/ai", 2, "begins with mysql://"),
    ],
    ids=["refused", "no port", "not known"],
)
@pytest.mark.parametrize("command", [["chat"], ["sessions", "list"], ["sessions", "show", "s"], ["db", "check"]])
def test_a_server_that_is_not_there_is_told_in_a_line_without_its_password(
    graphflow: Command, command: list[str], place: str, code: int, told: str
) -> None:
    done = graphflow(*command, "--db", place, said="Hello")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr and done.stderr.count("\n") == 1 and "secret" not in done.stderr


def test_a_chat_is_kept_in_postgresql_and_found_there(graphflow: Command, postgres_server: Server) -> None:
    with postgres_server.schema() as schema:
        place = ("--db", postgres_server.url, "--schema", schema)
        nothing = graphflow("sessions", "list", *place)
        assert nothing.returncode == 1 and "holds no sessions" in nothing.stderr
        assert "made by the first use" in graphflow("db", "status", *place).stdout
        assert graphflow("chat", *place, "--session", "s1", "--user", "ann", said="My name is Ann").returncode == 0
        done = graphflow("chat", *place, "--session", "s1", "--user", "ann", said="What is my name?")
        assert "Your name is Ann" in done.stdout
        assert [one["session_id"] for one in json.loads(graphflow("sessions", "list", *place, "--json").stdout)] == ["s1"]
        assert "My name is Ann" in graphflow("sessions", "show", "s1", *place).stdout
        assert json.loads(graphflow("sessions", "export", "s1", *place).stdout)
        unknown = graphflow("sessions", "show", "s2", *place)
        assert unknown.returncode == 1 and postgres_server.url not in unknown.stderr
        assert "checkpoints of 1 sessions pruned" in graphflow("sessions", "prune", "--keep-last", "1", *place).stdout
        assert graphflow("sessions", "delete", "s1", "--yes", *place).stdout == "deleted s1\n"


def in_a_terminal(folder: Path, typed: bytes, *arguments: str) -> tuple[int, bytes]:
    """The exit code of a chat in a terminal, and what is to be seen there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "graphflow.cli", "chat", *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRAPHFLOW_MODEL": "offline", "TERM": "dumb"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=env)
    os.close(theirs)
    os.write(ours, typed)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # how Linux says that the other end is closed
        pass
    code = process.wait(60)
    os.close(ours)
    return code, seen


@pytest.mark.usefixtures("bot")
def test_in_a_terminal_it_goes_on_after_a_run_that_fails(tmp_path: Path) -> None:
    code, seen = in_a_terminal(tmp_path, b"hello\nhello\n\n", "bot:keyless")
    assert code == 0 and seen.count(b"set OPENAI_API_KEY or give") == 2


@pytest.mark.parametrize("option", ["--session", "--user"])
def test_in_a_terminal_an_id_that_cannot_be_one_is_told_before_anything_is_asked(tmp_path: Path, option: str) -> None:
    code, seen = in_a_terminal(tmp_path, b"hello\n\n", option, "a\x01")
    assert code == 1 and b"you >" not in seen and f"{option[2:]}_id".encode() in seen


def test_in_a_terminal_it_prompts_and_ends_at_an_empty_line(tmp_path: Path) -> None:
    code, seen = in_a_terminal(tmp_path, b"My name is Alice\n\n", "--session", "s1")
    assert code == 0
    assert b"you >" in seen and b"Alice" in seen
    assert messages(tmp_path / "graphflow.db", "s1")[0] == "user: My name is Alice"
