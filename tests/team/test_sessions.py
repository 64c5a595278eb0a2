"""Teams in sessions: history, logs of members, shared state, questions, crashes, metrics."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from graphflow import Agent, Context, RunStatus, Team, tool
from graphflow.db import SqliteDb
from graphflow.errors import InvalidUpdate, ModelError, NotOwner
from graphflow.models import OfflineModel
from graphflow.models.base import Reply, Usage
from graphflow.testing import ScriptedModel
from tests.engine.test_nested import FailingDb
from tests.team.conftest import calls, delegates, echo, texts

# --- history -------------------------------------------------------------------------------------------------------------


def test_leader_and_members_remember_what_they_said(way, db):
    member = echo("re ")
    leader = ScriptedModel([delegates(a="one"), "first", delegates(a="two"), "second"])
    team = Team([Agent(member, name="a")], model=leader, db=db, session_id="s")
    way.run(team, "q1")
    way.run(team, "q2")
    assert texts(member.requests[1]) == ["one", "re one", "two"]
    assert texts(leader.requests[2]) == ["q1", "", "re one", "first", "q2"]


def test_history_may_be_switched_off_for_the_leader_and_for_each_member(way, db):
    silent, member = echo(), echo()
    leader = ScriptedModel([delegates(a="1", b="1"), "x", delegates(a="2", b="2"), "y", "z"])
    members = [Agent(silent, name="a", add_history_to_context=False), Agent(member, name="b")]
    team = Team(members, model=leader, db=db, session_id="s", add_history_to_context=False)
    way.run(team, "q1")
    way.run(team, "q2")
    assert texts(leader.requests[2]) == ["q2"]
    assert texts(silent.requests[1]) == ["2"] and texts(member.requests[1]) == ["1", "1", "2"]
    way.run(team, "q3", add_history_to_context=True, num_history_runs=1)
    assert texts(leader.requests[4]) == ["q2", "", "2", "2", "y", "q3"]


def test_what_a_member_said_counts_as_history_by_what_became_of_the_teams_run(way, db):
    member = echo("re ")
    turns: list[Any] = [delegates(a="one"), ModelError("down"), delegates(a="two"), delegates(a="three"), "done"]
    turns += [delegates(a="four"), "done", delegates(a="five"), "done"]
    team = Team([Agent(member, name="a", num_history_runs=None)], model=ScriptedModel(turns), db=db, session_id="s")
    with pytest.raises(ModelError, match="down"):
        way.run(team, "q1")
    way.run(team, "q2")
    assert texts(member.requests[1]) == ["two"], "the run before came to an error"
    assert texts(member.requests[2]) == ["two", "re two", "three"], "what was said in the same run is known"
    way.run(team, "q3")
    assert texts(member.requests[3]) == ["two", "re two", "three", "re three", "four"]
    way.run(team, "q4", session_id=db.fork_session("s"))
    assert "two" in texts(member.requests[4]) and "one" not in texts(member.requests[4]), "a fork knows the same"


def test_a_resumed_run_of_a_team_is_history_of_its_members_like_any_other(way, db):
    member = echo("re ")
    leader = ScriptedModel([delegates(a="one"), ModelError("down"), delegates(a="two"), "done", delegates(a="three"), "done"])
    team = Team([Agent(member, name="a")], model=leader, db=db, session_id="s")
    with pytest.raises(ModelError, match="down"):
        way.run(team, "q1")
    way.resume(team, "s")
    assert texts(member.requests[1]) == ["one", "re one", "two"]
    way.run(team, "q2")
    assert texts(member.requests[2]) == ["one", "re one", "two", "re two", "three"]


def test_a_run_of_a_team_that_was_left_behind_is_history_of_its_members(way, db):
    member = echo("re ")
    asking = Agent(ScriptedModel([calls(("pay", {"to": "bob"}))]), name="b", tools=[tool(requires_confirmation=True)(pay)])
    leader = ScriptedModel([delegates(a="one"), delegates(b="pay"), delegates(a="two"), "done"])
    team = Team([Agent(member, name="a"), asking], model=leader, db=db, session_id="s")
    assert way.run(team, "q1").status == RunStatus.PAUSED
    way.run(team, "q2")
    assert texts(member.requests[1]) == ["one", "re one", "two"]


def pay(to: str) -> str:
    """Pay."""
    return f"paid {to}"


def test_runs_of_members_are_child_runs_with_a_log_of_their_own(way, db):
    leader = ScriptedModel([delegates(a="x", b="y"), "done"])
    team = Team([Agent(echo("A"), name="a"), Agent(echo("B"), name="b")], model=leader, db=db, session_id="s", name="crew")
    output = way.run(team, "q")
    assert [message.text for message in team.get_chat_history()] == ["q", "", "Ax", "By", "done"]
    every = [message.text for message in db.get_messages("s", include_members=True)]
    assert every == ["q", "", "x", "Ax", "y", "By", "Ax", "By", "done"]
    (own,) = db.get_runs("s")
    assert (own.run_id, own.component_id) == (output.run_id, "crew")
    children = [run for run in db.get_runs("s", include_members=True) if run.ns]
    assert [(run.ns, run.component_id, run.parent_run_id, run.status) for run in children] == [
        (id, id, output.run_id, "completed") for id in "ab"
    ]
    assert db.check().ok


def test_messages_of_members_stand_where_they_were_said(way, db):
    inner = Team([Agent(echo("L"), name="leaf")], name="inner", model=ScriptedModel([delegates(leaf="deep"), "I"]))
    leader = ScriptedModel([delegates(inner="go"), delegates(b="x"), "done", delegates(b="y"), "again"])
    team = Team([inner, Agent(echo("B"), name="b")], model=leader, db=db, session_id="s")
    way.run(team, "q1")
    first = ["q1", "", "deep", "Ldeep", "go", "", "Ldeep", "I", "I", "", "x", "Bx", "Bx", "done"]
    assert [message.text for message in db.get_messages("s", include_members=True)] == first
    way.run(team, "q2")
    second = ["q2", "", "y", "By", "By", "again"]
    assert [message.text for message in db.get_messages("s", include_members=True)] == [*first, *second]
    assert [message.text for message in db.get_messages("s", include_members=True, limit=4)] == second[2:]
    copy = db.fork_session("s")
    assert [message.text for message in db.get_messages(copy, include_members=True)] == [*first, *second]
    db.prune(keep_last=1)
    own = ["q1", "", "I", "", "Bx", "done"]
    pruned = [message.text for message in db.get_messages("s", include_members=True)]
    assert pruned[:6] == own and sorted(pruned[:14]) == sorted(first) and pruned[14] == "q2"


def test_databases_and_ids_of_members_are_not_used(way, db, tmp_path):
    own = SqliteDb(tmp_path / "own.db")
    member = Agent(echo(), name="a", db=own, session_id="own", user_id="else")
    way.run(Team([member], model=ScriptedModel([delegates(a="x"), "ok"]), db=db, session_id="s"), "q", user_id="ann")
    assert own.get_sessions() == []
    assert [session.session_id for session in db.get_sessions()] == ["s"]
    own.close()


def test_a_team_without_a_database_answers(way):
    team = Team([Agent(echo(), name="a")], model=ScriptedModel([delegates(a="x"), "ok"]))
    assert way.run(team, "q").content == "ok"


def test_the_session_of_another_user_is_refused(way, db):
    team = Team([Agent(echo(), name="a")], model=ScriptedModel(["ok"]), db=db, session_id="s")
    way.run(team, "q", user_id="ann")
    with pytest.raises(NotOwner):
        way.run(team, "q", user_id="ben")


def test_a_team_talks_on_in_another_process(way, tmp_path):
    for text in ("Hi, my name is Alice", "What's my name?"):
        db = SqliteDb(tmp_path / "s.db")
        output = way.run(Team([Agent("offline")], model=OfflineModel(), db=db, session_id="s"), text)
        db.close()
    assert "Alice" in output.content


# --- the session's dict -------------------------------------------------------------------------------------------------


def keep(key: str, value: str, ctx: Context) -> str:
    """Keep a value."""
    ctx.session_state[key] = value
    return f"{key} of {sorted(ctx.session_state)}"


def forget(key: str, ctx: Context) -> str:
    """Forget a value."""
    del ctx.session_state[key]
    return "forgotten"


def keeper(name: str, **values: str) -> Agent:
    wanted = [("keep", {"key": key, "value": value}) for key, value in values.items()]
    return Agent(ScriptedModel([calls(*wanted), f"{name} kept"]), name=name, tools=[keep, forget])


def test_members_share_the_sessions_dict(way, db):
    members = [keeper("a", x="1"), keeper("b", y="2", z="3")]
    forgetful = Agent(ScriptedModel([calls(("forget", {"key": "x"})), "ok"]), name="c", tools=[keep, forget])
    leader = ScriptedModel([delegates(a="x", b="y"), delegates(c="x"), "done"])
    team = Team([*members, forgetful], model=leader, db=db, session_id="s", session_state={"given": 0})
    output = way.run(team, "q")
    assert output.session_state == {"given": 0, "y": "2", "z": "3"} == team.get_session_state("s")
    assert "keep" in str(db.get_messages("s", include_members=True)[5:])


def test_keys_that_a_member_begins_with_are_its_own_until_it_changes_them(way, db):
    def read(ctx: Context) -> str:
        """Read."""
        ctx.session_state["seen"] = True
        return str(ctx.session_state["limit"])

    member = Agent(ScriptedModel([calls(("read", {})), "ok"]), name="a", tools=[read], session_state={"limit": 3})
    team = Team([member], model=ScriptedModel([delegates(a="x"), "ok"]), db=db, session_id="s")
    assert way.run(team, "q").session_state == {"seen": True}
    assert next(m.text for m in db.get_messages("s", include_members=True) if m.role == "tool") == "3"


def test_members_that_write_one_key_differently_at_the_same_time_are_an_error(way, db):
    team = Team([keeper("a", x="1"), keeper("b", x="2")], model=ScriptedModel([delegates(a="x", b="y")]), db=db, session_id="s")
    conflict = r"'a' and 'b' wrote different values to session_state\['x'\] .*give each a key of its own"
    with pytest.raises(InvalidUpdate, match=conflict):
        way.run(team, "q")


# --- questions ----------------------------------------------------------------------------------------------------------


def paying(name: str, paid: list[str], asked: list[int]) -> Agent:
    @tool(requires_confirmation=True)
    def pay(to: str) -> str:
        """Pay."""
        paid.append(to)
        return f"paid {to}"

    def first(request: Any) -> Reply:
        asked.append(1)
        return calls(("pay", {"to": name}))

    return Agent(ScriptedModel([first, f"{name} is paid", f"{name} is paid"]), name=name, tools=[pay])


def test_a_question_of_a_member_pauses_the_team_and_is_answered_inside(way, db):
    paid: list[str] = []
    asked: list[int] = []
    leader = ScriptedModel([delegates(a="pay"), "all done"])
    team = Team([paying("a", paid, asked)], model=leader, db=db, session_id="s")
    paused = way.run(team, "q")
    assert (paused.status, paid) == (RunStatus.PAUSED, [])
    (question,) = paused.interrupts
    assert question.value == {"tool": "pay", "arguments": {"to": "a"}, "asks": "confirmation", "tool_call_id": "call-0"}
    assert question.ns.startswith("a:")
    assert way.get_state(team.graph, "s").interrupts == paused.interrupts
    (waiting,) = team.graph.get_state("s").tasks
    assert team.graph.get_state("s", ns=waiting.ns).next == ("tools",)
    done = way.resume(team, "s", True)
    assert (done.content, paid, asked) == ("all done", ["a"], [1])
    assert db.check().ok


def test_questions_of_several_members_are_answered_one_by_one_by_other_objects(way, db):
    paid: list[str] = []
    asked: list[int] = []
    leader = ScriptedModel([delegates(a="x", b="x", c="x"), "all done"])
    members = [paying(name, paid, asked) for name in "abc"]

    def team() -> Team:  # as another process would make it
        return Team(members, model=leader, db=db, session_id="s")

    questions = {q.ns.split(":")[0]: q.id for q in way.run(team(), "q").interrupts}
    assert set(questions) == {"a", "b", "c"}
    one_done = way.resume(team(), "s", answers={questions["b"]: True})
    assert (one_done.status, [call.result for call in one_done.tools]) == (RunStatus.PAUSED, [None, "b is paid", None])
    assert way.resume(team(), "s", answers={questions["c"]: "too dear"}).status == RunStatus.PAUSED
    assert [q.id for q in team().graph.get_state("s").interrupts] == [questions["a"]]
    done = way.resume(team(), "s", True)
    assert done.content == "all done"
    assert (sorted(paid), len(asked), len(leader.requests)) == (["a", "b"], 3, 2)
    declined = [m.text for m in db.get_messages("s", include_members=True) if "declined" in m.text]
    assert declined == ["The user declined this call. Their note: too dear"]


def test_a_question_in_a_team_inside_a_team_is_answered_there(way, db):
    paid: list[str] = []
    inner = Team([paying("a", paid, [])], model=ScriptedModel([delegates(a="x")]), name="inner", mode="route")
    team = Team([inner], model=ScriptedModel([delegates(inner="x")]), db=db, session_id="s", mode="route")
    paused = way.run(team, "q")
    assert paused.interrupts[0].ns.split("/")[0].startswith("inner:")
    assert (way.resume(team, "s", True).content, paid) == ("a is paid", ["a"])


def test_a_question_of_a_task_pauses_the_list(way, db):
    paid: list[str] = []
    leader = ScriptedModel(
        [
            calls(("create_task", {"title": "pay"}), ("execute_task", {"task_id": "1", "member_id": "a"})),
            calls(("finish", {"result": "paid"})),
        ]
    )
    team = Team([paying("a", paid, [])], mode="tasks", model=leader, db=db, session_id="s")
    assert way.run(team, "q").status == RunStatus.PAUSED
    assert (way.resume(team, "s", True).content, paid) == ("paid", ["a"])


# --- crashes ------------------------------------------------------------------------------------------------------------


def test_a_member_that_fails_goes_on_inside_and_a_finished_one_is_not_run_again(way, db):
    noted: list[str] = []

    def note(text: str) -> str:
        """Note."""
        noted.append(text)
        return "noted"

    finished = ScriptedModel(["kept"])
    fails = ScriptedModel([calls(("note", {"text": "x"})), ModelError("down"), "mended"])
    leader = ScriptedModel([delegates(a="1", b="2"), "done"])
    team = Team([Agent(finished, name="a"), Agent(fails, name="b", tools=[note])], model=leader, db=db, session_id="s")
    with pytest.raises(ModelError, match="down") as caught:
        way.run(team, "q")
    assert "in the nested graph 'b' (b:" in "\n".join(caught.value.__notes__)
    output = way.resume(team, "s")
    assert output.content == "done"
    assert texts(leader.requests[1]) == ["q", "", "kept", "mended"]
    assert (len(finished.requests), noted, len(leader.requests)) == (1, ["x"], 2)
    assert [message.text for message in db.get_messages("s", include_members=True)][2:-3] == [
        *("1", "kept"),
        *("2", "", "noted", "mended"),
    ]
    assert db.check().ok


def test_new_input_leaves_a_failed_run_behind(way, db):
    leader = ScriptedModel([delegates(a="1"), "hello again"])
    team = Team([Agent(ScriptedModel([ModelError("down")]), name="a")], model=leader, db=db, session_id="s")
    with pytest.raises(ModelError):
        way.run(team, "q")
    assert way.run(team, "r").content == "hello again"


# --- metrics ------------------------------------------------------------------------------------------------------------


def test_tokens_of_members_count_in_the_teams(way, db):
    def spends(text: str, tokens: int) -> Reply:
        return Reply(text, usage=Usage(tokens, tokens))

    inner = Team(
        [Agent(ScriptedModel([spends("x", 100)]), name="leaf")], model=ScriptedModel([delegates(leaf="x"), "y"]), name="t"
    )
    leader = ScriptedModel([delegates(a="x", t="y"), spends("done", 1)])
    team = Team([Agent(ScriptedModel([spends("a", 10)]), name="a"), inner], model=leader, db=db, session_id="s")
    metrics = way.run(team, "q").metrics
    assert (metrics["input_tokens"], metrics["output_tokens"]) == (111, 111)
    assert set(metrics["nodes"]) == {"history", "leader", "a", "t"}


def crew(db: Any, asked: list[str]) -> Team:
    """A team whose members work in parallel, one of them a team with a tool; ``asked`` notes every request."""

    def saying(name: str, *replies: Any) -> ScriptedModel:
        def say(request: Any) -> Any:
            done = sum(1 for message in request.messages if message.role == "tool")
            asked.append(f"{name} {done}")
            return replies[min(done, 1)] if len(replies) > 1 else replies[0]

        return ScriptedModel([say] * 9)

    def note(text: str, ctx: Context) -> str:
        """Note."""
        ctx.session_state["noted"] = text
        return f"noted {text}"

    leaf = Agent(saying("leaf", calls(("note", {"text": "x"})), "leaf done"), name="leaf", tools=[note])
    inner = Team([leaf], model=saying("inner", delegates(leaf="work")), name="inner", mode="route")
    members = [Agent(saying("a", "a done"), name="a"), inner]
    return Team(members, model=saying("leader", delegates(a="work", inner="work"), "all done"), db=db, session_id="s")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_commit_that_fails_anywhere_in_a_team_leaves_a_run_that_comes_to_the_same_end(way: Any, after: bool) -> None:
    for nth in itertools.count(1):
        db, asked = FailingDb(), list[str]()
        db.nth, db.after = nth, after
        try:
            way.run(crew(db, asked), "q")
        except ConnectionError:
            if db.get_session("s") is None:
                continue
            output = way.resume(crew(db, asked), "s")
        else:
            break
        assert (output.content, output.session_state) == ("all done", {"noted": "x"}), nth
        said = [message.text for message in db.get_messages("s", include_members=True)]
        assert sorted(said) == sorted(
            [
                *("q", "", "a done", "leaf done", "all done"),
                *("work", "a done"),
                *("work", "", "leaf answers the user.", "leaf done"),
                *("work", "", "noted x", "leaf done"),
            ]
        ), nth
        again = {name for name in asked if asked.count(name) > 1}
        assert len(again) <= (0 if after else 2), (nth, again)
        assert db.check().ok
    assert nth > 12
