"""What users ask about sessions and runs."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest

from graphflow.db import Db, InMemoryDb, PostgresDb, SessionType, SqliteDb
from graphflow.errors import InvalidId, LeaseLost, NotOwner, SessionNotFound
from graphflow.messages import Message

from .conftest import Writer

Make = Callable[..., Writer]


def ids(sessions: list[Any]) -> list[str]:
    return [session.session_id for session in sessions]


def test_a_session_tells_what_it_is(writer: Make) -> None:
    session = writer(user_id="ada")
    session.begin(
        "r1",
        {"session_state": {"merge": {"step": 1, "when": (1, 2)}}},
        [Message("user", "hi")],
        session_type="agent",
        component_id="helper",
    )
    session.end({"session_state": {"merge": {"step": 2}}}, [Message("assistant", "hello")])
    found = session.db.get_session("s1")
    assert (found.session_id, found.session_type, found.user_id) == ("s1", SessionType.AGENT, "ada")
    assert (found.component_id, found.name, found.metadata, found.status, found.summary) == (
        "helper",
        None,
        None,
        "completed",
        None,
    )
    assert found.session_state == {"step": 2, "when": (1, 2)}
    assert [message.text for message in found.messages] == ["hi", "hello"]
    assert [run.run_id for run in found.runs] == ["r1"] and found.runs[0].content == "hello"
    assert found.created_at < found.updated_at and found.created_at.tzinfo is UTC
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "other"


def test_the_state_of_a_session_is_found_behind_snapshots(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"session_state": {"merge": {"kept": 1}}})
    for n in range(80):
        session.step({"session_state": {"merge": {"n": n}}})
    assert session.weight.snapshot_seq > 0
    assert session.db.get_session("s1").session_state == {"kept": 1, "n": 79}


def test_a_session_without_state_or_messages_is_empty(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    found = session.db.get_session("s1")
    assert (found.session_state, found.messages, found.status) == ({}, [], "running")


def test_what_is_not_there_is_none_or_empty(db: Any) -> None:
    assert db.get_session("nope") is None
    assert db.get_sessions() == [] and db.count_sessions() == 0
    assert db.get_runs("nope") == [] and db.get_messages("nope") == []
    assert db.get_run("nope") is None
    assert db.delete_session("nope") is False
    with pytest.raises(SessionNotFound):
        db.rename_session("nope", "x")


@pytest.fixture
def five(writer: Make) -> Any:
    """Sessions a, b (agents of ada), c (team of ada), d (bob's), e (nobody's), made in this order."""
    kinds = {"a": ("agent", "ada"), "b": ("agent", "ada"), "c": ("team", "ada"), "d": ("workflow", "bob"), "e": ("graph", None)}
    for session_id, (kind, user) in kinds.items():
        writer(session_id, user_id=user).begin(f"run-{session_id}", session_type=kind, component_id=f"c-{kind}")
    return writer().db


def test_sessions_are_listed_newest_first_page_by_page(five: Any) -> None:
    assert ids(five.get_sessions()) == list("edcba")
    assert ids(five.get_sessions(limit=2)) == ["e", "d"]
    assert ids(five.get_sessions(limit=2, page=3)) == ["a"]
    assert ids(five.get_sessions(limit=2, page=4)) == []
    assert ids(five.get_sessions(limit=None, sort_order="asc")) == list("abcde")


def test_sessions_are_filtered_by_what_they_are(five: Any) -> None:
    assert ids(five.get_sessions(session_type=SessionType.AGENT)) == ["b", "a"]
    assert ids(five.get_sessions(session_type="team", user_id="ada")) == ["c"]
    assert ids(five.get_sessions(user_id="ada", component_id="c-agent")) == ["b", "a"]
    assert five.count_sessions() == 5
    assert five.count_sessions(user_id="ada") == 3
    assert five.count_sessions(session_type=SessionType.WORKFLOW, user_id="ada") == 0


def test_sessions_are_sorted_by_name_and_change(five: Any) -> None:
    for session_id, name in (("b", "Zoo"), ("d", "Ark")):
        five.rename_session(session_id, name)
    assert ids(five.get_sessions(sort_by="name", sort_order="asc")) == ["e", "c", "a", "d", "b"]
    assert ids(five.get_sessions(sort_by="name")) == ["b", "d", "e", "c", "a"]
    assert ids(five.get_sessions(sort_by="updated_at")) == ["d", "b", "e", "c", "a"]
    assert ids(five.get_sessions(name="Zoo")) == ["b"]
    five.rename_session("c", "ark")
    five.rename_session("e", "Äpfel")
    assert ids(five.get_sessions(sort_by="name", sort_order="asc")) == ["a", "d", "b", "c", "e"], "by code points"
    assert five.get_session("b").name == "Zoo"


@pytest.mark.parametrize("name", ["nul\0", "half a \ud83e"])
def test_texts_that_no_database_takes_are_written_out(five: Any, name: str) -> None:
    five.rename_session("b", name)
    assert ids(five.get_sessions(name=name)) == ["b"]
    assert five.get_sessions(component_id=name) == []
    assert five.get_session("b").name.startswith(name[:3])


@pytest.mark.parametrize("many", [2**31, 2**63, 10**20, 10**400], ids=["2**31", "2**63", "10**20", "10**400"])
def test_a_number_larger_than_databases_know_is_all_there_is(five: Any, many: int) -> None:
    assert ids(five.get_sessions(limit=many)) == list("edcba")
    for beyond in ({"page": many}, {"limit": many, "page": many}, {"limit": many, "page": 2}):
        assert five.get_sessions(**beyond) == []
    for members in (False, True):
        assert [run.run_id for run in five.get_runs("a", limit=many, include_members=members)] == ["run-a"]
        said = five.get_messages("a", include_members=members)
        assert five.get_messages("a", last_runs=many, include_members=members) == said
        assert five.get_messages("a", limit=many, include_members=members) == said
    five.add_user_memory("ada", "Likes tea")
    assert [found.memory for found in five.get_user_memories("ada", limit=many)] == ["Likes tea"]
    assert [found.memory for found in five.search_user_memories("ada", "tea", limit=many)] == ["Likes tea"]
    assert five.prune(keep_last=many).checkpoints == five.prune(keep_last=many, older_than=0).checkpoints == 0


def test_within_one_tick_of_the_clock_the_newest_is_first() -> None:
    db = InMemoryDb(clock=lambda: 1_700_000_000.0)
    for session_id in "abc":
        Writer(db, session_id).begin(f"run-{session_id}")
    assert ids(db.get_sessions()) == list("cba")
    assert ids(db.get_sessions(sort_by="updated_at")) == list("cba")
    db.close()


@pytest.mark.parametrize(
    "options",
    [
        {"sort_by": "head"},
        {"sort_by": "name; DROP TABLE gf_sessions"},
        {"sort_order": "random"},
        {"sort_order": "DESC"},
        {"limit": 0},
        {"limit": -1},
        {"limit": "10"},
        {"limit": True},
        {"page": 0},
        {"page": 1.5},
        {"limit": None, "page": 2},
        {"session_type": "chat"},
    ],
    ids=str,
)
def test_unknown_options_are_errors(db: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"="):
        db.get_sessions(**options)


BAD_IDS = ["", "x" * 256, "a\nb", "nul\0", "\ud800", "tab\t", 7, b"bytes"]


@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
def test_ids_that_cannot_be_used_are_refused_everywhere(db: Any, bad: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: db.get_session(bad),
        lambda: db.get_session("s", user_id=bad),
        lambda: db.get_sessions(user_id=bad),
        lambda: db.count_sessions(user_id=bad),
        lambda: db.rename_session(bad, "x"),
        lambda: db.delete_session(bad),
        lambda: db.delete_user(bad),
        lambda: db.fork_session(bad),
        lambda: db.fork_session("s", session_id=bad),
        lambda: db.export_session(bad),
        lambda: db.get_runs(bad),
        lambda: db.get_messages(bad),
    ]
    for call in calls:
        with pytest.raises(InvalidId):
            call()


def test_unusual_but_printable_ids_are_kept(writer: Make) -> None:
    for session_id in ("a b", "é漢🦊", "'; DROP TABLE gf_sessions; --", "%_\\", "x" * 255):
        writer(session_id).turn(f"run of {session_id}")
        assert writer().db.get_session(session_id).session_id == session_id
        assert len(writer().db.get_messages(session_id)) == 2
    assert writer().db.check().ok


# --- owners ------------------------------------------------------------------------------------------------------------


def test_a_strangers_session_is_as_if_it_were_not_there(five: Any) -> None:
    assert five.get_session("a", user_id="ada").session_id == "a"
    assert five.get_session("a", user_id="bob") is None
    assert five.get_session("e", user_id="bob") is None
    assert five.get_session("a").user_id == "ada"


def test_a_strangers_session_cannot_be_changed(five: Any) -> None:
    for change in (
        lambda: five.rename_session("a", "mine", user_id="bob"),
        lambda: five.delete_session("a", user_id="bob"),
        lambda: five.fork_session("a", user_id="bob"),
        lambda: five.export_session("a", user_id="bob"),
    ):
        with pytest.raises(NotOwner, match="'a' does not belong to user 'bob'"):
            change()
    assert five.get_session("a").name is None
    five.rename_session("a", "mine", user_id="ada")
    assert five.get_session("a").name == "mine"
    assert five.delete_session("a", user_id="ada") is True


# --- deleting ------------------------------------------------------------------------------------------------------------


def rows_left(db: Any) -> dict[str, int]:
    tables = ("sessions", "runs", "checkpoints", "tasks", "messages", "media", "media_uses", "summaries")
    return {table: int(db._read(lambda tx, t=table: tx.one(f"SELECT count(*) FROM gf_{t}", {}))[0]) for table in tables}


def test_a_deleted_session_leaves_nothing_and_its_neighbour_alone(writer: Make) -> None:
    session, other = writer("s1"), writer("s2")
    session.turn("r1")
    other.turn("r2")
    assert session.db.delete_session("s1") is True
    assert session.db.get_session("s1") is None
    assert session.db.get_messages("s1") == [] and session.db.get_run("r1") is None
    assert len(session.db.get_messages("s2")) == 2
    assert session.db.delete_session("s2") is True
    assert set(rows_left(session.db).values()) == {0}


def test_a_run_in_a_deleted_session_ends_with_lease_lost(writer: Make) -> None:
    session = writer()
    session.begin("r1")
    session.db.delete_session("s1")
    with pytest.raises(LeaseLost, match="was deleted while a run of it went on"):
        session.step({"count": {"set": 1}})
    writer().turn("r2")
    assert [run.run_id for run in session.db.get_runs("s1")] == ["r2"]


def test_deleting_a_user_deletes_that_users_sessions_only(five: Any) -> None:
    assert five.delete_user("ada") == 3
    assert ids(five.get_sessions()) == ["e", "d"]
    assert five.delete_user("ada") == 0


# --- runs and messages ---------------------------------------------------------------------------------------------------


def test_runs_and_messages_come_oldest_first_the_newest_when_limited(writer: Make) -> None:
    session = writer()
    for n in range(6):
        session.turn(f"r{n}", f"q{n}", f"a{n}")
    db = session.db
    assert [run.run_id for run in db.get_runs("s1")] == [f"r{n}" for n in range(6)]
    assert [run.run_id for run in db.get_runs("s1", limit=2)] == ["r4", "r5"]
    assert [m.text for m in db.get_messages("s1", limit=3)] == ["a4", "q5", "a5"]
    assert [m.text for m in db.get_messages("s1", last_runs=1)] == ["q5", "a5"]
    assert db.get_messages("s1", limit=0) == []
    assert [m.text for m in db.get_run("r2").messages] == ["q2", "a2"]
    with pytest.raises(ValueError, match="limit=-1"):
        db.get_messages("s1", limit=-1)


def test_a_closed_database_can_be_used_again(sqlite_db: Any) -> None:
    Writer(sqlite_db).turn("r1")
    sqlite_db.close()
    assert len(sqlite_db.get_messages("s1")) == 2


@pytest.mark.parametrize("cls", [InMemoryDb, SqliteDb, PostgresDb])
def test_a_database_does_what_its_users_and_drivers_are_promised(cls: type[Any]) -> None:
    def methods(of: type[Any]) -> dict[str, Any]:
        found = inspect.getmembers(of, inspect.isfunction)
        return {name: inspect.signature(method).parameters for name, method in found if not name.startswith("_")}

    promised, found = methods(Db), methods(cls)
    assert {"get_session", "prune", "close", "commit", "read_history"} <= promised.keys()
    assert {name: found.get(name) for name in promised} == promised
