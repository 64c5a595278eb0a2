"""Policies of a node: retry, timeout, error handler, cache."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, CachePolicy, Command, Message, RetryPolicy, StateGraph, append, interrupt
from graphflow.core.control import MISSING
from graphflow.core.effects import Ask
from graphflow.core.plan import flow
from graphflow.core.policies import is_transient
from graphflow.core.reducers import merge_keys
from graphflow.drive.cache import ResultCache
from graphflow.errors import InvalidUpdate, ModelError, NodeTimeout
from graphflow.models.base import Request
from graphflow.testing import FakeClock, ScriptedModel

AT_ONCE = {"initial": 0.0, "jitter": False}
"""No waiting in tests that are not about it."""


class S(TypedDict):
    path: Annotated[list[str], append]
    topic: str
    session_state: Annotated[dict[str, Any], merge_keys]


class Fails:
    """Raises the first ``times`` times."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times, self.error, self.calls = times, error or ConnectionError("gone"), 0

    def fail(self) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error


def one_node(node, db=None, state=S, **policies):
    builder = StateGraph(state)
    builder.add_node("work", node, **policies)
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(db=db)


def as_sync(fails):
    def work(state, ctx):
        fails.fail()
        return {"path": [f"attempt {ctx.attempt}"]}

    return work


def as_async(fails):
    async def work(state, ctx):
        await asyncio.sleep(0)
        fails.fail()
        return {"path": [f"attempt {ctx.attempt}"]}

    return work


def as_flow(fails):
    @flow
    def work(state, ctx):
        reply = yield Ask(ScriptedModel(["ok"]), Request([Message("user", "hi")]))
        fails.fail()
        return {"path": [f"attempt {ctx.attempt}"], "topic": reply.content}

    return work


KINDS = pytest.mark.parametrize("kind", [as_sync, as_async, as_flow])


# --- retry -------------------------------------------------------------------------------------------------------------


@KINDS
def test_a_node_is_tried_again_until_it_succeeds(way, kind):
    fails = Fails(2)
    graph = one_node(kind(fails), retry=RetryPolicy(max_attempts=3, **AT_ONCE))
    assert way.invoke(graph, {})["path"] == ["attempt 3"]
    assert fails.calls == 3


@KINDS
def test_without_a_policy_nothing_is_tried_again(way, kind):
    fails = Fails(1)
    with pytest.raises(ConnectionError):
        way.invoke(one_node(kind(fails)), {})
    assert fails.calls == 1


def test_the_last_error_comes_out_as_itself_and_says_where(way):
    fails = Fails(9)
    with pytest.raises(ConnectionError, match="gone") as caught:
        way.invoke(one_node(as_sync(fails), retry=RetryPolicy(max_attempts=2, **AT_ONCE)), {})
    assert caught.value is fails.error
    assert any("attempt 2 of node 'work'" in note for note in caught.value.__notes__)
    assert fails.calls == 2


def test_the_first_policy_that_fits_the_error_decides(way):
    policies = [
        RetryPolicy(max_attempts=2, retry_on=KeyError, **AT_ONCE),
        RetryPolicy(max_attempts=5, retry_on=(LookupError, OSError), **AT_ONCE),
    ]
    for error, calls in [(KeyError("k"), 2), (IndexError("i"), 5), (OSError("o"), 5), (TypeError("t"), 1)]:
        fails = Fails(9, error)
        with pytest.raises(type(error)):
            way.invoke(one_node(as_sync(fails), retry=policies), {})
        assert fails.calls == calls, error


def test_retry_on_may_be_a_function_of_the_error(way):
    fails = Fails(1, ValueError("try again"))
    graph = one_node(as_sync(fails), retry=RetryPolicy(retry_on=lambda error: "again" in str(error), **AT_ONCE))
    assert way.invoke(graph, {})["path"] == ["attempt 2"]


class _Status(Exception):
    def __init__(self, status: int) -> None:
        self.status_code = status


def _named(module: str, name: str) -> Exception:
    return type(name, (Exception,), {"__module__": module})("x")


@pytest.mark.parametrize(
    "error, passing",
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OSError("disk"), True),
        (NodeTimeout("slow"), True),
        (_Status(429), True),
        (_Status(503), True),
        (_named("httpx", "NetworkError"), True),
        (_named("openai._exceptions", "APIConnectionError"), True),
        (_Status(404), False),
        (_Status(401), False),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (TypeError(), False),
        (KeyError("k"), False),
        (ValueError(), False),
        (ZeroDivisionError(), False),
        (AssertionError(), False),
        (InvalidUpdate("x"), False),
        (ModelError("x"), False),
        (_named("httpx", "InvalidURL"), False),
    ],
    ids=repr,
)
def test_only_what_may_pass_by_itself_is_tried_again_by_default(error, passing):
    assert is_transient(error) is passing
    assert RetryPolicy().fits(error) is passing


