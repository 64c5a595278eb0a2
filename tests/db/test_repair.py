"""A damaged session goes back to its last sound checkpoint when that is asked for, and never by itself."""

from __future__ import annotations

import builtins
import importlib
import random
from typing import Any

import pytest

from graphflow import Agent
from graphflow.core.stored import TaskRow
from graphflow.db.jsontext import loads
from graphflow.db.rows import checksum
from graphflow.errors import CorruptCheckpoint, GraphflowError, LeaseLost, NotOwner, SessionNotFound
from graphflow.messages import ImagePart, Message
from graphflow.testing import ScriptedModel

from .conftest import Writer


@pytest.fixture
def session(db: Any) -> Writer:
    """Checkpoints 0 to 33: a finished run, one with a picture, one that is under way with a task done."""
    made = Writer(db, user_id="ann")
    made.turn("r0", "q0", "a0", count=0)
    made.begin("r1", {"count": {"set": 1}}, [Message("user", [ImagePart(data=b"png" * 9)])])
    for n in range(20):
        made.step({"notes": {"append": [n]}})
    made.end(messages=[Message("assistant", "a1")])
    made.begin("r2", {"count": {"set": 2}}, [Message("user", "q2")])
    for n in range(8):
        made.step({"notes": {"append": [100 + n]}})
    made.keep(TaskRow("t", "node", "step", {"a": 1}, name="fetch"))
    return made


def damage(session: Writer, statement: str) -> None:
    session.db._write(lambda tx: tx.execute(statement))
    assert not session.db.check().ok


def spoil(seq: int) -> str:
    return f"UPDATE gf_checkpoints SET delta = '{{\"count\":{{\"set\":9}}}}' WHERE ns = '' AND seq = {seq}"


def test_nothing_goes_back_by_itself(session: Writer) -> None:
    damage(session, spoil(session.head))
    for _ in range(2):
        with pytest.raises(CorruptCheckpoint, match=r"db\.repair_session\('s1'\) takes the session back to its last sound"):
            session.load()
    with pytest.raises(CorruptCheckpoint):
        Agent(ScriptedModel(["x"]), db=session.db).get_session_state("s1", user_id="ann")


def test_a_sound_session_is_left_alone(session: Writer) -> None:
    before = session.db.export_session("s1")
    done = session.db.repair_session("s1", user_id="ann")
    assert (done.head, done.lost) == (session.head, ()) and session.db.export_session("s1") == before


def test_a_damaged_head_is_given_up_for_the_checkpoint_before_it(session: Writer) -> None:
    expected = session.load(at=session.head - 1).values
    damage(session, spoil(session.head))
    done = session.db.repair_session("s1")
    assert done.head == session.head - 1
    assert [text for text in done.lost if "everything after checkpoint" in text]
    stored = session.load(with_log=True)
    assert stored.seq == done.head and {**stored.values, "messages": None} == {**expected, "messages": None}
    assert stored.frontier.next == ["node"] and stored.status == "error" and stored.tasks == []
    assert [m.text for m in session.db.get_messages("s1")] == ["q0", "a0", "", "a1", "q2"]
    assert [run.status for run in session.db.get_runs("s1")] == ["completed", "completed", "error"]
    assert session.db.check().ok
    with pytest.raises(LeaseLost):
        session.step({})


def test_damage_in_the_past_costs_only_the_past(session: Writer) -> None:
    before = session.load(with_log=True)
    damage(session, spoil(3))
    done = session.db.repair_session("s1")
    assert done.head == session.head and any("the checkpoints before" in text for text in done.lost)
    after = session.load(with_log=True)
    assert (after.values, after.tasks, after.frontier) == (before.values, before.tasks, before.frontier)
    assert session.db.check().ok and len(session.db.get_messages("s1")) == 5
    with pytest.raises(SessionNotFound, match="was pruned"):
        session.load(at=1)


