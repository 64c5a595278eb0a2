"""Every public method, as the owner, as another user and as no user: nobody sees, changes or continues what is another's.

The tables below name every public method. One without an entry fails the test: whoever adds it says here what it lets whom see.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Agent, Graph, Message, StateGraph, interrupt
from graphflow.db import InMemoryDb, PostgresDb, SqliteDb
from graphflow.errors import NotOwner, SessionNotFound
from graphflow.testing import ScriptedModel

SECRET = "the PIN is 4711"
OTHERS = {"another user": "bob", "no user": None}


class Locker(TypedDict):
    text: str
    session_state: dict[str, Any]


def locker_graph(db: Any) -> Graph:
    def ask(state: Locker) -> dict[str, Any]:
        return {"text": f"{state['text']}, {interrupt('open?')}"}

    return StateGraph(Locker, name="locker").add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile(db=db)


def agent_on(db: Any, **options: Any) -> Agent:
    return Agent(ScriptedModel(["noted", "noted"]), name="clerk", db=db, **options)


class House:
    """A database in which ann has an agent's session and a graph's, which waits for an answer."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.graph = locker_graph(db)
        self.agent = agent_on(db)
        state = {"secret": SECRET}
        self.run_id = self.agent.run(SECRET, session_id="chat", user_id="ann", session_state=state).run_id
        new = {"text": SECRET, "session_state": state}
        self.lock_id = self.graph.invoke(new, session_id="lock", user_id="ann").run_id
        db.rename_session("chat", SECRET)
        self.memory_id = db.add_user_memory("ann", SECRET)

    def exports(self) -> list[Any]:
        return [self.db.export_session("chat"), self.db.export_session("lock"), self.db.get_user_memories("ann")]


@pytest.fixture
def house(db: Any) -> House:
    return House(db)


def told(value: Any) -> str:
    """Everything that can be read off a result."""
    if inspect.isgenerator(value):
        value = list(value)
    if isinstance(value, list | tuple):
        return " ".join(told(item) for item in value)
    lazy = [
        getattr(value, name, "") for name in ("messages", "runs", "session_state", "summary", "content", "values", "output")
    ]
    return f"{value!r} {lazy!r}"


Use = Callable[[House, str | None], Any]

GRAPH: dict[str, Use | str] = {
    "invoke": lambda h, u: h.graph.invoke({"text": "mine"}, session_id="lock", user_id=u, on_unfinished="abandon"),
    "stream": lambda h, u: list(
        h.graph.stream(
            {"text": "mine"}, session_id="lock", user_id=u, on_unfinished="abandon", stream_mode=["values", "events"]
        )
    ),
    "resume": lambda h, u: h.graph.resume("lock", "yes", user_id=u),
    "stream_resume": lambda h, u: list(h.graph.stream_resume("lock", "yes", user_id=u)),
    "get_state": lambda h, u: h.graph.get_state("lock", user_id=u),
    "get_state_history": lambda h, u: h.graph.get_state_history("lock", user_id=u),
    "update_state": lambda h, u: h.graph.update_state("lock", {"text": "mine"}, user_id=u),
    "fork": lambda h, u: h.graph.get_state(h.graph.fork("lock", user_id=u), user_id=u),
    "cancel": lambda h, u: h.graph.cancel(h.lock_id, user_id=u),
    **dict.fromkeys(("name", "nodes", "fingerprint"), "the graph itself"),
    **dict.fromkeys(("draw_mermaid", "draw_ascii", "draw_svg", "to_networkx"), "the graph itself"),
    **dict.fromkeys(("input_json_schema", "output_json_schema", "context_json_schema"), "the graph itself"),
    "clear_cache": "forgets results of nodes, shows none",
    **dict.fromkeys(("plan", "db", "on_event"), "what it was made of"),
    **dict.fromkeys(("call", "world", "begin", "finishing", "result"), "parts that runs are made of"),
}

AGENT: dict[str, Use | str] = {
    "run": lambda h, u: h.agent.run("mine", session_id="chat", user_id=u),
    "resume": lambda h, u: h.agent.resume("chat", user_id=u),
    "get_chat_history": lambda h, u: h.agent.get_chat_history("chat", user_id=u),
    "get_session_state": lambda h, u: h.agent.get_session_state("chat", user_id=u),
    "fork": lambda h, u: h.agent.get_chat_history(h.agent.fork("chat", user_id=u), user_id=u),
    "print_response": lambda h, u: h.agent.print_response("mine", session_id="chat", user_id=u),
    "cancel": lambda h, u: h.agent.cancel(h.run_id, user_id=u),
    "cli_app": "print_response, line by line",
    "graph_input": "a part that runs are made of",
    "graph": "the graph itself",
    "component_id": "the agent itself",
    "graph_for": "the graph itself",
    "graph_builder": "nodes and edges, nothing of a session",
    "with_graph": "another object with the same database; its methods are these",
    "printed_sessions": "the ids this object has printed, by user",
    **dict.fromkeys(("model", "name", "description", "instructions", "tools", "db", "history", "output_schema"), "a setting"),
    **dict.fromkeys(
        ("session_id", "session_state", "session_state_reducers", "user_id", "on_event", "on_tool_error"), "a setting"
    ),
    "get_session_summary": lambda h, u: h.agent.get_session_summary("chat", user_id=u),
    "summarize": lambda h, u: h.agent.summarize("chat", user_id=u),
    "get_user_memories": "memories of the user who is named; see below",
    **dict.fromkeys(("add_history_to_context", "tool_call_limit", "add_session_summary_to_context"), "a setting"),
    **dict.fromkeys(("enable_agentic_memory", "enable_agentic_state", "enable_session_summaries"), "a setting"),
    **dict.fromkeys(("history_policy", "memory", "summary", "update_memory_on_run"), "a setting"),
}

