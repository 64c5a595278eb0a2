"""A hundred strings that would do harm in SQL or a template, through every parameter that takes a text: none has an effect."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graphflow import Agent, Graph
from graphflow.db import PostgresDb, SqliteDb
from graphflow.db.rows import plain_text
from graphflow.errors import GraphflowError
from graphflow.testing import ScriptedModel
from tests.access.test_owners import Locker, locker_graph

QUOTES = ["'", '"', "`", "''", "\\'", "');", '");', "'))", "$$", "]"]
TAILS = [
    "; DROP TABLE gf_sessions; --",
    "; DELETE FROM gf_runs; --",
    " OR 1=1 --",
    " OR '1'='1",
    " UNION SELECT user_id FROM gf_sessions --",
    "; UPDATE gf_sessions SET user_id='bob'; --",
    " AND (SELECT pg_sleep(9)) IS NULL --",
    " || (SELECT name FROM sqlite_master) || ",
    "/**/OR/**/1=1#",
]
STRINGS = [quote + tail for quote, tail in itertools.product(QUOTES, TAILS)]
STRINGS += [
    "%",
    "_",
    "%s",
    "%(session_id)s",
    ":session_id",
    "?",
    "$1",
    "{0}",
    "{session_id}",
    "%%",
    "\\",
    "*",
    "NULL",
    "user_id",
]
STRINGS += [
    "created_at; DROP TABLE gf_sessions",
    "name DESC, (SELECT 1)",
    "1=1",
    "../../etc/passwd",
    "\x00",
    "'\x00; --",
    "\ud800'",
]

METHODS = [name for name in dir(SqliteDb) if not name.startswith("_") and inspect.isfunction(getattr(SqliteDb, name))]
NOT_WITH_TEXT = {
    *("at_hand", "load", "load_many", "commit", "leave", "read_history", "read_messages", "read_graph", "fork", "renew_leases"),
    *("check", "close", "schema_status", "upgrade", "import_session"),
    *("read_summary", "read_memories", "cancel_run", "end_leases", "find_key", "is_run", "stop_asked"),
}
"""What flows ask for, and what takes no text of a user's."""

GIVEN: dict[str, dict[str, Any]] = {"prune": {"keep_last": 10_000}}
"""What a method needs beside the text under test."""


