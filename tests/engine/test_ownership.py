"""Whose values are: nodes that change in place what they were given are found out, when somebody wants to know."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow import (
    END,
    START,
    Agent,
    CachePolicy,
    Command,
    Context,
    Message,
    Reply,
    RetryPolicy,
    Send,
    StateGraph,
    Team,
    ToolCall,
    Workflow,
    add_messages,
    append,
    interrupt,
    untracked,
)
from graphflow.db import InMemoryDb
from graphflow.errors import ChangedInPlace, NodeTimeout
from graphflow.testing import ScriptedModel, strict
from graphflow.workflow import StepInput
from tests.conftest import Way


class Item(BaseModel):
    when: int = 0
    tags: list[str] = []


class State(TypedDict, total=False):
    items: list[Item]
    table: dict[str, Any]
    log: Annotated[list[str], append]
    client: Annotated[Any, untracked]


def graph_of(*nodes: Any, state: Any = State, debug: bool = True, **options: Any) -> Any:
    """All nodes at once, each with the settings that come with it."""
    builder = StateGraph(state)
    for n, node in enumerate(nodes):
        action, settings = node if isinstance(node, tuple) else (node, {})
        builder.add_node(f"n{n}", action, **settings).add_edge(START, f"n{n}").add_edge(f"n{n}", END)
    return builder.compile(debug=debug, **options)


def given() -> dict[str, Any]:
    return {"items": [Item(when=n) for n in range(3)], "table": {"a": {"b c": [1, (2, {3})]}}}


def postpone(state: Any) -> dict[str, Any]:
    state["items"][2].when += 1
    return {"log": ["postponed"]}


async def apostpone(state: Any) -> dict[str, Any]:
    return postpone(state)


CHANGES: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "a field of a model in a list": (postpone, "state.items[2].when", "was 2 and is 3"),
    "the same, async": (apostpone, "state.items[2].when", "was 2 and is 3"),
    "a list that grew": (lambda s: s["items"].append(Item()), "state.items", ""),
    "a list inside a model": (lambda s: s["items"][0].tags.append("x"), "state.items[0].tags", "was [] and is ['x']"),
    "another order": (lambda s: s["items"].reverse(), "state.items[0].when", "was 0 and is 2"),
    "a new key": (lambda s: s["table"].update(z=1), "state.table.z", "was not there and is 1"),
    "a key that went": (lambda s: s["table"].clear(), "state.table.a", "is not there now"),
    "a set in a tuple": (lambda s: s["table"]["a"]["b c"][1][1].add(4), "state.table.a['b c'][1][1]", "{3} and is {3, 4}"),
    "an equal value of another type": (lambda s: s["table"]["a"]["b c"].__setitem__(0, True), "state.table.a['b c'][0]", ""),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_in_place_is_told_with_node_path_and_repair(way: Way, db: Any, case: str) -> None:
    node, path, words = CHANGES[case]
    graph = graph_of(node, db=db)
    with pytest.raises(ChangedInPlace) as told:
        way.invoke(graph, given(), session_id="s")
    assert (told.value.node, told.value.path) == ("n0", path)
    name = path.removeprefix("state.").partition("[")[0].partition(".")[0]
    assert f"node 'n0' changed {path} in place" in str(told.value) and words in str(told.value)
    assert f"change a copy (copy.deepcopy) and return that, as {{'{name}': …}}" in str(told.value)
    stored = way.get_state(graph, "s")
    assert stored.values == {**given(), "log": []} and (stored.seq, stored.status, stored.next) == (0, "error", ("n0",))


@pytest.mark.parametrize("node", [postpone, apostpone])
def test_without_debug_nobody_looks(way: Way, node: Any) -> None:
    assert way.invoke(graph_of(node, debug=False), given())["log"] == ["postponed"]


def test_a_node_that_was_mended_goes_on_with_what_was_there(way: Way, db: Any) -> None:
    with pytest.raises(ChangedInPlace):
        way.invoke(graph_of(postpone, db=db), given(), session_id="s")

    def mended(state: Any) -> dict[str, Any]:
        items = copy.deepcopy(state["items"])
        items[2].when += 1
        return {"items": items, "log": ["postponed"]}

    result = way.resume(graph_of(mended, db=db), "s")
    assert [item.when for item in result["items"]] == [0, 1, 3] and result["log"] == ["postponed"]


# --- who did it --------------------------------------------------------------------------------------------------------------


def test_of_several_at_once_the_one_is_told_that_did_it(way: Way, db: Any) -> None:
    met = threading.Barrier(2, timeout=30)

    def look(state: Any) -> dict[str, Any]:
        met.wait()
        met.wait()
        return {"log": [str(state["items"][2].when)]}

    def change(state: Any) -> None:
        met.wait()
        state["items"][2].when = 7
        met.wait()

    graph = graph_of(look, change, db=db)
    with pytest.raises(ChangedInPlace, match="node 'n1'"):
        way.invoke(graph, given(), session_id="s")
    assert way.get_state(graph, "s").values == {**given(), "log": []}
    assert [task.state for task in way.get_state(graph, "s").tasks] in (["done", "pending"], ["pending", "pending"])


def test_a_node_may_do_with_its_top_level_what_it_likes(way: Way) -> None:
    def node(state: Any) -> dict[str, Any]:
        state["items"] = []
        state.pop("table")
        state["log"] = [*state["log"], "mine"]
        return {"log": ["done"]}

    assert way.invoke(graph_of(node), given())["log"] == ["done"]


# --- the forms of a state ----------------------------------------------------------------------------------------------------


class Model(BaseModel):
    items: list[Item] = []
    log: Annotated[list[str], append] = []
    n: int = 0


@dataclass
class Data:
    items: list[Item] = field(default_factory=list)
    log: Annotated[list[str], append] = field(default_factory=list)
    n: int = 0


@dataclass(frozen=True, slots=True)
class Frozen:
    items: list[Item] = field(default_factory=list)
    log: Annotated[list[str], append] = field(default_factory=list)
    n: int = 0


@pytest.mark.parametrize("state", [Model, Data, Frozen])
@pytest.mark.parametrize("debug", [True, False])
def test_what_a_node_gives_back_of_its_state_means_the_same(way: Way, state: Any, debug: bool) -> None:
    def same(state: Any) -> Any:
        if type(state) is Frozen:
            return Frozen(state.items, ["mine"], 1)
        state.n, state.log = 1, ["mine"]
        return state

    def other(state: Any) -> Any:
        return Command(update=type(state)(items=state.items, n=state.n + 1))

    builder = StateGraph(state).add_sequence([("same", same), ("other", other)])
    graph = builder.add_edge(START, "same").add_edge("other", END).compile(debug=debug)
    result = way.invoke(graph, {"items": [Item(when=1)], "log": ["first"]})
    assert (result["n"], result["log"], result["items"]) == (2, ["first", "mine"], [Item(when=1)])


@pytest.mark.parametrize("state", [Model, Data, Frozen])
def test_a_change_in_place_is_found_in_every_form(way: Way, state: Any) -> None:
    with pytest.raises(ChangedInPlace, match=r"state\.items\[0\]\.tags "):
        way.invoke(graph_of(lambda state: state.items[0].tags.append("x"), state=state), {"items": [Item()]})


# --- what else can happen to a node ------------------------------------------------------------------------------------------


def fan_out(worker: Callable[[Any], Any], arg: Any) -> Any:
    builder = StateGraph(State).add_node("plan", lambda state: Command(goto=[Send("work", arg), Send("work", arg)]))
    builder.add_node("work", worker).add_edge(START, "plan").add_edge("work", END)
    return builder.compile(debug=True)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda arg: arg["rows"][0].pop("x"), "Send.arg.rows[0].x"),
        (lambda arg: arg.clear(), "Send.arg.rows"),
    ],
)
def test_the_argument_of_a_send_is_nobody_s_own(way: Way, change: Callable[[Any], Any], path: str) -> None:
    with pytest.raises(ChangedInPlace, match=r"node 'work'.*return what comes of it") as told:
        way.invoke(fan_out(change, {"rows": [{"x": 1}]}), {})
    assert told.value.path == path
    assert way.invoke(fan_out(lambda arg: {"log": [f"{arg}"]}, [1]), {})["log"] == ["[1]", "[1]"]


def test_what_a_node_raises_comes_out_with_a_note(way: Way) -> None:
    def fail(state: Any) -> None:
        state["table"].clear()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as told:
        way.invoke(graph_of(fail), given())
    assert any("node 'n0' changed state.table.a in place" in note for note in told.value.__notes__)


@pytest.mark.parametrize("settings", [{"retry": RetryPolicy(initial=0.001, retry_on=KeyError)}, {"on_error": lambda *_: {}}])
def test_what_a_failed_attempt_changed_is_found(way: Way, settings: dict[str, Any]) -> None:
    def fail_once(state: Any, ctx: Context) -> None:
        if ctx.attempt == 1:
            state["table"].clear()
            raise KeyError("mine")

    with pytest.raises(ChangedInPlace, match=r"state\.table\.a"):
        way.invoke(graph_of((fail_once, settings)), given())


def test_policies_do_as_they_do_otherwise(way: Way) -> None:
    times: list[int] = []

    def count(state: Any) -> dict[str, Any]:
        times.append(1)
        return {"log": ["counted"]}

    graph = graph_of((count, {"cache": CachePolicy(), "timeout": 30}))
    assert [way.invoke(graph, given())["log"] for _ in range(2)] == [["counted"]] * 2 and len(times) == 1


def test_a_node_that_ran_out_of_time_and_goes_on_is_out_of_time(way: Way) -> None:
    over = threading.Event()

    def go_on(state: Any) -> None:
        while not over.is_set():
            state["table"][threading.get_native_id(), len(state["table"])] = 1

    try:
        with pytest.raises(NodeTimeout):
            way.invoke(graph_of((go_on, {"timeout": 0.05})), given())
    finally:
        over.set()


def test_a_change_before_a_question_is_told_before_it_is_asked(way: Way, db: Any) -> None:
    def ask(state: Any) -> dict[str, Any]:
        state["table"].clear()
        return {"log": [interrupt("well?")]}

    with pytest.raises(ChangedInPlace):
        way.invoke(graph_of(ask, db=db), given(), session_id="s")
    graph = graph_of(lambda state: {"log": [interrupt("well?")]}, db=db)
    assert way.resume(graph, "s").status == "paused"
    assert way.resume(graph, "s", "yes")["log"] == ["yes"]


@pytest.mark.parametrize("where", ["node", "called"])
def test_graphs_inside_are_looked_at_too(way: Way, where: str) -> None:
    inner = graph_of(postpone, debug=False)

    def call(state: Any) -> dict[str, Any]:
        return {"log": inner.invoke({"items": state["items"]})["log"]}

    async def acall(state: Any) -> dict[str, Any]:
        return {"log": (await inner.ainvoke({"items": state["items"]}))["log"]}

    outer = graph_of(inner if where == "node" else call if way.name == "sync" else acall)
    with pytest.raises(ChangedInPlace, match=r"state\.items\[2\]\.when"):
        way.invoke(outer, given())
    around = graph_of(graph_of(postpone), debug=False)
    with pytest.raises(ChangedInPlace):
        way.invoke(around, given())


# --- values of every kind ----------------------------------------------------------------------------------------------------


class Plain:
    """Equal to nothing but itself."""

    def __init__(self) -> None:
        self.inside = [1]

    @cached_property
    def total(self) -> int:
        return sum(self.inside)


class Slotted:
    __slots__ = ("inside",)

    def __init__(self) -> None:
        self.inside = [1]


class Incomparable(Plain):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("never compared")

    __hash__ = None  # type: ignore[assignment]


class Uncopyable(Plain):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("never copied")


class Forgetful(Plain):
    def __deepcopy__(self, memo: Any) -> Any:
        return type(self).__new__(type(self))


def looped() -> list[Any]:
    made: list[Any] = [{"x": 1}]
    made.append(made)
    return made


def deep() -> Any:
    made: Any = []
    for _ in range(5000):
        made = [made]
    return made


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any] | None]] = {
    "plain": (Plain, lambda value: value.inside.append(2)),
    "slots": (Slotted, lambda value: value.inside.append(2)),
    "incomparable": (Incomparable, lambda value: value.inside.append(2)),
    "a derived attribute": (Plain, None),
    "uncopyable": (Uncopyable, None),
    "a copy that is not equal": (Forgetful, None),
    "a lock": (threading.Lock, None),
    "a generator": (lambda: (n for n in range(3)), None),
    "not a number": (lambda: [float("nan")], lambda value: value.append(1.0)),
    "a deque": (lambda: deque([1, 2]), lambda value: value.rotate()),
    "an ordered dict": (lambda: OrderedDict(a=[1]), lambda value: value["a"].append(2)),
    "bytes": (lambda: bytearray(b"ab"), lambda value: value.extend(b"c")),
    "a loop": (looped, lambda value: value[1][0].update(x=2)),
    "deeper than Python goes": (deep, None),
}


class Anything(TypedDict, total=False):
    value: Any
    n: int


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_kind_are_looked_at_as_far_as_can_be(way: Way, kind: str) -> None:
    make, change = KINDS[kind]
    look = graph_of(lambda state: {"n": 1 + bool(getattr(state["value"], "total", 0))}, state=Anything)
    assert way.invoke(look, {"value": make()})["n"] >= 1
    if change is not None:
        with pytest.raises(ChangedInPlace, match=r"changed state\.value"):
            way.invoke(graph_of(lambda state: change(state["value"]), state=Anything), {"value": make()})


def test_what_is_never_stored_is_for_use(way: Way) -> None:
    client = Plain()
    assert way.invoke(graph_of(lambda state: state["client"].inside.append(2)), {**given(), "client": client}).status
    assert client.inside == [1, 2]


# --- everywhere --------------------------------------------------------------------------------------------------------------


def test_strict_watches_every_run_that_begins_meanwhile(way: Way) -> None:
    graph = graph_of(postpone, debug=False)
    with strict():
        with strict():
            pass
        with pytest.raises(ChangedInPlace):
            way.invoke(graph, given())
    assert way.invoke(graph, given())["log"] == ["postponed"]


def spoil(rows: list[dict[str, int]]) -> str:
    """Changes what it is given."""
    rows[0]["x"] = 2
    return "done"


def keep(rows: list[dict[str, int]], ctx: Context) -> str:
    """Changes what is its own."""
    ctx.session_state.setdefault("rows", []).append(len(rows))
    return "done"


def with_tool(tool: Callable[..., Any], **options: Any) -> Agent:
    call = ToolCall("call", tool.__name__, {"rows": [{"x": 1}]})
    return Agent(ScriptedModel([Reply(tool_calls=[call]), "well"]), name="Ann", tools=[tool], **options)


@pytest.mark.parametrize("stored", [True, False])
def test_agents_teams_and_workflows_run_as_they_do_otherwise(way: Way, stored: bool) -> None:
    db = InMemoryDb() if stored else None
    with strict():
        agent = with_tool(keep, db=db, session_state={"rows": [0]})
        assert (answer := way.run(agent, "go")).content == "well" and answer.session_state["rows"] == [0, 1]
        task = ToolCall("call", "delegate_task_to_member", {"member_id": "ann", "task": "go"})
        team = Team([with_tool(keep)], model=ScriptedModel([Reply(tool_calls=[task]), "all well"]), db=db)
        assert way.run(team, "go").content == "all well"
        flow = Workflow([lambda step: {"rows": [1]}, lambda step: step.previous_step_content["rows"]], db=db)
        assert way.run(flow, "go").content == [1]


def test_a_step_of_a_workflow_that_changes_what_came_before_is_found(way: Way) -> None:
    def spoil_content(step: StepInput) -> str:
        step.previous_step_content["rows"].append(2)
        return "done"

    flow = Workflow([lambda step: {"rows": [1]}, spoil_content])
    with strict(), pytest.raises(ChangedInPlace, match="node 'spoil_content'"):
        way.run(flow, "go")


def test_messages_are_looked_at(way: Way) -> None:
    class Chat(TypedDict):
        messages: Annotated[list[Message], add_messages]

    def spoil_call(state: Any) -> None:
        state["messages"][-1].tool_calls[0].arguments["x"] = 2

    call = Message("assistant", "", tool_calls=(ToolCall("call", "look", {"x": 1}),))
    with pytest.raises(ChangedInPlace, match=r"state\.messages\[0\]\.tool_calls\[0\]\.arguments\.x"):
        way.invoke(graph_of(spoil_call, state=Chat), {"messages": [call]})


def test_debug_is_a_flag() -> None:
    with pytest.raises(ValueError, match="debug="):
        graph_of(postpone, debug="yes")  # type: ignore[arg-type]
    assert graph_of(postpone).fingerprint == graph_of(postpone, debug=False).fingerprint
