"""The examples about sessions, on every database, with a scripted, the offline and an OpenAI-compatible model."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphflow import Agent, Message
from graphflow.db import SessionType, SqliteDb
from graphflow.models import OfflineModel, OpenAIChat
from graphflow.models.base import Request
from graphflow.testing import ScriptedModel
from tests.models.openai_server import OpenAIServer, says

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "sessions"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))

Play = Callable[..., str]


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs an example's ``talk`` and gives what it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str, db: Any, model: Any) -> str:
        spec = importlib.util.spec_from_file_location(f"session_example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        done = module.talk(db, model)
        if inspect.isawaitable(done):
            asyncio.run(_awaited(done))
        return capsys.readouterr().out

    return run


async def _awaited(done: Any) -> None:
    await done


def scripted() -> ScriptedModel:
    return ScriptedModel(f"reply {n}" for n in itertools.count())


def texts(request: Any) -> list[str]:
    return [message.text for message in request.messages]


def asked(model: ScriptedModel) -> list[list[str]]:
    """What the model was asked when it had to answer, neither to summarise nor to keep memories."""
    jobs = ("Summarise the conversation", "Extract facts")
    return [texts(request) for request in model.requests if not request.messages[0].text.startswith(jobs)]


@pytest.fixture
def served() -> Iterator[OpenAIServer]:
    """A server that answers as the offline model does."""

    async def answer(body: dict[str, Any]) -> Any:
        messages = [Message(message["role"], message["content"]) for message in body["messages"]]
        return await says(OfflineModel().respond(Request(messages)).content)(body)

    with OpenAIServer(answer) as server:
        yield server


@pytest.fixture(params=["offline", "http"])
def model(request: pytest.FixtureRequest) -> Any:
    """Models that answer from what they are told."""
    if request.param == "offline":
        return OfflineModel()
    return OpenAIChat("m", base_url=request.getfixturevalue("served").base_url, api_key="k")


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_script_that_says_how_it_is_run(name, tmp_path):
    assert f"python examples/sessions/{name}.py" in (EXAMPLES / f"{name}.py").read_text("utf-8").split('"""')[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nodes")])}
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Response" in done.stdout


def test_history_is_in_the_second_request_and_in_that_of_a_later_process(play, db):
    model = scripted()
    play("history", db, model)
    assert asked(model)[1] == ["Hi, my name is Alice", "reply 0", "What's my name?"]


def test_history_answers(play, db, model):
    assert play("history", db, model).count("Alice") > 1


def test_history_goes_on_in_another_process(play, tmp_path):
    first = SqliteDb(tmp_path / "s.db")
    play("history", first, OfflineModel())
    first.close()
    second = SqliteDb(tmp_path / "s.db")
    later = Agent(OfflineModel(), db=second, session_id="user_123_session")
    assert "Alice" in later.run("What is my name?").content
    second.close()


def test_a_session_id_of_the_call_continues_that_session_only(play, db):
    model = scripted()
    printed = play("session_ids", db, model)
    assert asked(model)[1][:2] == ["Tell me about space. I like Saturn best.", "reply 0"]
    assert asked(model)[2] == ["Which planet do I like best?"]
    assert "the agent's own session: None" in printed
    assert printed.count(": 4 messages") == printed.count(": 2 messages") == 1


def test_session_ids_answer(play, db, model):
    assert "Saturn" in play("session_ids", db, model).split("Which planet", 1)[1]


def test_history_switched_off_reaches_no_model_unless_a_call_asks(play, db):
    model = scripted()
    assert "6 messages are stored" in play("history_off", db, model)
    assert asked(model)[1] == ["What's my name?"]
    assert asked(model)[2][0] == "Hi, my name is Alice"


def test_history_off_answers(play, db, model):
    printed = play("history_off", db, model)
    assert printed.count("Your name is Alice") == 1 and "6 messages are stored" in printed


def test_fifty_messages_have_a_summary_and_a_bounded_prompt(play, db):
    model = scripted()
    printed = play("summaries", db, model)
    assert "Summary: reply" in printed
    requests = asked(model)
    assert len(requests) == 50
    assert max(len(request) for request in requests) <= 24
    told = [sum(map(len, texts(request))) for request in model.requests if request not in requests]
    assert told
    assert db.get_session("long_conversation").summary


def test_summaries_are_made_by_every_model(play, db, model):
    assert "Summary: Message 0." in play("summaries", db, model)


def test_sessions_of_a_user_are_listed_newest_first(play, db, model):
    assert play("list_sessions", db, model).splitlines()[-2:] == ["second: 2 messages", "first: 2 messages"]


def test_each_user_has_what_they_said_and_nothing_of_others(play, db):
    model = ScriptedModel(lambda request: "Likes anime" if "anime" in texts(request)[-1] else "{}" for _ in range(20))
    play("many_users", db, model)
    (last,) = [request for request in asked(model) if request[-1].startswith("What do you suggest")]
    assert "My name is Mark and I like anime" in last
    assert "- Likes anime" in last[0]
    assert "John" not in "\n".join(last)


def test_many_users_with_models_that_answer(play, db, model):
    printed = play("many_users", db, model)
    mark, john = printed.splitlines()[-2:]
    assert "Mark" in mark and "movies" in mark and "John" not in mark
    assert "John" in john and "Mark" not in john


def test_a_memory_is_known_in_a_session_that_has_no_history_of_it(play, db):
    model = ScriptedModel(lambda request: "Loves pizza" if "margherita" in texts(request)[-1] else "{}" for _ in range(9))
    play("memories", db, model)
    (last,) = [request for request in asked(model) if request[-1] == "What food do I like?"]
    assert len(last) == 2 and "- Loves pizza" in last[0]


def test_memories_answer(play, db, model):
    printed = play("memories", db, model)
    assert "You love pizza" in printed and printed.count("memory: ") == 1


def test_sessions_know_what_made_them(play, db):
    out = play("session_types", db, scripted())
    types = {"agent_session": SessionType.AGENT, "team_session": SessionType.TEAM, "workflow_session": SessionType.WORKFLOW}
    assert "completed {'topic': 'tea'}" in out
    for session_id, type in types.items():
        assert f"{session_id} is a session of type {type}\n" in out and db.get_session(session_id).session_type is type
