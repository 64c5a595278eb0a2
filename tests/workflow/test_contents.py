"""What goes in and comes out of steps: plain values, objects, and what cannot be kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, Field, PrivateAttr

from graphflow import END, START, Agent, StateGraph
from graphflow.db import SqliteDb
from graphflow.errors import InvalidUpdate, ModelError, SerializationError
from graphflow.testing import ScriptedModel
from graphflow.workflow import Loop, Parallel, Step, StepInput, StepOutput, Steps, Workflow
from tests.conftest import Way


class Report(BaseModel):
    title: str
    due: date | None = None
    pages: int = Field(default=1, alias="pageCount")

    model_config = {"populate_by_name": True}


@dataclass
class Point:
    x: int
    when: date


@dataclass
class Weight:
    kilos: float


def report(given: StepInput) -> Report:
    return Report(title="tea", due=date(2026, 1, 2), pages=3)


async def reports(given: StepInput) -> StepOutput[list[Report]]:
    return StepOutput([Report(title="a"), Report(title="b", pages=2)])


def point(given: StepInput) -> Point:
    return Point(1, date(2026, 3, 4))


class Flaky:
    """A step that shows what it is given, and fails the first time, so that everything is read from the database again."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, given: StepInput) -> str:
        self.seen.append(given.previous_step_content)
        if len(self.seen) == 1:
            raise ConnectionError("down")
        return "done"


