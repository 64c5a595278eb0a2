"""The modes of a team: who is asked what, and whose answer is the answer."""

from __future__ import annotations

import threading
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow import END, START, Agent, Message, RunStatus, StateGraph, Team, ToolCall, Workflow, add_messages, logged, tool
from graphflow.db import SessionType
from graphflow.errors import GraphError, ModelError
from graphflow.messages import ImagePart, TextPart
from graphflow.models import OfflineModel
from graphflow.testing import ScriptedModel
from tests.guards.counting import calls_of
from tests.team.conftest import calls, delegates, echo, system, texts

# --- coordinate ----------------------------------------------------------------------------------------------------------


def test_the_leader_gives_tasks_sees_the_answers_and_answers_itself(way, db):
    leader = ScriptedModel([delegates(writer="write a line", critic="read it"), "Here it is"])
    writer, critic = ScriptedModel(["a line"]), ScriptedModel(["well done"])
    team = Team([Agent(writer, name="Writer"), Agent(critic, name="Critic")], model=leader, db=db, session_id="s")
    output = way.run(team, "I want a line")
    assert (output.content, output.status) == ("Here it is", RunStatus.COMPLETED)
    assert texts(writer.requests[0]) == ["write a line"]
    assert texts(leader.requests[1]) == ["I want a line", "", "a line", "well done"]
    assert [(each.name, each.arguments["member_id"], each.result) for each in output.tools] == [
        ("delegate_task_to_member", "writer", "a line"),
        ("delegate_task_to_member", "critic", "well done"),
    ]


def test_a_leader_may_answer_without_its_members(way, db):
    member = ScriptedModel([])
    assert way.run(Team([Agent(member)], model=ScriptedModel(["Hello"]), db=db), "Hi").content == "Hello"
    assert member.requests == []


def test_the_leader_is_told_who_its_members_are():
    def fetch(url: str) -> str:
        """Fetch a page."""
        return url

    leader = ScriptedModel(["ok"])
    inner = Team([Agent("offline", name="Adder")], name="Maths", instructions="Solves sums.")
    reader = Agent("offline", name="Web Reader", instructions=["Reads pages.", "Quotes them."], tools=[fetch])
    Team([reader, Agent("offline"), inner], model=leader, instructions="Be brief.").run("q")
    told = system(leader.requests[0])
    assert told.startswith("Be brief.\n\nYou lead a team.")
    assert told.endswith(
        "The members of the team:\n"
        "- web-reader: name: Web Reader; Reads pages. Quotes them.; tools: fetch\n"
        "- agent-2\n"
        "- maths: name: Maths; Solves sums.; leads: adder"
    )
    (spec,) = leader.requests[0].tools
    assert spec.name == "delegate_task_to_member"
    assert spec.parameters["properties"]["member_id"]["enum"] == ["web-reader", "agent-2", "maths"]


def test_what_a_member_is_for_is_told_by_its_description():
    leader = ScriptedModel(["ok", "ok"])
    told = {"description": "Solves\n  sums. " + "x" * 500}
    by_function = Agent("offline", name="adder", instructions=lambda ctx: "Add.", **told)
    inner = Team([Agent("offline")], name="inner", instructions="Lead.", description="Asks others.")
    flow = Workflow([Agent("offline", name="write")], name="flow", description="Writes articles.")
    team = Team([by_function, inner, flow], model=leader)
    team.run("q")
    lines = system(leader.requests[0]).splitlines()[-3:]
    assert lines[0] == f"- adder: Solves sums. {'x' * 500}", "on one line, and not cut"
    assert lines[1:] == ["- inner: Asks others.; leads: agent-1", "- flow: Writes articles.; steps: write"]
    by_function.description = "Adds up."
    team.run("q")
    assert "- adder: Adds up.\n" in system(leader.requests[1])


