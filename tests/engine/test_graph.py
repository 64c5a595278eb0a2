"""Graphs: edges, joins, branches, Sends, Commands, deferred nodes, and what compile refuses."""

from __future__ import annotations

import copy
import functools
import operator
import threading
from typing import Annotated, Literal, TypedDict

import pytest

from graphflow import END, START, Command, Context, Send, StateGraph, append, interrupt
from graphflow.db import InMemoryDb
from graphflow.errors import GraphError, InvalidUpdate, RecursionLimit, UnknownTarget


class S(TypedDict):
    path: Annotated[list[str], append]
    n: Annotated[int, operator.add]


def visit(name):
    def node(state):
        return {"path": [name]}

    node.__name__ = name
    return node


def graph_of(*names, edges, **options):
    builder = StateGraph(S)
    for name in names:
        builder.add_node(name, visit(name))
    for source, target in edges:
        builder.add_edge(source, target)
    return builder.compile(**options)


def test_a_sequence_runs_in_order(way):
    graph = (
        StateGraph(S)
        .add_sequence([visit("a"), ("two", visit("b")), visit("c")])
        .add_edge(START, "a")
        .add_edge("c", END)
        .compile()
    )
    assert way.invoke(graph, {})["path"] == ["a", "b", "c"]


def test_a_join_waits_for_all_its_sources(way):
    edges = [(START, "a"), (START, "b"), ("b", "b2"), (["a", "b2"], "c"), ("c", END)]
    assert way.invoke(graph_of("a", "b", "b2", "c", edges=edges), {})["path"] == ["a", "b", "b2", "c"]


def test_plain_edges_of_different_depth_run_a_node_once_per_arrival(way):
    edges = [(START, "a"), (START, "b"), ("b", "b2"), ("a", "c"), ("b2", "c"), ("c", END)]
    assert way.invoke(graph_of("a", "b", "b2", "c", edges=edges), {})["path"].count("c") == 2


def test_plain_edges_of_equal_depth_run_it_once(way):
    edges = [(START, "a"), (START, "b"), ("a", "c"), ("b", "c"), ("c", END)]
    assert way.invoke(graph_of("a", "b", "c", edges=edges), {})["path"] == ["a", "b", "c"]


def test_a_join_declared_twice_is_one_join(way):
    builder = StateGraph(S)
    for name in "abc":
        builder.add_node(name, visit(name))
    builder.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "c").add_edge(["b", "a"], "c")
    builder.add_conditional_edges("c", lambda s: "a" if s["path"].count("c") < 2 else END, ["a", END])
    assert way.invoke(builder.compile(), {})["path"] == ["a", "b", "c", "a"], "the second time b has not arrived"


def test_a_join_with_a_branch_not_taken_lets_the_run_end(way):
    builder = StateGraph(S)
    for name in "abc":
        builder.add_node(name, visit(name))
    builder.add_conditional_edges(START, lambda s: "a", ["a", "b"]).add_edge(["a", "b"], "c").add_edge("c", END)
    result = way.invoke(builder.compile(), {})
    assert (result["path"], result.status) == (["a"], "completed")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("b", ["a", "b"]),
        (END, ["a"]),
        ([], ["a"]),
        (["b", "c"], ["a", "b", "c"]),
        (["c", "b"], ["a", "b", "c"]),
        ([Send("b", {}), Send("b", {})], ["a", "b", "b"]),
        (Send("c", {}), ["a", "c"]),
        (["c", Send("b", {})], ["a", "c", "b"]),
        (("b", END), ["a", "b"]),
    ],
)
def test_a_router_may_return_a_name_end_a_send_or_a_list(way, answer, expected):
    builder = StateGraph(S)
    for name in "abc":
        builder.add_node(name, visit(name))
    builder.add_edge(START, "a").add_conditional_edges("a", lambda s: answer).add_edge("b", END).add_edge("c", END)
    assert way.invoke(builder.compile(), {})["path"] == expected


def test_a_mapping_translates_what_the_router_returns(way):
    builder = StateGraph(S)
    for name in "abc":
        builder.add_node(name, visit(name))
    builder.add_edge(START, "a").add_conditional_edges("a", lambda s: len(s["path"]) > 0, {True: "c", False: "b"})
    builder.add_edge("b", END).add_edge("c", END)
    assert way.invoke(builder.compile(), {})["path"] == ["a", "c"]