def test_a_damaged_message_takes_what_came_after_it(session: Writer) -> None:
    damage(session, "UPDATE gf_messages SET body = '\"other\"' WHERE seq = 4")
    done = session.db.repair_session("s1")
    assert [m.text for m in session.db.get_messages("s1")] == ["q0", "a0", ""]
    assert session.load().log_head == 3 and done.head == 22 and session.db.check().ok


def test_a_damaged_picture_takes_its_message(session: Writer) -> None:
    damage(session, "UPDATE gf_media SET media_type = media_type, data = gf_media.sha256")
    session.db.repair_session("s1")
    assert [m.text for m in session.db.get_messages("s1")] == ["q0", "a0"] and session.db.check().ok


def test_a_task_that_is_damaged_is_done_again(session: Writer) -> None:
    damage(session, "UPDATE gf_tasks SET value = '1'")
    assert session.db.repair_session("s1").lost == ("the step of node 'node'",)
    assert session.load().tasks == [] and session.load().seq == session.head and session.db.check().ok


def test_rows_that_are_missing_are_damage_too(session: Writer) -> None:
    damage(session, f"DELETE FROM gf_checkpoints WHERE seq = {session.head - 2}")
    assert session.db.repair_session("s1").head <= session.head
    assert session.db.check().ok


def test_a_run_ended_when_its_last_checkpoint_was_written_if_its_row_is_damaged(session: Writer) -> None:
    before = session.db.get_runs("s1")
    damage(session, "UPDATE gf_runs SET ended_at = ended_at + 1 WHERE run_id = 'r1'")
    assert session.db.repair_session("s1").lost == ("the error and the metrics of run 'r1'",)
    assert session.db.get_runs("s1")[:2] == before[:2] and session.db.check().ok


def test_when_a_session_was_last_used_is_now_if_it_is_damaged(session: Writer) -> None:
    before = session.db.get_session("s1").updated_at
    damage(session, "UPDATE gf_sessions SET updated_at = updated_at + 1")
    assert session.db.repair_session("s1").lost == ("when the session was last used",)
    assert session.db.get_session("s1").updated_at > before and session.db.check().ok
    assert session.load().seq == session.head and len(session.db.get_messages("s1")) == 5


def test_what_cannot_be_repaired_says_so(session: Writer) -> None:
    damage(session, "UPDATE gf_checkpoints SET created_at = created_at + 1")
    before = session.db.check().problems
    with pytest.raises(CorruptCheckpoint, match="no checkpoint of session 's1' is sound"):
        session.db.repair_session("s1")
    assert session.db.check().problems == before, "nothing was changed"


def test_whose_a_session_is_cannot_be_repaired(session: Writer) -> None:
    damage(session, "UPDATE gf_sessions SET user_id = 'bob'")
    with pytest.raises(CorruptCheckpoint, match="and whose, does not match"):
        session.db.repair_session("s1")


def test_only_the_owner_repairs(session: Writer) -> None:
    damage(session, spoil(session.head))
    with pytest.raises(NotOwner):
        session.db.repair_session("s1", user_id="bob")
    with pytest.raises(SessionNotFound):
        session.db.repair_session("none")


def test_any_damage_is_repaired_or_refused(db: Any) -> None:
    """Rows deleted and changed at random: what comes of it is sound, and a prefix of what was there."""
    dice = random.Random(5)
    for number in range(25):
        session = Writer(db, f"s{number}")
        for turn in range(3):
            session.turn(f"{number}-r{turn}", f"q{turn}", f"a{turn}", count=turn)
        ordinal = db._read(lambda tx, n=number: tx.one(tx.sql.find_session, {"session_id": f"s{n}"}))[0]
        for _ in range(dice.randrange(1, 4)):
            table, column = dice.choice([("gf_checkpoints", "delta"), ("gf_messages", "body"), ("gf_runs", "metrics")])
            seq = "number" if table == "gf_runs" else "seq"
            where = f"WHERE session = {ordinal} AND {seq} = {dice.randrange(7)}"
            change = dice.choice([f"DELETE FROM {table}", f"UPDATE {table} SET {column} = '7'"])
            db._write(lambda tx, text=f"{change} {where}": tx.execute(text))
        try:
            db.repair_session(f"s{number}")
        except GraphflowError:
            db.delete_session(f"s{number}")
            continue
        texts = [message.text for message in db.get_messages(f"s{number}")]
        assert texts == ["q0", "a0", "q1", "a1", "q2", "a2"][: len(texts)]
        session.load(with_log=True)
    assert db.check().ok