def test_there_are_a_hundred_strings() -> None:
    assert len(set(STRINGS)) >= 100


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A database with two sessions, that no test here may change."""
    if request.param == "sqlite":
        made: Any = SqliteDb(tmp_path_factory.mktemp("injection") / "s.db", synchronous="normal")
        fill(made)
        yield made
    else:
        server = request.getfixturevalue("postgres_server")
        with server.schema() as schema:
            made = PostgresDb(server.url_within(schema))
            fill(made)
            yield made
            made.close()
            return
    made.close()


def fill(db: Any) -> None:
    Agent(ScriptedModel(["hi"]), db=db).run("hello", session_id="chat", user_id="ann")
    locker_graph(db).invoke(Locker(text="x", session_state={}), session_id="lock", user_id="ann")


def texts(method: Callable[..., Any]) -> list[str]:
    """The parameters of a method that take a text."""
    return [name for name, parameter in inspect.signature(method).parameters.items() if "str" in str(parameter.annotation)]


def arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """What the method needs to be called at all."""
    given = {"session_id": "none", "id": "none", "run_id": "none", "user_id": "nobody", "name": None}
    given |= {"memory": "likes tea", "memory_id": "none", "query": "tea"}
    required = {
        name
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is inspect.Parameter.empty and name != "self"
    }
    return {name: given[name] for name in required if name in given}


def contents(db: Any) -> Any:
    return db.export_session("chat"), db.export_session("lock"), db.count_sessions()


CASES = [(name, parameter) for name in METHODS if name not in NOT_WITH_TEXT for parameter in texts(getattr(SqliteDb, name))]


def test_every_method_that_takes_a_text_is_tried() -> None:
    tried = {name for name, _ in CASES}
    assert tried | NOT_WITH_TEXT == set(METHODS)
    assert {"get_sessions", "get_session", "rename_session", "delete_session", "delete_user", "fork_session"} <= tried


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_no_string_has_an_effect_in_the_database(store: Any, name: str, parameter: str) -> None:
    method = getattr(store, name)
    before = contents(store)
    for text in STRINGS:
        given = {**arguments(method), **GIVEN.get(name, {}), parameter: text}
        try:
            result = method(**given)
        except (ValueError, GraphflowError):
            continue
        if name == "add_user_memory":
            (kept,) = [memory for memory in store.get_user_memories(given["user_id"]) if memory.memory_id == result]
            assert parameter == "user_id" or plain_text(text.strip()) in (kept.memory, *kept.topics) or parameter == "topics"
            store.clear_user_memories(given["user_id"])
            continue
        assert parameter not in ("sort_by", "sort_order", "session_type"), f"{text!r} was taken for a {parameter}"
        harmless = (result in (None, [], {}, 0, False), isinstance(result, list) and "chat" not in str(result))
        assert any(harmless) or getattr(result, "rows", None) == 0, (text, result)
    assert contents(store) == before and store.check().ok


@pytest.mark.parametrize("sort_by", ["created_at; --", "user_id", "rowid", "created_at desc", "CREATED_AT", "", "(SELECT 1)"])
def test_an_unknown_sort_field_is_refused(store: Any, sort_by: str) -> None:
    with pytest.raises(ValueError, match="sessions can be sorted by created_at, updated_at, name"):
        store.get_sessions(sort_by=sort_by)
    with pytest.raises(ValueError, match="give 'asc' or 'desc'"):
        store.get_sessions(sort_order=f"desc{sort_by} ")


def test_an_unknown_filter_is_refused(store: Any) -> None:
    with pytest.raises(TypeError):
        store.get_sessions(**{"status": "completed"})
    with pytest.raises(TypeError):
        store.count_sessions(**{"1=1 --": "x"})


@pytest.mark.timeout(600)
def test_strings_are_kept_as_they_are_wherever_they_can_be_written(store: Any) -> None:
    """As ids, names, fields, messages and answers: read back equal, each in its own session."""
    before = contents(store)
    graph = locker_graph(store)
    for number, text in enumerate(STRINGS):
        session_id, user_id = (text, f"u{text}") if text.isprintable() else (f"id-{number}", "u")
        graph.invoke({"text": text, "session_state": {text: text}}, session_id=session_id, user_id=user_id)
        result = graph.resume(session_id, text, user_id=user_id)
        assert result["text"] == f"{text}, {text}" and result["session_state"] == {text: text}
        run = Agent(ScriptedModel([text]), name=f"a{text}", db=store).run(text, session_id=f"a{number}")
        assert run.content == text and [m.text for m in store.get_messages(f"a{number}")] == [text, text]
        store.rename_session(session_id, text, user_id=user_id)
        (found,) = store.get_sessions(user_id=user_id, limit=None) if text.isprintable() else (store.get_session(session_id),)
        assert found.session_id == session_id and store.get_session_state(session_id, user_id=user_id) == {text: text}
        for made in (session_id, f"a{number}"):
            assert store.delete_session(made)
    assert contents(store) == before and store.check().ok


@pytest.mark.parametrize("text", STRINGS[:12])
def test_a_graph_takes_strings_for_what_they_are(store: Any, text: str) -> None:
    before = contents(store)
    graph: Graph = locker_graph(store)
    for call in (
        lambda: graph.get_state(text),
        lambda: graph.get_state("lock", user_id=text),
        lambda: graph.get_state_history(text, user_id=text),
        lambda: graph.resume("lock", "yes", user_id=text),
        lambda: graph.resume("lock", answers={text: 1}, user_id="ann"),
        lambda: graph.fork(text, session_id=text),
        lambda: graph.fork("lock", session_id=text, user_id=text),
        lambda: graph.update_state("lock", {"text": "x"}, user_id=text),
        lambda: graph.update_state("lock", {"text": "x"}, as_node=text, user_id="ann"),
        lambda: graph.update_state("lock", {text: "x"}, user_id="ann"),
    ):
        with pytest.raises((GraphflowError, ValueError)):
            call()
    assert contents(store) == before
