"""What a database object keeps in mind of the sessions whose last run was its own: it is what the database would say."""

from __future__ import annotations

import operator
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Message, StateGraph, ToolCall, append, per_run, tool
from graphflow.db import InMemoryDb, PostgresDb, SqliteDb
from graphflow.db.recent import LONGEST, SESSIONS
from graphflow.errors import CorruptCheckpoint, NotOwner, SessionBusy
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel

Open = Callable[[], Any]


@pytest.fixture(params=["sqlite", "postgres"])
def open_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the database once more, as another process would."""
    opened: list[Any] = []

    def opening(make: Open) -> Any:
        opened.append(make())
        return opened[-1]

    if request.param == "sqlite":
        yield lambda: opening(lambda: SqliteDb(tmp_path / "sessions.db"))
    else:
        server = request.getfixturevalue("postgres_server")
        with server.schema() as name:
            yield lambda: opening(lambda: PostgresDb(server.url_within(name)))
            while opened:
                opened.pop().close()
    for db in opened:
        db.close()


class Journeys:
    """Counts the times that a database is asked or told something."""

    def __init__(self, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        db.count_sessions()
        for owner, name in (
            ((db._pool, "transact"),) if isinstance(db, PostgresDb) else ((db, "_read_once"), (db, "_write_once"))
        ):
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **how: Any) -> Any:
            self.count += threading.current_thread().name != "graphflow-leases"
            return work(*arguments, **how)

        return counting

    def during(self, work: Callable[[], Any]) -> int:
        before = self.count
        work()
        return self.count - before


def texts(request: Any) -> list[str]:
    return [message.text for message in request.messages if message.role != "system"]


def calls(name: str, **arguments: Any) -> Reply:
    return Reply(tool_calls=[ToolCall("call", name, arguments)])


def test_the_next_turn_is_two_journeys(open_db, monkeypatch, way):
    db = open_db()
    agent = Agent(ScriptedModel(["a0", "a1", "a2", "a3", "a4"]), db=db, session_id="s")
    journeys = Journeys(db, monkeypatch)
    way.run(agent, "q0")
    way.run(agent, "q1")
    counts = [journeys.during(lambda n=n: way.run(agent, f"q{n}")) for n in (2, 3, 4)]
    assert counts == [2, 2, 2]
    assert texts(agent.model.requests[4]) == ["q1", "a1", "q2", "a2", "q3", "a3", "q4"]


def test_a_turn_of_another_process_is_seen_and_nothing_is_lost(open_db, way):
    model = ScriptedModel([f"a{n}" for n in range(6)])
    ours, theirs = (Agent(model, db=open_db(), session_id="s") for _ in range(2))
    for n, agent in enumerate([ours, ours, theirs, ours, theirs, ours]):
        way.run(agent, f"q{n}")
        asked = [text for earlier in range(max(0, n - 3), n) for text in (f"q{earlier}", f"a{earlier}")]
        assert texts(model.requests[n]) == [*asked, f"q{n}"]
    assert [m.text for m in ours.get_chat_history()] == [text for n in range(6) for text in (f"q{n}", f"a{n}")]


@pytest.mark.parametrize("on_busy", ["wait", "reject", "cancel"])
def test_who_does_not_wait_is_not_turned_away_because_of_what_was_in_mind(open_db, way, on_busy):
    model = ScriptedModel(["a0", "a1", "a2"])
    ours, theirs = (Agent(model, db=open_db(), session_id="s") for _ in range(2))
    way.run(ours, "q0")
    way.run(theirs, "q1")
    assert way.run(ours, "q2", on_busy=on_busy).content == "a2"


def test_a_session_that_is_being_run_elsewhere_is_busy(open_db, way):
    ours = Agent(ScriptedModel(["a0", "a1"]), db=open_db(), session_id="s")
    way.run(ours, "q0")
    refused = []

    def answer(request: Any) -> str:
        with pytest.raises(SessionBusy) as error:
            way.run(ours, "q", on_busy="reject")
        refused.append(error)
        return "a"

    way.run(Agent(ScriptedModel([answer]), db=open_db(), session_id="s"), "q1")
    assert len(refused) == 1
    assert way.run(ours, "q2").content == "a1"


def test_a_session_deleted_and_made_again_elsewhere_is_another_one(open_db, way):
    model = ScriptedModel([f"a{n}" for n in range(6)])
    ours, theirs = (Agent(model, db=open_db(), session_id="s", session_state={"n": 0}) for _ in range(2))
    way.run(ours, "secret")
    theirs.db.delete_session("s")
    assert texts(model.requests[-1]) == ["secret"]
    way.run(ours, "q1")
    assert texts(model.requests[-1]) == ["q1"]
    theirs.db.delete_session("s")
    way.run(theirs, "q2")  # it stands where ours stood, under the same numbers
    way.run(ours, "q3")
    assert texts(model.requests[-1]) == ["q2", "a2", "q3"]


def test_nobody_is_told_what_another_user_said_in_a_session_of_the_same_name(open_db, way):
    model = ScriptedModel([f"a{n}" for n in range(6)])
    ours, theirs = (Agent(model, db=open_db(), session_id="s") for _ in range(2))
    for question in ("secret", "another secret"):
        way.run(ours, question, user_id="ann")
    theirs.db.delete_session("s", user_id="ann")
    for question in ("q1", "q2"):
        way.run(theirs, question, user_id="ben")  # the session stands where ann's stood, under the same numbers
    way.run(ours, "q3", user_id="ben")
    assert texts(model.requests[-1]) == ["q1", "a2", "q2", "a3", "q3"]


def test_what_callers_do_to_a_result_changes_nothing(open_db, way):
    def note(items: list[str]) -> str:
        """Note."""
        return "noted"

    def careless(request: Any) -> str:
        request.messages[-2].tool_calls[0].arguments["items"].append("z")
        return "a0"

    model = ScriptedModel([calls("note", items=["x"]), careless, "a1"])
    agent = Agent(model, db=open_db(), tools=[note], session_id="s", session_state={"list": [1]})
    output = way.run(agent, "q0")
    output.session_state["list"].append(2)
    output.messages[1].tool_calls[0].arguments["items"].append("y")
    again = way.run(agent, "q1")
    assert again.session_state == {"list": [1]}
    assert model.requests[2].messages[1].tool_calls[0].arguments == {"items": ["x"]}


def test_what_somebody_changes_in_the_file_is_noticed_before_a_model_is_asked(way, tmp_path):
    model = ScriptedModel(["a0", "a1", "a2"])
    agent = Agent(model, db=SqliteDb(tmp_path / "s.db"), session_id="s")
    way.run(agent, "q0")
    way.run(agent, "q1")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("UPDATE gf_messages SET body = replace(body, 'q1', 'p1')")
        connection.commit()
    with pytest.raises(CorruptCheckpoint, match="does not match its checksum"):
        way.run(agent, "q2")
    assert len(model.requests) == 2
    agent.db.close()


def test_a_session_in_mind_is_its_owners_only(open_db, way):
    agent = Agent(ScriptedModel([f"a{n}" for n in range(4)]), db=open_db(), session_id="s")
    way.run(agent, "q0")
    way.run(agent, "q1", user_id="alice")
    for user in ("bob", None):
        with pytest.raises(NotOwner):
            way.run(agent, "q", user_id=user)
    assert way.run(agent, "q2", user_id="alice").content == "a2"
    assert agent.db.get_session("s").user_id == "alice"


class Kept(TypedDict):
    total: Annotated[int, operator.add]
    seen: Annotated[list[str], append, per_run]
    last: str


def test_each_run_of_a_graph_begins_as_after_a_look_into_the_database(open_db, way):
    def work(state: Kept) -> dict[str, Any]:
        return {"total": 1, "seen": ["w"], "last": state["last"] + "!"}

    ours, theirs = open_db(), open_db()
    builder = StateGraph(Kept).add_node(work).add_edge(START, "work").add_edge("work", END)
    graph, other = builder.compile(db=ours), builder.compile(db=theirs)
    for n in range(1, 4):
        result = way.invoke(graph, {"last": str(n)}, session_id="s").value
        assert result == {"total": n, "seen": ["w"], "last": f"{n}!"}
        result["seen"].clear()
        assert way.get_state(other, "s").values == {"total": n, "seen": ["w"], "last": f"{n}!"}


def test_what_is_in_mind_is_bounded(way):
    db = InMemoryDb()
    agent = Agent(ScriptedModel(["x" * LONGEST, "a1", "a2"] + ["a"] * (SESSIONS + 5)), db=db)
    way.run(agent, "q0", session_id="long")
    way.run(agent, "q1", session_id="long")
    way.run(agent, "q2", session_id="long")
    assert len(texts(agent.model.requests[2])) == 5
    for n in range(SESSIONS + 5):
        agent.run("q", session_id=f"s{n}")
    assert len(db._recent._kept) == SESSIONS


# --- beside a database that keeps nothing in mind ----------------------------------------------------------------------


def step(ctx_free: str) -> str:
    """Do a step."""
    return f"did {ctx_free}"


@tool(requires_confirmation=True)
def pay(to: str) -> str:
    """Pay."""
    return f"paid {to}"


class Twin:
    """An agent and what becomes of it; with ``anew``, on a database that is opened for every call."""

    def __init__(self, open_db: Open, session_id: str, anew: bool) -> None:
        self.open_db, self.session_id, self.anew = open_db, session_id, anew
        self.db = open_db()
        self.told: list[Any] = []

    def do(self, what: str, n: int) -> None:
        if self.anew:
            self.db.close()
            self.db = self.open_db()
        replies: dict[str, list[Any]] = {
            "say": [f"a{n}"],
            "tool": [calls("step", ctx_free=str(n)), f"a{n}"],
            "pay": [calls("pay", to=str(n)), f"a{n}"],
            "fail": [RuntimeError("no answer")],
            "long": [f"a{n}"],
            "none": [f"a{n}"],
            "all": [f"a{n}"],
        }
        model = ScriptedModel(replies.get(what, [f"a{n}", f"b{n}"]))
        agent = Agent(model, db=self.db, tools=[step, pay], session_id=self.session_id, session_state={"begun": n})
        more: dict[str, Any] = {
            "long": {"num_history_runs": 5},
            "none": {"num_history_runs": 0},
            "all": {"num_history_runs": None},
        }
        with suppress(RuntimeError):
            match what:
                case "resume":
                    if agent.graph.get_state(self.session_id).interrupts:
                        agent.resume(self.session_id, True)
                case "edit":
                    agent.graph.update_state(self.session_id, {"session_state": {"edited": n}})
                case "rename":
                    self.db.rename_session(self.session_id, f"name {n}")
                case "elsewhere":
                    other = self.open_db()
                    Agent(model, db=other, tools=[step, pay], session_id=self.session_id).run(f"q{n}")
                    other.close()
                case "prune":
                    self.db.prune(keep_last=1)
                case _:
                    agent.run(f"q{n}", **more.get(what, {}))
        asked = [[(m.role, m.text, len(m.tool_calls)) for m in request.messages] for request in model.requests]
        state = self.db.get_session_state(self.session_id)
        runs = [run.status for run in self.db.get_runs(self.session_id)]
        self.told.append((what, asked, state, runs, [m.text for m in self.db.get_messages(self.session_id)]))


WHAT = (
    ["say"] * 6 + ["tool"] * 3 + ["pay", "pay", "resume", "fail", "long", "none", "all", "edit", "rename", "elsewhere", "prune"]
)


@pytest.mark.parametrize("seed", range(12))
def test_a_conversation_is_the_same_with_and_without_what_is_in_mind(open_db, seed):
    chance = random.Random(seed)
    script = ["say", *chance.choices(WHAT, k=24)]
    kept, anew = (Twin(open_db, name, name == "anew") for name in ("kept", "anew"))
    for n, what in enumerate(script):
        kept.do(what, n)
        anew.do(what, n)
        assert kept.told[-1] == anew.told[-1], script[: n + 1]


def test_a_run_that_is_stored_at_its_end_knows_what_another_process_has_written(open_db: Open) -> None:
    class State(TypedDict):
        notes: Annotated[list[str], append]

    ran: list[list[str]] = []
    builder = StateGraph(State).add_node("node", lambda state: ran.append(state["notes"]) or {"notes": ["noted"]})
    builder.add_edge(START, "node").add_edge("node", END)
    mine, theirs = builder.compile(db=open_db()), builder.compile(db=open_db())
    mine.invoke({"notes": ["a"]}, session_id="s")
    theirs.invoke({"notes": ["b"]}, session_id="s")
    notes = mine.invoke({"notes": ["c"]}, session_id="s", durability="exit")["notes"]
    assert notes == ["a", "noted", "b", "noted", "c", "noted"]
    assert len(ran) == 3, "no node ran in vain"


@pytest.mark.parametrize("id", ["m-{}", "a-message-of-mine-{}", "0123456789abcdef-{}"])
def test_messages_that_bear_ids_of_their_own_stay_in_the_history(open_db, way, id):
    agent = Agent(ScriptedModel([f"a{n}" for n in range(6)]), db=open_db(), session_id="s")
    for n in range(3):
        way.run(agent, Message("user", f"q{n}", id=id.format(n + 1)))
    for n in range(3, 6):
        way.run(agent, f"q{n}")
        earlier = [text for before in range(n - 3, n) for text in (f"q{before}", f"a{before}")]
        assert texts(agent.model.requests[n]) == [*earlier, f"q{n}"]
