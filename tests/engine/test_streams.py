"""Streams of flat graphs: the order of events and modes, readers that are slow, and readers that leave."""

from __future__ import annotations

import asyncio
import gc
import operator
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import (
    END,
    START,
    Command,
    Context,
    Message,
    RetryPolicy,
    Send,
    StateGraph,
    add_messages,
    append,
    interrupt,
    logged,
    untracked,
)
from graphflow.core.effects import Ask
from graphflow.core.plan import flow
from graphflow.db import InMemoryDb, SqliteDb
from graphflow.drive.stream import Event, View
from graphflow.drive.sync import STREAM_SIZE
from graphflow.drive.threads import in_own_thread
from graphflow.errors import SerializationError, SessionNotFound
from graphflow.models.base import Request
from graphflow.testing import ScriptedModel
from graphflow_nodes import history, respond


class S(TypedDict):
    path: Annotated[list[Any], append]
    messages: Annotated[list[Message], add_messages]


def writing(name, *data):
    def node(state, ctx):
        for item in data:
            ctx.write(item)
        return {"path": [name]}

    return node


def saying(*words):
    """A node that asks a model, which answers word by word."""
    model = ScriptedModel(list(words))

    @flow
    def node(state, ctx):
        reply = yield Ask(model, Request([Message("user", "hi")]))
        return {"messages": [Message("assistant", reply.content)]}

    return node


def diamond(db=None, on_event=None, **nodes):
    builder = StateGraph(S)
    for name in ("first", "left", "right", "last"):
        builder.add_node(name, nodes.get(name) or writing(name, f"{name} 1", f"{name} 2"))
    for left, right in (("first", "left"), ("first", "right"), (["left", "right"], "last")):
        builder.add_edge(left, right)
    builder.add_edge(START, "first")
    builder.add_edge("last", END)
    return builder.compile(db=db, on_event=on_event)


def ask(state):
    return {"path": [interrupt("well?")]}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def chain(db, *nodes, **compiled):
    builder = StateGraph(S)
    names = [f"n{i}" for i in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node)
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db, **compiled)


# --- the order of events -----------------------------------------------------------------------------------------------


def told(events):
    return [(event.type, event.node) if event.node else event.type for event in events]


def test_events_come_in_the_order_of_tasks_around_what_tasks_tell_themselves(way, db):
    events = way.stream(diamond(db), {}, session_id="s", stream_mode="events")
    order = told(events)
    written = [event.data["data"] for event in events if event.type == "custom"]
    assert [item for item in order if item[0] != "custom"] == [
        "run_started",
        ("node_started", "first"),
        ("node_completed", "first"),
        "checkpoint",
        ("node_started", "left"),
        ("node_started", "right"),
        ("node_completed", "left"),
        ("node_completed", "right"),
        "checkpoint",
        ("node_started", "last"),
        ("node_completed", "last"),
        "checkpoint",
        "run_completed",
    ]
    for name in ("first", "left", "right", "last"):
        assert [item for item in written if item.startswith(name)] == [f"{name} 1", f"{name} 2"]
        places = [at for at, item in enumerate(order) if item == ("custom", name)]
        assert order.index(("node_started", name)) < min(places) < max(places) < order.index(("node_completed", name))


def test_sends_are_told_in_their_order(way):
    builder = StateGraph(S)
    builder.add_node("fan", lambda state: None)
    builder.add_node("each", lambda n: time.sleep(0.02 * (3 - n)) or {"path": [n]})
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("each", n) for n in range(4)], ["each"])
    builder.add_edge("each", END)
    parts = way.stream(builder.compile(), {})
    assert parts == [{"fan": {}}, *({"each": {"path": [n]}} for n in range(4))]


def test_several_modes_share_one_order(way, db):
    modes = ["values", "updates", "custom", "tasks", "checkpoints"]
    parts = way.stream(chain(db, writing("a", 1), writing("b", 2)), {}, session_id="s", stream_mode=modes)
    shown = [(mode, part.type if mode in ("tasks", "checkpoints") else part) for mode, part in parts]

    def step(path, name, number):
        return [
            ("tasks", "node_started"),
            ("custom", number),
            ("updates", {name: {"path": [path[-1]]}}),
            ("tasks", "node_completed"),
            ("values", {"path": path, "messages": []}),
            ("checkpoints", "checkpoint"),
        ]

    assert shown == [("values", {"path": [], "messages": []}), *step(["a"], "n0", 1), *step(["a", "b"], "n1", 2)]