DB: dict[str, Use | str] = {
    "get_session": lambda h, u: h.db.get_session("chat", user_id=u),
    "get_sessions": lambda h, u: h.db.get_sessions(user_id=u),
    "count_sessions": lambda h, u: SECRET if h.db.count_sessions(user_id=u, name=SECRET) else 0,
    "rename_session": lambda h, u: h.db.rename_session("chat", "mine", user_id=u),
    "delete_session": lambda h, u: h.db.delete_session("chat", user_id=u),
    "delete_user": lambda h, u: h.db.delete_user(u),
    "get_session_state": lambda h, u: h.db.get_session_state("chat", user_id=u),
    "get_session_summary": lambda h, u: h.db.get_session_summary("chat", user_id=u),
    "get_runs": lambda h, u: h.db.get_runs("chat", user_id=u, include_members=True),
    "get_run": lambda h, u: h.db.get_run(h.run_id, user_id=u),
    "get_messages": lambda h, u: h.db.get_messages("chat", user_id=u, include_members=True),
    "get_run_messages": lambda h, u: h.db.get_run_messages(h.run_id, user_id=u),
    "fork_session": lambda h, u: h.db.get_messages(h.db.fork_session("chat", user_id=u), user_id=u),
    "export_session": lambda h, u: h.db.export_session("chat", user_id=u),
    "prune": lambda h, u: h.db.prune(keep_last=1, user_id=u),
    "repair_session": lambda h, u: h.db.repair_session("chat", user_id=u),
    **dict.fromkeys(("import_session", "check", "schema_status", "upgrade"), "the administrator's"),
    **dict.fromkeys(("close", "limits", "lease_ttl", "busy_timeout", "db_file", "synchronous"), "the database itself"),
    **dict.fromkeys(("blocking", "shared", "identity", "dialect", "schema", "pool_size"), "the database itself"),
    **dict.fromkeys(("statement_timeout",), "the database itself"),
    **dict.fromkeys(("at_hand", "load", "load_many", "commit", "leave", "read_history", "renew_leases"), "what flows ask for"),
    **dict.fromkeys(("read_messages", "read_graph", "fork", "cancel_run", "find_key"), "what flows ask for"),
    **dict.fromkeys(("end_leases", "is_run", "stop_asked", "read_summary", "read_memories"), "what flows ask for"),
    "get_user_memories": lambda h, u: h.db.get_user_memories(u or "ann"),
    "search_user_memories": lambda h, u: h.db.search_user_memories(u or "ann", SECRET),
    "search_user_messages": lambda h, u: h.db.search_user_messages(u or "ann", SECRET),
    "delete_user_memory": lambda h, u: h.db.delete_user_memory(h.memory_id, user_id=u),
    "clear_user_memories": lambda h, u: h.db.clear_user_memories(u),
    "add_user_memory": lambda h, u: h.db.add_user_memory(u, SECRET),
}
"""Without a user the database object is the administrator's, so only another user is kept out of it."""


def methods(table: dict[str, Use | str]) -> list[str]:
    return [name for name, use in table.items() if callable(use)]


def names_of(kinds: tuple[type, ...]) -> set[str]:
    """The public names of classes, without the asyncio twins of a method that is there."""
    names = {name for kind in kinds for name in dir(kind) if not name.startswith("_")}
    return {name for name in names if not (name.startswith("a") and name[1:] in names)}


@pytest.mark.parametrize(
    ("kinds", "table"),
    [((Graph,), GRAPH), ((Agent,), AGENT), ((InMemoryDb, SqliteDb, PostgresDb), DB)],
    ids=["Graph", "Agent", "databases"],
)
def test_every_public_method_has_an_entry(kinds: tuple[type, ...], table: dict[str, Use | str]) -> None:
    missing = names_of(kinds) - table.keys()
    assert not missing, f"say in this file whom these let see what: {sorted(missing)}"


def shut_out(house: House, use: Use, user: str | None) -> None:
    """The call gives nothing away and changes nothing."""
    before = house.exports()
    try:
        result = told(use(house, user))
    except (NotOwner, SessionNotFound) as error:
        result = str(error)
    assert "4711" not in result
    assert house.exports() == before, "nothing was changed"


