"""What a node may be told, where graphs are inside graphs: policies, steps, pauses, durability and schemas together."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, CachePolicy, Message, RetryPolicy, Send, StateGraph, add_messages, append, interrupt, logged
from graphflow.core.effects import Commit
from graphflow.errors import InvalidAnswer, LeaseLost, NodeTimeout, SerializationError

AT_ONCE = RetryPolicy(initial=0, jitter=False)


class S(TypedDict):
    path: Annotated[list[Any], append]
    topic: str
    messages: Annotated[list[Message], add_messages, logged]


def chain(db, *nodes, names="abcdef", first=None, last=None, **compiled):
    """Nodes named a, b, c … in a row; ``first`` and ``last`` are what the first and the last one are told."""
    builder = StateGraph(S)
    used = names[: len(nodes)]
    for name, node in zip(used, nodes, strict=True):
        policies = last or {} if name == used[-1] else first or {} if name == used[0] else {}
        builder.add_node(name, visit(node) if isinstance(node, str) else node, **policies)
    for left, right in zip([START, *used], [*used, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db, **compiled)


def visit(name):
    return lambda state: {"path": [name]}


class Dies(BaseException):
    """The process goes away."""


class Deadly:
    """A database whose process dies after its n-th commit from now on."""

    def __init__(self, db: Any) -> None:
        self.db, self.left, self.count = db, None, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def commit(self, effect: Commit) -> None:
        if self.left == 0:
            raise Dies
        if self.left is not None:
            self.left -= 1
        self.count += 1
        self.db.commit(effect)


# --- pauses at nodes inside --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", [{"interrupt_before": ["c"]}, {"interrupt_after": ["b"]}, {"interrupt_before": ["b", "c"]}], ids=str
)
@pytest.mark.parametrize("deep", [1, 2])
def test_a_pause_inside_pauses_the_whole_run_and_resume_goes_past_it(way, db, where, deep):
    graph = chain(None, "a", "b", "c", **where)
    for _ in range(deep):
        graph = chain(db if _ == deep - 1 else None, "before", graph, "after")
    result, pauses = way.invoke(graph, {}, session_id="s"), 0
    while result.status == "paused":
        assert result.interrupts == () and graph.get_state("s").status == "paused"
        with pytest.raises(InvalidAnswer):
            way.resume(graph, "s", "an answer to nothing")
        result, pauses = way.resume(graph, "s"), pauses + 1
    assert pauses == (2 if where == {"interrupt_before": ["b", "c"]} else 1)
    assert result["path"] == [*["before"] * deep, "a", "b", "c", *["after"] * deep]


def test_a_pause_inside_before_the_first_node(way, db):
    graph = chain(db, chain(None, "a", "b", interrupt_before="*"), "after")
    result, pauses = way.invoke(graph, {}, session_id="s"), 0
    while result.status == "paused":
        result, pauses = way.resume(graph, "s"), pauses + 1
    assert (pauses, result["path"]) == (2, ["a", "b", "after"])


def test_pauses_of_graphs_beside_each_other(way, db):
    builder = StateGraph(S)
    for name in ("one", "two"):
        builder.add_node(name, chain(None, f"{name} a", f"{name} b", interrupt_before=["b"]))
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    builder.add_node("ask", lambda state: {"path": [interrupt("well?")]})
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    graph = builder.compile(db=db)
    result = way.invoke(graph, {}, session_id="s")
    assert [question.value for question in result.interrupts] == ["well?"]
    assert way.resume(graph, "s", "yes")["path"] == ["one a", "one b", "two a", "two b", "yes"]


@pytest.mark.parametrize("where", [{"interrupt_before": ["b"]}, {"interrupt_after": ["a"]}], ids=str)
def test_a_pause_inside_is_made_and_gone_past_once_wherever_the_process_dies(way, db, where):
    """Dies after each commit in turn: before the pause was told the run pauses, once it was resumed it never does again."""
    deadly = Deadly(db)
    graph = chain(deadly, "before", chain(None, "a", "b", **where), "after")
    k, paused_at = 1, None
    while paused_at is None:
        session, deadly.left = f"s{k}", k
        try:
            way.invoke(graph, {}, session_id=session)
            paused_at = k
        except Dies:
            deadly.left = None
            assert way.resume(graph, session).status == "paused", f"died after commit {k}"
            assert way.resume(graph, session)["path"] == ["before", "a", "b", "after"]
        deadly.left = None
        k += 1
    for k in range(1, 6):
        session = f"t{k}"
        assert way.invoke(graph, {}, session_id=session).status == "paused"
        deadly.left = k
        try:
            result = way.resume(graph, session)
        except Dies:
            deadly.left = None
            result = way.resume(graph, session)
        deadly.left = None
        assert (result.status, result["path"]) == ("completed", ["before", "a", "b", "after"]), f"died after commit {k}"


# --- steps inside ------------------------------------------------------------------------------------------------------


def test_steps_inside_are_kept_over_questions_and_crashes(way, db):
    calls = []

    def node(state, ctx):
        made = ctx.step("make", lambda: calls.append(ctx.task_key) or len(calls))
        return {"path": [made, interrupt("well?")]}

    graph = chain(db, "before", chain(None, "a", node), "after")
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == ["before", "a", 1, "yes", "after"]
    assert len(calls) == 1


def test_a_graph_that_a_step_calls_runs_by_itself_and_its_result_is_recorded(way, db):
    runs = []
    inner = chain(None, lambda state: runs.append(1) or {"path": ["inner"]})

    def node(state, ctx):
        made = ctx.step("call", lambda: inner.invoke({})["path"])
        plain = inner.invoke({})["path"]
        return {"path": [made, plain, interrupt("well?")]}

    graph = chain(db, node)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", "yes")["path"] == [["inner"], ["inner"], "yes"]
    assert len(runs) == 2


# --- policies of a node that is a graph --------------------------------------------------------------------------------


def test_a_graph_that_is_tried_again_goes_on_inside(way, db):
    calls = []

    def flaky(state):
        calls.append("b")
        if calls.count("b") < 3:
            raise ConnectionError
        return {"path": ["b"]}

    inner = chain(None, lambda state: calls.append("a") or {"path": ["a"]}, flaky)
    graph = chain(db, "before", inner, last={"retry": AT_ONCE})
    assert way.invoke(graph, {}, session_id="s")["path"] == ["before", "a", "b"]
    assert calls == ["a", "b", "b", "b"]


def test_an_error_handler_of_a_graph_is_told_what_failed_inside(way, db):
    def fail(state):
        raise ZeroDivisionError("inside")

    graph = chain(db, chain(None, "a", fail), last={"on_error": lambda state, error: {"path": [str(error.exception)]}})
    assert way.invoke(graph, {}, session_id="s")["path"] == ["inside"]


def test_a_lost_session_is_no_matter_for_policies(way, db):
    calls, told = [], []

    class Fenced(Deadly):
        def commit(self, effect: Commit) -> None:
            if calls:
                raise LeaseLost("another run has the session")
            self.db.commit(effect)

    inner = chain(None, lambda state: calls.append("a") or {"path": ["a"]}, "b")
    policies = {"retry": RetryPolicy(initial=0, jitter=False, retry_on=Exception), "on_error": lambda *all: told.append(all)}
    graph = chain(Fenced(db), inner, last=policies)
    with pytest.raises(LeaseLost):
        way.invoke(graph, {}, session_id="s")
    assert (calls, told) == (["a"], [])


def test_questions_inside_a_node_with_policies_pause_the_run(way, db):
    inner = chain(None, lambda state: {"path": [interrupt("well?")]})
    policies = {"retry": AT_ONCE, "timeout": 30, "cache": CachePolicy(key=lambda state: 0)}
    graph = chain(db, inner, last={**policies, "on_error": lambda state, error: {"path": ["handled"]}})
    assert [question.value for question in way.invoke(graph, {}, session_id="s").interrupts] == ["well?"]
    assert way.resume(graph, "s", "yes")["path"] == ["yes"]
    assert way.invoke(graph, {}, session_id="t")["path"] == ["yes"]


def test_a_graph_out_of_time_stops_and_its_committed_work_is_kept(way, db):
    release, calls = threading.Event(), []

    def slow(state):
        calls.append("slow")
        release.wait(30 if len(calls) == 1 else 0)
        return {"path": ["slow"]}

    inner = chain(None, lambda state: calls.append("late") or {"path": ["a"]}, slow)
    calls.clear()
    graph = chain(db, chain(None, "a", slow, lambda state: calls.append("next")), last={"timeout": 0.5})
    assert inner
    with pytest.raises(NodeTimeout):
        way.invoke(graph, {}, session_id="s")
    release.set()
    assert way.resume(graph, "s")["path"] == ["a", "slow"]
    assert calls in (["slow", "slow", "next"], ["slow", "next"])


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_an_attempt_that_was_given_up_commits_nothing_beside_the_next_one(way, db, levels):
    """The first attempt hangs inside, and goes on when the second one is at the same place: only the second is kept."""
    release, calls, ended = threading.Event(), [], threading.Event()

    def slow(state):
        calls.append("slow")
        mine = len(calls)
        if mine == 1:
            release.wait(30)
        else:
            release.set()
            ended.wait(0.2)
        return {"path": [mine]}

    graph = chain(None, slow, lambda state: calls.append("next") or {"path": ["next"]})
    for level in range(levels):
        last = level == levels - 1
        policies = {"timeout": 2, "retry": RetryPolicy(max_attempts=2, initial=0, jitter=False)} if last else None
        graph = chain(db if last else None, "before", graph, last=policies)
    result = way.invoke(graph, {}, session_id="s")
    before = ["before"] * levels
    assert result["path"] == graph.get_state("s").values["path"] == [*before, 2, "next"]
    assert calls.count("slow") == 2 and db.check().ok
    assert way.invoke(graph, {}, session_id="s")["path"] == [*before, 2, "next", *before, 4, "next"]


def test_a_step_deep_inside_an_attempt_that_was_given_up_is_refused(way, db):
    calls, release, over, refused = [], threading.Event(), threading.Event(), []

    def slow(state, ctx):
        calls.append("slow")
        if len(calls) > 1:
            release.set()
            assert over.wait(30)
            return {"path": [ctx.step("late", lambda: "second attempt")]}
        assert release.wait(30)
        try:
            return {"path": [ctx.step("late", lambda: "first attempt")]}
        except NodeTimeout as error:
            refused.append(error)
            raise
        finally:
            over.set()

    inner = chain(None, "before", chain(None, slow))
    graph = chain(db, inner, last={"timeout": 1, "retry": RetryPolicy(max_attempts=2, initial=0, jitter=False)})
    assert way.invoke(graph, {}, session_id="s")["path"] == ["before", "second attempt"]
    assert len(refused) == 1


# --- durability "exit" -------------------------------------------------------------------------------------------------


def test_graphs_inside_an_exit_run_are_committed_with_all_before_them(way, db):
    calls = []

    def ask(state):
        calls.append("ask")
        return {"path": [interrupt("well?")]}

    inner = chain(None, lambda state: calls.append("inner") or {"path": ["inner"]}, ask)
    graph = chain(db, "before", inner, "after", durability="exit")
    given = {"messages": [("user", "hi")]}
    assert way.invoke(graph, given, session_id="s").status == "paused"
    assert way.resume(graph, "s", "yes")["path"] == ["before", "inner", "yes", "after"]
    assert calls == ["inner", "ask", "ask"]
    assert [m.content for m in db.get_messages("s")] == ["hi"]
    assert db.check().ok


def test_many_graphs_inside_an_exit_run_at_once(way, db):
    inner = chain(None, "x", "y")
    builder = StateGraph(S)
    builder.add_node("fan", visit("fan"))
    builder.add_node("each", inner)
    builder.add_node("end", visit("end"))
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("each", {}) for _ in range(6)], ["each"])
    builder.add_edge("each", "end")
    builder.add_edge("end", END)
    graph = builder.compile(db=db, durability="exit")
    assert way.invoke(graph, {}, session_id="s")["path"] == ["fan", *["x", "y"] * 6, "end"]
    assert graph.get_state("s").values["path"] == ["fan", *["x", "y"] * 6, "end"]
    assert [run.status for run in db.get_runs("s")] == ["completed"]


def test_a_called_graph_inside_an_exit_run_too(way, db):
    inner = chain(None, "x", lambda state: {"path": [interrupt("well?")]})
    graph = chain(db, "before", lambda state: {"path": inner.invoke({})["path"]}, "after", durability="exit")
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.resume(graph, "s", "yes")["path"] == ["before", "x", "yes", "after"]


@pytest.mark.parametrize("end", ["result", "riding", "question", "sibling"])
def test_an_exit_run_that_was_stored_for_a_graph_inside_ends_with_what_cannot_be_stored(way, db, end):
    """The graph inside keeps its state and had the run committed, so it has to be ended there, as a run of many commits is."""
    broken = [True]

    def last(state):
        if not broken:
            return {"path": ["last"]}
        return {"path": [interrupt(object())]} if end == "question" else {"path": [object()]}

    def then(state):
        if end == "riding" and broken:
            raise ZeroDivisionError
        return {"path": ["then"]}

    nodes = [chain(None, "x"), last] + ([then] if end == "riding" else [])
    graph = chain(db, *nodes, first={"persist": True}, durability="exit")
    if end == "sibling":
        builder = StateGraph(S).add_node("fan", chain(None, "x"), persist=True)
        builder.add_node("last", last).add_node("beside", visit("beside"))
        builder.add_edge(START, "fan")
        for name in ("last", "beside"):
            builder.add_edge("fan", name).add_edge(name, END)
        graph = builder.compile(db=db, durability="exit")
    with pytest.raises(ZeroDivisionError if end == "riding" else SerializationError):
        way.invoke(graph, {}, session_id="s")
    assert graph.get_state("s").status == db.get_session("s").status == db.get_runs("s")[-1].status == "error"
    broken.clear()
    rest = {"riding": ["last", "then"], "sibling": ["beside", "last"]}.get(end, ["last"])
    assert sorted(way.resume(graph, "s")["path"]) == sorted(["x", *rest])
    assert db.check().ok


# --- schemas -----------------------------------------------------------------------------------------------------------


def test_a_nested_graph_takes_and_gives_what_its_schemas_say(way, db):
    class Topic(TypedDict):
        topic: str

    class Path(TypedDict):
        path: list[Any]

    seen = []
    builder = StateGraph(S, input_schema=Topic, output_schema=Path)
    builder.add_node("look", lambda state: seen.append(dict(state)) or {"path": ["inner"], "topic": "changed inside"})
    builder.add_edge(START, "look")
    builder.add_edge("look", END)
    graph = chain(db, "before", builder.compile())
    result = way.invoke(graph, {"topic": "tea"}, session_id="s")
    assert seen == [{"path": [], "topic": "tea", "messages": []}]
    assert (result["path"], result["topic"]) == (["before", "inner"], "tea")


def test_a_called_graph_may_take_the_context_of_the_run_around_it(way, db):
    class Needs(TypedDict):
        user: str

    builder = StateGraph(S, context_schema=Needs)
    builder.add_node("look", lambda state, ctx: {"path": [ctx.context["user"]]})
    builder.add_edge(START, "look")
    builder.add_edge("look", END)
    inner = builder.compile()
    graph = chain(db, lambda state: {"path": inner.invoke({})["path"]})
    assert way.invoke(graph, {}, session_id="s", context={"user": "Ann"})["path"] == ["Ann"]
    with pytest.raises(ValueError, match="user"):
        way.invoke(inner, {})


def test_a_graph_out_of_time_is_tried_again_whatever_its_nodes_do_when_they_are_left(db: Any) -> None:
    calls: list[str] = []

    class Path(TypedDict, total=False):
        path: Annotated[list[str], append]

    def patient(name: str) -> Any:
        async def node(state: Any) -> dict[str, Any]:
            calls.append(name)
            if len(calls) > 2:
                return {"path": [name]}
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                return {"path": ["left"]}
            return {}

        return node

    def beside(state: Any) -> dict[str, Any]:
        time.sleep(0.4)
        return {"path": ["beside"]}

    inner = StateGraph(Path)
    for name in "pq":
        inner.add_node(name, patient(name)).add_edge(START, name).add_edge(name, END)
    retry = RetryPolicy(max_attempts=2, initial=0.0, jitter=False)
    outer = StateGraph(Path).add_node("inner", inner.compile(), timeout=0.2, retry=retry).add_node("beside", beside)
    outer.add_edge(START, "inner").add_edge(START, "beside").add_edge("inner", END).add_edge("beside", END)
    for kept in (None, db):
        calls.clear()
        ended = asyncio.run(outer.compile(db=kept).ainvoke({}))
        assert (ended.status, ended["path"]) == ("completed", ["p", "q", "beside"])