def test_the_order_of_modes_is_that_of_the_list(way):
    parts = way.stream(chain(None, writing("a")), {}, stream_mode=["events", "updates"])
    at = next(at for at, (mode, _) in enumerate(parts) if mode == "updates")
    assert parts[at - 1][0] == "events" and parts[at - 1][1].type == "node_completed"


def test_a_checkpoint_is_told_after_its_commit(way, db):
    graph, seen = chain(db, writing("a"), writing("b")), []

    def check(event):
        if event.type in ("checkpoint", "node_completed"):
            seen.append((event.type, db.get_session("s") is not None and len(graph.get_state("s").values["path"])))

    listening = chain(db, writing("a"), writing("b"), on_event=check)
    way.invoke(listening, {}, session_id="s")
    assert seen == [("node_completed", 1), ("checkpoint", 1), ("node_completed", 2), ("checkpoint", 2)]


@pytest.mark.parametrize("end", ["run_completed", "interrupted", "run_failed"])
def test_the_last_event_says_how_the_run_ended(way, db, end):
    def node(state):
        if end == "interrupted":
            interrupt("?")
        if end == "run_failed":
            raise ZeroDivisionError
        return {"path": ["done"]}

    events = []
    graph = chain(db, node, on_event=events.append)
    if end == "run_failed":
        with pytest.raises(ZeroDivisionError):
            way.stream(graph, {}, session_id="s")
    else:
        way.stream(graph, {}, session_id="s")
    assert events[-1].type == end and [event.type for event in events].count(end) == 1


def test_finished_siblings_of_a_question_are_told_when_their_superstep_is_committed(way, db):
    graph = diamond(db, left=lambda state: {"path": [interrupt("?")]})
    parts = way.stream(graph, {}, session_id="s")
    assert parts == [{"first": {"path": ["first"]}}, {"__interrupt__": graph.get_state("s").interrupts}]
    events = []
    listening = diamond(db, events.append, left=lambda state: {"path": [interrupt("?")]})
    way.resume(listening, "s", "answer")
    updates = [(event.node, event.update) for event in events if event.type == "node_completed"]
    assert updates == [("left", {"path": ["answer"]}), ("right", {"path": ["right"]}), ("last", {"path": ["last"]})]


@pytest.mark.parametrize("mode", ["updates", "values", "tasks", "checkpoints"])
def test_a_mode_tells_by_itself_that_the_run_pauses_and_at_which_questions(way, db, mode):
    graph = StateGraph(S).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile(db=db)
    *_, last = way.stream(graph, {}, session_id="s", stream_mode=mode)
    questions = graph.get_state("s").interrupts
    assert len(questions) == 1
    told = last["__interrupt__"] if mode in ("updates", "values") else last.interrupts
    assert told == questions


def test_a_pause_before_a_node_is_told_without_questions_and_that_of_a_graph_inside_at_the_top(way, db):
    graph = StateGraph(S).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
    held = graph.compile(db=db, interrupt_before=["ask"])
    assert way.stream(held, {}, session_id="s") == [{"__interrupt__": ()}]
    outer = StateGraph(S).add_node("inner", graph.compile()).add_edge(START, "inner").add_edge("inner", END).compile(db=db)
    parts = way.stream(outer, {}, session_id="t", subgraphs=True)
    assert parts == [("", {"__interrupt__": outer.get_state("t").interrupts})] and parts[0][1]["__interrupt__"][0].ns


