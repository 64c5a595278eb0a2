"""What is stored is read back whole, also by code that has changed since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow.core.effects import Load, LoadMany
from graphflow.core.reducers import add_messages, append
from graphflow.core.state import StateSchema, logged, state_schema, untracked
from graphflow.errors import NotOwner, SerializationError, SessionNotFound
from graphflow.messages import Message

from .conftest import CHAT, Writer

Make = Callable[..., Writer]


def schema_of(**hints: Any) -> StateSchema:
    return state_schema(TypedDict("State", hints))


def test_a_checkpoint_that_is_not_there_is_an_error_that_names_those_that_are(writer: Make) -> None:
    session = writer()
    session.turn("r1")
    for at in (7, 2**63, 10**20):
        with pytest.raises(SessionNotFound, match=rf"'s1' has no checkpoint {at}; its checkpoints are 0 to 1"):
            session.load(at=at)


def test_the_history_is_newest_first_and_each_state_is_its_own(writer: Make) -> None:
    session = writer()
    session.begin("r1", {"notes": {"append": ["a"]}}, [Message("user", "hi")])
    for note in "bcdef":
        session.step({"notes": {"append": [note]}, "session_state": {"merge": {note: 1}}})
    history = session.db.load_many(LoadMany("s1", None, CHAT))
    assert [stored.seq for stored in history] == [5, 4, 3, 2, 1, 0]
    assert ["".join(stored.values["notes"]) for stored in history] == ["abcdef", "abcde", "abcd", "abc", "ab", "a"]
    assert all(stored.values["messages"] == [Message("user", "hi", id="r1-1")] for stored in history)
    assert [stored.values["session_state"] for stored in history][-2:] == [{"b": 1}, {}]
    newest = session.db.load_many(LoadMany("s1", None, CHAT, limit=2))
    assert [(stored.seq, stored.values) for stored in newest] == [(stored.seq, stored.values) for stored in history[:2]]


def test_the_history_of_a_strangers_session_is_refused(writer: Make) -> None:
    writer(user_id="ada").turn("r1")
    with pytest.raises(NotOwner):
        writer().db.load_many(LoadMany("s1", "bob", CHAT))
    with pytest.raises(SessionNotFound):
        writer().db.load_many(LoadMany("nope", None, CHAT))


@pytest.mark.parametrize("light", [False, True])
def test_what_is_in_a_channel_that_is_gone_and_in_another_survives_snapshots(writer: Make, light: bool) -> None:
    kept = {"b": Any, "n": int, "messages": Annotated[list[Message], add_messages, logged]}
    old, new = schema_of(a=Any, **kept), schema_of(**kept)
    session = writer(schema=old)
    session.db._light = light
    shared = ["x", "y"]
    session.begin("r1", {"a": {"set": {"k": shared}}, "b": {"set": {"k": shared}}})
    session.end()
    for number in range(12):
        session.schema = new
        loaded = session.load()
        session.values, session.weight = loaded.values, loaded.weight
        session.turn(f"again-{number}", n=number)
        session.schema = old
        values = session.load().values
        assert (values["a"], values["b"], values["n"]) == ({"k": shared}, {"k": shared}, number)
    assert session.db.check().ok


def test_channels_that_the_code_no_longer_knows_survive_snapshots(writer: Make) -> None:
    old = schema_of(a=int, notes=Annotated[list[str], append], when=datetime)
    session = writer(schema=old)
    session.begin("r1", {"a": {"set": 1}, "notes": {"append": ["x"]}, "when": {"set": datetime(2024, 1, 1)}})
    session.step({"notes": {"append": ["y"]}})
    new = schema_of(a=int, b=str)
    session.schema = new
    stored = session.load()
    assert stored.values == {"a": 1}
    session.values, session.weight = stored.values, stored.weight
    for n in range(60):
        session.step({"a": {"set": n}, "b": {"set": "z" * 100}})
    assert session.weight.snapshot_seq > 1
    session.schema = old
    assert session.load().values == {"a": 59, "notes": ["x", "y"], "when": datetime(2024, 1, 1)}


def test_a_channel_that_became_untracked_is_not_given_and_not_kept(writer: Make) -> None:
    session = writer(schema=schema_of(a=int, key=str))
    session.begin("r1", {"a": {"set": 1}, "key": {"set": "secret"}})
    session.schema = schema_of(a=int, key=Annotated[str, untracked])
    stored = session.load()
    assert stored.values == {"a": 1} and stored.weight.foreign == {}


def test_an_emptied_channel_has_its_default_again(writer: Make) -> None:
    class State(BaseModel):
        mood: str = "calm"
        notes: Annotated[list[str], append] = ["first"]

    session = writer(schema=state_schema(State))
    session.begin("r1", {"mood": {"set": "wild"}, "notes": {"append": ["second"]}})
    assert session.load().values == {"mood": "wild", "notes": ["first", "second"]}
    session.step({"mood": {"unset": None}, "notes": {"unset": None, "append": ["third"]}})
    assert session.load().values == {"mood": "calm", "notes": ["first", "third"]}
    assert State().notes == ["first"]


class Item(BaseModel):
    n: int


def test_a_dict_that_is_a_model_now_is_loaded_as_one(writer: Make) -> None:
    session = writer(schema=schema_of(item=dict))
    session.begin("r1", {"item": {"set": {"n": 1}}})
    session.schema = schema_of(item=Item)
    assert session.load().values == {"item": Item(n=1)}


def test_a_value_that_no_longer_fits_its_type_is_an_error_with_its_path(writer: Make) -> None:
    session = writer(schema=schema_of(items=list[dict]))
    session.begin("r1", {"items": {"set": [{"n": 1}, {"n": "many"}]}})
    session.schema = schema_of(items=list[Item])
    with pytest.raises(SerializationError, match=r"state\.items\[1\]\.n does not fit its declared type"):
        session.load()


def test_an_ordinary_load_takes_two_statements_and_that_of_an_unfinished_run_four(sqlite_db: Any) -> None:
    session = Writer(sqlite_db)
    session.turn("r1")
    assert _statements_of(sqlite_db, lambda: sqlite_db.load(Load("s1", None, CHAT))) == 2
    session.begin("r2")
    assert _statements_of(sqlite_db, lambda: sqlite_db.load(Load("s1", None, CHAT))) == 4


def _statements_of(db: Any, call: Callable[[], Any]) -> int:
    call()
    seen: list[str] = []
    for connection in db._open.all:
        connection.set_trace_callback(seen.append)
    call()
    for connection in db._open.all:
        connection.set_trace_callback(None)
    return len([statement for statement in seen if statement.startswith("SELECT")])