@pytest.mark.parametrize("user", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", methods(GRAPH))
def test_a_graph_keeps_others_out(house: House, name: str, user: str | None) -> None:
    use = GRAPH[name]
    assert callable(use)
    with pytest.raises(NotOwner):
        use(house, user)
    shut_out(house, use, user)


@pytest.mark.parametrize("user", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", methods(AGENT))
def test_an_agent_keeps_others_out(house: House, name: str, user: str | None) -> None:
    use = AGENT[name]
    assert callable(use)
    with pytest.raises(NotOwner):
        use(house, user)
    shut_out(house, use, user)


@pytest.mark.parametrize("name", methods(DB))
def test_a_database_keeps_another_user_out(house: House, name: str) -> None:
    use = DB[name]
    assert callable(use)
    shut_out(house, use, "bob")


@pytest.mark.parametrize("name", methods(GRAPH))
def test_the_owner_of_a_graphs_session_gets_in(house: House, name: str) -> None:
    use = GRAPH[name]
    assert callable(use)
    if name == "cancel":
        use(house, "ann")
    elif name not in ("update_state", "invoke", "stream"):
        assert "4711" in told(use(house, "ann"))
    else:
        use(house, "ann")
        assert house.graph.get_state("lock", user_id="ann").values["text"].startswith("mine")


@pytest.mark.parametrize("name", methods(AGENT))
def test_the_owner_of_an_agents_session_gets_in(house: House, name: str) -> None:
    use = AGENT[name]
    assert callable(use)
    result = told(use(house, "ann"))
    assert "4711" in result or name in ("print_response", "cancel", "get_session_summary", "summarize")
    assert len(house.agent.get_chat_history("chat", user_id="ann")) == (4 if name in ("run", "print_response") else 2)


@pytest.mark.parametrize("user", ["ann", None], ids=["owner", "administrator"])
@pytest.mark.parametrize("name", [name for name in methods(DB) if name.startswith(("get_", "count", "export", "fork"))])
def test_the_owner_and_the_administrator_read_in_the_database(house: House, name: str, user: str | None) -> None:
    use = DB[name]
    assert callable(use)
    assert name == "get_session_summary" or "4711" in told(use(house, user))


@pytest.mark.parametrize(
    ("on", "name"), [("graph", name) for name in methods(GRAPH)] + [("agent", name) for name in methods(AGENT)]
)
def test_the_twin_for_asyncio_keeps_others_out_too(house: House, on: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call, awaited."""
    table = GRAPH if on == "graph" else AGENT

    class Awaited:
        def __getattr__(self, method: str) -> Any:
            async def call(*arguments: Any, **named: Any) -> Any:
                result = getattr(original, f"a{method}")(*arguments, **named)
                return [part async for part in result] if hasattr(result, "__aiter__") else await result

            return lambda *arguments, **named: asyncio.run(call(*arguments, **named))

    original = getattr(house, on)
    setattr(house, on, Awaited())
    use = table[name]
    assert callable(use)
    before = house.exports()
    for user in OTHERS.values():
        with pytest.raises(NotOwner):
            use(house, user)
    assert house.exports() == before


def test_a_session_that_was_listed_shows_nothing_of_its_next_owner(db: Any) -> None:
    agent_on(db).run("hello", session_id="s", user_id="bob")
    listed = db.get_sessions(user_id="bob")[0]
    (run,) = db.get_runs("s", user_id="bob")
    db.delete_session("s")
    agent_on(db).run(SECRET, session_id="s", user_id="ann", session_state={"secret": SECRET})
    assert listed.messages == listed.runs == run.messages == [] and listed.session_state == {} and listed.summary is None


def test_a_session_of_nobody_may_be_taken_by_its_first_user(db: Any) -> None:
    agent = agent_on(db, session_state={"n": 1})
    agent.run("hello", session_id="s")
    assert agent.get_chat_history("s", user_id="ann") == agent.get_chat_history("s")
    agent.run("it is mine now", session_id="s", user_id="ann")
    with pytest.raises(NotOwner):
        agent.get_chat_history("s")
    assert agent.get_session_state("s", user_id="ann") == {"n": 1} and db.check().ok


def test_an_agent_tells_a_user_only_what_it_knows_of_that_user(house: House, way: Any) -> None:
    assert "4711" in told(way.get_user_memories(house.agent, "ann"))
    assert way.get_user_memories(house.agent, "bob") == []
    with pytest.raises(ValueError, match="whose memories"):
        way.get_user_memories(house.agent)


def test_a_fork_belongs_to_the_owner(house: House) -> None:
    new = house.graph.fork("lock", user_id="ann")
    assert house.db.get_session(new).user_id == "ann"
    with pytest.raises(NotOwner):
        house.graph.get_state(new)
    assert isinstance(house.agent.get_chat_history("chat", user_id="ann")[0], Message)
