"""What can be called can be awaited, with the same arguments; and what names a session or a run accepts its user."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from graphflow import Agent, Graph, Team, Workflow

AT_ONCE = {"call", "world", "begin", "finishing", "result", "input_json_schema", "output_json_schema", "context_json_schema"}
"""Methods of Graph that wait for nothing, besides those that draw."""


def methods(cls: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")}


def test_every_method_of_a_graph_has_a_twin_with_the_same_arguments() -> None:
    found = methods(Graph)
    waiting = [name for name in found if not name.startswith("draw_") and name not in {*AT_ONCE, "to_networkx"}]
    firsts = [name for name in waiting if f"a{name}" in found]
    assert sorted([*firsts, *(f"a{name}" for name in firsts)]) == sorted(waiting)
    assert {"invoke", "stream", "resume", "get_state", "update_state", "fork", "cancel", "clear_cache"} <= set(firsts)
    for name in firsts:
        assert inspect.signature(found[name]).parameters == inspect.signature(found[f"a{name}"]).parameters, name


WITHOUT_IO = {"graph_builder", "graph_for", "graph_input", "history_policy", "printed_sessions", "record", "with_graph"}
"""Methods of what runs that wait for nothing."""
TERMINAL = {"cli_app"}
"""What waits for a person at a terminal, who has it alone."""


@pytest.mark.parametrize("cls", [Agent, Team, Workflow])
def test_whatever_runs_or_asks_the_database_can_be_awaited(cls: type[Any]) -> None:
    found = methods(cls)
    waiting = found.keys() - WITHOUT_IO - TERMINAL
    firsts = {name for name in waiting if f"a{name}" in found}
    assert firsts | {f"a{name}" for name in firsts} == waiting
    assert {"run", "resume", "fork", "get_chat_history", "get_user_memories"} <= firsts
    for name in firsts:
        assert inspect.signature(found[name]).parameters == inspect.signature(found[f"a{name}"]).parameters, name


@pytest.mark.parametrize("cls", [Agent, Team, Workflow])
def test_a_fork_is_asked_for_as_a_graphs(cls: type[Any]) -> None:
    asked, known = (list(inspect.signature(kind.fork).parameters.values()) for kind in (cls, Graph))
    assert [(each.name, each.kind) for each in asked] == [(each.name, each.kind) for each in known]


@pytest.mark.parametrize("cls", [Graph, Agent, Team, Workflow])
def test_what_names_a_session_or_a_run_accepts_its_user(cls: type[Any]) -> None:
    for name, method in methods(cls).items():
        parameters = inspect.signature(method).parameters
        if {"session_id", "run_id"} & set(parameters) and name not in AT_ONCE:
            takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
            assert "user_id" in parameters or takes_any, name
