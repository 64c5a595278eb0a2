"""The examples: each runs as a process of its own, without a key, and shows what it says it shows."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphflow import Agent
from graphflow.db import SqliteDb
from tests.models.openai_server import OpenAIServer, says

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CONVERSATION: dict[str, Any] = json.loads((EXAMPLES / "conversation.json").read_text("utf-8"))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs an example in a folder of its own; gives what it printed and its exit code."""

    def start(name: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "nodes")])
        env = {**os.environ, "PYTHONPATH": path, "GRAPHFLOW_MODEL": "offline", "COLUMNS": "200"}
        command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=90)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return start


def test_the_examples_are_scripts_and_each_is_tested_here() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text("utf-8")))


def test_every_example_says_how_it_is_run() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert f"python examples/{path.name}" in path.read_text("utf-8").split('"""')[1], path.name


def test_the_quickstart_remembers(run: Run) -> None:
    first = run("quickstart.py").stdout
    assert "Your name is Alice" in first and first.endswith("6 messages are stored in this session\n")
    assert run("quickstart.py").stdout.endswith("12 messages are stored in this session\n")


def test_tools_run_in_parallel_and_ask(run: Run) -> None:
    out = run("tools.py").stdout
    assert re.search(r"3 calls of half a second each took \d+\.\d seconds", out)
    assert "in the session: {'Oslo': 'snow', 'Paris': 'rain', 'Rome': 'sun'}" in out
    assert "paused: book {'city': 'Rome'} needs confirmation\nThe result of book is: a ticket to Rome." in out
    assert "The user declined this call. Their note: too cold." in out


def test_a_model_of_ones_own_streams_and_calls_tools_over_http(run: Run) -> None:
    out = run("own_model.py").stdout
    assert out.splitlines() == ["get_weather -> snow in Oslo", "I was told: snow in Oslo ", "tokens: 14 in, 7 out"]


def test_the_custom_graph_fans_out_loops_and_joins(run: Run) -> None:
    out = run("custom_graph.py").stdout
    first, second = re.split(r"^Ada: ", out, flags=re.M)[1:]
    nodes = re.findall(r"^   (\w+)", first, re.M)
    assert Counter(nodes) == {"history": 1, "understand": 1, "look_up": 4, "judge": 2, "ready": 1, "answer": 1}
    assert nodes[-2:] == ["ready", "answer"]
    assert "graph: From what I know: Tea is made from leaves" in first and "Coffee is made from roasted seeds" in first
    assert "look_up" not in second and "graph: Your name is Ada." in second


def test_a_crash_repeats_nothing_that_was_finished(run: Run) -> None:
    out = run("resume_after_crash.py").stdout
    assert "the first process ended with -9" in out
    assert [out.count(f" is {state}\n") for state in ("done", "pending")] == [2, 1]
    assert "how often each parcel was packed: {'books': 1, 'bowls': 1, 'bread': 2}" in out
    assert out.endswith("nothing finished was done again\n")


def test_the_research_team_works_at_the_same_time(run: Run) -> None:
    out = run("team_research.py").stdout
    assert [line.split()[0] for line in out.splitlines()[:3]].count("->") == 2, "both begin before one has ended"
    assert "Surveyor says: The result of river_length is: 2850 km." in out
    assert "'length of Danube': 2850" in out and "'towns on Danube': 'Vienna, Budapest, Belgrade'" in out
    assert out.count("a run of") == 3 and out.endswith("5 messages of the team, 13 with those of its members\n")


def test_the_support_desk_picks_a_specialist_and_waits_for_a_person(run: Run) -> None:
    out = run("team_support_router.py").stdout
    assert "technical: From what I know: The router restarts when its red button is held for ten seconds." in out
    assert "billing: From what I know: An invoice is due after 14 days." in out
    paused, resumed = out.split("(paused: may billing call refund({'invoice': 'A-17'})?)")
    assert "on its way" not in paused
    assert "billing: The result of refund is: the money of invoice A-17 is on its way." in resumed
    assert out.endswith("8 messages in ann's session, 4 in ben's\n")


def test_the_kitchen_works_through_its_list(run: Run) -> None:
    out = run("team_tasks.py").stdout
    steps = re.findall(r"^ *[\d.]+ s  (\w+) (begins|says)", out, re.M)
    assert {*steps[:2]} == {("trader", "begins"), ("gardener", "begins")}, "both begin before one has ended"
    assert steps[4:] == [("cook", "begins"), ("cook", "says")]
    assert "task-3 [done by cook, after task-1 and task-2] Write the soup" in out
    assert "refused on the way: task-3 depends on task-1 (open), task-2 (open); have that done first." in out
    assert out.endswith("\nA soup of pepper, caraway, nutmeg and leek, carrot, potato\n")