def test_errors_of_the_http_libraries_are_known():
    httpx, openai = pytest.importorskip("httpx"), pytest.importorskip("openai")
    request = httpx.Request("GET", "http://host/")
    assert is_transient(httpx.ConnectTimeout("x"))
    assert is_transient(httpx.HTTPStatusError("x", request=request, response=httpx.Response(502, request=request)))
    assert not is_transient(httpx.HTTPStatusError("x", request=request, response=httpx.Response(400, request=request)))
    assert not is_transient(httpx.UnsupportedProtocol("x"))
    assert is_transient(openai.APITimeoutError(request))
    assert is_transient(openai.RateLimitError("x", response=httpx.Response(429, request=request), body=None))
    assert not is_transient(openai.BadRequestError("x", response=httpx.Response(400, request=request), body=None))


def test_waits_grow_by_the_factor_up_to_the_longest():
    policy = RetryPolicy(initial=0.5, factor=2, max_interval=3, jitter=False)
    assert [policy.wait(attempt) for attempt in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_waits_a_random_time_up_to_that():
    policy = RetryPolicy(initial=0.5, factor=2, max_interval=3)
    waits = [policy.wait(3) for _ in range(200)]
    assert 0 <= min(waits) < 0.7 and 1.3 < max(waits) <= 2.0


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"initial": -1}, {"factor": "2"}, {"retry_on": KeyboardInterrupt}, {"retry_on": 3}]
)
def test_a_wrong_policy_names_the_field(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"retry": 3}, {"retry": [None]}, {"timeout": 0}, {"timeout": "1"}, {"cache": 5}, {"on_error": "handler"}],
    ids=repr,
)
def test_a_wrong_policy_of_a_node_names_the_node(wrong):
    with pytest.raises(ValueError, match="'work'"):
        one_node(as_sync(Fails(0)), **wrong)


def test_what_a_failed_attempt_wrote_is_dropped(way, db):
    fails = Fails(1)

    def work(state, ctx):
        state["path"].append("in place")
        ctx.session_state["attempts"] = ctx.session_state.get("attempts", 0) + 1
        ctx.session_state[f"of {ctx.attempt}"] = True
        state.pop("topic", None)
        fails.fail()
        return {"topic": f"attempt {ctx.attempt}"}

    graph = one_node(work, db, retry=RetryPolicy(**AT_ONCE))
    result = way.invoke(graph, {"topic": "tea"}, session_id="s")
    assert result["topic"] == "attempt 2"
    assert result["session_state"] == {"attempts": 1, "of 2": True}


def test_each_attempt_has_the_same_task_key(way):
    keys, fails = [], Fails(2)

    def work(state, ctx):
        keys.append(ctx.task_key)
        fails.fail()

    way.invoke(one_node(work, retry=RetryPolicy(**AT_ONCE)), {})
    assert len(keys) == 3 and len(set(keys)) == 1


def test_a_retry_is_told_to_whoever_listens(way):
    graph = one_node(as_sync(Fails(2)), retry=RetryPolicy(**AT_ONCE))
    events = way.stream(graph, {}, stream_mode="events")
    told = [(e.node, e.attempt, e.reason) for e in events if e.type == "attempt_restarted"]
    assert told == [("work", 1, "ConnectionError: gone"), ("work", 2, "ConnectionError: gone")]


def test_questions_are_counted_anew_in_each_attempt(way, db):
    fails = Fails(1)

    def work(state):
        first, second = interrupt("first?"), interrupt("second?")
        fails.fail()
        return {"path": [first, second]}

    graph = one_node(work, db, retry=RetryPolicy(**AT_ONCE))
    assert way.invoke(graph, {}, session_id="s").interrupts[0].value == "first?"
    assert way.resume(graph, "s", "1").interrupts[0].value == "second?"
    assert way.resume(graph, "s", "2")["path"] == ["1", "2"]


def test_a_question_is_not_an_error_to_try_again(way, db):
    calls = []

    def work(state):
        calls.append(1)
        return {"topic": interrupt("what?")}

    graph = one_node(work, db, retry=RetryPolicy(retry_on=Exception, **AT_ONCE), on_error=lambda state, error: {"topic": "no"})
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert len(calls) == 1
    assert way.resume(graph, "s", "tea")["topic"] == "tea"


