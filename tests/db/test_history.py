"""History is the window that is asked for, with tool calls and their answers kept together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, StateGraph, add_messages, logged
from graphflow.core.effects import CloseRun, Commit, OpenRun, ReadHistory
from graphflow.db import SqliteDb
from graphflow.messages import ImagePart, Message, RemoveMessage, TextPart, ToolCall

from .conftest import Writer

Make = Callable[..., Writer]
ALL = 10**9


def texts(db: Any, **window: Any) -> list[str]:
    """The texts of a window; without an end, up to the last message, whether that is known or not."""
    if "before" not in window and not window.get("ns"):
        [last] = db._read(lambda tx: tx.execute("SELECT coalesce(max(seq), 0) FROM gf_messages WHERE ns = ''").fetchone())
        assert texts(db, before=last + 1, **window) == texts(db, before=ALL, **window)
    return [message.text for message in db.read_history(ReadHistory("s1", **{"before": ALL, **window}))]


def test_the_messages_of_the_last_runs_oldest_first(writer: Make) -> None:
    session = writer()
    for n in range(5):
        session.turn(f"r{n}", f"q{n}", f"a{n}")
    assert texts(session.db, last_runs=2) == ["q3", "a3", "q4", "a4"]
    assert texts(session.db, last_runs=2, before=9) == ["q2", "a2", "q3", "a3"]
    assert texts(session.db, last_runs=99) == [f"{role}{n}" for n in range(5) for role in "qa"]
    assert texts(session.db, last_runs=0) == []
    assert texts(session.db, last_runs=3, after=7) == ["a3", "q4", "a4"]
    assert texts(session.db, last_runs=1, after=3) == ["q4", "a4"]


def test_messages_have_the_ids_they_were_written_with(writer: Make) -> None:
    session = writer()
    session.turn("r1")
    session.turn("r2")
    history = session.db.read_history(ReadHistory("s1", before=ALL, last_runs=1))
    assert [message.id for message in history] == ["r2-3", "r2-4"]


def test_only_completed_and_abandoned_runs_are_history(writer: Make) -> None:
    session = writer()
    session.turn("r1", "q1", "a1")
    session.begin("r2", messages=[Message("user", "failed")])
    session.end(status="error")
    session.begin("r3", messages=[Message("user", "left behind")])
    session.begin("r4", messages=[Message("user", "q4")], closed=[CloseRun("r3", "abandoned", 4)])
    for window in ({"last_runs": 3}, {"last_runs": None}, {"last_messages": 3}, {"after": 0}):
        assert texts(session.db, before=5, **window) == ["q1", "a1", "left behind"]
    assert texts(session.db, before=5, last_messages=2) == ["a1", "left behind"]


def test_a_window_that_ends_inside_a_run_has_what_came_before(writer: Make) -> None:
    session = writer()
    session.turn("r1", "q1", "a1")
    session.begin("r2", messages=[Message("user", "failed")])
    session.end(status="error")
    session.turn("r3", "q3", "a3")
    assert texts(session.db, before=5, last_runs=3) == ["q1", "a1", "q3"]


def test_enough_messages_are_found_behind_many_failed_runs(writer: Make) -> None:
    session = writer()
    session.turn("r1", "q1", "a1")
    for n in range(30):
        session.begin(f"failed {n}", messages=[Message("user", "again?")])
        session.end(status="error")
    session.turn("r2", "q2", "a2")
    assert texts(session.db, last_messages=3) == ["a1", "q2", "a2"]


def test_runs_that_say_nothing_take_no_messages_out_of_the_history(writer: Make) -> None:
    session = writer()
    for n in range(3):
        session.turn(f"r{n}", f"q{n}", f"a{n}")
    for n in range(20):
        session.begin(f"silent {n}")
        session.end()
    session.turn("r9", "q9", "a9")
    assert texts(session.db, last_messages=4) == ["q2", "a2", "q9", "a9"]
    assert texts(session.db, after=2) == ["q1", "a1", "q2", "a2", "q9", "a9"]
    numbered = session.db.read_history(ReadHistory("s1", before=ALL, after=2, numbered=True))
    assert [(seq, message.text) for seq, message in numbered] == list(enumerate(["q1", "a1", "q2", "a2", "q9", "a9"], 3))
    assert texts(session.db, last_runs=2) == ["q9", "a9"], "a run that said nothing is a run"


def member_run(writer: Make, session: Writer) -> None:
    """A completed run of a member inside the run that the session is in."""
    inner = writer()
    inner.run_id, inner.epoch = "m1", session.epoch
    from_parent = {"parent_run_id": session.run_id, "component_id": "member", "fingerprint": "f", "first_message": 1}
    inner.step({}, [Message("user", "do it"), Message("assistant", "done")], ns="member", **opened("m1", from_parent))
    session.db.commit(Commit("s1", session.head, session.epoch, "m1", ns="member", closed=[CloseRun("m1", "completed", 2)]))


@pytest.mark.parametrize(
    ("became", "counts"),
    [("running", True), ("paused", True), ("completed", True), ("abandoned", True), ("error", False), ("cancelled", False)],
)
def test_a_run_of_a_member_is_history_by_what_became_of_the_run_around_it(writer: Make, became: str, counts: bool) -> None:
    session = writer()
    session.begin("r1", messages=[Message("user", "delegate")])
    member_run(writer, session)
    if became == "abandoned":
        session.begin("r2", closed=[CloseRun("r1", "abandoned", 1)])
    elif became != "running":
        session.end(status=became)
    for window in ({"last_runs": 3}, {"last_runs": None}, {"after": 0}):
        assert texts(session.db, ns="member", **window) == (["do it", "done"] if counts else [])


def test_runs_of_members_are_no_history_of_the_session_but_of_the_member(writer: Make) -> None:
    session = writer()
    session.turn("r1", "q", "a")
    session.begin("r2", messages=[Message("user", "delegate")])
    member_run(writer, session)
    session.end(messages=[Message("assistant", "ok")])
    assert texts(session.db, last_runs=9) == ["q", "a", "delegate", "ok"]
    assert texts(session.db, last_runs=1, ns="member") == ["do it", "done"]
    assert [run.run_id for run in session.db.get_runs("s1")] == ["r1", "r2"]
    assert [(run.run_id, run.ns, run.number) for run in session.db.get_runs("s1", include_members=True)] == [
        ("r1", "", 1),
        ("r2", "", 2),
        ("m1", "member", 1),
    ]
    assert [m.text for m in session.db.get_messages("s1")] == ["q", "a", "delegate", "ok"]
    everything = [m.text for m in session.db.get_messages("s1", include_members=True)]
    assert everything == ["q", "a", "delegate", "do it", "done", "ok"]
    assert session.db.get_run("m1").content == "done"


def opened(run_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    from_fields = fields | {"run_id": run_id}
    return {"opened": OpenRun(**from_fields)}


def test_so_many_messages_or_those_after_a_seq(writer: Make) -> None:
    session = writer()
    for n in range(20):
        session.turn(f"r{n}", f"q{n}", f"a{n}")
    assert texts(session.db, last_messages=3) == ["a18", "q19", "a19"]
    assert texts(session.db, after=37) == ["a18", "q19", "a19"]
    assert texts(session.db, after=37, last_messages=2) == ["q19", "a19"]
    assert texts(session.db, last_runs=2, last_messages=3) == ["a18", "q19", "a19"]
    assert texts(session.db, after=99) == []
    assert len(texts(session.db)) == 40


def test_edits_and_removals_count_wherever_they_are(writer: Make) -> None:
    session = writer()
    session.turn("r1", "secret", "a1")
    session.turn("r2", "q2", "a2")
    session.begin("r3", messages=[RemoveMessage(id="r1-1"), Message("assistant", "edited", id="r2-4")])
    session.end()
    assert texts(session.db, last_runs=3) == ["a1", "q2", "edited"]
    assert texts(session.db, last_runs=1) == []
    assert texts(session.db, last_messages=2) == ["q2", "edited"]
    assert [m.text for m in session.db.get_messages("s1")] == ["a1", "q2", "edited"]


def test_enough_messages_are_found_behind_many_replaced_ones(writer: Make) -> None:
    session = writer()
    session.turn("r1", "q1", "a1")
    session.begin("r2", messages=[Message("user", "q2")])
    for n in range(40):
        session.step({}, [Message("assistant", f"draft {n}", id="draft")])
    session.end()
    assert texts(session.db, last_messages=4) == ["q1", "a1", "q2", "draft 39"]
    assert [m.text for m in session.db.get_messages("s1", limit=3)] == ["a1", "q2", "draft 39"]


def call(*ids: str, text: str = "") -> Message:
    return Message("assistant", text, tool_calls=tuple(ToolCall(id, "look", {}) for id in ids))


def answer(id: str) -> Message:
    return Message("tool", f"answer {id}", tool_call_id=id)


def test_a_tool_message_whose_call_is_cut_off_is_left_out(writer: Make) -> None:
    session = writer()
    session.begin(
        "r1", messages=[Message("user", "q"), call("c1", "c2"), answer("c1"), answer("c2"), Message("assistant", "a")]
    )
    session.end()
    assert texts(session.db, last_messages=2) == ["a"]
    assert texts(session.db, last_messages=4) == ["", "answer c1", "answer c2", "a"]


def test_calls_that_nobody_answered_are_left_out(writer: Make) -> None:
    session = writer()
    session.begin(
        "r1", messages=[Message("user", "q"), call("c1"), call("c2", "c3", text="wait"), answer("c3"), call("c4", text="hm")]
    )
    session.end(status="abandoned")
    history = session.db.read_history(ReadHistory("s1", before=ALL, last_runs=1))
    assert [message.text for message in history] == ["q", "wait", "answer c3", "hm"]
    assert [[c.id for c in message.tool_calls] for message in history] == [[], ["c3"], [], []]
    assert history[1].id == "r1-3"


def test_contents_of_images_come_back_and_are_stored_once(writer: Make) -> None:
    from_camera = Message("user", [ImagePart(data=b"png" * 1000), TextPart(text="what is it?")])
    first, second = writer("s1"), writer("s2")
    first.turn("r1")
    for session, run_id in ((first, "r2"), (first, "r3"), (second, "r4")):
        session.begin(run_id, {"anything": {"set": [from_camera]}}, [from_camera])
        session.end(messages=[Message("assistant", "a cat")])
    history = first.db.read_history(ReadHistory("s1", before=ALL, last_runs=1))
    assert history[0].content == from_camera.content
    assert first.load(with_log=True).values["anything"] == [from_camera]
    assert media_rows(first.db) == 1
    second.begin("r5", messages=[Message("user", [ImagePart(data=b"other", media_type="nul\0 half \ud83e")])])
    assert media_rows(first.db) == 2
    first.db.delete_session("s1")
    assert media_rows(first.db) == 2
    first.db.delete_session("s2")
    assert media_rows(first.db) == 0


def media_rows(db: Any) -> int:
    return int(db._read(lambda tx: tx.one("SELECT count(*) FROM gf_media", {}))[0])


@pytest.mark.parametrize(
    "window", [{"last_runs": 3}, {"last_messages": 6}, {"after": 990}], ids=lambda window: next(iter(window))
)
def test_reading_history_costs_the_same_however_long_the_session_is(sqlite_db: SqliteDb, window: dict[str, Any]) -> None:
    sessions = {"s1": 500, "short": 20}
    steps = {}
    for session_id, turns in sessions.items():
        session = Writer(sqlite_db, session_id)
        for n in range(turns):
            session.turn(f"{session_id}-{n}", f"q{n}", f"a{n}")
    for session_id, turns in sessions.items():
        effect = ReadHistory(session_id, before=2 * turns + 1, **({"after": 2 * turns - 10} if "after" in window else window))
        expected = effect.last_messages or (2 * effect.last_runs if effect.last_runs else 10)
        assert len(sqlite_db.read_history(effect)) == expected
        steps[session_id] = machine_steps(sqlite_db, lambda effect=effect: sqlite_db.read_history(effect))
    assert steps["s1"] < 1.5 * steps["short"]


def machine_steps(db: SqliteDb, call: Callable[[], Any]) -> int:
    """How many instructions SQLite's virtual machine makes, by counting each."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    for connection in db._open.all:
        connection.set_progress_handler(tick, 1)
    call()
    for connection in db._open.all:
        connection.set_progress_handler(None, 1)
    return count


