"""Forks, exports and imports hold all of a session and leave the source alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graphflow.core.control import Interrupt
from graphflow.core.effects import Load
from graphflow.core.stored import RunWrite, SummaryWrite, TaskRow
from graphflow.core.tasks import task_id
from graphflow.db import InMemoryDb, transfer
from graphflow.errors import CorruptCheckpoint, SchemaTooNew, SessionNotFound
from graphflow.messages import ImagePart, Message, RemoveMessage

from .conftest import CHAT, Writer

Make = Callable[..., Writer]


@pytest.fixture
def told(writer: Make) -> Writer:
    """A session of two finished runs and a third that waits for an answer; checkpoints 0 to 5."""
    session = writer(user_id="ada")
    session.turn("r1", "q1", "a1", count=1)
    session.begin("r2", {"count": {"set": 2}}, [Message("user", [ImagePart(data=b"png" * 50)])])
    session.end({"notes": {"append": ["n"]}}, [Message("assistant", "a2"), Message("assistant", "edited", id="r1-2")])
    session.begin("r3", {"count": {"set": 3}}, [Message("user", "q3"), RemoveMessage(id="r1-1")])
    session.step({"session_state": {"merge": {"deep": (1, {2})}}})
    asking = task_id("s1", "", 5, "node", 0)
    session.keep(TaskRow(asking, "node", "interrupt", Interrupt(f"{asking}-0", "sure?", "node")), status="paused")
    session.db.rename_session("s1", "Tea")
    return session


def loaded(db: Any, session_id: str, **options: Any) -> Any:
    return db.load(Load(session_id, "ada", CHAT, with_log=True, **options))


def questions(stored: Any) -> list[tuple[str, str]]:
    """The ids and payloads of what a session asks."""
    return [(row.value.id, row.value.value) for row in stored.tasks if row.kind == "interrupt"]


def texts(db: Any, session_id: str) -> list[str]:
    return [message.text for message in db.get_messages(session_id)]


def test_a_fork_has_the_past_under_new_run_ids(told: Writer) -> None:
    db = told.db
    source = db.export_session("s1")
    new = db.fork_session("s1")
    assert new != "s1" and db.export_session("s1") == source
    fork, original = loaded(db, new), loaded(db, "s1")
    assert fork.values["count"] == 3 and fork.values["session_state"] == {"deep": (1, {2})}
    assert fork.frontier == original.frontier and fork.log_head == original.log_head
    assert [m.content for m in fork.values["messages"]] == [m.content for m in original.values["messages"]]
    assert texts(db, new) == texts(db, "s1") == ["edited", "", "a2", "q3"]
    run_ids = [run.run_id for run in db.get_runs(new)]
    assert len(run_ids) == 3 and not {"r1", "r2", "r3"} & set(run_ids)
    assert [m.id for m in db.get_messages(new)] == [f"{run_ids[0]}-2", f"{run_ids[1]}-3", f"{run_ids[1]}-4", f"{run_ids[2]}-6"]
    assert db.check().ok


def test_a_fork_of_a_paused_run_is_paused_and_asks_the_same(told: Writer) -> None:
    new = told.db.fork_session("s1", user_id="ada")
    fork = loaded(told.db, new)
    assert (fork.status, fork.frontier.next) == ("paused", ["node"])
    assert questions(fork) == [(f"{task_id(new, '', 5, 'node', 0)}-0", "sure?")]
    assert fork.run is not None and fork.run.status == "paused"
    assert [run.status for run in told.db.get_runs(new)] == ["completed", "completed", "paused"]
    session = told.db.get_session(new)
    assert (session.user_id, session.name, session.session_type) == ("ada", "Tea", "graph")


def test_a_fork_at_a_finished_checkpoint_is_finished(told: Writer) -> None:
    new = told.db.fork_session("s1", at=1, session_id="then")
    assert new == "then"
    fork = loaded(told.db, new)
    assert (fork.status, fork.head, fork.values["count"]) == ("completed", 1, 1)
    assert texts(told.db, new) == ["q1", "a1"]
    assert [run.status for run in told.db.get_runs(new)] == ["completed"]
    assert loaded(told.db, new, at=0).values["count"] == 1


def test_a_fork_in_the_middle_of_a_run_is_paused_there(told: Writer) -> None:
    new = told.db.fork_session("s1", at=2)
    fork = loaded(told.db, new)
    assert (fork.status, fork.values["count"], fork.values["notes"], fork.log_head) == ("paused", 2, [], 3)
    assert texts(told.db, new) == ["q1", "a1", ""]
    branch = Writer(told.db, new, user_id="ada")
    branch.head, branch.epoch, branch.log_head, branch.values, branch.weight = 2, fork.epoch, 3, fork.values, fork.weight
    branch.run_id = fork.run.run_id
    branch.end(messages=[Message("assistant", "another way")])
    assert texts(told.db, new)[-1] == "another way"
    assert told.db.check().ok


def test_a_fork_of_what_is_not_there_or_onto_what_is_there_is_refused(told: Writer) -> None:
    with pytest.raises(SessionNotFound, match="no checkpoint 9; its checkpoints are 0 to 5"):
        told.db.fork_session("s1", at=9)
    with pytest.raises(SessionNotFound, match="'nope'"):
        told.db.fork_session("nope")
    with pytest.raises(ValueError, match="there is a session 's1' already"):
        told.db.fork_session("s1", session_id="s1")
    assert told.db.count_sessions() == 1


def test_an_exported_session_goes_through_json_into_another_database(told: Writer) -> None:
    exported = json.loads(json.dumps(told.db.export_session("s1")))
    other = InMemoryDb()
    assert other.import_session(exported) == "s1"
    assert loaded(other, "s1") == loaded(told.db, "s1")
    assert other.get_messages("s1") == told.db.get_messages("s1")
    *ended, unfinished = told.db.get_runs("s1")
    assert other.get_runs("s1") == [*ended, replace(unfinished, status="crashed")], "nobody runs it there"
    assert other.get_session("s1") == told.db.get_session("s1")
    assert other.check().ok
    assert other.export_session("s1") == exported
    other.close()


def test_an_import_under_another_id_is_a_copy(told: Writer) -> None:
    exported = told.db.export_session("s1")
    assert told.db.import_session(exported, session_id="copy") == "copy"
    assert texts(told.db, "copy") == texts(told.db, "s1")
    copy = loaded(told.db, "copy")
    assert (copy.status, questions(copy)) == ("paused", [(f"{task_id('copy', '', 5, 'node', 0)}-0", "sure?")])
    assert told.db.check().ok


def test_an_import_over_an_existing_session_is_refused(told: Writer) -> None:
    before = told.db.export_session("s1")
    with pytest.raises(ValueError, match="there is a session 's1' already"):
        told.db.import_session(before)
    told.db.delete_session("s1")
    Writer(told.db, "other").turn("r1")
    with pytest.raises(ValueError, match="there is a run 'r1' already"):
        told.db.import_session(before)
    assert told.db.get_session("s1") is None


def changed(exported: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return json.loads(json.dumps(exported)) | parts


def test_a_changed_export_is_refused(told: Writer) -> None:
    exported = told.db.export_session("s1")
    told.db.delete_session("s1")
    tampered = changed(exported)
    tampered["messages"][0]["body"] = '"something else"'
    with pytest.raises(CorruptCheckpoint, match="does not match its checksum"):
        told.db.import_session(tampered)
    with pytest.raises(CorruptCheckpoint):
        told.db.import_session(changed(exported, messages=exported["messages"][:-1]))
    with pytest.raises(SchemaTooNew, match="version 99"):
        told.db.import_session(changed(exported, version=99))
    unstorable = changed(exported, session={**exported["session"], "name": "nul\0"})
    unstorable["sha256"] = transfer._checksum(unstorable)
    with pytest.raises(ValueError, match="as name in session"):
        told.db.import_session(unstorable)
    for nonsense in ({}, [], "x", None, {"format": "other"}):
        with pytest.raises(ValueError, match="not an exported session"):
            told.db.import_session(nonsense)
    assert told.db.count_sessions() == 0


def test_a_damaged_session_is_not_exported(told: Writer) -> None:
    told.db._write(lambda tx: tx.execute("UPDATE gf_messages SET body = '\"no\"' WHERE seq = 2"))
    with pytest.raises(CorruptCheckpoint, match="message 2 of session 's1'"):
        told.db.export_session("s1")


def test_a_fork_at_an_earlier_checkpoint_has_no_summary_from_later(writer: Make) -> None:
    session = writer()
    for n in range(1, 4):
        said = RunWrite(f"m{n}", f"r{n}", "member", "member", (Message("user", f"x{n}"), Message("assistant", f"y{n}")))
        session.begin(f"r{n}", messages=[Message("user", f"q{n}")])
        session.step({}, side=(said,))
        summaries = (SummaryWrite(f"so far {n}", n), SummaryWrite(f"member so far {n}", 2 * n, ns="member"))
        session.step({}, side=summaries)
        session.end()
    for turn in range(1, 4):
        other = session.db.fork_session("s1", at=4 * turn - 1)
        kept = session.db.export_session(other)["summaries"]
        assert [row["upto_seq"] for row in kept if row["ns"] == "member"] == [2 * n for n in range(1, turn + 1)]
        assert [row["upto_seq"] for row in kept if row["ns"] == ""] == list(range(1, turn + 1))
        members = [m.text for m in session.db.get_messages(other, include_members=True) if m.text[0] in "xy"]
        assert len(members) == 2 * turn
    assert session.db.check().ok