def test_parallel_nodes_are_tried_again_each_for_itself(way, db):
    fails = {name: Fails(times) for name, times in [("a", 0), ("b", 1), ("c", 2)]}
    builder = StateGraph(S)
    for name, fail in fails.items():
        builder.add_node(name, as_async(fail) if name == "b" else as_sync(fail), retry=RetryPolicy(**AT_ONCE))
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    result = way.invoke(builder.compile(db=db), {}, session_id="s")
    assert result["path"] == ["attempt 1", "attempt 2", "attempt 3"]
    assert [fail.calls for fail in fails.values()] == [1, 2, 3]


HOURS = RetryPolicy(initial=3600, max_interval=3600, jitter=False)
"""Whoever does not wait for it fails again at once; whoever waits on is ended by the limit of a test's time."""


def test_the_next_attempt_is_waited_for_until_the_stream_is_left(db):
    fails = Fails(9)
    graph = one_node(as_sync(fails), db, retry=HOURS)
    parts = graph.stream({}, session_id="s", stream_mode="events")
    restarted = next(part for part in parts if part.type == "attempt_restarted")
    assert (restarted.attempt, restarted.seconds) == (1, 3600)
    parts.close()
    assert graph.get_state("s").status == "cancelled" and fails.calls == 1


def test_the_next_attempt_is_waited_for_until_the_run_is_cancelled(db):
    fails = Fails(9)
    graph = one_node(as_async(fails), db, retry=HOURS)

    async def main():
        running = asyncio.create_task(graph.ainvoke({}, session_id="s"))
        while not fails.calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert graph.get_state("s").status == "cancelled" and fails.calls == 1


# --- timeout -----------------------------------------------------------------------------------------------------------


def test_an_async_node_out_of_time_is_cancelled(way):
    seen = []

    async def work(state):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(NodeTimeout, match=r"'work'.*0\.05 seconds") as caught:
        way.invoke(one_node(work, timeout=0.05), {})
    assert (caught.value.node, caught.value.seconds) == ("work", 0.05)
    assert seen == ["cancelled"]


def test_a_node_in_time_is_left_alone(way):
    async def work(state):
        await asyncio.sleep(0.01)
        return {"topic": "in time"}

    assert way.invoke(one_node(work, timeout=30), {})["topic"] == "in time"
    assert way.invoke(one_node(lambda state: {"topic": "sync"}, timeout=30), {})["topic"] == "sync"


def test_a_timeout_error_of_the_node_itself_is_not_ours(way):
    def work(state):
        raise TimeoutError("mine")

    async def awork(state):
        raise TimeoutError("mine")

    for node in (work, awork):
        with pytest.raises(TimeoutError, match="mine"):
            way.invoke(one_node(node, timeout=30), {})


def test_a_sync_node_out_of_time_goes_on_with_a_closed_context(way, db):
    release, ended, tried = threading.Event(), threading.Event(), {}

    def attempt(name, act):
        try:
            act()
            tried[name] = "done"
        except BaseException as error:
            tried[name] = type(error).__name__

    def work(state, ctx):
        ctx.step("in time", lambda: 1)
        release.wait(30)
        attempt("step", lambda: ctx.step("late", tried.setdefault, "computed", True))
        attempt("write", lambda: ctx.write("late"))
        attempt("interrupt", lambda: interrupt("late?"))
        ended.set()
        return {"topic": "late"}

    graph = one_node(work, db, timeout=0.1)
    with pytest.raises(NodeTimeout, match="'work'"):
        way.invoke(graph, {"topic": "tea"}, session_id="s")
    release.set()
    assert ended.wait(30)
    assert tried == {"step": "NodeTimeout", "write": "NodeTimeout", "interrupt": "NodeTimeout"}
    assert graph.get_state("s").values["topic"] == "tea"


def test_nodes_that_never_end_leave_room_for_others(way):
    release = threading.Event()
    stuck = one_node(lambda state: release.wait(60) and None, timeout=0.01)
    for _ in range(40):
        with pytest.raises(NodeTimeout):
            way.invoke(stuck, {})
    assert way.invoke(one_node(lambda state: {"topic": "free"}), {})["topic"] == "free"
    release.set()


def test_a_timeout_may_be_tried_again(way):
    async def work(state, ctx):
        if ctx.attempt == 1:
            await asyncio.sleep(30)
        return {"topic": f"attempt {ctx.attempt}"}

    assert way.invoke(one_node(work, timeout=0.2, retry=RetryPolicy(**AT_ONCE)), {})["topic"] == "attempt 2"