def test_an_async_router_is_awaited(way):
    async def later(state) -> Literal["b", "__end__"]:
        return "b"

    builder = StateGraph(S).add_node("a", visit("a")).add_node("b", visit("b"))
    builder.add_edge(START, "a").add_conditional_edges("a", later).add_edge("b", END)
    assert way.invoke(builder.compile(), {})["path"] == ["a", "b"]


@pytest.mark.parametrize("targets", [None, ["b", END], {True: "b", False: END}])
def test_a_plain_router_that_gives_something_to_await_is_told_to_be_async(way, targets):
    async def later(state) -> str:
        return "b"

    builder = StateGraph(S).add_node("a", visit("a")).add_node("b", visit("b")).add_edge(START, "a").add_edge("b", END)
    builder.add_conditional_edges("a", lambda state: later(state), targets)
    with pytest.raises(UnknownTarget, match=r"router .* of node 'a' gave a coroutine, .* declare the router itself async def"):
        way.invoke(builder.compile(), {})


@pytest.mark.parametrize("debug", [False, True])
def test_routers_are_asked_once_for_each_node_in_the_order_they_were_added(way, debug):
    asked = []

    def plain(state):
        asked.append("plain")
        return END

    async def later(state):
        asked.append("later")
        return "done" if asked.count("later") == 1 else "other"

    def last(state):
        asked.append("last")
        raise KeyError("last")

    def graph(*routers):
        builder = StateGraph(S).add_node("work", lambda n: {"path": [str(n)]})
        builder.add_node("done", visit("done")).add_node("other", visit("other")).add_edge("done", END).add_edge("other", END)
        builder.add_conditional_edges(START, lambda state: [Send("work", n) for n in range(3)], ["work"])
        for router in routers:
            builder.add_conditional_edges("work", router, ["done", "other", END])
        return builder.compile(debug=debug)

    assert way.invoke(graph(plain, later), {})["path"] == ["0", "1", "2", "done"]
    assert asked == ["plain", "later"]
    asked.clear()
    with pytest.raises(KeyError) as raised:
        way.invoke(graph(plain, last, later), {})
    assert asked == ["plain", "last"]
    assert "raised by the router 'last' of node 'work'" in raised.value.__notes__


@pytest.mark.parametrize("answer", [None, "nowhere", Send("nowhere", 1), Send(["b"], 1), ["b", None], 7])
def test_a_router_that_names_no_node_is_an_unknown_target(way, answer):
    builder = StateGraph(S).add_node("a", visit("a")).add_node("b", visit("b"))
    builder.add_edge(START, "a").add_conditional_edges("a", lambda s: answer).add_edge("b", END)
    with pytest.raises(UnknownTarget, match="router"):
        way.invoke(builder.compile(), {})


def test_a_router_is_asked_with_the_state_after_the_superstep(way):
    seen = []

    def router(state):
        seen.append(list(state["path"]))
        return END

    builder = StateGraph(S).add_node("a", visit("a")).add_node("b", visit("b"))
    builder.add_edge(START, "a").add_edge(START, "b").add_conditional_edges("a", router, [END]).add_edge("b", END)
    way.invoke(builder.compile(), {})
    assert seen == [["a", "b"]]


def test_send_gives_each_task_its_own_input_and_keeps_the_order(way):
    builder = StateGraph(S).add_node("plan", visit("plan")).add_node("work", lambda item: {"path": [f"w{item}"]})
    builder.add_node("done", visit("done"))
    builder.add_edge(START, "plan").add_conditional_edges("plan", lambda s: [Send("work", i) for i in range(20)], ["work"])
    builder.add_edge("work", "done").add_edge("done", END)
    assert way.invoke(builder.compile(), {})["path"] == ["plan", *(f"w{i}" for i in range(20)), "done"]


def test_a_command_updates_and_goes(way):
    def a(state) -> Command[Literal["c"]]:
        return Command(update={"path": ["a"]}, goto="c")

    builder = StateGraph(S).add_node(a).add_node("b", visit("b")).add_node("c", visit("c"))
    builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).add_edge("c", END)
    assert way.invoke(builder.compile(), {})["path"] == ["a", "b", "c"], "goto adds to the static edges"