@pytest.mark.parametrize(
    "value",
    [None, "text", 1, 2.5, True, [1, "a"], {"a": {"b": [None]}}, (1, 2), {3, 4}, Decimal("1.50"), date(2026, 1, 1), b"\0"],
)
def test_a_content_comes_back_equal_in_value_and_type(way: Way, db: Any, value: Any) -> None:
    flaky = Flaky()
    workflow = Workflow([Step("give", lambda given: value), flaky], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    out = way.resume(workflow, "s")
    assert flaky.seen == [value, value] and type(flaky.seen[1]) is type(value)
    assert out.steps["give"].content == value


def test_declared_objects_come_back_as_objects(way: Way, db: Any) -> None:
    flaky = Flaky()
    agent = Agent(ScriptedModel(['{"title": "by a model", "pageCount": 9}']), name="bot", output_schema=Report)
    inner = Workflow([reports], name="inner")
    both = Workflow([Parallel(Step("r", report), Steps("p", [Step("q", point)]))], name="both")
    workflow = Workflow([Parallel(report, reports, point, agent, inner, both), flaky], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    way.resume(workflow, "s")
    expected = {
        "report": report(None),  # type: ignore[arg-type]
        "reports": [Report(title="a"), Report(title="b", pages=2)],
        "point": Point(1, date(2026, 3, 4)),
        "bot": Report(title="by a model", pages=9),
        "inner": [Report(title="a"), Report(title="b", pages=2)],
        "both": {"r": report(None), "p": Point(1, date(2026, 3, 4))},  # type: ignore[arg-type]
    }
    assert flaky.seen == [expected, expected]


def test_a_graph_gives_the_object_that_its_output_function_declares(way: Way, db: Any) -> None:
    class State(TypedDict):
        title: str

    def made(state: State) -> Report:
        return Report(title=state["title"])

    builder = StateGraph(State)
    builder.add_node("name", lambda state: {"title": "tea"})
    builder.add_edge(START, "name")
    builder.add_edge("name", END)
    flaky = Flaky()
    step = Step("graph", builder.compile(), input=lambda given: {"title": given.input}, output=made)
    workflow = Workflow([step, flaky], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    way.resume(workflow, "s")
    assert flaky.seen == [Report(title="tea")] * 2


def test_a_field_has_its_declared_type_with_and_without_a_crash(way: Way, db: Any) -> None:
    def weigh(given: StepInput) -> Weight:
        return Weight(2)

    flaky = Flaky()
    workflow = Workflow([weigh, flaky], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    way.resume(workflow, "s")
    assert flaky.seen == [Weight(2.0)] * 2 and [type(seen.kilos) for seen in flaky.seen] == [float, float]


def test_no_class_name_is_stored(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    agent = Agent(ScriptedModel(['{"title": "x", "pageCount": 9}']), name="bot", output_schema=Report)
    Workflow([report, point, agent], db=db, input_schema=Report).run(Report(title="in"), session_id="s")
    db.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        dump = "\n".join(connection.iterdump())
    assert "pages" in dump and "Report" not in dump and "Point" not in dump and __name__ not in dump


def test_an_undeclared_object_is_refused_with_the_repair(way: Way, db: Any) -> None:
    workflow = Workflow([Step("give", lambda given: Report(title="x"))], db=db)
    with pytest.raises(
        SerializationError, match=r"step 'give' gave a Report.*declare it \(def give\(…\) -> Report\)"
    ) as caught:
        way.run(workflow, "x", session_id="s")
    assert caught.value.path == "outputs.give"
    assert db.check().ok and db.get_session("s").status == "error"
    assert way.run(Workflow([Step("give", lambda given: Report(title="x"))]), "x").content == Report(title="x"), (
        "nothing stored"
    )


class Secret(BaseModel):
    text: str
    _key: str = PrivateAttr("none")


def test_an_object_that_would_come_back_different_is_refused(way: Way, db: Any) -> None:
    def secret(given: StepInput) -> Secret:
        made = Secret(text="x")
        made._key = "k"
        return made

    with pytest.raises(SerializationError, match="step 'secret' is a Secret that would come back different"):
        way.run(Workflow([secret], db=db), "x")


def test_what_no_database_keeps_is_refused_with_its_place(way: Way, db: Any) -> None:
    with pytest.raises(SerializationError, match=r"outputs\.give\.content.* is an object"):
        way.run(Workflow([Step("give", lambda given: object())], db=db), "x")


def test_an_agent_that_does_not_fit_its_schema_fails_and_can_be_resumed(way: Way, db: Any) -> None:
    agent = Agent(ScriptedModel(["no JSON", '{"title": "x"}']), output_schema=Report)
    workflow = Workflow([agent], db=db)
    with pytest.raises(ModelError, match="not a Report"):
        way.run(workflow, "x", session_id="s")
    assert way.resume(workflow, "s").content == Report(title="x")


# --- input ------------------------------------------------------------------------------------------------------------


class Ask:
    """A step that shows the input, and fails the first time."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, given: StepInput) -> None:
        self.seen.append(given.input)
        if len(self.seen) == 1:
            raise ConnectionError("down")


@pytest.mark.parametrize("value", ["text", {"topic": "tea", "role": "x"}, [1, 2], 5, None, ("a",), Decimal("2.0"), ["a", "b"]])
@pytest.mark.parametrize("deep", [False, True])
def test_the_input_is_the_same_after_a_crash(way: Way, db: Any, value: Any, deep: bool) -> None:
    ask = Ask()
    workflow = Workflow([Parallel(Steps("branch", [Step("before", lambda given: 0), ask]))] if deep else [ask], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, value, session_id="s")
    way.resume(workflow, "s")
    assert ask.seen == [value, value] and type(ask.seen[1]) is type(value)


def test_an_object_as_input_is_that_object_again_where_its_class_is_declared(way: Way, db: Any) -> None:
    ask = Ask()
    given = Report(title="in", pages=7)
    with pytest.raises(ConnectionError):
        way.run(Workflow([ask], db=db, input_schema=Report), given, session_id="s")
    other_process = Workflow([ask], db=db, input_schema=Report)
    way.resume(other_process, "s")
    assert ask.seen == [given, given]
    assert next(message.text for message in db.get_messages("s")) == '{"title":"in","due":null,"pageCount":7}'
    assert way.run(Workflow(db=db, input_schema=Report), {"title": "from a dict"}).content == Report(title="from a dict")


def test_an_object_of_an_undeclared_class_is_known_in_its_own_process_only(way: Way, db: Any) -> None:
    ask = Ask()
    assert way.run(Workflow(db=db), Report(title="in")).content == Report(title="in")
    workflow = Workflow([ask], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, Report(title="in"), session_id="s")
    with pytest.raises(SerializationError, match=r"declare it with Workflow\(input_schema=…\) and resume"):
        way.resume(workflow, "s")
    way.resume(Workflow([ask], db=db, input_schema=Report), "s")
    assert ask.seen == [Report(title="in")] * 2


def test_a_text_is_read_as_the_json_of_the_declared_input(way: Way, db: Any) -> None:
    ask = Ask()
    workflow = Workflow([ask], db=db, input_schema=Report)
    with pytest.raises(ConnectionError):
        way.run(workflow, '{"title": "in", "pageCount": 7}', session_id="s")
    way.resume(workflow, "s")
    assert ask.seen == [Report(title="in", pages=7)] * 2
    assert db.get_messages("s")[0].text == '{"title": "in", "pageCount": 7}', "the log keeps what was said"


@pytest.mark.parametrize(("schema", "text", "value"), [(str, "5", "5"), (int, "5", 5), (list[int], "[1, 2]", [1, 2])])
def test_a_text_is_itself_where_texts_are_declared(way: Way, db: Any, schema: Any, text: str, value: Any) -> None:
    assert way.run(Workflow(db=db, input_schema=schema), text).content == value


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("hello", "'hello': input: Invalid JSON"),
        ('{"title": 5}', r"input\['title'\]: Input should be a valid string"),
        ({"due": "2026-01-01"}, r"input\['title'\]: Field required"),
        (7, "7: input: Input should be a valid dictionary"),
        (None, "None: input: Input should be a valid dictionary"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_before_anything_is_stored(way: Way, db: Any, given: Any, problem: str) -> None:
    ask = Ask()
    workflow = Workflow([ask], name="reports", db=db, input_schema=Report)
    with pytest.raises(InvalidUpdate, match=rf"workflow 'reports' takes a Report .*{problem}.*; give a Report, the plain data"):
        way.run(workflow, given, session_id="s")
    assert not ask.seen and db.get_session("s") is None


def test_a_workflow_in_a_step_refuses_what_it_does_not_take(way: Way, db: Any) -> None:
    inner = Workflow([Ask()], name="inner", input_schema=Report)
    with pytest.raises(InvalidUpdate, match="workflow 'inner' takes a Report"):
        way.run(Workflow([inner], db=db), "hello", session_id="s")


def test_a_loop_overwrites_the_contents_of_its_steps(way: Way, db: Any) -> None:
    numbers = iter(range(9))
    workflow = Workflow([Loop(Step("count", lambda given: next(numbers)), 3)], db=db)
    out = way.run(workflow, "x")
    assert out.content == 2 and out.steps["count"].content == 2