def test_going_on_is_streamed_with_some_answers_at_a_pause_and_in_a_fork(way, tmp_path):
    def asks(state, ctx):
        return {"path": [interrupt(ctx.node)]}

    db = SqliteDb(tmp_path / "g.db")
    graph = StateGraph(S).add_node("left", asks).add_node("right", asks).add_node("last", lambda state: {"path": ["last"]})
    graph.add_edge(START, "left").add_edge(START, "right").add_edge(["left", "right"], "last").add_edge("last", END)
    held = graph.compile(db=db, interrupt_before=["last"])
    left, right = way.invoke(held, {}, session_id="s").interrupts
    assert way.stream_resume(held, "s", answers={left.id: 1}) == [{"__interrupt__": (right,)}]
    parts = way.stream_resume(held, "s", 2, stream_mode=["updates", "values"])
    assert parts == [
        ("values", {"path": [], "messages": []}),
        ("updates", {"left": {"path": [1]}}),
        ("updates", {"right": {"path": [2]}}),
        ("values", {"path": [1, 2], "messages": []}),
        ("updates", {"__interrupt__": ()}),
        ("values", {"__interrupt__": ()}),
    ]
    other = way.fork(held, "s", at=1)
    for session in ("s", other):
        assert way.stream_resume(held, session, subgraphs=True) == [("", {"last": {"path": ["last"]}})]
    assert way.stream_resume(held, "s") == []
    with pytest.raises(SessionNotFound):
        way.stream_resume(held, "nobody")
    assert way.get_state(held, "s").values["path"] == [1, 2, "last"]


# --- messages ----------------------------------------------------------------------------------------------------------


def test_messages_are_tokens_as_they_come_with_where_they_are_from(way):
    parts = way.stream(chain(None, saying("Hello big world")), {}, stream_mode="messages")
    assert "".join(text for text, _ in parts) == "Hello big world" and len(parts) > 1
    assert all(about["node"] == "n0" and about["ns"] == "" and about["attempt"] == 1 for _, about in parts)
    assert len({about["run_id"] for _, about in parts}) == 1


def test_messages_that_did_not_come_as_tokens_come_whole(way):
    def tools(state):
        return {"messages": [Message("tool", "42", tool_call_id="c"), ("assistant", "by hand")]}

    parts = way.stream(chain(None, saying("Hello world"), tools), {"messages": [("user", "hi")]}, stream_mode="messages")
    texts = [piece for piece, about in parts if about["node"] == "n0"]
    whole = [piece for piece, about in parts if about["node"] == "n1"]
    assert "".join(texts) == "Hello world" and all(isinstance(text, str) for text in texts)
    assert [(message.role, message.content) for message in whole] == [("tool", "42"), ("assistant", "by hand")]


def test_messages_that_are_read_from_the_log_are_not_told_again(way):
    class Chat(TypedDict):
        messages: Annotated[list[Message], add_messages, logged]
        history: Annotated[list[Message], untracked]

    builder = StateGraph(Chat)
    builder.add_node("history", history(), rerunnable=True)
    builder.add_node("answer", respond(ScriptedModel(["one", "two"])))
    builder.add_edge(START, "history")
    builder.add_edge("history", "answer")
    builder.add_edge("answer", END)
    graph = builder.compile(db=InMemoryDb())
    for text in ("one", "two"):
        parts = way.stream(graph, {"messages": [("user", "hi")]}, session_id="s", stream_mode=["messages", "events"])
        assert [part[0] for mode, part in parts if mode == "messages"] == [text]
    read = next(part for mode, part in parts if mode == "events" and part.type == "node_completed")
    assert (read.node, len(read.update["history"]), read.untracked) == ("history", 2, ("history",))


@pytest.mark.parametrize("name", ["inner", "a/b: c"])
@pytest.mark.parametrize("db", [InMemoryDb, lambda: None], ids=["stored", "not stored"])
def test_messages_of_a_graph_inside_are_told_once(way, name, db):
    inner = chain(None, saying("Hello world"), lambda state: {"messages": [Message("assistant", "by hand", id="mine")]})

    def after(state):
        return {"messages": [Message("assistant", "outside", id="another")]}

    builder = StateGraph(S)
    builder.add_node(name, inner)
    builder.add_sequence([("calls", lambda state: {"messages": inner_again.invoke({})["messages"]}), ("after", after)])
    inner_again = chain(None, saying("Again"))
    for left, right in ((START, name), (name, "calls"), ("after", END)):
        builder.add_edge(left, right)
    parts = way.stream(builder.compile(db=db()), {"messages": [("user", "hi")]}, stream_mode="messages")
    told = [(piece if isinstance(piece, str) else piece.text, about["node"]) for piece, about in parts]
    words = [text for text, node in told if node == "n0"]
    assert "".join(words) == "Hello worldAgain"
    assert [pair for pair in told if pair[1] != "n0"] == [("by hand", "n1"), ("outside", "after")]


