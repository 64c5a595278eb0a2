"""What is refused before anything runs, each with the whole text that a user reads: what, where, and the repair."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import pytest

from graphflow import END, START, Command, RetryPolicy, StateGraph
from graphflow.errors import GraphError, UnknownTarget


class State(TypedDict):
    """One field is enough to check."""

    n: int


def work(state: State) -> None:
    """A node that does nothing."""


def route(state: State) -> str:
    """A router that promises nothing."""
    return END


def typed(state: State) -> Literal["wirte", "__end__"]:
    """A router whose annotation misspells a node."""
    return END


def handed(state: State) -> Command[Literal["wirte"]]:
    """A node whose annotation misspells a node."""
    return Command(goto="wirte")


def roam(state: State) -> Command:
    """A node that may go anywhere."""
    return Command(goto="write")


Declare = Callable[[StateGraph], Any]

ENTRY = "graph 'graph' has no entry: add_edge(START, 'write')"
UNREACHED = (
    "node {!r} is never reached: no path leads to it from START; add an edge to it, name it in the targets= of a router or the "
    "destinations= of a node that sends to it, or remove it"
)
DEAD_END = (
    "node {0!r} is a dead end: add_edge({0!r}, END) if the run may end there, an edge to another node, or destinations= if it "
    "goes on by a Command"
)
CYCLE = "node {!r} cannot reach END: the cycle {} has no way out; add a conditional edge that can return END"
TO_START = "{} goes to START; a run enters there, so let it go to a node (or loop back to the first one)"
MEANT = "{} goes to {!r}, which is not a node; did you mean 'write'?"
NO_NODE = "{} goes to 'x', which is not a node; the nodes are 'write', 'judge' (and END)"

AT_COMPILE: list[tuple[str, Declare, str]] = [
    ("no entry", lambda b: b.add_edge("write", "judge").add_edge("judge", END), ENTRY),
    ("no edges", lambda b: b, ENTRY),
    ("edge to a misspelt node", lambda b: b.add_edge("judge", "wirte"), MEANT.format("the edge from 'judge'", "wirte")),
    ("edge to no node", lambda b: b.add_edge("judge", "x"), NO_NODE.format("the edge from 'judge'")),
    ("entry to a misspelt node", lambda b: b.add_edge(START, "Write"), MEANT.format("the edge from '__start__'", "Write")),
    ("edge to START", lambda b: b.add_edge("judge", START), TO_START.format("the edge from 'judge'")),
    (
        "edge from a misspelt node",
        lambda b: b.add_edge("wirte", "judge"),
        "an edge leaves 'wirte', which is not a node; did you mean 'write'? (or add_node('wirte', …))",
    ),
    (
        "router of a misspelt node",
        lambda b: b.add_conditional_edges("jugde", route),
        "an edge leaves 'jugde', which is not a node; did you mean 'judge'? (or add_node('jugde', …))",
    ),
    (
        "listed target",
        lambda b: b.add_conditional_edges("judge", route, ["wirte", END]),
        MEANT.format("the router 'route' of 'judge'", "wirte"),
    ),
    (
        "mapped target",
        lambda b: b.add_conditional_edges("judge", route, {True: "writ", False: END}),
        MEANT.format("the router 'route' of 'judge'", "writ"),
    ),
    (
        "target START",
        lambda b: b.add_conditional_edges("judge", route, {True: START, False: END}),
        TO_START.format("the router 'route' of 'judge'"),
    ),
    (
        "annotated target",
        lambda b: b.add_conditional_edges("judge", typed),
        MEANT.format("the router 'typed' of 'judge'", "wirte"),
    ),
    (
        "destination",
        lambda b: b.add_node("pick", work, destinations=["wirte"]),
        MEANT.format("destinations= of 'pick'", "wirte"),
    ),
    ("annotated destination", lambda b: b.add_node("pick", handed), MEANT.format("destinations= of 'pick'", "wirte")),
    (
        "destination START",
        lambda b: b.add_node("pick", work, destinations=[START]),
        TO_START.format("destinations= of 'pick'"),
    ),
    (
        "join of a misspelt node",
        lambda b: b.add_edge(["wirte", "judge"], END),
        "the join into '__end__' waits for 'wirte', which is not a node; did you mean 'write'?",
    ),
    (
        "join of START",
        lambda b: b.add_edge([START, "judge"], END),
        "the join into '__end__' waits for '__start__', which no node stands for: a join waits for nodes that have run; "
        "leave START out",
    ),
    (
        "join of END",
        lambda b: b.add_edge(["judge", END], "write"),
        "the join into 'write' waits for '__end__', which no node stands for: a join waits for nodes that have run; "
        "leave END out",
    ),
    (
        "join into a misspelt node",
        lambda b: b.add_edge(["write", "judge"], "wirte"),
        MEANT.format("the join of 'write', 'judge'", "wirte"),
    ),
    (
        "unreached",
        lambda b: b.add_edge(START, "write").add_edge("write", END).add_edge("judge", END),
        UNREACHED.format("judge"),
    ),
    (
        "unreached circle",
        lambda b: b.add_edge(START, "write").add_edge("write", END).add_edge("judge", "judge"),
        UNREACHED.format("judge"),
    ),
    ("dead end", lambda b: b.add_edge(START, "write").add_edge("write", "judge"), DEAD_END.format("judge")),
    (
        "dead end beside a way out",
        lambda b: b.add_edge(START, "write").add_conditional_edges("write", route, ["judge", END]),
        DEAD_END.format("judge"),
    ),
    (
        "cycle",
        lambda b: b.add_edge(START, "write").add_edge("write", "judge").add_edge("judge", "write"),
        CYCLE.format("write", "'write' -> 'judge' -> 'write'"),
    ),
    (
        "cycle behind a way out",
        lambda b: b.add_edge(START, "write").add_conditional_edges("write", route, ["judge", END]).add_edge("judge", "judge"),
        CYCLE.format("judge", "'judge' -> 'judge'"),
    ),
]

AT_ONCE: list[tuple[str, Declare, str]] = [
    ("START as a name", lambda b: b.add_node(START, work), "node name '__start__' is reserved; choose another"),
    ("END as a name", lambda b: b.add_node(END, work), "node name '__end__' is reserved; choose another"),
    ("a star", lambda b: b.add_node("*", work), "node name '*' is reserved; choose another"),
    ("no name", lambda b: b.add_node("", work), "node name '' is reserved; choose another"),
    ("a dunder", lambda b: b.add_node("__own", work), "node name '__own' is reserved; choose another"),
    ("twice", lambda b: b.add_node("write", work), "there is a node 'write' already; give this one another name"),
    ("no function", lambda b: b.add_node("new"), "node 'new' has no function; write add_node('new', function)"),
    ("edge from END", lambda b: b.add_edge(END, "write"), "an edge cannot leave END; let 'write' follow the node before it"),
    (
        "edge to several",
        lambda b: b.add_edge("write", ["judge", END]),
        "an edge leads to one node, not to ['judge', '__end__']; call add_edge once for each of several",
    ),
    ("join of nothing", lambda b: b.add_edge([], "write"), "the join into 'write' has no sources; name the nodes it waits for"),
    (
        "router of END",
        lambda b: b.add_conditional_edges(END, route),
        "a router cannot leave END; ask 'route' after the node before it",
    ),
    (
        "targets as a text",
        lambda b: b.add_conditional_edges("write", route, "judge"),
        "targets= of the router 'route' of node 'write' is the text 'judge'; give a list: ['judge']",
    ),
    (
        "no targets",
        lambda b: b.add_conditional_edges("write", route, []),
        "targets= of the router 'route' of node 'write' is empty; name where it may go",
    ),
    (
        "destinations as a text",
        lambda b: b.add_node("new", work, destinations="write"),
        "destinations= of node 'new' is the text 'write'; give a list: ['write']",
    ),
]


def two_nodes() -> StateGraph:
    return StateGraph(State).add_node("write", work).add_node("judge", work)


@pytest.mark.parametrize(("declare", "text"), [case[1:] for case in AT_COMPILE], ids=[case[0] for case in AT_COMPILE])
def test_compile_says_what_is_wrong_and_how_to_mend_it(declare: Declare, text: str) -> None:
    builder = two_nodes()
    declare(builder)
    with pytest.raises(GraphError) as caught:
        builder.compile()
    assert str(caught.value) == text
    assert isinstance(caught.value, UnknownTarget) == ("not a node" in text or "no node stands for" in text)


@pytest.mark.parametrize(("declare", "text"), [case[1:] for case in AT_ONCE], ids=[case[0] for case in AT_ONCE])
def test_what_can_be_known_at_once_is_refused_at_once(declare: Declare, text: str) -> None:
    with pytest.raises(GraphError) as caught:
        declare(two_nodes())
    assert str(caught.value) == text


def test_an_alias_leads_to_a_node() -> None:
    builder = two_nodes().add_edge(START, "write").add_edge("write", "judge").add_edge("judge", END)
    assert builder.compile(aliases={"author": "write"}).plan.aliases == {"author": "write"}
    with pytest.raises(GraphError) as caught:
        builder.compile(aliases={"author": "wirte"})
    assert str(caught.value) == "aliases={'author': 'wirte'}: there is no node and no field 'wirte'; did you mean 'write'?"


def test_an_alias_of_a_node_that_is_there_is_refused() -> None:
    builder = two_nodes().add_edge(START, "write").add_edge("write", "judge").add_edge("judge", END)
    with pytest.raises(GraphError, match="'write' is a node, and what waits there would be taken for what 'judge' is to do"):
        builder.compile(aliases={"write": "judge"})


def test_a_node_to_pause_at_exists() -> None:
    builder = two_nodes().add_edge(START, "write").add_edge("write", "judge").add_edge("judge", END)
    for option in ("interrupt_before", "interrupt_after"):
        with pytest.raises(UnknownTarget) as caught:
            builder.compile(**{option: ["jugde"]})
        assert str(caught.value) == (f"{option}= names 'jugde', which is not a node; did you mean 'judge'?")


@pytest.mark.parametrize(
    "declare",
    [
        lambda b: b.add_edge(START, "write").add_conditional_edges("write", route).add_edge("judge", "write"),
        lambda b: b.add_conditional_edges(START, route).add_edge("write", END).add_edge("judge", END),
        lambda b: b.add_edge(START, "pick").add_node("pick", roam).add_edge("write", END).add_edge("judge", "write"),
        lambda b: b.add_edge(START, "write").add_edge("write", "pick").add_node("pick", roam).add_edge("judge", "pick"),
        lambda b: b.add_edge(START, "write").add_edge(START, "judge").add_edge(["write", "judge"], END),
    ],
    ids=["open router", "open entry", "free command", "free command is a way out", "join into END"],
)
def test_what_may_go_anywhere_leaves_no_node_unreached_and_no_circle_shut(declare: Declare) -> None:
    builder = two_nodes()
    declare(builder)
    builder.compile()


def test_an_error_lists_only_some_of_many_nodes() -> None:
    builder = StateGraph(State)
    for number in range(100):
        builder.add_node(f"step {number}", work)
    with pytest.raises(UnknownTarget, match=r"the nodes are 'step 0', .* 'step 11' and 88 more \(and END\)$"):
        builder.add_edge(START, "quite another").compile()


def test_a_graph_that_works_is_compiled_without_networkx() -> None:
    code = """
