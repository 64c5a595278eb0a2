"""Errors of users' classes that cannot say what they are: failures like any other."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, Reply, StateGraph, ToolCall
from graphflow.testing import ScriptedModel
from graphflow.workflow import Step, StepInput, Workflow
from tests.conftest import Way


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I have no words")


TOLD = "Mute (its text cannot be made: RuntimeError)"


def fail(given: StepInput) -> Any:
    raise Mute


class State(TypedDict, total=False):
    n: int


def test_the_run_is_closed_and_goes_on_once_that_is_mended(way: Way, db: Any) -> None:
    broken = True

    def node(state: Any) -> Any:
        if broken:
            raise Mute
        return {"n": 1}

    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile(db=db)
    with pytest.raises(Mute):
        way.invoke(graph, {}, session_id="s")
    assert db.get_session("s").status == "error"
    assert [run.error for run in db.get_runs("s")] == [TOLD]
    broken = False
    assert way.resume(graph, "s")["n"] == 1


def test_the_model_is_told_of_a_tool(way: Way) -> None:
    def work() -> str:
        raise Mute

    model = ScriptedModel([Reply("", [ToolCall(id="1", name="work", arguments={})]), "sorry"])
    output = way.run(Agent(model, tools=[work]), "q")
    assert output.content == "sorry" and output.tools[0].result == f"The tool failed: {TOLD}"


def test_a_step_is_skipped(way: Way) -> None:
    output = way.run(Workflow([Step("a", fail, on_error="skip")]), "q")
    assert output.steps["a"].skipped and output.steps["a"].error == TOLD


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Mute):
        Workflow([Step("a", fail)]).print_response("q")
    assert "Mute" in capsys.readouterr().out