def test_a_node_that_streams_in_one_superstep_and_not_in_the_next_is_told_apart(way):
    model = ScriptedModel(["one two"])

    @flow
    def node(state, ctx):
        if state["messages"]:
            return {"messages": [Message("assistant", "not asked")]}
        reply = yield Ask(model, Request([Message("user", "hi")]))
        return {"messages": [Message("assistant", reply.content)]}

    builder = StateGraph(S)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: "node" if len(state["messages"]) < 2 else END, ["node", END])
    pieces = [piece for piece, _ in way.stream(builder.compile(), {}, stream_mode="messages")]
    assert "".join(pieces[:-1]) == "one two" and pieces[-1].content == "not asked"


def test_tokens_of_a_failed_attempt_are_told_apart_by_its_number(way):
    model = ScriptedModel(["first try", "second try"])

    @flow
    def node(state, ctx):
        reply = yield Ask(model, Request([Message("user", "hi")]))
        if ctx.attempt == 1:
            raise ConnectionError
        return {"messages": [Message("assistant", reply.content)]}

    builder = StateGraph(S)
    builder.add_node("node", node, retry=RetryPolicy(initial=0, jitter=False))
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    parts = way.stream(builder.compile(), {}, stream_mode=["messages", "events"])
    texts = {
        attempt: "".join(p[0] for mode, p in parts if mode == "messages" and p[1]["attempt"] == attempt) for attempt in (1, 2)
    }
    assert texts == {1: "first try", 2: "second try"}
    kinds = [p.type for mode, p in parts if mode == "events" and p.type in ("token", "attempt_restarted")]
    at = kinds.index("attempt_restarted")
    assert set(kinds[:at]) == set(kinds[at + 1 :]) == {"token"}


# --- readers -----------------------------------------------------------------------------------------------------------


def test_a_run_waits_for_a_slow_reader_instead_of_filling_memory(db):
    written = []

    def node(state, ctx):
        for n in range(STREAM_SIZE * 2):
            ctx.write(n)
            written.append(n)

    parts = chain(db, node).stream({}, session_id="s", stream_mode="custom")
    assert next(parts) == 0
    time.sleep(0.3)
    assert len(written) <= STREAM_SIZE + 2
    assert [0, *parts] == list(range(STREAM_SIZE * 2))


def test_a_run_that_is_not_stored_goes_on_as_its_updates_are_read_and_in_the_thread_that_reads_them():
    ran = []

    def node(state):
        ran.append(threading.current_thread())

    parts = chain(None, node, node, node).stream({})
    next(parts)
    assert ran == [threading.current_thread()]
    rest = []
    reader = threading.Thread(target=lambda: rest.extend(parts))
    reader.start()
    reader.join()
    assert ran == [threading.current_thread(), reader, reader] and len(rest) == 2


def test_an_async_run_that_is_not_stored_goes_on_as_its_updates_are_read_and_in_the_task_that_reads_them():
    ran: list[Any] = []

    async def node(state):
        await asyncio.sleep(0)
        ran.append(asyncio.current_task())

    async def main():
        parts = chain(None, node, node, node).astream({})
        await anext(parts)
        await asyncio.sleep(0.01)
        assert ran == [asyncio.current_task()]
        rest = asyncio.ensure_future(collected(parts))
        assert len(await rest) == 2 and ran[1:] == [rest, rest]

    asyncio.run(main())


async def collected(parts):
    return [part async for part in parts]