import sys
from typing import TypedDict
from graphflow import END, START, StateGraph
State = TypedDict("State", {"n": int})
StateGraph(State).add_node("a", lambda state: None).add_edge(START, "a").add_edge("a", END).compile()
print("networkx" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_an_annotated_router_is_understood_beside_a_type_that_cannot_be_looked_up() -> None:
    names: dict[str, Any] = {"Literal": Literal}
    exec("def route(state: 'Unknown') -> 'Literal[\"wirte\"]': ...", names)
    with pytest.raises(UnknownTarget, match="the router 'route' of 'judge' goes to 'wirte'"):
        two_nodes().add_edge(START, "write").add_conditional_edges("judge", names["route"]).compile()


def rescue(state: State, error: Any) -> Command[Literal["judge"]]:
    """An error handler that says where it goes."""
    return Command(goto="judge")


def rescue_anyhow(state: State, error: Any) -> Command:
    """An error handler that does not."""
    return Command(goto="judge")


@pytest.mark.parametrize("handler", [rescue, rescue_anyhow])
def test_where_an_error_handler_goes_is_reached(handler: Any, way: Any) -> None:
    def fail(state: State) -> None:
        raise ValueError("no")

    builder = StateGraph(State).add_node("try", fail, on_error=handler).add_node("judge", lambda state: {"n": 7})
    graph = builder.add_edge(START, "try").add_edge("try", END).add_edge("judge", END).compile()
    assert way.invoke(graph, {"n": 0})["n"] == 7
    assert "try -.-> judge" in graph.draw_mermaid()


def test_a_command_to_the_graph_around_is_seen_through_policies() -> None:
    def leave(state: State) -> Command:
        return Command(graph=Command.PARENT, goto="judge")

    inner = (
        StateGraph(State)
        .add_node("leave", leave, retry=RetryPolicy())
        .add_edge(START, "leave")
        .add_edge("leave", END)
        .compile()
    )
    builder = two_nodes().add_node("inner", inner).add_edge(START, "inner").add_edge("inner", "write").add_edge("write", END)
    assert builder.add_edge("judge", END).compile().invoke({"n": 0}).status == "completed"


def test_an_annotation_of_what_is_outside_is_told_to_be_left_out():
    def leave(state: State) -> Command[Literal["elsewhere"]]:
        return Command(goto="elsewhere", graph=Command.PARENT)

    builder = StateGraph(State).add_node(leave).add_edge(START, "leave")
    with pytest.raises(UnknownTarget) as caught:
        builder.compile()
    assert any("graph=Command.PARENT" in note for note in caught.value.__notes__)


def test_a_graph_that_is_not_compiled_is_no_node_and_the_error_says_so():
    with pytest.raises(GraphError, match=r"'inner' is a StateGraph that is not compiled; write add_node\('inner', builder"):
        StateGraph(State).add_node("inner", StateGraph(State))
