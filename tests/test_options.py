"""Every option, given what it cannot be: refused at once, by a ValueError (or the error that stands for it) that names it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from graphflow import (
    END,
    START,
    Agent,
    CachePolicy,
    Graph,
    HistoryPolicy,
    MemoryPolicy,
    RetryPolicy,
    StateGraph,
    SummaryPolicy,
    Team,
    Workflow,
    tool,
)
from graphflow.assistant import PAST
from graphflow.core.calls import CallOptions
from graphflow.core.hints import one
from graphflow.db import InMemoryDb, Limits, PostgresDb, SqliteDb
from graphflow.errors import GraphError, InvalidId, ModelError
from graphflow.graph import RunOptions
from graphflow.models import OpenAIChat
from graphflow.run import RunArguments
from graphflow.settings import CHECKS
from graphflow.testing import ScriptedModel
from graphflow.workflow import Loop, Step
from graphflow_nodes import call_tools, history, recall, remember, respond, summarize
from tests.conftest import Way


class Odd:
    """What no option can be."""

    def __repr__(self) -> str:
        return "something odd"


class State(TypedDict):
    text: str


DB = InMemoryDb()


def builder() -> StateGraph:
    return StateGraph(State).add_node("a", unchanged).add_edge(START, "a").add_edge("a", END)


def unchanged(state: State) -> dict[str, Any]:
    return {}


async def later(about: Any) -> Any:
    return about


def graph() -> Graph:
    made = builder().compile(db=DB)
    if DB.get_session("s") is None:
        made.invoke({"text": "x"}, session_id="s")
    return made


def agent() -> Agent:
    made = Agent(ScriptedModel(["hi"]), db=DB, name="asked")
    if DB.get_session("chat") is None:
        made.run("hello", session_id="chat")
    return made


MODEL = ScriptedModel([])

CALLS: dict[str, tuple[Callable[..., Any], str]] = {
    "Agent": (Agent, ""),
    "Team": (lambda **wrong: Team(**{"members": [Agent()], **wrong}), "members " + " ".join(PAST)),
    "Workflow": (Workflow, ""),
    "HistoryPolicy": (HistoryPolicy, ""),
    "SummaryPolicy": (SummaryPolicy, ""),
    "MemoryPolicy": (MemoryPolicy, ""),
    "RetryPolicy": (RetryPolicy, ""),
    "CachePolicy": (CachePolicy, ""),
    "Limits": (Limits, ""),
    "SqliteDb": (SqliteDb, ""),
    "PostgresDb": (PostgresDb, ""),
    "InMemoryDb": (InMemoryDb, ""),
    "OpenAIChat": (OpenAIChat, ""),
    "StateGraph": (lambda **wrong: StateGraph(State, **wrong), "name input_schema output_schema context_schema"),
    "add_node": (
        lambda **wrong: StateGraph(State).add_node("b", unchanged, **wrong),
        "retry timeout cache on_error defer rerunnable destinations persist input output",
    ),
    "compile": (lambda **wrong: builder().compile(**wrong), " ".join(inspect.signature(StateGraph.compile).parameters)),
    "invoke": (lambda **wrong: graph().invoke({"text": "x"}, **wrong), "session_id " + " ".join(RunOptions.__annotations__)),
    "stream": (lambda **wrong: list(graph().stream({"text": "x"}, **wrong)), "stream_mode subgraphs"),
    "Graph.resume": (lambda **wrong: graph().resume(**{"session_id": "s", **wrong}), "session_id answers user_id on_busy"),
    "get_state": (lambda **wrong: graph().get_state(**{"session_id": "s", **wrong}), "session_id at ns user_id"),
    "get_state_history": (
        lambda **wrong: graph().get_state_history(**{"session_id": "s", **wrong}),
        "session_id limit ns user_id",
    ),
    "update_state": (lambda **wrong: graph().update_state("s", {"text": "y"}, **wrong), "as_node user_id"),
    "Graph.fork": (lambda **wrong: graph().fork("s", **wrong), "at session_id user_id"),
    "Graph.cancel": (lambda **wrong: graph().cancel(**{"run_id": "r", **wrong}), "run_id user_id"),
    "Agent.run": (lambda **wrong: agent().run("x", **wrong), " ".join(RunArguments.__annotations__)),
    "Agent.resume": (lambda **wrong: agent().resume(**{"session_id": "chat", **wrong}), "session_id answers num_history_runs"),
    "get_chat_history": (lambda **wrong: agent().get_chat_history(**{"session_id": "chat", **wrong}), "session_id user_id"),
    "get_user_memories": (lambda **wrong: agent().get_user_memories(**wrong), "user_id"),
    "Agent.fork": (lambda **wrong: agent().fork("chat", **wrong), "at session_id user_id"),
    "Step": (lambda **wrong: Step("a", unchanged, **wrong), "retry on_error review input output"),
    "Loop": (lambda **wrong: Loop([unchanged], **wrong), "max_iterations forward_output"),
    "tool": (lambda **wrong: tool(**wrong)(unchanged), "name description requires_confirmation external user_input"),
    "respond": (lambda **wrong: respond(**{"model": MODEL, **wrong}), "model tool_call_limit turn_limit output_schema"),
    "call_tools": (lambda **wrong: call_tools([], **wrong), "on_tool_error tool_call_limit"),
    "history": (history, "last_runs last_messages max_tokens"),
    "summarize": (lambda **wrong: summarize(MODEL, **wrong), "after_messages keep_last after_tokens max_words"),
    "recall": (recall, "limit all_upto"),
    "remember": (lambda **wrong: remember(MODEL, **wrong), "limit"),
    "get_sessions": (DB.get_sessions, ""),
    "count_sessions": (DB.count_sessions, ""),
    "rename_session": (lambda **wrong: DB.rename_session(**{"id": "s", "name": "n", **wrong}), "id name user_id"),
    "get_runs": (lambda **wrong: DB.get_runs("s", **wrong), "include_members limit user_id"),
    "get_messages": (lambda **wrong: DB.get_messages("s", **wrong), "last_runs limit include_members user_id"),
    "fork_session": (lambda **wrong: DB.fork_session("s", **wrong), "at session_id user_id"),
    "search_user_memories": (
        lambda **wrong: DB.search_user_memories(**{"user_id": "u", "query": "q", **wrong}),
        "user_id query limit topics",
    ),
    "get_user_memories of a database": (lambda **wrong: DB.get_user_memories(**{"user_id": "u", **wrong}), "user_id limit"),
    "add_user_memory": (
        lambda **wrong: DB.add_user_memory(**{"user_id": "u", "memory": "m", **wrong}),
        "user_id memory topics",
    ),
    "prune": (
        lambda **wrong: DB.prune(**{"keep_last": 1, "older_than": 5, **wrong}),
        " ".join(inspect.signature(DB.prune).parameters),
    ),
}
"""How each is called, and its options; none named: all that its signature has."""

ANYTHING = {"context", "api_key", "base_url", "client_options", "db_url", "steps"}
"""Options that may be anything, that are secret, or that are declarations and have errors of their own."""


def options_of(call: Callable[..., Any], named: str) -> list[str]:
    names = named.split() or list(inspect.signature(call).parameters)
    return [name for name in names if name not in {*ANYTHING, "self"}]


CASES = [(name, option) for name, (call, named) in CALLS.items() for option in options_of(call, named)]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_an_option_that_cannot_be_is_refused_by_name(name: str, option: str) -> None:
    call = CALLS[name][0]
    with pytest.raises((ValueError, GraphError, ModelError)) as caught:
        call(**{option: Odd()})
    message = str(caught.value)
    assert "something odd" in message and re.search(r"give|declare|can be|did you mean|is no|not a state", message), message
    if type(caught.value) is ValueError:
        assert message.startswith(f"{option}=something odd"), message


@pytest.mark.parametrize("cls", [Agent, Team, Workflow])
def test_every_setting_has_a_check(cls: type[Any]) -> None:
    settings = {*inspect.signature(cls).parameters, *(PAST if cls is not Workflow else ())} - {"past", "steps"}
    assert settings <= CHECKS.keys()


def test_a_setting_that_is_changed_is_checked_at_the_next_run() -> None:
    made = agent()
    made.tool_call_limit = -1
    with pytest.raises(ValueError, match="tool_call_limit=-1: give a whole number from 0 on"):
        made.run("x")


NUMBERS = [
    (lambda: Agent(tool_call_limit=-1), "tool_call_limit=-1: give a whole number from 0 on"),
    (lambda: Agent(tool_call_limit=True), "tool_call_limit=True"),
    (lambda: Agent(num_history_runs=-1), "num_history_runs=-1: give a whole number from 0 on, or None for all"),
    (lambda: Agent(history=5), "history=5: give a HistoryPolicy"),  # type: ignore[arg-type]
    (lambda: Agent(history=0), "history=0: give a HistoryPolicy"),  # type: ignore[arg-type]
    (lambda: Agent(output_schema="Answer"), "output_schema='Answer': give a pydantic model or another type"),  # type: ignore[arg-type]
    (lambda: Agent(tools=unchanged), "tools=<function .*: give a list of functions"),  # type: ignore[arg-type]
    (lambda: Agent(session_state={1: 2}), "session_state={1: 2}: give a dict whose keys are texts"),  # type: ignore[dict-item]
    (lambda: Team([Agent()], max_iterations=0), "max_iterations=0: give a whole number from 1 on"),
    (lambda: Team([Agent()], enable_session_summaries="yes"), "enable_session_summaries='yes': give True or False"),  # type: ignore[arg-type]
    (lambda: Workflow(num_history_runs=1.5), "num_history_runs=1.5: give a whole number"),  # type: ignore[arg-type]
    (lambda: SummaryPolicy(after_messages=5, keep_last=5), "keep_last=5: give a whole number from 0 to 4"),
    (lambda: builder().compile(aliases=5), "aliases=5: give a dict"),  # type: ignore[arg-type]
    (lambda: builder().compile(aliases=[]), r"aliases=\[\]: give a dict"),  # type: ignore[arg-type]
    (lambda: builder().compile(interrupt_before=0), "interrupt_before=0: give a list of texts"),  # type: ignore[arg-type]
    (lambda: StateGraph(State).add_node("b", unchanged, timeout=0), "timeout=0 of node 'b': give a number of seconds above 0"),
    (lambda: StateGraph(State).add_node("b", unchanged, timeout=float("nan")), "timeout=nan of node 'b'"),
    (lambda: StateGraph(State).add_node("b", unchanged, retry=5), "retry=5 of node 'b': give a RetryPolicy"),  # type: ignore[arg-type]
    (lambda: StateGraph(State).add_node("b", unchanged, cache=5), "cache=5 of node 'b': give a CachePolicy"),  # type: ignore[arg-type]
    (lambda: graph().stream({}, stream_mode=None), "stream_mode=None: give 'values', 'updates'"),  # type: ignore[arg-type]
    (lambda: graph().stream({}, stream_mode=[]), r"stream_mode=\[\]: give some of 'values'"),
    (lambda: graph().get_state("s", at="x"), "at='x': give a whole number from 0 on, or None for the last"),  # type: ignore[arg-type]
    (lambda: graph().get_state("s", at=-1), "at=-1: give a whole number from 0 on"),
    (lambda: DB.rename_session("s", 5), "name=5: give a text, or None for no name"),  # type: ignore[arg-type]
    (lambda: DB.get_sessions(limit=0), "limit=0: give a whole number from 1 on, or None for all"),
    (lambda: InMemoryDb(lease_ttl=float("inf")), "lease_ttl=inf: give a number of seconds above 0"),
    (lambda: PostgresDb(pool_size=0), "pool_size=0: give a whole number from 1 on"),
    (lambda: Agent(on_event=later), "on_event=<function later.*: give a function of an Event that is a plain def"),
    (lambda: builder().compile(on_event=later), "on_event=<function later.*: give a function of an Event that is a plain def"),
    (lambda: CachePolicy(key=later), "key=<function later.*: give a function of the node's input that is a plain def"),
    (lambda: RetryPolicy(retry_on=later), "retry_on=<function later.*: give a function of the error that is a plain def"),
    (lambda: StateGraph(State).add_node("b", graph(), input=later), "input=<function later.* of node 'b': give a function"),
    (lambda: StateGraph(State).add_node("b", graph(), output=later), "output=<function later.* of node 'b': give a function"),
    (lambda: Step("b", graph(), input=later), "input=<function later.* of step 'b': give a function of the StepInput that is"),
    (lambda: Step("b", graph(), output=later), "output=<function later.* of step 'b': give a function of the state that is"),
    (lambda: Agent("offline").run("x", num_history_runs=-1), "num_history_runs=-1: give a whole number"),
]


@pytest.mark.parametrize(("call", "message"), NUMBERS, ids=[message for _, message in NUMBERS])
def test_a_value_out_of_bounds_is_refused_with_the_repair(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("schema", [dict, list[int], str | None, State])
def test_a_type_as_annotations_have_it_is_an_output_schema(schema: Any) -> None:
    assert Agent(output_schema=schema).output_schema is schema


def test_ids_and_models_have_errors_of_their_own() -> None:
    with pytest.raises(InvalidId, match="session_id ''"):
        Agent(session_id="")
    with pytest.raises(ModelError, match="5 is not a model"):
        Agent(5)  # type: ignore[arg-type]


INTERNAL = [name for name in CallOptions.__slots__ if name not in {"session_id", *RunOptions.__annotations__}]


def test_who_gives_a_config_is_told_what_is_given_instead(way: Way) -> None:
    graph = builder().compile(db=InMemoryDb())
    for call in (way.invoke, way.stream):
        with pytest.raises(TypeError, match="no option 'config'; write session_id= for its thread_id"):
            call(graph, {"text": "x"}, config={"configurable": {"thread_id": "s"}})
    with pytest.raises(TypeError, match="no option 'config'; write session_id="):
        way.resume(graph, "s", config={"configurable": {"thread_id": "s"}})


@pytest.mark.parametrize("name", [*INTERNAL, "sesion_id", "anything"])
def test_a_call_takes_the_options_of_runs_and_no_others(way: Way, name: str) -> None:
    graph = builder().compile(db=InMemoryDb())
    calls: list[Callable[..., Any]] = [
        lambda **wrong: way.invoke(graph, {"text": "x"}, session_id="s", **wrong),
        lambda **wrong: way.stream(graph, {"text": "x"}, session_id="s", **wrong),
        lambda **wrong: way.resume(graph, "s", **wrong),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"there is no option '{name}'; (it takes session_id, user_id|did you mean )"):
            call(**{name: True})
    assert graph.db.count_sessions() == 0


MISSPELT: list[tuple[Callable[[Way, Agent], Any], str]] = [
    (lambda way, agent: way.run(agent, "hi", sesion_id="s"), "no argument 'sesion_id'; did you mean 'session_id'?"),
    (lambda way, agent: way.run(agent, "hi", zzz=1), "no argument 'zzz'; it takes input, stream, session_id, user_id, "),
    (lambda way, agent: agent.cli_app(input="hi"), "no argument 'input'; it takes session_id, user_id, "),  # type: ignore[call-arg]
    (lambda way, agent: agent.cli_app(usr_id="ann"), "no argument 'usr_id'; did you mean 'user_id'?"),  # type: ignore[call-arg]
    (lambda way, agent: way.resume(agent, "s", anwser=1), "no argument 'anwser'; did you mean 'answer'?"),
    (lambda way, agent: way.resume(agent.graph, "s", anwser=1), "no option 'anwser'; did you mean 'answer'?"),
    (lambda way, agent: Team([agent], instructons="x"), "Team has no setting 'instructons'; did you mean 'instructions'?"),
    (lambda way, agent: Team([agent], zzz=1), "Team has no setting 'zzz'; it takes members, mode, model, name, description, "),
    (lambda way, agent: StateGraph(State).add_node("a", unchanged, retry_policy=1), "write retry=RetryPolicy(…)"),
    (lambda way, agent: StateGraph(State).add_node("a", unchanged, timout=1), "'timout'; did you mean 'timeout'?"),
    (lambda way, agent: builder().compile(checkpointer=1), "compile has no setting 'checkpointer'; write db=SqliteDb(…)"),
    (lambda way, agent: builder().compile(zzz=1), "'zzz'; it takes db, name, interrupt_before, interrupt_after, "),
]


@pytest.mark.parametrize(("call", "told"), MISSPELT, ids=[told for _, told in MISSPELT])
def test_a_misspelt_name_is_told_what_is_meant(way: Way, call: Callable[[Way, Agent], Any], told: str) -> None:
    with pytest.raises(TypeError, match=re.escape(told)):
        call(way, Agent("offline", db=InMemoryDb()))


def test_an_answer_in_the_place_of_the_session_is_told_so(way: Way) -> None:
    agent = Agent("offline", db=InMemoryDb(), session_id="s")
    for runner in (agent, agent.graph):
        with pytest.raises(InvalidId, match=r"resume\(True\): the session's id comes first.*resume\(session_id, True\)"):
            way.resume(runner, True)


@pytest.mark.parametrize("begins", [{"idempotency_key": "k"}, {"session_state": {"n": 1}}])
def test_a_resume_is_given_nothing_that_only_a_new_run_can_take(way: Way, begins: dict[str, Any]) -> None:
    agent = Agent("offline", db=InMemoryDb(), session_id="s")
    with pytest.raises(ValueError, match=f"{next(iter(begins))}= is for beginning a run"):
        way.resume(agent, **begins)


def test_an_agent_stores_its_runs_under_its_own_name_and_not_that_of_its_graph(way: Way) -> None:
    db = InMemoryDb()
    agent = Agent(ScriptedModel(["one", "two"]), name="Ann", db=db)
    edited = agent.with_graph(agent.graph_builder().compile(name="other"))
    assert [way.run(runner, "hi").content for runner in (agent, edited)] == ["one", "two"]
    assert {session.component_id for session in db.get_sessions()} == {agent.component_id}


@pytest.mark.parametrize(
    "told", ["an Item", "an object", "an Update", "an Under", "a One", "a User", "a Unit", "a UUID", "a Special", "an int"]
)
def test_a_noun_has_the_article_of_its_sound(told: str) -> None:
    assert one(told.split()[1]) == told