@pytest.mark.parametrize("how", ["closed", "cancelled", "cancelled in a thread"])
def test_a_listener_hears_how_an_async_run_ended_that_is_not_stored_and_was_left(how):
    heard: list[str] = []
    reached = threading.Event()

    async def waits(state):
        reached.set()
        await asyncio.sleep(30)

    def computes(state):
        reached.set()
        time.sleep(0.05)

    last = computes if how == "cancelled in a thread" else waits
    graph = chain(None, writing("a"), last, writing("c"), on_event=lambda event: heard.append(event.type))

    async def main():
        parts = graph.astream({})
        assert await anext(parts) == {"n0": {"path": ["a"]}}
        if how == "closed":
            await parts.aclose()
        else:
            reading = asyncio.ensure_future(collected(parts))
            while not reached.is_set():
                await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(main())
    assert heard[-1] == "run_cancelled" and heard.count("node_completed") == (2 if how == "cancelled in a thread" else 1)


@pytest.mark.parametrize("mode", ["updates", "values", "events"])
def test_whoever_reads_a_stream_may_use_its_session_meanwhile(db, mode):
    graph = chain(db, writing("a"), writing("b"))
    for n, _ in enumerate(graph.stream({}, session_id="s", stream_mode=mode)):
        if n == 0:
            graph.update_state("s", {"path": ["edited"]})
    assert graph.get_state("s").values["path"] == ["a", "b", "edited"]