def test_the_demo_checks_what_it_claims(run: Run) -> None:
    out = run("demo.py").stdout
    checks = int(re.search(r"all (\d+) checks hold", out)[1])  # type: ignore[index]
    assert checks == out.count("✓ ") >= 12
    assert "killed by SIGKILL" in out and "leader → " in out and "FAILED" not in out
    assert "the run is crashed, surveyor is done, traveller is pending" in out
    assert out.count("May this be sent?") == 2 and "sent: The Danube" in out


def test_an_edited_agent_moderates_and_summarises_in_its_own_way(run: Run) -> None:
    out = run("edit_agent_graph.py").stdout
    assert "the nodes of the agent: history, model, summarize" in out and "moderate" in out.split("My name is Ann")[0]
    refused = out.split("My password is tulip")[1].split("Message")[0]
    assert "Please do not type secrets into a chat." in refused
    assert "summary: The user said: My name is Ann; What is my name?\n" in out and out.endswith("in the session: 8 messages\n")


def test_many_users_do_not_hear_of_each_other(run: Run) -> None:
    out = run("many_users.py").stdout
    for user, like in {"mark": "anime", "john": "jazz", "lena": "climbing", "mina": "chess"}.items():
        told = re.search(rf"^{user}, asked in a new session what they like: (.*)\n   remembered: (.*)", out, re.M)
        assert told is not None and like in told[1] and like in told[2]
    assert "   mark-friday: 2 messages\n   mark-monday: 4 messages\n" in out
    assert "john in mark's session: session 'mark-monday' belongs to another user" in out
    assert "mark is deleted: 0 sessions, 0 memories of his" in out and out.endswith("nobody heard of anybody else\n")


TALKS = ("team_research", "team_support_router", "team_tasks", "custom_graph", "many_users", "tools", "edit_agent_graph")


@pytest.mark.parametrize("name", [*TALKS, "workflow_content_pipeline", "workflow_approval"])
def test_with_a_key_an_example_asks_a_language_model(name: str, tmp_path: Path) -> None:
    """The one behind this key says hello to everything, so only that it was asked can be looked at."""
    env = {name: value for name, value in os.environ.items() if name != "GRAPHFLOW_MODEL"}
    with OpenAIServer(says("hello")) as server:
        env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nodes")]), "OPENAI_API_KEY": "key"}
        env |= {"OPENAI_BASE_URL": server.base_url}
        command = [sys.executable, str(EXAMPLES / f"{name}.py")]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=90)
        assert server.requests and "ModelError" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and "hello" in done.stdout, done.stderr


def test_a_workflow_makes_two_issues_and_knows_the_first(run: Run) -> None:
    out = run("workflow_content_pipeline.py").stdout
    first, second = out.split("--- an issue on ")[1:]
    assert "- Tea is made from leaves.\n- Tea was first drunk in China.\n- Most tea is grown in China." in first
    assert "# About tea (3 facts)" in first and "edit (1)" in first and "postcard" not in first
    assert "# ABOUT COCOA\n- Most cocoa is grown in Ivory Coast.\n(Before this one: About tea (3 facts))" in second
    assert "titles in the session: ['About tea (3 facts)', 'About cocoa']" in second
    assert re.search(r"4 messages are stored; the last issue used [1-9]\d* tokens", second)


def test_an_approval_takes_three_processes_and_repeats_nothing(run: Run) -> None:
    out = run("workflow_approval.py").stdout
    assert len(set(re.findall(r"^process (\d+) brings", out, re.M))) == 3
    assert re.findall(r"the run is (\w+)", out) == ["paused", "paused", "completed"]
    assert "'From 1 May on, the harbour line runs.'" in out
    assert "   sent: From 1 May on, the harbour line runs. A ticket costs 2 euro.\n" in out
    assert out.endswith("the figures were looked up 1 time(s)\n")


# --- the replay ------------------------------------------------------------------------------------------------------------


def said_in(conversation: dict[str, Any]) -> dict[str, list[str]]:
    """What the replay has to store: the user's messages of each session."""
    said: dict[str, list[str]] = {}
    for dated in conversation["sessions"]:
        for turn in dated["turns"]:
            said.setdefault(f"{conversation['id']}-{dated['n']}-{turn['speaker']}", []).append(turn["text"])
    return said


def assert_complete(file: Path, conversation: dict[str, Any]) -> None:
    """Every turn is stored once, answered once, in its speaker's own session, and nothing else is."""
    db = SqliteDb(file)
    said = said_in(conversation)
    assert db.count_sessions() == len(said)
    for session_id, texts in said.items():
        session = db.get_session(session_id)
        assert session is not None and session.user_id == session_id.rsplit("-", 1)[1]
        assert [message.text for message in session.messages if message.role == "user"] == texts
        assert [message.role for message in session.messages] == ["user", "assistant"] * len(texts)
        assert {run.status for run in session.runs} == {"completed"} and len(session.runs) == len(texts)
    assert db.check().ok
    db.close()


