"""Interrupts: questions of a node, their answers, and pauses at nodes."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, HttpUrl, computed_field, field_validator

from graphflow import END, START, Command, Send, StateGraph, append, interrupt
from graphflow.core.effects import Commit
from graphflow.db import SqliteDb
from graphflow.errors import GraphChangedWarning, InvalidAnswer, UnfinishedRun, UnknownTarget


class S(TypedDict):
    path: Annotated[list[Any], append]
    topic: str


def chain(db, *nodes, **compiled):
    """Nodes named a, b, c … in a row; a plain name stands for a node that leaves it in the path."""
    builder = StateGraph(S)
    names = [chr(ord("a") + at) for at in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node if callable(node) else visit(name))
    for left, right in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(left, right)
    return builder.compile(db=db, **compiled)


def visit(name):
    return lambda state: {"path": [name]}


class Dies(BaseException):
    """The process goes away."""


class Deadly:
    """A database whose process dies after its n-th commit from now on: nothing of the run happens any more."""

    def __init__(self, db: Any) -> None:
        self.db, self.left = db, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def commit(self, effect: Commit) -> None:
        if self.left == 0:
            raise Dies
        if self.left is not None:
            self.left -= 1
        self.db.commit(effect)


# --- questions ---------------------------------------------------------------------------------------------------------


def test_questions_in_a_loop_are_answered_in_order(way, db):
    def ask(state):
        return {"path": [interrupt(f"number {n}?") for n in range(4)]}

    graph = chain(db, ask)
    result = way.invoke(graph, {}, session_id="s")
    for n in range(4):
        assert [question.value for question in result.interrupts] == [f"number {n}?"]
        result = way.resume(graph, "s", n * n)
    assert result["path"] == [0, 1, 4, 9] and result.status == "completed"


def test_a_question_that_is_asked_again_in_a_loop_of_the_graph_is_a_new_one(way, db):
    builder = StateGraph(S)
    builder.add_node("ask", lambda state: {"path": [interrupt("more?")]})
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", lambda state: "ask" if state["path"][-1] else END, ["ask", END])
    graph = builder.compile(db=db)
    seen = [way.invoke(graph, {}, session_id="s").interrupts[0].id]
    seen.append(way.resume(graph, "s", True).interrupts[0].id)
    assert way.resume(graph, "s", False)["path"] == [True, False]
    assert len(set(seen)) == 2


@pytest.mark.parametrize("group", ["gather", "TaskGroup"])
def test_questions_that_one_node_asks_at_once_are_answered_one_by_one(way, db, group):
    async def question(text):
        return interrupt(text)

    async def ask(state):
        if group == "gather":
            return {"path": await asyncio.gather(question("delete?"), question("mail?"))}
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(question(text)) for text in ("delete?", "mail?")]
        return {"path": [each.result() for each in asked]}

    graph = chain(db, ask)
    result = way.invoke(graph, {}, session_id="s")
    for text, answer in (("delete?", "no"), ("mail?", "yes")):
        assert [asked.value for asked in result.interrupts] == [text]
        result = way.resume(graph, "s", answers={result.interrupts[0].id: answer})
    assert result["path"] == ["no", "yes"]


def test_none_is_an_answer(way, db):
    graph = chain(db, lambda state: {"path": [interrupt("well?")]})
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s").status == "paused"
    assert way.resume(graph, "s", None)["path"] == [None]


def test_a_command_answers_too(way, db):
    graph = chain(db, lambda state: {"path": [interrupt("well?")]})
    way.invoke(graph, {}, session_id="s")
    assert way.invoke(graph, Command(resume=None), session_id="s")["path"] == [None]


def test_an_answered_question_may_be_followed_by_an_error(way, db):
    broken = [True]

    def ask(state):
        answer = interrupt("well?")
        if broken:
            raise ZeroDivisionError
        return {"path": [answer]}

    graph = chain(db, ask)
    way.invoke(graph, {}, session_id="s")
    with pytest.raises(ZeroDivisionError):
        way.resume(graph, "s", "kept")
    broken.clear()
    assert way.resume(graph, "s")["path"] == ["kept"]


def test_an_answer_to_a_question_that_was_removed_is_not_dropped_without_a_word(way, db):
    way.invoke(chain(db, lambda state: {"path": [interrupt("May I?"), interrupt("How?")]}), {}, session_id="s")
    way.resume(chain(db, lambda state: {"path": [interrupt("May I?"), interrupt("How?")]}), "s", "yes")
    changed = chain(db, lambda state: {"path": [interrupt("May I?")]})
    with pytest.warns(GraphChangedWarning, match="node 'a' of session 's' does not ask any more .*: 'How.'") as told:
        assert way.resume(changed, "s", "fast")["path"] == ["yes"]
    assert len(told) == 1


def parallel(db, calls):
    builder = StateGraph(S)

    def plain(state):
        calls.append("plain")
        return {"path": ["plain"]}

    def asks(name):
        def ask(state):
            calls.append(name)
            return {"path": [f"{name} {interrupt(f'{name}?')}"]}

        return ask

    for name, node in (("one", asks("one")), ("plain", plain), ("two", asks("two"))):
        builder.add_node(name, node)
        builder.add_edge(START, name)
        builder.add_edge(name, "end")
    builder.add_node("end", visit("end"))
    builder.add_edge("end", END)
    return builder.compile(db=db)


def test_a_half_answered_session_goes_on_in_another_process(way, tmp_path):
    path, calls = tmp_path / "s.db", []

    def opened():
        return SqliteDb(path)

    first = opened()
    questions = way.invoke(parallel(first, calls), {}, session_id="s").interrupts
    first.close()
    second = opened()
    by_node = {question.node: question.id for question in questions}
    result = way.resume(parallel(second, calls), "s", answers={by_node["two"]: None})
    assert result.status == "paused" and [question.node for question in result.interrupts] == ["one"]
    second.close()
    third = opened()
    assert [task.state for task in parallel(third, calls).get_state("s").tasks] == ["waiting", "done", "done"]
    assert way.resume(parallel(third, calls), "s", 1)["path"] == ["one 1", "plain", "two None", "end"]
    third.close()
    assert sorted(calls) == ["one", "one", "plain", "two", "two"]


def test_an_answer_survives_a_crash_right_after_it(way, db):
    deadly, calls = Deadly(db), []
    graph = parallel(deadly, calls)
    questions = way.invoke(graph, {}, session_id="s").interrupts
    deadly.left = 1
    with pytest.raises(Dies):
        way.resume(graph, "s", answers={question.id: question.node for question in questions})
    deadly.left = None
    assert way.resume(graph, "s")["path"] == ["one one", "plain", "two two", "end"]
    assert calls.count("plain") == 1


def test_unknown_and_answered_ids_are_errors_before_anything_is_written(way, db):
    graph = parallel(db, [])
    first, second = way.invoke(graph, {}, session_id="s").interrupts
    way.resume(graph, "s", answers={first.id: 1})
    before = graph.get_state("s")
    for answers in ({first.id: 2}, {"nobody": 1}, {second.id: 1, "nobody": 1}):
        with pytest.raises(InvalidAnswer, match=second.id):
            way.resume(graph, "s", answers=answers)
    assert graph.get_state("s") == before
    assert way.resume(graph, "s", 2).status == "completed"


def test_sends_of_one_node_ask_each_for_itself(way, db):
    builder = StateGraph(S)
    builder.add_node("fan", lambda state: None)
    builder.add_node("ask", lambda n: {"path": [(n, interrupt({"n": n}))]})
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("ask", n) for n in range(3)], ["ask"])
    builder.add_edge("ask", END)
    graph = builder.compile(db=db)
    questions = way.invoke(graph, {}, session_id="s").interrupts
    assert [question.value for question in questions] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len({question.id for question in questions}) == 3
    way.resume(graph, "s", answers={questions[1].id: "b"})
    result = way.resume(graph, "s", answers={questions[0].id: "a", questions[2].id: "c"})
    assert result["path"] == [(0, "a"), (1, "b"), (2, "c")]


def test_questions_keep_the_order_of_their_tasks_when_some_are_answered(way, db):
    builder = StateGraph(S)
    builder.add_node("ask", lambda item: {"path": [interrupt(item) + interrupt(f"{item}, really?")]})
    builder.add_conditional_edges(START, lambda state: [Send("ask", f"{n}?") for n in range(6)], ["ask"])
    builder.add_edge("ask", END)
    graph = builder.compile(db=db)
    questions = way.invoke(graph, {}, session_id="s").interrupts
    paused = way.resume(graph, "s", answers={questions[2].id: "yes"})
    assert [question.value for question in paused.interrupts] == ["0?", "1?", "2?, really?", "3?", "4?", "5?"]


# --- what an answer has to be ------------------------------------------------------------------------------------------


class Approval(BaseModel):
    approved: bool
    note: str = Field(default="", max_length=10)


@dataclasses.dataclass
class Range:
    low: int
    high: Annotated[int, Field(ge=0)] = 10


def asking(db, schema, seen=None):
    def ask(state):
        answer = interrupt("well?", response_schema=schema)
        if seen is not None:
            seen.append(answer)
        return {"topic": repr(answer)}

    return chain(db, ask)


def test_an_answer_comes_as_the_type_that_was_asked_for(way, db):
    seen = []
    graph = asking(db, Approval, seen)
    question = way.invoke(graph, {}, session_id="s").interrupts[0]
    assert question.schema == Approval.model_json_schema()
    assert graph.get_state("s").interrupts[0].schema == Approval.model_json_schema()
    way.resume(graph, "s", {"approved": True})
    assert seen == [Approval(approved=True)]


class Colour(Enum):
    RED = "red"


class Named(BaseModel):
    """What is called otherwise where it is made, and has more than is given."""

    model_config = ConfigDict(extra="forbid")
    full_name: str = Field(validation_alias="fullName", serialization_alias="full-name")
    nick: str = Field("", validation_alias=AliasChoices(AliasPath("names", 0), "nickName"))
    colour: Colour = Colour.RED
    where: Path = Path("home")
    page: HttpUrl | None = None

    @computed_field
    def greeting(self) -> str:
        return f"hello {self.full_name}"


ANN = Named(fullName="Ann", nickName="an", page="https://example.com/")


@pytest.mark.parametrize(
    "schema, good, expected",
    [
        (Approval, Approval(approved=False, note="no"), Approval(approved=False, note="no")),
        (Range, Range(1, 2), Range(1, 2)),
        (Named, ANN, ANN),
        (list[Named], [ANN], [ANN]),
        (Colour, Colour.RED, Colour.RED),
        (Range, {"low": 3}, Range(3)),
        (Literal["yes", "no"], "no", "no"),
        (int | None, None, None),
        (list[Range], [{"low": 1}], [Range(1)]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (date, date(2030, 1, 2), date(2030, 1, 2)),
        (date, "2030-01-02", date(2030, 1, 2)),
        (datetime, datetime(2030, 1, 2, 3), datetime(2030, 1, 2, 3)),
        (timedelta, timedelta(hours=1), timedelta(hours=1)),
        (timedelta, "01:00:00", timedelta(hours=1)),
        (UUID, "1" * 32, UUID("1" * 32)),
        (Annotated[str, Field(json_schema_extra={"format": "email"})], "ann@example.com", "ann@example.com"),
        (tuple[int, str], (1, "x"), (1, "x")),
    ],
    ids=repr,
)
def test_answers_that_fit(way, db, schema, good, expected):
    seen = []
    graph = asking(db, schema, seen)
    way.invoke(graph, {}, session_id="s")
    assert way.resume(graph, "s", good).status == "completed"
    assert seen == [expected] and type(seen[0]) is type(expected)


@pytest.mark.parametrize(
    "schema, bad, words",
    [
        (Approval, {"approved": "perhaps"}, r"answer\.approved is 'perhaps', but has to be of type boolean"),
        (Approval, {}, "answer has no 'approved'"),
        (Approval, {"approved": True, "note": "far too long for it"}, r"answer\.note .*maxLength 10"),
        (Approval, "yes", "answer is 'yes', but has to be of type object"),
        (Range, {"low": 1, "high": -1}, r"answer\.high is -1, which breaks minimum 0"),
        (list[Range], [{"low": 1}, {"low": "2"}], r"answer\[1\]\.low"),
        (Literal["yes", "no"], "maybe", "none of 'yes', 'no'"),
        (int, True, "type integer"),
        (int, "3", "type integer"),
        (int | None, "3", "none of what is allowed"),
        (dict[str, int], {"a": "b"}, r"answer\.a"),
        (tuple[int, str], ["x", "x"], r"answer\[0\]"),
        (Annotated[str, Field(pattern="^[a-z]+$")], "ABC", "pattern"),
        (date, "tomorrow", "answer is 'tomorrow', which breaks format 'date'"),
        (date, "5", "answer is '5', which breaks format 'date'"),
        (datetime, "1700000000", "format 'date-time'"),
        (datetime, " 1.7e9", "format 'date-time'"),
        (time, "86000", "format 'time'"),
        (timedelta, "5", "format 'duration'"),
        (timedelta | None, "soon", "none of what is allowed"),
        (dict[str, UUID], {"a": "b"}, r"answer\.a is 'b', which breaks format 'uuid'"),
        (int, len, "cannot be checked"),
    ],
    ids=repr,
)
def test_an_answer_that_does_not_fit_writes_nothing(way, db, schema, bad, words):
    graph = asking(db, schema)
    way.invoke(graph, {}, session_id="s")
    before = graph.get_state("s")
    with pytest.raises(InvalidAnswer, match=words):
        way.resume(graph, "s", bad)
    assert graph.get_state("s") == before


def test_what_json_schema_cannot_say_is_the_nodes_error_and_a_fork_is_asked_again(way, db):
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def even(cls, n):
            assert n % 2 == 0, "odd"
            return n

    graph = asking(db, Even)
    way.invoke(graph, {}, session_id="s")
    with pytest.raises(InvalidAnswer, match=r"'a'.*answer\.n.*odd") as refused:
        way.resume(graph, "s", {"n": 3})
    assert "resume('s') raises this again: fork the session" in refused.value.__notes__[-1]
    assert "response_schema=" in refused.value.__notes__[-1]
    fork = graph.fork("s")
    way.resume(graph, fork)
    assert way.resume(graph, fork, {"n": 4}).status == "completed"


def test_a_type_that_json_cannot_express_is_refused_when_asking(way, db):
    class Thing:
        pass

    with pytest.raises(ValueError, match="response_schema"):
        way.invoke(asking(db, Thing), {}, session_id="s")


# --- pauses at nodes ---------------------------------------------------------------------------------------------------


def test_a_run_pauses_before_a_node_and_resume_goes_past_it(way, db):
    graph = chain(db, "a", "b", "c", interrupt_before=["b"])
    result = way.invoke(graph, {}, session_id="s")
    assert (result.status, result["path"], result.interrupts) == ("paused", ["a"], ())
    state = way.get_state(graph, "s")
    assert (state.status, state.next) == ("paused", ("b",))
    result = way.resume(graph, "s")
    assert (result.status, result["path"]) == ("completed", ["a", "b", "c"])


def test_a_run_pauses_after_a_node(way, db):
    graph = chain(db, "a", "b", "c", interrupt_after=["b"])
    result = way.invoke(graph, {}, session_id="s")
    assert (result.status, result["path"], way.get_state(graph, "s").next) == ("paused", ["a", "b"], ("c",))
    assert way.resume(graph, "s")["path"] == ["a", "b", "c"]


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
@pytest.mark.parametrize("star", ["*", ["*"]])
def test_a_star_pauses_at_every_node(way, db, where, star):
    graph = chain(db, "a", "b", "c", **{where: star})
    result, paths = way.invoke(graph, {}, session_id="s"), []
    while result.status == "paused":
        paths.append(result["path"])
        result = way.resume(graph, "s")
    expected = [[], ["a"], ["a", "b"]] if where == "interrupt_before" else [["a"], ["a", "b"]]
    assert paths == expected and result["path"] == ["a", "b", "c"]


def test_the_first_node_may_be_held_back_too(way, db):
    graph = chain(db, "a", interrupt_before=["a"])
    assert way.invoke(graph, {"topic": "tea"}, session_id="s").status == "paused"
    assert way.get_state(graph, "s").values["topic"] == "tea"
    assert way.resume(graph, "s")["path"] == ["a"]


def test_a_run_pauses_each_time_a_loop_comes_by(way, db):
    builder = StateGraph(S)
    builder.add_node("work", visit("work"))
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if len(state["path"]) < 3 else END, ["work", END])
    graph = builder.compile(db=db, interrupt_before=["work"])
    result, pauses = way.invoke(graph, {}, session_id="s"), 0
    while result.status == "paused":
        result, pauses = way.resume(graph, "s"), pauses + 1
    assert pauses == 3 and result["path"] == ["work"] * 3


def test_a_pause_holds_all_tasks_of_the_superstep(way, db):
    calls = []
    graph = parallel(db, calls)
    builder = StateGraph(S)
    for name in ("x", "y"):
        builder.add_node(name, lambda state, name=name: calls.append(name) or {"path": [name]})
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile(db=db, interrupt_before=["y"])
    assert way.invoke(graph, {}, session_id="s").status == "paused" and calls == []
    assert way.resume(graph, "s")["path"] == ["x", "y"]


def test_a_pause_and_then_a_question_of_the_same_node(way, db):
    graph = chain(db, "a", lambda state: {"path": [interrupt("well?")]}, interrupt_before=["b"])
    assert way.invoke(graph, {}, session_id="s").interrupts == ()
    assert [question.value for question in way.resume(graph, "s").interrupts] == ["well?"]
    assert way.resume(graph, "s", "yes")["path"] == ["a", "yes"]


@pytest.mark.parametrize("where", [{"interrupt_before": ["c"]}, {"interrupt_after": ["b"]}], ids=str)
def test_a_resume_in_another_process_goes_past_the_pause_also_after_a_crash_right_after_it(way, tmp_path, where):
    path = tmp_path / "s.db"
    first = SqliteDb(path)
    way.invoke(chain(first, "a", "b", "c", "d", **where), {}, session_id="s")
    first.close()
    second = SqliteDb(path)
    deadly = Deadly(second)
    deadly.left = 1
    with pytest.raises(Dies):
        way.resume(chain(deadly, "a", "b", "c", "d", **where), "s")
    second.close()
    third = SqliteDb(path)
    graph = chain(third, "a", "b", "c", "d", **where)
    assert graph.get_state("s").values["path"] == ["a", "b"]
    result = way.resume(graph, "s")
    assert (result.status, result["path"]) == ("completed", ["a", "b", "c", "d"])
    third.close()


@pytest.mark.parametrize("k", range(4))
def test_a_pause_is_not_missed_when_the_process_dies_around_it(way, db, k):
    """Whichever commit was the last one, the run is held back before c exactly once."""
    deadly = Deadly(db)
    graph = chain(deadly, "a", "b", "c", interrupt_before=["c"])
    deadly.left = k
    try:
        result = way.invoke(graph, {}, session_id="s")
    except Dies:
        deadly.left = None
        if k == 0:
            assert way.invoke(graph, {}, session_id="s").status == "paused"
            return
        result = way.resume(graph, "s")
    deadly.left = None
    assert (result.status, result["path"]) == ("paused", ["a", "b"])
    assert way.resume(graph, "s")["path"] == ["a", "b", "c"]


def test_an_answer_to_a_pause_is_an_error_and_new_input_too(way, db):
    graph = chain(db, "a", "b", interrupt_before=["b"])
    way.invoke(graph, {}, session_id="s")
    with pytest.raises(InvalidAnswer, match="no pending question"):
        way.resume(graph, "s", "yes")
    with pytest.raises(UnfinishedRun, match="resume"):
        way.invoke(graph, {}, session_id="s")
    assert way.invoke(graph, {}, session_id="s", on_unfinished="abandon")["path"] == ["a", "a"]


def test_the_state_may_be_edited_at_a_pause(way, db):
    graph = chain(db, "a", "b", "c", interrupt_before=["b"])
    way.invoke(graph, {}, session_id="s")
    way.update_state(graph, "s", {"path": ["by hand"]})
    assert way.resume(graph, "s")["path"] == ["a", "by hand", "b", "c"]
    way.invoke(graph, {}, session_id="t")
    way.update_state(graph, "t", {"path": ["instead of b"]}, as_node="b")
    assert way.resume(graph, "t")["path"] == ["a", "instead of b", "c"]


def test_a_fork_at_a_pause_runs_what_is_next(way, db):
    graph = chain(db, "a", "b", "c", interrupt_before=["b"])
    way.invoke(graph, {}, session_id="s")
    fork = way.fork(graph, "s")
    assert way.resume(graph, fork)["path"] == ["a", "b", "c"]
    assert way.get_state(graph, "s").status == "paused"


def test_a_rerunnable_node_does_not_carry_a_run_over_a_pause(way, db):
    builder = StateGraph(S)
    builder.add_node("read", visit("read"), rerunnable=True)
    builder.add_node("work", visit("work"))
    builder.add_edge(START, "read")
    builder.add_edge("read", "work")
    builder.add_edge("work", END)
    graph = builder.compile(db=db, interrupt_before=["work"])
    assert way.invoke(graph, {}, session_id="s").status == "paused"
    assert way.get_state(graph, "s").values["path"] == ["read"]
    assert way.resume(graph, "s")["path"] == ["read", "work"]


def test_without_a_database_a_pause_ends_the_call_and_is_warned_of(way):
    with pytest.warns(RuntimeWarning, match="'graph' paused, and without a database .* neither answered nor resumed: give db="):
        result = way.invoke(chain(None, "a", "b", interrupt_before=["b"]), {})
    assert (result.status, result["path"]) == ("paused", ["a"])


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
def test_a_pause_at_a_node_that_is_not_there_is_refused(where):
    with pytest.raises(UnknownTarget, match=r"'bb'.*did you mean 'b'"):
        chain_of = StateGraph(S)
        chain_of.add_node("b", visit("b"))
        chain_of.add_edge(START, "b")
        chain_of.add_edge("b", END)
        chain_of.compile(**{where: ["bb"]})