def test_a_timeout_covers_asking_a_model(way):
    release = threading.Event()

    @flow
    def work(state, ctx):
        reply = yield Ask(ScriptedModel([lambda request: release.wait() and "late"]), Request([Message("user", "hi")]))
        return {"topic": reply.content}

    try:
        with pytest.raises(NodeTimeout):
            way.invoke(one_node(work, timeout=0.1), {})
        with pytest.raises(NodeTimeout):
            way.stream(one_node(work, timeout=0.1), {}, stream_mode="messages")
    finally:
        release.set()


def test_a_flow_out_of_time_asks_nothing_more(way):
    release, asked = threading.Event(), []

    def second(request):
        asked.append(request)
        return "never"

    model = ScriptedModel([lambda request: release.wait(30) and "late", second])

    @flow
    def work(state, ctx):
        yield Ask(model, Request([Message("user", "one")]))
        yield Ask(model, Request([Message("user", "two")]))

    with pytest.raises(NodeTimeout):
        way.invoke(one_node(work, timeout=0.1), {})
    release.set()
    time.sleep(0.2)
    assert asked == []


def test_parallel_timeouts_keep_the_finished_sibling(way, db):
    calls = []

    async def slow(state, ctx):
        if len(calls) < 2:
            await asyncio.sleep(30)
        return {"path": ["slow"]}

    def quick(state):
        calls.append("quick")
        return {"path": ["quick"]}

    builder = StateGraph(S)
    for name, node in (("quick", quick), ("slow", slow)):
        builder.add_node(name, node, timeout=0.3)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db)
    with pytest.raises(NodeTimeout):
        way.invoke(graph, {}, session_id="s")
    calls.append("resumed")
    assert way.resume(graph, "s")["path"] == ["quick", "slow"]
    assert calls == ["quick", "resumed"]


# --- error handler -----------------------------------------------------------------------------------------------------


def test_an_error_handler_gives_the_result_of_a_node_that_failed(way):
    seen = []

    def handler(state, error):
        seen.append((state["topic"], error.node, type(error.exception), error.attempt))
        return {"path": ["handled"]}

    async def ahandler(state, error):
        await asyncio.sleep(0)
        return handler(state, error)

    for handle in (handler, ahandler):
        graph = one_node(as_sync(Fails(9)), retry=RetryPolicy(max_attempts=2, **AT_ONCE), on_error=handle)
        assert way.invoke(graph, {"topic": "tea"})["path"] == ["handled"]
    assert seen == [("tea", "work", ConnectionError, 2)] * 2


def test_an_error_handler_may_go_elsewhere(way):
    builder = StateGraph(S)
    builder.add_node(
        "work",
        as_sync(Fails(9)),
        on_error=lambda state, error: Command(update={"topic": "saved"}, goto="rescue"),
        destinations=["rescue"],
    )
    builder.add_node("rescue", lambda state: {"path": [state["topic"]]})
    builder.add_edge(START, "work")
    builder.add_edge("rescue", END)
    assert way.invoke(builder.compile(), {})["path"] == ["saved"]


def test_an_error_handler_that_raises_fails_the_run_and_names_both(way):
    def handler(state, error):
        raise RuntimeError("cannot help") from error.exception

    with pytest.raises(RuntimeError, match="cannot help") as caught:
        way.invoke(one_node(as_sync(Fails(9)), on_error=handler), {})
    assert any("'work'" in note and "gone" in note for note in caught.value.__notes__)


def test_an_error_handler_may_ask(way, db):
    def handler(state, error):
        return {"topic": interrupt(f"what instead of {error.exception}?")}

    graph = one_node(as_sync(Fails(9)), db, on_error=handler)
    assert way.invoke(graph, {}, session_id="s").interrupts[0].value == "what instead of gone?"
    assert way.resume(graph, "s", "tea")["topic"] == "tea"


def test_a_cancelled_run_does_not_reach_the_error_handler():
    handled = []

    async def work(state):
        await asyncio.sleep(30)

    graph = one_node(work, on_error=lambda state, error: handled.append(error))

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke({}), 0.1)

    asyncio.run(main())
    assert handled == []


# --- cache -------------------------------------------------------------------------------------------------------------


def test_a_cached_result_is_used_again_until_it_is_cleared(way):
    calls = []

    def work(state):
        calls.append(state["topic"])
        return {"path": [state["topic"]]}

    graph = one_node(work, cache=CachePolicy(key=lambda state: state["topic"]))
    for topic in ("tea", "tea", "coffee", "tea"):
        assert way.invoke(graph, {"topic": topic})["path"] == [topic]
    assert calls == ["tea", "coffee"]
    way.clear_cache(graph)
    way.invoke(graph, {"topic": "tea"})
    assert calls == ["tea", "coffee", "tea"]