@pytest.mark.parametrize("mode", ["updates", "events"])
def test_a_stream_that_the_garbage_collector_finds_is_left_like_any_other(db, mode):
    graph = chain(db, *[writing(name, name) for name in "abcd"])
    cycle: list[Any] = [graph.stream({}, session_id="s", stream_mode=mode)]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()  # works in whatever thread allocates, so it waits for nothing
    until(lambda: db.get_session("s").status in ("cancelled", "completed"))
    assert graph.resume("s")["path"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("mode", ["updates", "events"])
@pytest.mark.parametrize("how", ["found by the garbage collector", "dropped"])
def test_a_stream_that_nobody_has_any_longer_in_a_node_of_its_own_run_keeps_no_session(db, mode, how):
    held: list[Any] = []
    cycles: list[Any] = []
    handed, ended = threading.Event(), threading.Event()

    def node(state: Any) -> dict[str, Any]:
        if not ended.is_set():
            assert handed.wait(30)
            if how == "dropped":
                held.clear()
            else:
                cycles.clear()
                gc.collect()
            ended.set()
        return {"path": ["node"]}

    graph = chain(db, writing("a", "a"), node)
    held.append(graph.stream({}, session_id="s", stream_mode=mode))
    next(held[0])
    if how != "dropped":
        cycle = [held.pop()]
        cycle.append(cycle)
        cycles.append(cycle)
        del cycle
    handed.set()
    assert ended.wait(30)
    until(lambda: db.get_session("s").status in ("cancelled", "completed"))
    assert graph.resume("s", on_busy="wait")["path"] == ["a", "node"]


def test_a_stream_is_found_by_the_garbage_collector_in_a_thread_that_holds_what_its_run_needs(tmp_path):
    db = SqliteDb(tmp_path / "s.db")
    reached = threading.Event()

    def node(state: Any) -> dict[str, Any]:
        reached.set()
        return {"path": ["node"]}

    graph = chain(db, writing("a", "a"), node)
    cycle: list[Any] = [graph.stream({}, session_id="s")]
    cycle.append(cycle)
    next(cycle[0])
    with db._open.line.kept_out():
        del cycle
        gc.collect()
    until(lambda: db.get_session("s").status in ("cancelled", "completed"))
    assert graph.resume("s")["path"] == ["a", "node"]


def test_a_run_that_waits_for_its_reader_learns_that_there_is_none(db):
    behind = threading.Event()

    def talk(state: Any, ctx: Context) -> dict[str, Any]:
        for n in range(STREAM_SIZE + 2):
            ctx.write(n)
            if n == STREAM_SIZE - 2:
                behind.set()
        return {"path": ["talk"]}

    graph = chain(db, talk)
    cycle: list[Any] = [graph.stream({}, session_id="s", stream_mode="custom")]
    cycle.append(cycle)
    next(cycle[0])
    assert behind.wait(30)
    del cycle
    gc.collect()
    until(lambda: db.get_session("s").status in ("cancelled", "completed"))


@pytest.mark.parametrize("mode", ["updates", "events"])
def test_a_listener_hears_how_a_run_ended_that_nobody_reads_any_more(db, mode):
    heard: list[str] = []
    slow = [lambda state: time.sleep(0.01)] * 20
    parts = chain(db, *slow, on_event=lambda event: heard.append(event.type)).stream({}, session_id="s", stream_mode=mode)
    next(parts)
    parts.close()
    assert heard[-1] == "run_cancelled"


def test_closing_a_stream_raises_what_kept_its_run_from_being_stored(db):
    parts = chain(db, lambda state: {"path": [object()]}, *[lambda state: time.sleep(0.01)] * 20).stream(
        {}, session_id="s", durability="exit"
    )
    next(parts)
    with pytest.raises(SerializationError, match="path"):
        parts.close()


def test_leaving_an_async_stream_warns_of_what_kept_its_run_from_being_stored(db):
    async def wait(state):
        await asyncio.sleep(0.01)

    async def main():
        graph = chain(db, lambda state: {"path": [object()]}, *[wait] * 20)
        parts = graph.astream({}, session_id="s", durability="exit")
        await anext(parts)
        await parts.aclose()

    with pytest.warns(RuntimeWarning, match="'s' was stopped, and that could not be stored: SerializationError"):
        asyncio.run(main())


@pytest.mark.parametrize("value, expected", [("an error", None), ("a value", SerializationError)])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_leaving_a_stream_whose_run_has_failed_tells_what_was_not_stored_and_no_more(db, asynchronous, value, expected):
    def fails(state):
        if value == "an error":
            raise LookupError("no such thing")
        return {"path": [object()]}

    graph, complaints = chain(db, writing("a", "told"), fails), []

    def leave():
        parts = graph.stream({}, session_id="s")
        next(parts)
        until(lambda: db.get_session("s").status == "error")
        parts.close()

    async def aleave():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        parts = graph.astream({}, session_id="s")
        await anext(parts)
        while db.get_session("s").status != "error":
            await asyncio.sleep(0.001)
        try:
            await parts.aclose()
        finally:
            del parts
            gc.collect()

    with nullcontext() if expected is None else pytest.raises(expected, match="path"):
        asyncio.run(aleave()) if asynchronous else leave()
    assert complaints == []


@pytest.mark.parametrize("mode", ["updates", "custom"])
def test_what_a_node_raises_is_raised_at_the_end_of_the_stream(db, mode):
    def fails(state):
        raise LookupError("no such thing")

    taken = []
    with pytest.raises(LookupError, match="no such thing"):
        for part in chain(db, writing("a", "told"), fails).stream({}, session_id="s", stream_mode=mode):
            taken.append(part)
    assert taken == [{"n0": {"path": ["a"]}} if mode == "updates" else "told"]
    assert chain(db, writing("a"), writing("b")).get_state("s").status == "error"


def test_an_async_run_waits_for_a_slow_reader_between_its_steps(db):
    ran = []

    def node(state):
        ran.append(1)
        return {"path": [1]}

    builder = StateGraph(S)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: "node" if len(state["path"]) < STREAM_SIZE * 2 else END, ["node", END])
    graph = builder.compile()

    async def main():
        parts = graph.astream({}, recursion_limit=10_000)
        await anext(parts)
        await asyncio.sleep(0.5)
        behind = len(ran)
        return behind, 1 + len([part async for part in parts])

    behind, total = asyncio.run(main())
    assert behind <= STREAM_SIZE + 2 and total == STREAM_SIZE * 2


def test_an_async_node_that_writes_to_a_slow_reader_does_not_hold_up_those_of_others():
    written = threading.Event()

    async def talk(state: Any, ctx: Context) -> dict[str, Any]:
        for n in range(3 * STREAM_SIZE):
            ctx.write(n)
        written.set()
        return {"path": ["talk"]}

    async def other(state: Any) -> dict[str, Any]:
        return {"path": ["other"]}

    parts = chain(None, talk).stream({}, stream_mode="custom")
    next(parts)
    assert in_own_thread(lambda: chain(None, other).invoke({})["path"]).result(30) == ["other"]
    assert written.wait(30) and list(parts) == [*range(1, 3 * STREAM_SIZE)]