def test_a_command_needs_no_declared_destinations(way):
    builder = StateGraph(S).add_node("a", lambda s: Command(goto=[Send("b", 1), "c"])).add_node("b", visit("b"))
    builder.add_node("c", visit("c")).add_edge(START, "a").add_edge("b", END).add_edge("c", END)
    assert way.invoke(builder.compile(), {})["path"] == ["c", "b"]


def test_several_commands_may_be_returned(way):
    builder = StateGraph(S).add_node("a", lambda s: [Command(update={"path": ["x"]}), {"path": ["y"]}, Command(goto="b")])
    builder.add_node("b", visit("b")).add_edge(START, "a").add_edge("b", END)
    assert way.invoke(builder.compile(), {})["path"] == ["x", "y", "b"]


def test_a_command_to_nowhere_is_an_unknown_target(way):
    builder = StateGraph(S).add_node("agent", lambda s: Command(goto="agnet")).add_edge(START, "agent").add_edge("agent", END)
    with pytest.raises(UnknownTarget, match="did you mean 'agent'"):
        way.invoke(builder.compile(), {})


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (Command(resume=1), InvalidUpdate, r"'a' returned Command\(resume=1\).*graph\.resume"),
        (Command({"path": ["x"]}, "b", resume=None), InvalidUpdate, r"'a' returned Command\(resume=None\).*graph\.resume"),
        ([{"path": ["x"]}, Command(resume=1)], InvalidUpdate, r"'a' returned Command\(resume=1\)"),
        (Command(graph=Command.PARENT, resume=1), InvalidUpdate, r"'a' returned Command\(resume=1\)"),
        (Command(goto=None), UnknownTarget, r"'a' has goto=None"),
        (Command(goto=5), UnknownTarget, r"'a' has goto=5"),
        (Command(goto=["b", None]), UnknownTarget, r"Command of node 'a' gave None"),
        (Command(goto=Send(END, 1)), UnknownTarget, r"Command of node 'a' sends something to END, where nothing is run"),
        (Command(graph="other"), UnknownTarget, r"'a' has graph='other'"),
    ],
)
def test_a_command_that_no_node_can_give_is_an_error_that_names_the_repair(way, db, command, error, words):
    inner = StateGraph(S).add_node("a", lambda s: command).add_node("b", visit("b"))
    graph = inner.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()
    outer = StateGraph(S).add_node("inner", graph).add_edge(START, "inner").add_edge("inner", END).compile(db=db)
    with pytest.raises(error, match=words):
        way.invoke(outer, {}, session_id="s")
    assert outer.get_state("s").status == "error"


def test_a_command_as_an_input_gives_an_answer_and_nothing_else(way, db):
    graph = StateGraph(S).add_node("a", visit("a")).add_edge(START, "a").add_edge("a", END).compile(db=db)
    for more in ({"update": {"path": ["x"]}}, {"goto": "a"}, {"graph": Command.PARENT}):
        with pytest.raises(ValueError, match="an answer and nothing else"):
            way.invoke(graph, Command(resume=1, **more), session_id="s")


def test_a_deferred_node_runs_when_nothing_else_is_left(way):
    builder = StateGraph(S)
    for name in ("a", "b", "b2", "b3"):
        builder.add_node(name, visit(name))
    builder.add_node("last", visit("last"), defer=True)
    for source, target in [(START, "a"), (START, "b"), ("a", "last"), ("b", "b2"), ("b2", "b3"), ("b3", "last"), ("last", END)]:
        builder.add_edge(source, target)
    assert way.invoke(builder.compile(), {})["path"] == ["a", "b", "b2", "b3", "last"]


def test_deferred_nodes_are_known_in_the_order_in_which_they_run(way, db):
    builder = StateGraph(S)
    builder.add_node("a", lambda state: {"path": [interrupt("well?")]}, defer=True)
    builder.add_node("b", visit("b"), defer=True)
    builder.add_node("long", visit("long"))
    for source, target in [(START, "long"), (START, "b"), ("long", "a"), ("a", END), ("b", END)]:
        builder.add_edge(source, target)
    graph = builder.compile(db=db)
    paused = way.invoke(graph, {}, session_id="s")
    assert graph.get_state("s").interrupts == paused.interrupts and paused.interrupts[0].value == "well?"
    assert [task.state for task in graph.get_state("s").tasks] == ["waiting", "done"]
    assert way.resume(graph, "s", answer="yes")["path"] == ["long", "yes", "b"]