def test_the_small_conversation_is_in_the_form_that_is_documented() -> None:
    assert set(CONVERSATION) == {"id", "speakers", "sessions", "questions"}
    turns = [turn for dated in CONVERSATION["sessions"] for turn in dated["turns"]]
    assert len(turns) == 60 and len(CONVERSATION["sessions"]) == 4 and len(CONVERSATION["questions"]) == 4
    ids = {turn["id"] for turn in turns}
    assert len(ids) == 60 and {turn["speaker"] for turn in turns} == set(CONVERSATION["speakers"])
    assert [question for question in CONVERSATION["questions"] if not set(question["evidence"]) <= ids] == []


def test_a_replay_stores_every_turn_and_answers_the_questions(run: Run, tmp_path: Path) -> None:
    out = run("replay_conversation.py").stdout
    assert_complete(tmp_path / "replay.db", CONVERSATION)
    assert "0 of 60 turns are stored" in out and "60 turns are stored, in 8 sessions of 2 users" in out
    assert re.search(r"first tenth +│ +[\d.]+ +│ +\d+", out) and re.search(r"last tenth +│ +[\d.]+ +│ +\d+", out)
    for question in CONVERSATION["questions"]:
        row = next(line for line in out.splitlines() if question["question"] in line)
        answer = row.split("│")[3]
        assert re.sub(r"^(On|In) ", "", question["answer"]).lower() in answer.lower()


@pytest.mark.parametrize("turn", [1, 20, 60])
def test_a_killed_replay_goes_on_where_it_was(turn: int, run: Run, tmp_path: Path) -> None:
    command = ("--kill-after", str(turn), "--journal", "journal.jsonl")
    run("replay_conversation.py", *command, code=-signal.SIGKILL)
    texts = [(f"harbour-{dated['n']}-{t['speaker']}", t) for dated in CONVERSATION["sessions"] for t in dated["turns"]]
    session_id, killed = texts[turn - 1]
    db = SqliteDb(tmp_path / "replay.db")
    last = db.get_messages(session_id)[-1]
    assert (last.role, last.text) == ("user", killed["text"])
    assert Agent("offline", db=db).graph.get_state(session_id, user_id=killed["speaker"]).next == ("history",)
    before = {id: db.get_messages(id) for id in said_in(CONVERSATION)}
    assert sum(message.role == "user" for messages in before.values() for message in messages) == turn
    assert sum(message.role == "assistant" for messages in before.values() for message in messages) == turn - 1

    out = run("replay_conversation.py", *command).stdout
    assert (
        f"{turn} of 60 turns are stored" in out
        and f"turn {turn} was not finished: resuming its run in session {session_id}" in out
    )
    assert_complete(tmp_path / "replay.db", CONVERSATION)
    assert [id for id, messages in before.items() if db.get_messages(id)[: len(messages)] != messages] == []
    db.close()

    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()]
    asked = Counter(line["task"] for line in lines if (line["type"], line["node"]) == ("node_started", "model"))
    answered = Counter(line["task"] for line in lines if (line["type"], line["node"]) == ("node_completed", "model"))
    questions = len(CONVERSATION["questions"])
    assert len(answered) == 60 + questions and set(answered.values()) == {1}
    assert sorted(asked.values(), reverse=True) == [2] + [1] * (59 + questions)


def test_a_finished_replay_has_nothing_left_to_do(run: Run, tmp_path: Path) -> None:
    run("replay_conversation.py")
    out = run("replay_conversation.py", "--kill-after", "30").stdout
    assert "60 of 60 turns are stored" in out and "turn 30 is stored already" in out
    assert_complete(tmp_path / "replay.db", CONVERSATION)


def test_two_conversations_fit_into_one_database(run: Run, tmp_path: Path) -> None:
    other = {"id": "other", "speakers": ["Ann", "Bo"], "sessions": [{"n": 1, "when": "noon", "turns": []}]}
    other["sessions"][0]["turns"] = [
        {"id": "D1:1", "speaker": "Ann", "text": "Hi"},
        {"id": "D1:2", "speaker": "Bo", "text": "Ho"},
    ]
    (tmp_path / "other.json").write_text(json.dumps(other), "utf-8")
    run("replay_conversation.py", "other.json", "--db", "both.db")
    run("replay_conversation.py", "--db", "both.db")
    db = SqliteDb(tmp_path / "both.db")
    assert db.count_sessions() == 10 and db.count_sessions(user_id="Ann") == 1
    db.close()


def test_a_database_that_holds_something_else_is_refused(run: Run, tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "replay.db")
    Agent("offline", db=db).run("Something else", session_id="harbour-1-Nora", user_id="Nora")
    db.close()
    done = run("replay_conversation.py", code=1)
    assert "holds something else than this conversation" in done.stderr and "Traceback" not in done.stderr