@pytest.mark.parametrize("spelling", ["Web Reader", "web reader", "web_reader", "WebReader", " @Web-Reader "])
def test_a_member_may_be_meant_by_its_name_however_that_is_written(way, spelling):
    named = calls(("delegate_task_to_member", {"member_id": spelling, "task": "read"}))
    members = [Agent(echo(), name="Web Reader"), Agent(ScriptedModel([]), name="Reader")]
    assert way.run(Team(members, model=ScriptedModel([named, "done"])), "q").tools[0].result == "read"


def test_a_spelling_that_may_mean_two_members_means_none(way):
    named = calls(("delegate_task_to_member", {"member_id": "AB", "task": "x"}))
    members = [Agent(ScriptedModel([]), name=name) for name in ("a b", "a_b")]
    output = way.run(Team(members, model=ScriptedModel([named, "so be it"])), "q")
    assert output.tools[0].result == "There is no member 'AB'. The members are: a-b, a_b."


def test_an_unknown_member_or_a_missing_task_is_a_message_the_leader_sees(way, db):
    wrong = calls(
        ("delegate_task_to_member", {"member_id": "nobody", "task": "x"}), ("delegate_task_to_member", {"member_id": "a"})
    )
    leader = ScriptedModel([wrong, "so be it"])
    team = Team([Agent(ScriptedModel([]), name="a"), Agent(ScriptedModel([]), name="b")], model=leader, db=db)
    output = way.run(team, "q")
    assert output.content == "so be it"
    unknown, missing = texts(leader.requests[1])[-2:]
    assert unknown == "There is no member 'nobody'. The members are: a, b."
    assert "task: Field required" in missing


def test_delegations_of_one_message_run_at_the_same_time(way, db):
    meeting = threading.Barrier(3, timeout=20)

    def meet(request: Any) -> str:
        meeting.wait()
        return "met"

    members = [Agent(ScriptedModel([meet]), name=name) for name in "abc"]
    leader = ScriptedModel([delegates(a="x", b="y", c="z"), "all met"])
    output = way.run(Team(members, model=leader, db=db, session_id="s"), "meet")
    assert [each.result for each in output.tools] == ["met"] * 3


def test_a_leader_has_tools_of_its_own(way, db):
    def clock() -> str:
        """The time."""
        return "noon"

    leader = ScriptedModel([calls(("clock", {}), ("delegate_task_to_member", {"member_id": "a", "task": "say"})), "ok"])
    team = Team([Agent(echo("I "), name="a")], model=leader, tools=[clock], db=db)
    assert [each.result for each in way.run(team, "q").tools] == ["noon", "I say"]


def test_the_tool_call_limit_counts_delegations(way):
    many = delegates(a="1", b="2")
    leader = ScriptedModel([many, many, "enough"])
    team = Team([Agent(echo(), name="a"), Agent(echo(), name="b")], model=leader, tool_call_limit=3)
    output = way.run(team, "q")
    assert output.content == "enough" and leader.requests[2].tools == ()
    assert [each.result for each in output.tools][:3] == ["1", "2", "1"]
    assert "has made its 3 tool calls" in str(output.tools[3].result)