def test_history_is_read_by_key(sqlite_db: SqliteDb) -> None:
    Writer(sqlite_db).turn("r1")
    sql = sqlite_db._statements()
    names = dict.fromkeys(("session_id", "ns", "low", "high", "before", "count", "user_id", "session"), 1)
    for statement in (sql.log_range, sql.last_runs, sql.load_head, sql.chain, sql.load_nested):
        plan = sqlite_db._read(lambda tx, statement=statement: tx.all(f"EXPLAIN QUERY PLAN {statement}", names))
        assert not [row for row in plan if "SCAN" in row[3] or "TEMP B-TREE" in row[3]], plan


class Conversation(TypedDict, total=False):
    messages: Annotated[list[Message], add_messages, logged]
    edits: str


def conversation(db: Any, **ids: Any) -> Any:
    def answer(state: Any) -> Any:
        edited = state.get("edits")
        text = "edited" if edited else f"re: {state['messages'][-1].text}"
        return {"messages": [Message("assistant", text, id=edited or ids.get("answer"))], "edits": ""}

    return StateGraph(Conversation).add_node("a", answer).add_edge(START, "a").add_edge("a", END).compile(db=db)


def test_a_message_that_was_replaced_later_stands_where_it_was(db):
    graph = conversation(db)
    for n in range(20):
        graph.invoke({"messages": [("user", f"m{n}")]}, session_id="s")
    graph.invoke({"messages": [("user", "fix it")], "edits": db.get_messages("s")[1].id}, session_id="s")
    texts = [message.text for message in db.get_messages("s")]
    assert texts[:3] == ["m0", "edited", "m1"] and texts[-2:] == ["re: m19", "fix it"]
    for limit in (1, 2, 3, 41):
        assert [message.text for message in db.get_messages("s", limit=limit)] == texts[-limit:]
    assert [message.text for message in db.get_messages("s", last_runs=1)] == ["fix it"]


def test_messages_that_bear_the_same_ids_in_every_run_are_all_there_and_numbered(db):
    graph = conversation(db, answer="answer")
    for n in range(3):
        graph.invoke({"messages": [Message("user", f"q{n}", id="question")]}, session_id="s")
    texts = [text for n in range(3) for text in (f"q{n}", f"re: q{n}")]
    assert [message.text for message in db.get_messages("s")] == texts
    assert [message.text for message in db.get_messages("s", include_members=True)] == texts
    numbered = db.read_history(ReadHistory("s", before=100, numbered=True))
    assert [(seq, message.text) for seq, message in numbered] == [*enumerate(texts, 1)]
