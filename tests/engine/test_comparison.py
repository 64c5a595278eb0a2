"""What counts as a change: values that are equal are not always the same."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, Context, Reply, StateGraph, ToolCall, merge
from graphflow.core.comparison import same
from graphflow.testing import ScriptedModel

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, True),
        ({"on": 1}, {"on": True}),
        ([0.0], [-0.0]),
        ((1, [2]), (1, [2.0])),
        (Decimal("1.0"), Decimal("1.00")),
        (NOON, NOON.astimezone(TOKYO)),
        ({1}, {True}),
        ({1: "a"}, {True: "a"}),
    ],
)
def test_values_that_are_equal_and_not_the_same(old: Any, new: Any) -> None:
    assert old == new and not same(old, new)


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"a": (1, 2)}], {1, "b"}, NOON, Decimal("1.0"), float("1.5")])
def test_values_that_are_the_same(value: Any) -> None:
    assert same(value, deepcopy(value)) and same(deepcopy([value]), [value])


def test_a_tool_may_change_a_value_to_one_that_is_equal(way: Any, db: Any) -> None:
    def change(ctx: Context) -> str:
        """Change it."""
        ctx.session_state.update({"flags": {"on": True}, "price": Decimal("1.00"), "at": NOON.astimezone(TOKYO)})
        return "changed"

    begun = {"flags": {"on": 1}, "price": Decimal("1.0"), "at": NOON}
    model = ScriptedModel([Reply(tool_calls=[ToolCall("1", "change", {})]), "done"])
    agent = Agent(model, tools=[change], db=db, session_id="s", session_state=begun)
    for state in (way.run(agent, "go").session_state, agent.get_session_state()):
        assert same(dict(state), {"flags": {"on": True}, "price": Decimal("1.00"), "at": NOON.astimezone(TOKYO)})


def test_a_graph_inside_may_change_a_value_to_one_that_is_equal(way: Any) -> None:
    class State(TypedDict):
        x: Any
        d: Annotated[dict[str, Any], merge]

    def node(state: Any) -> Any:
        return {"x": {"on": True}, "d": {"k": [True]}}

    inner = StateGraph(State).add_node("a", node).add_edge(START, "a").add_edge("a", END).compile()
    outer = StateGraph(State).add_node("inside", inner).add_edge(START, "inside").add_edge("inside", END).compile()
    ended = way.invoke(outer, {"x": {"on": 1}, "d": {"k": [1]}}).value
    assert same(ended["x"], {"on": True}) and same(ended["d"], {"k": [True]})