def test_a_loop_ends_where_its_router_says(way):
    builder = StateGraph(S).add_node("again", lambda s: {"n": 1}).add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again" if s["n"] < 50 else END, ["again", END])
    assert way.invoke(builder.compile(), {})["n"] == 50


def test_the_recursion_limit_stops_an_endless_loop_and_says_how_to_mend_it(way):
    builder = StateGraph(S).add_node("again", lambda s: {"n": 1}).add_edge(START, "again")
    builder.add_conditional_edges("again", lambda s: "again", ["again", END])
    with pytest.raises(RecursionLimit, match="recursion_limit"):
        way.invoke(builder.compile(), {}, recursion_limit=10)


def test_a_node_may_take_a_context(way):
    def node(state, ctx: Context):
        assert ctx.node == "node" and ctx.attempt == 1 and ctx.session_id is None
        return {"path": [ctx.context["who"]]}

    graph = StateGraph(S).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile()
    assert way.invoke(graph, {}, context={"who": "me"})["path"] == ["me"]


def test_callable_objects_methods_and_partials_are_nodes(way):
    class Thing:
        def __call__(self, state):
            return {"path": ["object"]}

        async def method(self, state):
            return {"path": ["method"]}

    def partial(name, state):
        return {"path": [name]}

    builder = StateGraph(S).add_node("object", Thing()).add_node("method", Thing().method)
    builder.add_node("partial", functools.partial(partial, "partial"))
    builder.add_edge(START, "object").add_edge("object", "method").add_edge("method", "partial").add_edge("partial", END)
    assert way.invoke(builder.compile(), {})["path"] == ["object", "method", "partial"]


# --- what compile refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "edges", "words"),
    [
        (["a"], [("a", END)], ["no entry", "add_edge(START, 'a')"]),
        (["a"], [(START, "b"), ("a", END)], ["'b'", "not a node"]),
        (["agent"], [(START, "agnet"), ("agent", END)], ["did you mean 'agent'"]),
        (["a", "b"], [(START, "a"), ("a", END), ("b", END)], ["'b'", "never reached"]),
        (["a", "b"], [(START, "a"), ("a", "b")], ["'b'", "dead end", "add_edge('b', END)"]),
        (["a", "b"], [(START, "a"), ("a", "b"), ("b", "a")], ["no way out", "'a' -> 'b'"]),
        (["a"], [(START, "a"), ("a", START)], ["START"]),
        (["a", "b"], [(START, "a"), (["a", "c"], "b"), ("b", END)], ["'c'", "join"]),
        (["a"], [(START, "a"), ("x", "a"), ("a", END)], ["'x'", "not a node"]),
    ],
)
def test_compile_names_the_node_and_the_repair(names, edges, words):
    with pytest.raises(GraphError) as caught:
        graph_of(*names, edges=edges)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_compile_checks_declared_targets_of_routers_and_destinations():
    builder = StateGraph(S).add_node("a", visit("a")).add_edge(START, "a")
    with pytest.raises(UnknownTarget, match="'nowhere'"):
        builder.add_conditional_edges("a", lambda s: END, ["nowhere", END]).compile()
    builder = StateGraph(S).add_node("a", visit("a"), destinations=["nowhere"]).add_edge(START, "a").add_edge("a", END)
    with pytest.raises(UnknownTarget, match="destinations"):
        builder.compile()


def test_reserved_duplicate_and_unnamed_nodes_are_refused_at_once():
    builder = StateGraph(S).add_node("a", visit("a"))
    for name in (START, END, "", "__own"):
        with pytest.raises(GraphError, match="reserved"):
            builder.add_node(name, visit("x"))
    for name in ("x\0y", "x\ud800y"):
        with pytest.raises(GraphError, match="no database"):
            builder.add_node(name, visit("x"))
    with pytest.raises(GraphError, match="already"):
        builder.add_node("a", visit("a"))
    with pytest.raises(GraphError, match="no function"):
        builder.add_node("b")
    with pytest.raises(GraphError, match="leave END"):
        builder.add_edge(END, "a")


