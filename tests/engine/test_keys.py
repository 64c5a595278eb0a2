"""Idempotency keys: a run is begun once per component, user and key, whoever asks how often."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Agent, StateGraph, append, interrupt
from graphflow.db.turns import session_queue
from graphflow.errors import InvalidId, KeyReused, NoDatabase, SessionBusy, UnfinishedRun
from graphflow.testing import ScriptedModel
from tests.conftest import Way


class State(TypedDict):
    path: Annotated[list[str], append]
    n: int


def counting(db: Any, node: Callable[[State], Any] | None = None, **options: Any) -> tuple[Any, list[int]]:
    times: list[int] = []

    def count(state: State) -> Any:
        times.append(1)
        return {"path": ["counted"]} if node is None else node(state)

    return StateGraph(State).add_node("count", count).add_edge(START, "count").add_edge("count", END).compile(
        db=db, **options
    ), times


def test_a_second_call_with_the_key_gives_the_stored_result(way: Way, db: Any) -> None:
    graph, times = counting(db)
    first = way.invoke(graph, {"n": 1}, idempotency_key="k")
    graph.invoke({"n": 2}, session_id=first.session_id)  # the session goes on meanwhile
    again = way.invoke(graph, {"n": 1}, idempotency_key="k")
    assert (again.run_id, again.session_id, again.status) == (first.run_id, first.session_id, "completed")
    assert again.value == first.value == {"path": ["counted"], "n": 1} and again.seq == first.seq
    assert len(times) == 2 and db.count_sessions() == 1 and len(db.get_runs(first.session_id)) == 2


def test_a_stream_with_the_key_tells_what_the_run_came_to(way: Way, db: Any) -> None:
    graph, times = counting(db)
    first = way.invoke(graph, {"n": 1}, idempotency_key="k")
    graph.invoke({"n": 2}, session_id=first.session_id)

    def again(mode: Any) -> list[Any]:
        return way.stream(graph, {"n": 1}, idempotency_key="k", stream_mode=mode)

    assert again("updates") == [{END: first.value}]
    assert again("values") == [first.value]
    assert [(event.type, event.output.run_id) for event in again("tasks")] == [("run_completed", first.run_id)]
    assert [(event.seq, event.values) for event in again("checkpoints")] == [(first.seq, first.value)]
    assert [mode for mode, _ in again(["values", "updates"])] == ["values", "updates"]
    *_, last = again("events")
    assert (last.type, last.replayed, last.output.value, last.run_id) == ("run_completed", True, first.value, first.run_id)
    assert len(times) == 2


def test_a_stream_with_the_key_of_a_paused_run_tells_its_questions(way: Way, db: Any) -> None:
    graph, times = counting(db, lambda state: {"path": [interrupt("well?")]})
    paused = way.invoke(graph, {"n": 1}, idempotency_key="k")
    for mode, before in (("updates", []), ("values", [paused.value])):
        parts = way.stream(graph, {"n": 1}, idempotency_key="k", stream_mode=mode)
        assert parts == [*before, {"__interrupt__": paused.interrupts}]
    assert len(times) == 1


def test_a_streamed_answer_with_the_key_is_said_again(way: Way, db: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent = Agent(ScriptedModel(["the answer"]), db=db)
    first = way.run(agent, "hello", idempotency_key="k")
    events = way.events(agent, "hello", idempotency_key="k")
    assert "".join(event.text for event in events if event.type == "token") == "the answer"
    assert events[-1].output.content == first.content and events[-1].output.run_id == first.run_id
    way.print_response(agent, "hello", idempotency_key="k", session_id=first.session_id)
    assert "the answer" in capsys.readouterr().out


def test_another_input_or_session_with_the_key_is_an_error_and_runs_nothing(way: Way, db: Any) -> None:
    graph, times = counting(db)
    way.invoke(graph, {"n": 1, "path": ["x"]}, session_id="s", idempotency_key="k")
    assert way.invoke(graph, {"path": ["x"], "n": 1}, idempotency_key="k").session_id == "s", (
        "the order of keys is no difference"
    )
    with pytest.raises(KeyReused, match="another input"):
        way.invoke(graph, {"n": 2, "path": ["x"]}, session_id="s", idempotency_key="k")
    with pytest.raises(KeyReused, match="not in 'other'"):
        way.invoke(graph, {"n": 1, "path": ["x"]}, session_id="other", idempotency_key="k")
    assert len(times) == 1 and db.count_sessions() == 1


def test_users_and_components_have_keys_of_their_own(way: Way, db: Any) -> None:
    graph, times = counting(db)
    other, _ = counting(db, name="other")
    runs = {way.invoke(graph, {"n": 1}, idempotency_key="k", user_id=user).run_id for user in ("mark", "john", None)}
    runs.add(way.invoke(other, {"n": 5}, idempotency_key="k").run_id)
    assert len(runs) == 4 and len(times) == 3


def test_a_run_that_failed_is_resumed(way: Way, db: Any) -> None:
    broken = [True]

    def node(state: State) -> Any:
        if broken:
            raise ValueError("broken")
        return {"path": ["mended"]}

    graph, times = counting(db, node)
    with pytest.raises(ValueError, match="broken"):
        way.invoke(graph, {"n": 1}, session_id="s", idempotency_key="k")
    broken.clear()
    result = way.invoke(graph, {"n": 1}, idempotency_key="k")
    assert (result.status, result["path"], len(times)) == ("completed", ["mended"], 2)
    assert [run.status for run in db.get_runs("s")] == ["completed"]


def test_a_run_that_failed_in_a_session_that_went_on_is_an_error(way: Way, db: Any) -> None:
    def node(state: State) -> Any:
        if state["n"] == 1:
            raise ValueError("broken")

    graph, _ = counting(db, node)
    with pytest.raises(ValueError, match="broken"):
        graph.invoke({"n": 1}, session_id="s", idempotency_key="k")
    graph.invoke({"n": 2}, session_id="s")
    with pytest.raises(UnfinishedRun, match="gone on since"):
        way.invoke(graph, {"n": 1}, session_id="s", idempotency_key="k")


def test_a_paused_run_gives_its_questions_again(way: Way, db: Any) -> None:
    graph, times = counting(db, lambda state: {"path": [interrupt("well?")]})
    first = way.invoke(graph, {"n": 1}, idempotency_key="k")
    again = way.invoke(graph, {"n": 1}, idempotency_key="k")
    assert again.status == "paused" and again.interrupts == first.interrupts and len(times) == 1
    graph.resume(first.session_id, "yes")
    assert way.invoke(graph, {"n": 1}, idempotency_key="k")["path"] == ["yes"]


def test_a_running_run_is_waited_for(way: Way, db: Any) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def node(state: State) -> Any:
        begun.set()
        assert go_on.wait(30)
        return {"path": ["slow"]}

    graph, times = counting(db, node)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(graph.invoke, {"n": 1}, session_id="s", idempotency_key="k")
        assert begun.wait(30)
        with pytest.raises(SessionBusy):
            way.invoke(graph, {"n": 1}, idempotency_key="k", on_busy="reject")
        second = threads.submit(way.invoke, graph, {"n": 1}, idempotency_key="k", on_busy="cancel")
        deadline = time.monotonic() + 20
        while not session_queue().waiting(db.identity, "s"):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        go_on.set()
        assert first.result(30).run_id == second.result(30).run_id
    assert second.result()["path"] == ["slow"] and len(times) == 1


def test_of_many_callers_at_once_one_runs(way: Way, db: Any) -> None:
    graph, times = counting(db, lambda state: time.sleep(0.02))
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: way.invoke(graph, {"n": 1}, idempotency_key=f"k{n % 2}"), range(16)))
    assert len({result.run_id for result in results}) == 2 == len(times) == db.count_sessions()


def test_of_many_callers_at_once_one_runs_also_when_it_is_stored_at_its_end(way: Way, db: Any) -> None:
    graph, times = counting(db, lambda state: time.sleep(0.2) or {"path": ["done"]})
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(lambda: way.invoke(graph, {"n": 1}, idempotency_key="k", durability="exit")) for _ in range(3)]
        results = [result.result() for result in asked]
    assert {result.run_id for result in results} == {results[0].run_id}
    assert [result["path"] for result in results] == [["done"]] * 3
    assert len(times) == 1 and db.count_sessions() == 1 and db.check().ok


def test_an_agent_answers_a_request_once(way: Way, db: Any) -> None:
    model = ScriptedModel(["one", "two"])
    agent = Agent(model, db=db)
    first = way.run(agent, "hello", idempotency_key="k", session_state={"x": 1})
    again = way.run(agent, "hello", idempotency_key="k", session_state={"x": 1})
    assert (first.content, first.run_id, first.session_id) == (again.content, again.run_id, again.session_id)
    assert [m.text for m in again.messages] == ["hello", "one"] and again.metrics["nodes"].keys() == first.metrics[
        "nodes"
    ].keys()
    with pytest.raises(KeyReused):
        way.run(agent, "hello", idempotency_key="k", session_state={"x": 2})
    events = way.events(agent, "hello", idempotency_key="k", session_state={"x": 1})
    assert events[-1].type == "run_completed" and events[-1].output.content == "one"
    assert len(model.requests) == 1


def test_a_deleted_session_frees_its_keys_and_a_fork_has_none(db: Any) -> None:
    graph, times = counting(db)
    graph.invoke({"n": 1}, session_id="s", idempotency_key="k")
    graph.fork("s", session_id="fork")
    db.delete_session("s")
    assert graph.invoke({"n": 2}, idempotency_key="k")["n"] == 2 and len(times) == 2


def test_bad_keys_are_errors(way: Way, db: Any) -> None:
    graph, _ = counting(db)
    with pytest.raises(InvalidId, match="idempotency_key"):
        way.invoke(graph, {"n": 1}, idempotency_key="a\nb")
    with pytest.raises(NoDatabase, match="idempotency_key"):
        way.invoke(counting(None)[0], {"n": 1}, idempotency_key="k")
    with pytest.raises(ValueError, match="resume"):
        way.resume(graph, "s", idempotency_key="k")
    assert db.count_sessions() == 0


@pytest.mark.parametrize("ends", ["completed", "paused", "error"])
def test_a_key_counts_when_a_run_is_stored_at_its_end_only(way: Way, db: Any, ends: str) -> None:
    def node(state: State) -> Any:
        if ends == "paused":
            return {"path": [interrupt("well?")]}
        if ends == "error" and len(times) == 1:
            raise ValueError("broken")
        return {"path": ["done"]}

    graph, times = counting(db, node)
    try:
        first = way.invoke(graph, {"n": 1}, idempotency_key="k", durability="exit").status
    except ValueError:
        first = "error"
    again = way.invoke(graph, {"n": 1}, idempotency_key="k", durability="exit")
    assert (first, again.status) == (ends, "completed" if ends == "error" else ends)
    assert len(times) == (2 if ends == "error" else 1) and db.count_sessions() == 1


def test_who_waited_in_line_resumes_the_run_of_the_key_that_failed_meanwhile(way: Way, db: Any) -> None:
    begun, go_on, broken = threading.Event(), threading.Event(), [True]

    def node(state: State) -> Any:
        if state["n"] == 0:
            begun.set()
            assert go_on.wait(30)
            return {}
        if broken:
            broken.clear()
            raise ValueError("broken")
        return {"path": ["mended"]}

    graph, _ = counting(db, node)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(graph.invoke, {"n": 0}, session_id="s")
        assert begun.wait(30)
        asked = [pool.submit(way.invoke, graph, {"n": 1}, session_id="s", idempotency_key="k") for _ in range(2)]
        while session_queue().waiting(db.identity, "s") < 2:
            time.sleep(0.005)
        go_on.set()
        first.result(30)
        errors = sorted(str(call.exception(30)) for call in asked)
    assert errors == ["None", "broken"]
    assert way.invoke(graph, {"n": 1}, session_id="s", idempotency_key="k")["path"] == ["mended"]


def test_an_input_with_sets_is_the_same_in_every_process(tmp_path: Any) -> None:
    code = f"""
from typing import Any, TypedDict
from graphflow import END, START, StateGraph
from graphflow.db import SqliteDb

class State(TypedDict):
    tags: Any

graph = StateGraph(State).add_node("a", lambda state: {{}}).add_edge(START, "a").add_edge("a", END)
graph = graph.compile(db=SqliteDb({str(tmp_path / "s.db")!r}))
tags = {{"of": {{"red", "green", "blue", "white", "black"}}, "by": frozenset("abcdef")}}
print(graph.invoke({{"tags": tags}}, idempotency_key="k").run_id)
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in "0123"
    ]
    assert len(set(told)) == 1