# --- nothing stored is executed ----------------------------------------------------------------------------------------------

HOSTILE = [
    '{"$":["%s",["os","system","true"]]}' % tag  # noqa: UP031
    for tag in ("class", "object", "py/object", "pickle", "import", "type", "eval", "lambda", "function", "module", "reduce")
]
HOSTILE += [
    '{"lc":1,"type":"constructor","id":["os","system"],"kwargs":{}}',
    '{"py/reduce":[{"py/type":"os.system"},["true"]]}',
    '{"__class__":"os.system","__module__":"os"}',
    '{"$":["message",{"role":"system","id":"x","content":[{"type":"__import__"}]}]}',
    '{"$":["datetime","__import__(\'os\')"]}',
    '{"$":["decimal","__import__(\'os\')"]}',
    '{"$":["int","__import__(\'os\')"]}',
    '{"$":["part",{"type":"file","data":"x","open":"/etc/passwd"}]}',
    '{"$":[["os"],1]}',
    '{"$":"os.system"}',
    '{"$":[]}',
    '{"$":["dict",[[{"$":["set",[1]]},1]]]}',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_stored_causes_an_import_or_a_call(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where checksums were made to fit: a tag chooses a function of the closed table, never a name."""

    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("something was imported or executed")

    loads('{"$":["datetime","2026-01-01"]}')
    for module, name in ((builtins, "eval"), (builtins, "exec"), (importlib, "import_module")):
        monkeypatch.setattr(module, name, forbidden)
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        assert name.partition(".")[0] != "os" or args, name
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    try:
        value = loads(text)
    except (GraphflowError, ValueError, TypeError, LookupError, ArithmeticError):
        return
    assert not callable(value)


def test_a_hostile_value_in_the_state_is_an_error_or_data(session: Writer) -> None:
    for text in HOSTILE:
        store(session, f'{{"anything":{{"set":{text}}}}}')
        try:
            value = session.load().values["anything"]
        except GraphflowError:
            continue
        assert not callable(value) and type(value).__module__ in ("builtins", "graphflow.messages")


def test_what_was_stored_as_it_is_and_cannot_be_read_is_damage_too(session: Writer) -> None:
    store(session, '{"anything":{"set":')
    with pytest.raises(CorruptCheckpoint):
        session.load()
    [finding] = session.db.check().problems
    assert "has a delta that cannot be read" in finding
    done = session.db.repair_session("s1", user_id="ann")
    assert done.head == session.head - 1 and session.load().values["notes"][-1] == 106
    assert session.db.check().ok


def store(session: Writer, delta: str) -> None:
    """Have the last checkpoint say so, with a checksum that matches."""
    db = session.db
    row = db._read(lambda tx: tx.one(tx.sql.chain_above, ends(tx, session)))
    seq, log_head, epoch, frontier, _, snapshot, created_at, _ = row
    base = db._read(lambda tx: tx.one(tx.sql.base_of, {"session": 1, "ns": "", "seq": session.head}))[0]
    sealed = checksum("checkpoint", "s1", "", seq, base, log_head, epoch, created_at, frontier, delta, snapshot)
    mark = ("%s", "%s") if db.dialect == "postgresql" else ("?", "?")
    statement = f"UPDATE gf_checkpoints SET delta = {mark[0]}, sha256 = {mark[1]} WHERE ns = '' AND seq = {session.head}"
    db._write(lambda tx: tx.execute(statement, (delta, sealed)))


def ends(tx: Any, session: Writer) -> dict[str, Any]:
    base = tx.one(tx.sql.base_of, {"session": 1, "ns": "", "seq": session.head})[0]
    return {"session": 1, "ns": "", "low": session.head, "base": base}