def test_a_generator_function_is_refused_with_the_way_to_stream():
    def generator(state):
        yield {"path": []}

    async def agenerator(state):
        yield {"path": []}

    for wrong in (generator, agenerator):
        with pytest.raises(GraphError, match=r"ctx\.write"):
            StateGraph(S).add_node("a", wrong).add_edge(START, "a").add_edge("a", END).compile()
    with pytest.raises(GraphError, match="cannot be called"):
        StateGraph(S).add_node("a", 5).add_edge(START, "a").add_edge("a", END).compile()


def test_wrong_signatures_options_and_databases_are_refused_with_the_repair():
    for wrong in (lambda: None, lambda a, b, c: None, lambda state, *, needed: None):
        with pytest.raises(GraphError, match=r"\(state\) or \(state, ctx\)"):
            StateGraph(S).add_node("a", wrong).add_edge(START, "a").add_edge("a", END).compile()
    graph = graph_of("a", edges=[(START, "a"), ("a", END)])
    with pytest.raises(TypeError, match="did you mean 'session_id'"):
        graph.invoke({}, sesion_id="s")
    for option in ({"recursion_limit": "a"}, {"recursion_limit": 0}, {"max_concurrency": 1.5}, {"on_busy": "x"}):
        with pytest.raises(ValueError):
            graph.invoke({}, **option)
    with pytest.raises(ValueError, match="SqliteDb"):
        graph_of("a", edges=[(START, "a"), ("a", END)], db="x.db")
    with pytest.raises(GraphError, match=r"\(old, new\)"):
        StateGraph(TypedDict("T", {"x": Annotated[int, lambda one: one]}))


def test_a_result_that_no_target_is_mapped_to_is_named(way):
    builder = StateGraph(S).add_node("a", visit("a")).add_edge(START, "a")
    builder.add_conditional_edges("a", lambda s: "maybe", {"again": "a", "no": END})
    with pytest.raises(UnknownTarget, match="'maybe', which is not among its targets: 'again', 'no'"):
        way.invoke(builder.compile(), {})


def test_a_graph_names_its_nodes_in_the_order_they_were_added():
    graph = graph_of("b", "a", edges=[(START, "b"), ("b", "a"), ("a", END)])
    assert graph.nodes == StateGraph.of(graph).nodes == ("b", "a")


def test_the_fingerprint_tells_graphs_apart_and_equal_ones_not():
    edges = [(START, "a"), ("a", "b"), ("b", END)]
    one, same = graph_of("a", "b", edges=edges), graph_of("a", "b", edges=edges)
    assert one.fingerprint == same.fingerprint and len(one.fingerprint) == 16
    others = [
        graph_of("a", "c", edges=[(START, "a"), ("a", "c"), ("c", END)]),
        graph_of("a", "b", edges=[*edges, ("a", END)]),
    ]
    assert len({g.fingerprint for g in (one, *others)}) == 3


def test_one_graph_may_run_in_many_threads_at_once():
    graph = graph_of("a", "b", edges=[(START, "a"), ("a", "b"), ("b", END)])
    results: list[list[str]] = []

    def work():
        for i in range(50):
            results.append(graph.invoke({"path": [str(i)]})["path"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([[str(i), "a", "b"] for i in range(50)] * 8)


@pytest.mark.parametrize("name", ["db", "plan", "on_event", "name", "nodes", "fingerprint", "invoke"])
def test_a_graph_cannot_be_changed(way, name):
    graph = graph_of("a", edges=[(START, "a"), ("a", END)], db=InMemoryDb())
    before = getattr(graph, name)
    with pytest.raises(AttributeError, match=rf"'graph' cannot be changed, nor can its '{name}'.*StateGraph.of"):
        setattr(graph, name, None)
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(graph, name)
    with pytest.raises(AttributeError):
        graph.anything = 1
    assert getattr(graph, name) == before
    assert way.invoke(graph, {}, session_id="s")["path"] == ["a"] and way.get_state(graph, "s").seq == 1


def test_a_copy_of_a_graph_runs(way):
    made = copy.copy(graph_of("a", edges=[(START, "a"), ("a", END)], db=InMemoryDb()))
    assert way.invoke(made, {}, session_id="s")["path"] == ["a"] and made.db.count_sessions() == 1