def test_by_default_the_whole_input_is_the_key(way):
    @dataclass
    class State:
        n: Any = None
        seen: Annotated[list[str], append] = ()

    calls = []

    def work(state):
        calls.append(state.n)
        return {"seen": [repr(state.n)]}

    graph = one_node(work, state=State, cache=CachePolicy())
    inputs = [1, True, 1.0, "1", [1, {"a": (1,)}], [1, {"a": [1]}], {"k": {1, 2}}]
    for n in [*inputs, *inputs]:
        assert way.invoke(graph, {"n": n, "seen": []})["seen"] == [repr(n)]
    assert len(calls) == len(inputs)


def test_a_key_that_cannot_be_looked_up_says_what_to_give(way):
    class Thing:
        __hash__ = None

    with pytest.raises(TypeError, match=r"'work'.*CachePolicy\(key="):
        way.invoke(one_node(lambda state: None, cache=CachePolicy(key=lambda state: Thing())), {})


@pytest.mark.parametrize("key", [object(), lambda: None])
def test_a_key_that_equals_nothing_but_itself_is_refused(way, key):
    graph = one_node(lambda state: None, cache=CachePolicy(key=lambda state: key))
    with pytest.raises(TypeError, match=r"cache of node 'work' cannot look up .*CachePolicy\(key="):
        way.invoke(graph, {})


def test_a_later_node_cannot_spoil_a_cached_result(way):
    class State(TypedDict):
        data: dict[str, list[int]]

    def spoil(state):
        state["data"]["items"].append(99)

    builder = StateGraph(State)
    builder.add_node("make", lambda state: {"data": {"items": [1]}}, cache=CachePolicy(key=lambda state: 0))
    builder.add_node("spoil", spoil)
    builder.add_sequence([])
    builder.add_edge(START, "make")
    builder.add_edge("make", "spoil")
    builder.add_edge("spoil", END)
    graph = builder.compile()
    for _ in range(3):
        assert way.invoke(graph, {})["data"] == {"items": [1, 99]}


def test_a_cached_result_brings_its_changes_of_session_state_along(way, db):
    def work(state, ctx):
        ctx.session_state["seen"] = [1]
        ctx.session_state.pop("old", None)
        return {"topic": "made"}

    graph = one_node(work, db, cache=CachePolicy(key=lambda state: 0))
    for session in ("one", "two"):
        result = way.invoke(graph, {"session_state": {"old": 1}}, session_id=session)
        assert result["session_state"] == {"seen": [1]} and result["topic"] == "made"


def test_a_cached_node_is_not_run_again_after_a_question(way, db):
    calls = []

    def work(state):
        calls.append("work")
        return {"path": ["work"]}

    def ask(state):
        calls.append("ask")
        return {"path": [interrupt("which?")]}

    builder = StateGraph(S)
    builder.add_node("work", work, cache=CachePolicy(key=lambda state: 0))
    builder.add_node("ask", ask, cache=CachePolicy(key=lambda state: 0))
    for name in ("work", "ask"):
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db)
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.resume(graph, "s", "tea")["path"] == ["work", "tea"]
    assert sorted(calls) == ["ask", "ask", "work"]
    assert way.invoke(graph, {}, session_id="t")["path"] == ["work", "tea"]
    assert sorted(calls) == ["ask", "ask", "work"]


def test_errors_are_not_cached(way):
    fails = Fails(1)
    graph = one_node(
        as_sync(fails), cache=CachePolicy(key=lambda state: 0), on_error=lambda state, error: {"path": ["handled"]}
    )
    assert way.invoke(graph, {})["path"] == ["handled"]
    assert way.invoke(graph, {})["path"] == ["attempt 1"]
    assert fails.calls == 2


def test_a_cache_forgets_after_its_time_and_beyond_its_size():
    clock = FakeClock()
    kept = ResultCache(2, 10.0, clock)
    kept.put("a", [1])
    clock.advance(9.9)
    assert kept.get("a") == [1]
    clock.advance(0.1)
    assert kept.get("a") is MISSING
    for key in ("a", "b"):
        kept.put(key, key)
    assert kept.get("a") == "a"
    kept.put("c", "c")
    assert [kept.get(key) for key in ("a", "b", "c")] == ["a", MISSING, "c"]


def test_a_cache_may_be_used_by_many_threads_at_once():
    graph = one_node(lambda state: {"path": [state["topic"]]}, cache=CachePolicy(key=lambda state: state["topic"], max_size=3))
    wrong = []

    def work(n):
        for i in range(50):
            topic = str((n + i) % 7)
            if graph.invoke({"topic": topic})["path"] != [topic]:
                wrong.append(topic)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