def test_a_member_without_a_model_is_asked_of_the_teams(way, monkeypatch):
    monkeypatch.delenv("GRAPHFLOW_MODEL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = ScriptedModel([delegates(inner="a task"), delegates(deep="deeper"), "deep answer", "inner answer", "answer"])
    deep = Agent(name="deep", instructions="I am deep.")
    team = Team([Team([deep], name="inner")], model=model)
    assert way.run(team, "q").content == "answer"
    assert system(model.requests[2]) == "I am deep."
    with pytest.raises(ModelError, match="there is no model"):
        way.run(deep, "alone")


def test_images_of_the_user_go_to_the_members(way, db):
    member = echo()
    leader = ScriptedModel([delegates(a="what is on it?"), "a cat"])
    image = ImagePart(data=b"png")
    way.run(Team([Agent(member, name="a")], model=leader, db=db), ["Look", image])
    assert member.requests[0].messages[-1].content == [TextPart(text="what is on it?"), image]


def test_members_are_told_what_others_said_when_interactions_are_shared(way, db):
    for shared in (True, False):
        second = ScriptedModel(["2", "3"])
        leader = ScriptedModel([delegates(one="count"), delegates(two="go on"), "done", delegates(two="again"), "done"])
        team = Team(
            [Agent(ScriptedModel(["1"]), name="one"), Agent(second, name="two", add_history_to_context=False)],
            model=leader,
            db=db,
            session_id=f"s {shared}",
            share_member_interactions=shared,
        )
        way.run(team, "q")
        (asked,) = texts(second.requests[0])
        told = "What other members of the team said so far:\n- one (asked: count): 1"
        assert asked == (f"go on\n\n{told}" if shared else "go on")
        way.run(team, "r")
        assert texts(second.requests[1]) == ["again"], "only what was said in the same run"


# --- route --------------------------------------------------------------------------------------------------------------


def test_in_route_mode_the_members_answer_is_the_answer(way, db):
    leader = ScriptedModel([delegates(billing="The bill is wrong"), delegates(billing="And now?")])
    billing = ScriptedModel(["  Sorry!\n", "Paid back"])
    team = Team(
        [Agent(billing, name="billing"), Agent(ScriptedModel([]), name="tech")],
        mode="route",
        model=leader,
        db=db,
        session_id="s",
    )
    output = way.run(team, "My bill is wrong")
    assert output.content == "  Sorry!\n"
    assert len(leader.requests) == 1
    assert (output.messages[-1].role, output.messages[-1].name) == ("assistant", "billing")
    assert way.run(team, "And now?").content == "Paid back"
    assert texts(leader.requests[1])[-3:] == ["billing answers the user.", "  Sorry!\n", "And now?"]


def test_in_route_mode_one_member_answers(way, db):
    leader = ScriptedModel([delegates(a="x", b="y")])
    second = ScriptedModel([])
    team = Team([Agent(echo(), name="a"), Agent(second, name="b")], mode="route", model=leader, db=db)
    output = way.run(team, "q")
    assert output.content == "x" and second.requests == []
    assert [message.role for message in output.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert "one member gives the answer" in output.messages[3].text


def ticketing(ticket: Any, *turns: Any, **settings: Any) -> Team:
    """A router with a tool and a member."""
    return Team([Agent(echo("re "), name="a")], mode="route", model=ScriptedModel(list(turns)), tools=[ticket], **settings)


BOTH = calls(("delegate_task_to_member", {"member_id": "a", "task": "x"}), ("ticket", {"of": "q"}))


def test_tools_beside_a_routed_delegation_are_called_and_the_member_answers(way, db):
    def ticket(of: str) -> str:
        """Open a ticket."""
        return f"ticket of {of}"

    team = ticketing(ticket, BOTH, db=db, session_id="s")
    *events, last = way.events(team, "q")
    output = last.output
    assert output.content == "re x" and len(team.model.requests) == 1
    assert [(each.name, each.result) for each in output.tools] == [
        ("delegate_task_to_member", "a answers the user."),
        ("ticket", "ticket of q"),
    ]
    assert [message.role for message in output.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert "".join(event.text for event in events if event.type == "token" and not event.ns) == "re x"
    assert db.check().ok


def test_a_question_of_a_tool_beside_a_routed_delegation_is_answered_before_the_run_ends(way, db):
    @tool(requires_confirmation=True)
    def ticket(of: str) -> str:
        """Open a ticket."""
        return f"ticket of {of}"

    team = ticketing(ticket, BOTH, db=db, session_id="s")
    assert way.run(team, "q").status == RunStatus.PAUSED
    output = way.resume(team, "s", True)
    assert (output.content, output.tools[1].result) == ("re x", "ticket of q")
    assert len(team.members[0].model.requests) == 1


def test_a_router_reads_what_its_tools_give_when_it_called_nobody(way):
    def ticket(of: str) -> str:
        """Open a ticket."""
        return f"ticket of {of}"

    team = ticketing(ticket, calls(("ticket", {"of": "q"})), delegates(a="y"))
    assert way.run(team, "q").content == "re y"


def test_a_routed_delegation_beside_more_tool_calls_than_are_allowed_is_carried_out(way):
    def ticket(of: str) -> str:
        """Open a ticket."""
        return f"ticket of {of}"

    assert way.run(ticketing(ticket, BOTH, tool_call_limit=1), "q").content == "re x"


def test_a_router_that_names_nobody_may_try_again(way, db):
    leader = ScriptedModel([delegates(nobody="x"), delegates(a="x")])
    assert way.run(Team([Agent(echo("re "), name="a")], mode="route", model=leader, db=db), "q").content == "re x"


class Verdict(BaseModel):
    good: bool


def test_a_routed_answer_has_the_schema_that_is_asked_for(way):
    member = ScriptedModel(['{"good": true}', '{"good": false}'])
    leader = ScriptedModel([delegates(a="x"), delegates(a="x")])
    team = Team([Agent(member, name="a")], mode="route", model=leader, output_schema=Verdict)
    assert way.run(team, "q").content == Verdict(good=True)
    assert member.requests[0].output_schema is Verdict
    other = Team([Agent(member, name="a")], mode="route", model=leader)
    assert way.run(other, "q", output_schema=Verdict).content == Verdict(good=False)


def judging(*answers: str, leader: ScriptedModel, **settings: Any) -> Team:
    """A router to a member that gives Verdicts and to one that talks."""
    judge = Agent(ScriptedModel(list(answers)), name="judge", output_schema=Verdict)
    return Team([judge, Agent(echo("re "), name="clerk")], mode="route", model=leader, **settings)


def test_a_routed_answer_is_an_object_of_the_members_schema(way, db):
    leader = ScriptedModel([delegates(judge="x"), delegates(clerk="x"), "I answer myself", delegates(judge="x")])
    team = judging('{"good": true}', '{"good": false}', leader=leader, db=db, session_id="s")
    assert [way.run(team, "q").content for _ in range(3)] == [Verdict(good=True), "re x", "I answer myself"]
    last = way.events(team, "q")[-1]
    assert last.output.content == Verdict(good=False)
    assert db.get_runs("s")[0].content == '{"good": true}'


def test_a_schema_of_the_team_goes_before_that_of_the_member(way):
    class Other(BaseModel):
        good: bool

    team = judging('{"good": true}', leader=ScriptedModel([delegates(judge="x")]), output_schema=Other)
    assert way.run(team, "q").content == Other(good=True)


def test_a_routed_answer_that_another_process_comes_to_is_such_an_object(way, db):
    leader = ScriptedModel([delegates(judge="x")])
    with pytest.raises(ModelError, match="not a Verdict"):
        way.run(judging("It is good", leader=leader, db=db, session_id="s"), "q")
    again = judging('{"good": true}', leader=ScriptedModel([]), db=db, session_id="s")
    assert way.resume(again, "s").content == Verdict(good=True)


def test_a_routed_answer_that_is_given_again_for_its_key_is_such_an_object(way, db):
    team = judging('{"good": true}', leader=ScriptedModel([delegates(judge="x")]), db=db)
    first, again = (way.run(team, "q", idempotency_key="k") for _ in range(2))
    assert first.content == again.content == Verdict(good=True)


# --- broadcast ----------------------------------------------------------------------------------------------------------


def test_broadcast_asks_all_members_before_the_leader(way, db):
    leader = ScriptedModel(["They agree"])
    meeting = threading.Barrier(2, timeout=20)

    def answer(request: Any) -> str:
        assert leader.requests == []
        meeting.wait()
        return f"I heard {request.messages[-1].text}"

    models = [ScriptedModel([answer]) for _ in range(2)]
    team = Team([Agent(model) for model in models], mode="broadcast", model=leader, db=db, session_id="s")
    assert way.run(team, "What is it?").content == "They agree"
    assert [texts(model.requests[0]) for model in models] == [["What is it?"]] * 2
    assert len(leader.requests) == 1
    assert texts(leader.requests[0]) == ["What is it?", "", "I heard What is it?", "I heard What is it?"]


def test_a_broadcast_conversation_is_given_to_the_members_as_it_stands(way, db):
    member = echo()
    look_up = ToolCall("1", "look_up", {})
    conversation = [
        Message("system", "Be brief."),
        Message("user", "I live in Oslo"),
        Message("assistant", "", tool_calls=[look_up]),
        Message("tool", "Oslo: a town", tool_call_id="1"),
        Message("assistant", "A fine town", tool_calls=[look_up]),
        Message("tool", "Oslo: a town", tool_call_id="1"),
        Message("user", "Where do I live?"),
    ]
    team = Team([Agent(member, name="a")], mode="broadcast", model=ScriptedModel(["Oslo"]), db=db, session_id="s")
    assert way.run(team, conversation).content == "Oslo"
    told = [(message.role, message.text, message.tool_calls) for message in member.requests[0].messages]
    assert told == [("user", "I live in Oslo", ()), ("assistant", "A fine town", ()), ("user", "Where do I live?", ())]


def test_a_broadcasting_leader_may_use_its_tools(way):
    @tool
    def count(of: str) -> int:
        """Count."""
        return len(of)

    leader = ScriptedModel([calls(("count", {"of": "abc"})), "three"])
    team = Team([Agent(echo(), name="a")], mode="broadcast", model=leader, tools=[count])
    assert way.run(team, "q").content == "three"


def test_a_broadcasting_leader_without_tools_that_calls_some_is_told_so(way):
    leader = ScriptedModel([calls(("count", {})), "all said"])
    output = way.run(Team([Agent(echo(), name="a")], mode="broadcast", model=leader), "q")
    assert output.content == "all said"
    assert texts(leader.requests[1])[-1] == "There is no tool 'count'. The tools are: none."


def test_lists_of_members_and_tools_that_are_changed_count_from_the_next_run_on(way):
    def count() -> str:
        return "3"

    leader = ScriptedModel(["ok"] * 3)
    team = Team([Agent(echo(), name="a")], model=leader, tools=[])
    way.run(team, "q")
    team.tools.append(count)
    way.run(team, "q")
    team.members.append(Agent(echo(), name="b"))
    way.run(team, "q")
    assert [len(request.tools) for request in leader.requests] == [1, 2, 2]
    assert ["- b" in system(request) for request in leader.requests] == [False, False, True]


def test_more_members_than_tool_calls_are_allowed_all_hear_a_broadcast(way):
    team = Team([Agent(echo()) for _ in range(30)], mode="broadcast", model=ScriptedModel(["ok"]))
    assert [each.result for each in way.run(team, "q").tools] == ["q"] * 30


# --- members ------------------------------------------------------------------------------------------------------------


class Talk(TypedDict):
    messages: Annotated[list[Message], add_messages, logged]


def shouting(name: str = "shout"):
    builder = StateGraph(Talk, name=name)
    builder.add_node("shout", lambda state: {"messages": [("assistant", state["messages"][-1].text.upper())]})
    builder.add_edge(START, "shout")
    builder.add_edge("shout", END)
    return builder.compile()


def test_a_graph_of_messages_is_a_member(way, db):
    leader = ScriptedModel([delegates(shout="loud"), "done"])
    assert way.run(Team([shouting()], model=leader, db=db), "q").tools[0].result == "LOUD"


def test_a_graph_without_messages_cannot_be_a_member():
    class Other(TypedDict):
        x: int

    builder = StateGraph(Other, name="other").add_node("n", lambda state: {}).add_edge(START, "n").add_edge("n", END)
    with pytest.raises(GraphError, match="'other' cannot be a member: its state needs messages"):
        Team([builder.compile()], model="offline").run("q")
    with pytest.raises(ValueError, match="members='writer': give Agents, Teams, Workflows or Graphs in the list"):
        Team(["writer"], model="offline")


def test_a_team_is_a_member_of_a_team(way, db):
    inner_leader = ScriptedModel([delegates(leaf="deep"), "inner answer"])
    inner = Team([Agent(echo("leaf: "), name="leaf")], name="inner", model=inner_leader)
    leader = ScriptedModel([delegates(inner="go"), "outer answer"])
    team = Team([inner], model=leader, db=db, session_id="s")
    assert way.run(team, "q").content == "outer answer"
    assert texts(inner_leader.requests[1]) == ["go", "", "leaf: deep"]
    assert {run.ns for run in db.get_runs("s", include_members=True)} == {"", "inner", "inner/leaf"}
    assert db.check().ok


def test_a_team_is_a_step_of_a_workflow(way, db):
    team = Team([Agent(echo("re "), name="a")], model=ScriptedModel([delegates(a="x"), "the team's answer"]), name="crew")
    workflow = Workflow([team, lambda given: f"{given.previous_step_content}!"], db=db)
    assert way.run(workflow, "q", session_id="s").content == "the team's answer!"
    assert "crew/a" in {run.ns for run in db.get_runs("s", include_members=True)}


def test_ids_are_usable_unique_and_those_of_the_nodes():
    members = [
        Agent("offline", name="Ann"),
        Agent("offline"),
        Agent("offline", name="ann"),
        Team([Agent("offline")]),
        shouting(),
    ]
    team = Team([*members, Agent("offline", name="Leader"), Agent("offline", name="Zoë & Co.")], model="offline")
    names = ["ann", "agent-2", "ann-2", "team-4", "shout", "leader-2", "zoë-co"]
    assert list(team.graph.plan.nodes) == ["history", "leader", *names, "tools"]


def test_a_changed_member_changes_the_team(way):
    member = Agent(echo(), name="a")
    leader = ScriptedModel([delegates(a="x"), "1", delegates(a="x"), "2"])
    team = Team([member], model=leader)
    way.run(team, "q")
    before = team.graph
    assert team.graph is before
    member.instructions = "Now with instructions"
    way.run(team, "q")
    assert "Now with instructions" in system(leader.requests[2])


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="mode='vote': give 'coordinate', 'route'"):
        Team([Agent("offline")], mode="vote")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"members=\[\]: give a list of at least one Agent"):
        Team([])
    with pytest.raises(ValueError, match="description=7: give"):
        Team([Agent("offline")], description=7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_tool_error"):
        Team([Agent("offline")], on_tool_error="ignore")
    with pytest.raises(TypeError, match="sesion_id"):
        Team([Agent("offline")], model="offline").run("q", sesion_id="s")  # type: ignore[call-arg]


def test_making_a_team_compiles_nothing():
    members = [Agent("offline"), Agent("offline")]
    team = Team(members, model="offline")  # the first one of all also reads which settings there are
    assert team._graphs is None and members[0]._graphs is None
    assert calls_of(lambda: Team(members, model="offline")) < 100 < calls_of(lambda: team.graph)


def test_a_team_prints_its_response_and_is_listed_as_a_team(db, capsys):
    agent1, agent2 = Agent(OfflineModel()), Agent(OfflineModel())
    Team(members=[agent1, agent2], model=OfflineModel(), db=db, session_id="team_session").print_response("Solve this problem")
    assert "Solve this problem" in capsys.readouterr().out
    assert [session.session_id for session in db.get_sessions(session_type=SessionType.TEAM)] == ["team_session"]
    assert db.get_session("team_session").session_type == SessionType.TEAM
