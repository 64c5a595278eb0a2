"""What is too large, too deep or too long is refused before anything is written, on every database alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graphflow.core.stored import TaskRow
from graphflow.db import InMemoryDb, Limits
from graphflow.errors import InvalidId, SerializationError
from graphflow.messages import ImagePart, Message

from .conftest import CHAT, Writer

Make = Callable[..., Writer]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.fixture
def session(db: Any) -> Writer:
    """A session in a database with small limits."""
    db.limits = Limits(message_bytes=2_000, value_bytes=3_000, state_bytes=10_000, depth=20, id_length=40)
    made = Writer(db)
    made.turn("r0")
    made.begin("r1", {"notes": {"append": ["x"]}})
    return made


@pytest.mark.parametrize(
    ("delta", "path"),
    [
        ({"anything": {"set": "x" * 4_000}, "count": {"set": 1}}, "state.anything"),
        ({"anything": {"set": "ß" * 1_600}}, "state.anything"),
        ({"notes": {"append": ["y" * 10] * 400}}, "state.notes"),
        ({"session_state": {"merge": {"k": b"z" * 4_000}}}, "state.session_state"),
        ({"anything": {"set": deep(22)}}, "state.anything"),
    ],
)
def test_a_value_beyond_the_limit_is_refused_with_its_path(session: Writer, delta: Any, path: str) -> None:
    before = session.db.export_session("s1")
    with pytest.raises(SerializationError, match=path) as error:
        session.step(delta)
    assert error.value.path.startswith(path)
    assert session.db.export_session("s1") == before


@pytest.mark.parametrize(
    "message", [Message("user", "x" * 2_100), Message("user", [ImagePart(data=b"x" * 2_100)]), Message("user", "ß" * 1_050)]
)
def test_a_message_beyond_the_limit_is_refused_with_its_path(session: Writer, message: Message) -> None:
    with pytest.raises(SerializationError, match=r"messages\[3\] takes .* limits=Limits\(message_bytes=…\)"):
        session.step({}, [message])
    assert len(session.db.get_messages("s1")) == 2 and session.db.check().ok


def test_what_is_just_within_the_limits_is_stored(session: Writer) -> None:
    message = Message("user", "ß" * 990)
    session.step({"anything": {"set": "x" * 2_900}}, [message])
    session.step({"anything": {"set": deep(19)}})
    assert session.load().values["anything"] == deep(19) and session.db.get_messages("s1")[-1].text == message.text


def test_a_task_beyond_the_limit_is_refused(session: Writer) -> None:
    with pytest.raises(SerializationError, match="step 'fetch' of node 'node' takes"):
        session.keep(TaskRow("t", "node", "step", "x" * 4_000, name="fetch"))


def test_a_state_beyond_the_limit_is_refused_when_a_snapshot_is_due(session: Writer) -> None:
    with pytest.raises(SerializationError, match=r"state.notes takes .* limits=Limits"):
        for n in range(20):
            session.step({"notes": {"append": [f"{n}" * 1_200]}})
    assert session.load().seq < 18 and session.db.check().ok


def test_an_id_beyond_the_limit_is_refused(session: Writer) -> None:
    db = session.db
    with pytest.raises(InvalidId, match=r"session_id .* has 41 characters, and this database's limit is 40"):
        Writer(db, "s" * 41).begin("r2")
    with pytest.raises(InvalidId, match="user_id"):
        Writer(db, "s2", user_id="u" * 41).begin("r2")
    with pytest.raises(InvalidId):
        db.fork_session("s1", session_id="f" * 41)
    with pytest.raises(InvalidId):
        db.import_session(db.export_session("s1"), session_id="f" * 41)
    Writer(db, "s" * 40).begin("r2")
    assert db.count_sessions() == 2


def test_ten_megabytes_fit_by_default(db: Any) -> None:
    text = "0123456789" * 2**20
    session = Writer(db)
    session.begin("r1", {"anything": {"set": text}}, [Message("user", text)])
    assert session.load(with_log=True).values["messages"][0].text == text == session.load().values["anything"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth=0"),
        ({"depth": 201}, "depth=201: give a whole number from 1 to 200"),
        ({"id_length": 256}, "id_length=256"),
        ({"message_bytes": -1}, "message_bytes=-1"),
        ({"value_bytes": 1.5}, "value_bytes=1.5"),
        ({"state_bytes": 10**10}, "state_bytes"),
    ],
)
def test_limits_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**options)


def test_limits_are_given_to_a_database() -> None:
    db = InMemoryDb(limits=Limits(value_bytes=100))
    session = Writer(db)
    with pytest.raises(SerializationError, match=r"state\.anything"):
        session.begin("r1", {"anything": {"set": "x" * 200}})
    assert db.count_sessions() == 0 and CHAT.channels["anything"].stored