@pytest.mark.parametrize("mode", ["updates", "values", "custom", "events", ["updates", "custom"]], ids=str)
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_stream_left_anywhere_leaves_a_session_that_can_be_resumed(db, mode, taken):
    nodes = [writing(name, name) for name in "abcd"]
    parts = chain(db, *nodes).stream({}, session_id="s", stream_mode=mode)
    for _ in range(taken):
        next(parts)
    parts.close()
    graph = chain(db, *nodes)
    state = graph.get_state("s")
    assert state.status in ("cancelled", "completed")
    assert graph.resume("s")["path"] == ["a", "b", "c", "d"]
    assert graph.invoke({}, session_id="s")["path"] == ["a", "b", "c", "d"] * 2


@pytest.mark.parametrize("mode", ["updates", "events", ["updates", "custom"]], ids=str)
@pytest.mark.parametrize("how", ["close", "break", "cancel"])
def test_an_async_stream_left_anywhere_too(db, mode, how):
    nodes = [writing(name, name) for name in "abcd"]

    async def read(graph):
        parts = graph.astream({}, session_id="s", stream_mode=mode)
        async for _ in parts:
            if how == "close":
                await parts.aclose()
            elif how == "cancel":
                await asyncio.sleep(30)
            break
        await parts.aclose()

    async def main():
        graph = chain(db, *nodes)
        if how == "cancel":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(graph), 0.5)
        else:
            await read(graph)
        assert (await graph.aresume("s"))["path"] == ["a", "b", "c", "d"]

    asyncio.run(main())


def test_a_stream_that_was_never_read_runs_nothing(db):
    ran = []
    graph = chain(db, lambda state: ran.append(1))
    parts = graph.stream({}, session_id="s")
    parts.close()
    assert ran == [] and db.get_session("s") is None


def test_a_listener_of_a_graph_that_a_node_calls_hears_all_of_it(db):
    heard: list[str] = []
    inner = chain(None, writing("inner"), on_event=lambda event: heard.append(event.type))
    outer = chain(db, lambda state: {"path": inner.invoke({})["path"]})
    assert outer.invoke({}, session_id="s")["path"] == ["inner"]
    alone = ["node_started", "node_completed", "checkpoint"]
    assert heard == alone
    list(outer.stream({}, session_id="t"))
    assert heard == alone * 2


def test_streams_of_one_graph_do_not_mix():
    graph, mixed = chain(None, saying(*(f"number {n} of many" for n in range(8)))), []

    def read():
        texts = [piece for piece, _ in graph.stream({}, stream_mode="messages")]
        mixed.append("".join(texts))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mixed) == [f"number {n} of many" for n in range(8)]


def test_a_view_of_messages_is_told_by_several_threads():
    view, errors = View("messages", subgraphs=True), []

    def tell(thread: int) -> None:
        try:
            for number in range(3_000):
                place = f"n{number % 97}", f"g{thread}:0.0"
                view(Event("token", *place, "r", None, {"text": "x", "member": f"m{number % 89}"}))
                view(Event("node_completed", *place, "r", None, {"update": {}, "untracked": ()}))
                if number % 5 == 0:
                    view(Event("checkpoint", "", place[1], "r", None, {}))
        except RuntimeError as error:
            errors.append(error)

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(often)
    assert not errors


def test_all_updates_of_a_list_are_told(way):
    class Talk(TypedDict):
        path: Annotated[list[Any], append]
        messages: Annotated[list[Message], add_messages]
        total: Annotated[int, operator.add]

    def node(state):
        return [
            {"path": [1], "messages": [Message("user", "one")], "total": 1},
            Command(update={"path": [2], "messages": [Message("user", "two")], "total": 2}),
        ]

    graph = StateGraph(Talk).add_node("a", node).add_edge(START, "a").add_edge("a", END).compile()
    (told,) = way.stream(graph, {}, stream_mode="updates")
    assert (told["a"]["path"], told["a"]["total"]) == ([1, 2], 3)
    assert [message.text for message in told["a"]["messages"]] == ["one", "two"]
    assert [message.text for message, _ in way.stream(graph, {}, stream_mode="messages")] == ["one", "two"]
