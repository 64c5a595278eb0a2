"""A run that new input leaves behind: what had been done in it counts, though other nodes of the superstep had not ended."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import (
    END,
    START,
    Agent,
    Context,
    Message,
    RemoveMessage,
    Reply,
    StateGraph,
    Team,
    ToolCall,
    add_messages,
    interrupt,
    logged,
    tool,
)
from graphflow.errors import GraphChangedWarning, InvalidUpdate
from graphflow.testing import ScriptedModel
from tests.conftest import Way


def calls(*made: tuple[str, dict[str, Any]]) -> Reply:
    return Reply("", [ToolCall(id=f"c{n}", name=name, arguments=arguments) for n, (name, arguments) in enumerate(made)])


def shown(model: ScriptedModel) -> list[str]:
    return [message.text for message in model.requests[-1].messages]


def test_what_was_done_before_others_were_allowed_to_is_known_to_later_runs(way: Way, db: Any) -> None:
    @tool(requires_confirmation=True)
    def pay(ctx: Context, to: str) -> str:
        """Pay somebody."""
        ctx.session_state[to] = "paid"
        return f"paid {to}"

    model = ScriptedModel([calls(("pay", {"to": "ann"}), ("pay", {"to": "bob"})), "Ann.", "Yes."])
    agent = Agent(model, tools=[pay], db=db, session_id="s")
    asked = way.run(agent, "Pay both")
    way.resume(agent, "s", answers={asked.interrupts[0].id: True})
    output = way.run(agent, "Whom did you pay?")
    assert shown(model) == ["Pay both", "", "paid ann", "Whom did you pay?"]
    assert [call.arguments for call in model.requests[-1].messages[1].tool_calls] == [{"to": "ann"}]
    assert output.session_state == {"ann": "paid"}
    assert [message.text for message in output.messages] == ["Whom did you pay?", "Ann."]
    way.run(agent, "Sure?")
    assert shown(model) == ["Pay both", "", "paid ann", "Whom did you pay?", "Ann.", "Sure?"]
    abandoned, *_ = db.get_runs("s")
    assert [message.text for message in db.get_run_messages(abandoned.run_id)] == ["Pay both", "", "paid ann"]
    assert [message.text for message in db.get_messages("s")] == [*shown(model), "Yes."]
    assert not db.check().problems


def test_a_leader_knows_what_a_member_said_beside_one_that_asked(way: Way, db: Any) -> None:
    @tool(requires_confirmation=True)
    def book() -> str:
        """Book it."""
        return "booked"

    finder = Agent(ScriptedModel(["A room by the sea"]), name="finder")
    booker = Agent(ScriptedModel([calls(("book", {}))]), name="booker", tools=[book])
    both = [("delegate_task_to_member", {"member_id": name, "task": "go"}) for name in ("finder", "booker")]
    leader = ScriptedModel([calls(*both), "Fine."])
    team = Team([finder, booker], model=leader, db=db, session_id="s")
    assert way.run(team, "A trip").status == "paused"
    way.run(team, "What did you find?")
    assert shown(leader)[1:] == ["A trip", "", "A room by the sea", "What did you find?"]


class Trip(TypedDict, total=False):
    messages: Annotated[list[Message], add_messages, logged]
    found: Annotated[list[str], operator.add]
    best: str


def trip(*finders: Callable[[Any], Any]) -> StateGraph[Any]:
    def ask(state: Any) -> Any:
        return {"found": [interrupt("where to?")]}

    builder = StateGraph(Trip)
    for node in (*finders, ask):
        builder.add_node(node).add_edge(START, node.__name__).add_edge(node.__name__, END)
    return builder


def hotel(state: Any) -> Any:
    return {"messages": ("assistant", "hotel"), "found": ["hotel"], "best": "hotel"}


def train(state: Any) -> Any:
    return {"messages": ("assistant", "train"), "found": ["train"], "best": "train"}


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_fields_keep_what_finished_nodes_wrote(way: Way, db: Any, durability: str) -> None:
    how = {"session_id": "s", "durability": durability}
    graph = trip(hotel).compile(db=db)
    assert way.invoke(graph, {"messages": ("user", "go")}, **how).status == "paused"
    result = way.invoke(graph, {"found": ["map"]}, on_unfinished="abandon", **how)
    assert result["found"] == ["hotel", "map"] and result["best"] == "hotel"
    assert [message.text for message in db.get_messages("s")][:2] == ["go", "hotel"]
    result = way.resume(graph, "s", "Rome", durability=durability)
    assert result["found"] == ["hotel", "map", "hotel", "Rome"]
    assert [message.text for message in db.get_messages("s")] == ["go", "hotel", "hotel"]
    assert way.get_state(graph, "s").values["found"] == result["found"]
    assert not db.check().problems


def test_what_would_not_go_together_goes_one_after_the_other(way: Way, db: Any) -> None:
    graph = trip(hotel, train).compile(db=db)
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    with pytest.raises(InvalidUpdate, match="best"):
        way.resume(graph, "s", "Rome")
    way.invoke(graph, {}, session_id="other")
    result = way.invoke(graph, {}, session_id="other", on_unfinished="abandon")
    assert result["found"] == ["hotel", "train"] and result["best"] == "train"


def divided(old: int, new: int) -> int:
    return old // new if old else new


def test_what_does_not_go_with_the_state_at_all_is_left_out_and_told(way: Way, db: Any) -> None:
    def forget(state: Any) -> Any:
        return {"draft": [RemoveMessage(id="first")]}

    def forget_too(state: Any) -> Any:
        return {"draft": [RemoveMessage(id="first")], "best": "nothing"}

    def share(state: Any) -> Any:
        return {"share": 0}

    class Drafts(TypedDict, total=False):
        draft: Annotated[list[Message], add_messages]
        best: str
        share: Annotated[int, divided]

    def ask(state: Any) -> Any:
        return {"best": interrupt("sure?")}

    builder = StateGraph(Drafts)
    for node in (forget, forget_too, share, ask):
        builder.add_node(node).add_edge(START, node.__name__).add_edge(node.__name__, END)
    graph = builder.compile(db=db)
    start = {"draft": [Message(role="user", content="hi", id="first")], "best": "tea", "share": 12}
    assert way.invoke(graph, start, session_id="s").status == "paused"
    with pytest.warns(RuntimeWarning, match="does not go with the state") as told:
        result = way.invoke(graph, {"share": 4}, session_id="s", on_unfinished="abandon")
    assert [("forget_too" in str(one.message), "share" in str(one.message)) for one in told] == [(True, False), (False, True)]
    assert (result.status, result["draft"], result["best"], result["share"]) == ("paused", [], "tea", 3)
    assert way.get_state(graph, "s").values["share"] == 3
    assert not db.check().problems


def test_a_field_that_the_code_no_longer_has_is_let_be(way: Way, db: Any) -> None:
    class Less(TypedDict, total=False):
        found: Annotated[list[str], operator.add]

    way.invoke(trip(hotel).compile(db=db), {}, session_id="s")
    builder = StateGraph(Less).add_node("look", lambda state: {"found": ["sea"]}).add_edge(START, "look").add_edge("look", END)
    with pytest.warns(GraphChangedWarning):
        result = way.invoke(builder.compile(db=db), {}, session_id="s", on_unfinished="abandon")
    assert result["found"] == ["hotel", "sea"]


def test_input_that_is_wrong_leaves_the_run_as_it_was(way: Way, db: Any) -> None:
    graph = trip(hotel).compile(db=db)
    way.invoke(graph, {"messages": ("user", "go")}, session_id="s")
    before = db.get_session("s"), db.get_runs("s"), db.get_messages("s")
    with pytest.raises(InvalidUpdate):
        way.invoke(graph, {"found": 3}, session_id="s", on_unfinished="abandon")
    assert (db.get_session("s"), db.get_runs("s"), db.get_messages("s")) == before
    assert way.resume(graph, "s", "Rome")["found"] == ["hotel", "Rome"]
