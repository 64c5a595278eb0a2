"""session_state that several tasks change at once: what its reducers make of that."""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, StateGraph, Team, ToolCall, Workflow, append, keyed, merge
from graphflow.core.reducers import merge_keys
from graphflow.errors import InvalidUpdate
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow.workflow import Parallel, Step, Steps


def calls(name: str, *arguments: dict[str, Any]) -> Reply:
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, given) for n, given in enumerate(arguments)])


def buy(item: str, price: int, ctx: Context) -> str:
    """Buy something."""
    state = ctx.session_state
    state["spent"] += price
    state["items"].append(item)
    state["prices"][item] = price
    state["dearest"] = max(state["dearest"], price)
    return "bought"


BOUGHT = [{"item": "pen", "price": 2}, {"item": "ink", "price": 2}, {"item": "pad", "price": 5}]
EMPTY = {"spent": 10, "items": ["cup"], "prices": {"cup": 10}, "dearest": 3}
REDUCERS = {"spent": operator.add, "items": append, "prices": merge, "dearest": max}
FULL = {
    "spent": 19,
    "items": ["cup", "pen", "ink", "pad"],
    "prices": {"cup": 10, "pen": 2, "ink": 2, "pad": 5},
    "dearest": 5,
}


def test_what_tools_change_at_the_same_time_is_put_together(way, db):
    model = ScriptedModel([calls("buy", *BOUGHT), "done", calls("buy", BOUGHT[0]), "done"])
    agent = Agent(model, tools=[buy], db=db, session_id="s", session_state=EMPTY, session_state_reducers=REDUCERS)
    assert way.run(agent, "buy").session_state == FULL == agent.get_session_state("s")
    assert way.run(agent, "one more").session_state["spent"] == 21
    assert EMPTY["items"] == ["cup"]


def test_without_a_reducer_equal_values_are_one_and_others_an_error_that_a_reducer_repairs(way, db):
    def count(by: int, ctx: Context) -> str:
        """Count."""
        ctx.session_state["count"] = ctx.session_state.get("count", 0) + by
        return "counted"

    model = ScriptedModel([calls("count", {"by": 1}, {"by": 1}), "done", calls("count", {"by": 1}, {"by": 2}), "done"])
    agent = Agent(model, tools=[count], db=db, session_id="s")
    assert way.run(agent, "q").session_state == {"count": 1}
    with pytest.raises(InvalidUpdate, match=r"2 tasks of node 'tools'.*session_state\['count'\].*: 2, 3;.*reducers=\{'count'"):
        way.run(agent, "q")
    agent.session_state_reducers = {"count": operator.add}
    assert way.resume(agent, "s").session_state == {"count": 4}


def test_reducers_of_members_hold_for_the_team(way, db):
    def member(name: str) -> Agent:
        model = ScriptedModel([calls("buy", *BOUGHT[:2]), "done"])
        return Agent(model, name=name, tools=[buy], session_state=EMPTY, session_state_reducers=REDUCERS)

    asked = [{"member_id": "a", "task": "buy"}, {"member_id": "b", "task": "buy"}]
    leader = ScriptedModel([calls("delegate_task_to_member", *asked), "done"])
    team = Team([member("a"), member("b")], model=leader, db=db, session_id="s")
    state = way.run(team, "buy").session_state
    assert state["spent"] == 18
    assert state["items"] == ["cup", "pen", "ink", "pen", "ink"]


def test_reducers_hold_for_branches_of_a_workflow(way, db):
    def spend(given: Any, ctx: Context) -> str:
        ctx.session_state["spent"] += 1
        return "spent"

    def ask(given: Any, ctx: Context) -> str:
        ctx.session_state["asked"] = [*ctx.session_state["asked"], ctx.node]
        return "asked"

    branches = Parallel(
        Step("one", spend),
        Steps("two", [Step("more", spend), Parallel(Step("x", ask), Step("y", ask))]),
    )
    reducers = {"spent": operator.add, "asked": operator.add}
    workflow = Workflow(branches, db=db, session_state={"spent": 0, "asked": []}, session_state_reducers=reducers)
    assert way.run(workflow, "go", session_id="s").session_state == {"spent": 2, "asked": ["x", "y"]}


class Kept(TypedDict):
    session_state: Annotated[dict[str, Any], keyed(n=operator.add)]
    steps: Annotated[list[str], append]


def test_a_graph_of_ones_own_says_it_in_its_state(way, db):
    def count(state: Kept, ctx: Context) -> dict[str, Any]:
        ctx.session_state["n"] = ctx.session_state.get("n", 0) + 1
        return {"steps": [ctx.node]}

    builder = StateGraph(Kept)
    for name in ("a", "b", "c"):
        builder.add_node(name, count)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db)
    assert way.invoke(graph, {}, session_id="s").value["session_state"] == {"n": 3}
    assert way.invoke(graph, {}, session_id="s").value["session_state"] == {"n": 6}


def test_a_reducer_for_a_key_does_not_change_what_a_stored_run_fits():
    class Plain(TypedDict):
        session_state: Annotated[dict[str, Any], merge_keys]
        steps: Annotated[list[str], append]

    def one(state: Any) -> None:
        return None

    kept, plain = (
        StateGraph(state).add_node(one).add_edge(START, "one").add_edge("one", END).compile() for state in (Kept, Plain)
    )
    assert kept.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("reducer", "old", "values", "joined"),
    [
        (operator.add, 5, [6, 7, 4], 7),
        (operator.add, Decimal("0.1"), [Decimal("0.2"), Decimal("0.3")], Decimal("0.4")),
        (operator.add, (1,), [(1, 2), (1, 3)], (1, 2, 3)),
        (operator.add, "a", ["ab", "ac"], "abc"),
        (append, [], [["x"], ["x"]], ["x", "x"]),
        (operator.or_, {1}, [{1, 2}, {1, 3}], {1, 2, 3}),
        (operator.or_, {"a": 1}, [{"a": 1, "b": 2}, {"a": 3}], {"a": 3, "b": 2}),
        (merge, {"a": 1}, [{"a": 2}, {"a": 1, "c": 3}], {"a": 2, "c": 3}),
        (min, 4, [3, 2], 2),
    ],
)
def test_what_each_reducer_makes_of_several_values(reducer, old, values, joined):
    assert keyed(key=reducer).join("key", old, values) == joined


@pytest.mark.parametrize("second", [["other"], 5, "delete"])
def test_what_cannot_be_put_together_is_an_error_that_says_why(way, db, second):
    def write(value: Any, ctx: Context) -> str:
        """Write."""
        if value == "delete":
            del ctx.session_state["items"]
        else:
            ctx.session_state["items"] = value
        return "written"

    model = ScriptedModel([calls("write", {"value": ["cup", "pen"]}, {"value": second})])
    agent = Agent(model, tools=[write], db=db, session_state={"items": ["cup"]}, session_state_reducers={"items": append})
    with pytest.raises(InvalidUpdate, match=r"session_state\['items'\] in one superstep: \['cup', 'pen'\], "):
        way.run(agent, "q")


def test_a_reducer_that_tells_nothing_of_what_changed_is_refused():
    with pytest.raises(ValueError, match=r"session_state\['n'\].*operator.add, append, merge"):
        Agent("offline", session_state_reducers={"n": lambda old, new: new})
    with pytest.raises(ValueError, match=r"session_state_reducers=.*dict whose keys are texts"):
        Team([Agent("offline")], session_state_reducers=[append])
    with pytest.raises(ValueError, match=r"session_state\['n'\]"):
        Workflow(session_state_reducers={"n": operator.sub})
