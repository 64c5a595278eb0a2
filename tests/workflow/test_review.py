"""A person looks at what a step made before the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphflow import Agent, tool
from graphflow.errors import GraphChanged, GraphChangedWarning, StepRejected
from graphflow.messages import ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow.workflow import Loop, Parallel, Step, StepInput, StepOutput, Steps, Workflow
from tests.conftest import Way


class Writer:
    """A step that writes a draft, and another one when it gets a note."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, given: StepInput) -> str:
        self.calls += 1
        return f"draft {self.calls} of {given.message}" + (f" with {given.review_note}" if given.review_note else "")


def publish(given: StepInput) -> str:
    return f"published: {given.message}"


def reviewed(db: Any, writer: Writer, **options: Any) -> Workflow:
    return Workflow([Step("draft", writer, review=True, **options), publish], db=db)


def test_a_reviewed_step_waits_with_its_output(way: Way, db: Any) -> None:
    writer = Writer()
    out = way.run(reviewed(db, writer), "tea", session_id="s")
    assert (out.status, out.content) == ("paused", None)
    assert [question.value for question in out.interrupts] == [{"step": "draft", "asks": "review", "content": "draft 1 of tea"}]
    assert out.steps["draft"].content == "draft 1 of tea"


def test_true_accepts_and_the_step_does_not_run_again(way: Way, db: Any) -> None:
    writer = Writer()
    way.run(reviewed(db, writer), "tea", session_id="s")
    other_process = reviewed(db, writer)
    assert way.resume(other_process, "s", True).content == "published: draft 1 of tea"
    assert writer.calls == 1


def test_a_text_makes_the_step_run_again_with_that_note(way: Way, db: Any) -> None:
    writer = Writer()
    workflow = reviewed(db, writer)
    way.run(workflow, "tea", session_id="s")
    again = way.resume(workflow, "s", "sugar")
    assert again.interrupts[0].value["content"] == "draft 2 of tea with sugar"
    third = way.resume(workflow, "s", "milk")
    assert third.interrupts[0].value["content"] == "draft 3 of tea with milk"
    assert way.resume(workflow, "s", True).content == "published: draft 3 of tea with milk"


def test_another_content_may_be_put_in_its_place(way: Way, db: Any) -> None:
    workflow = reviewed(db, Writer())
    way.run(workflow, "tea", session_id="s")
    out = way.resume(workflow, "s", {"content": "my own words"})
    assert out.content == "published: my own words" and out.steps["draft"].content == "my own words"


def stopping(given: StepInput) -> StepOutput:
    return StepOutput("enough" + (f", {given.review_note}" if given.review_note else ""), stop=True)


@pytest.mark.parametrize("around", [lambda step: step, lambda step: Parallel(step, publish), lambda step: Steps("in", [step])])
@pytest.mark.parametrize(("answer", "content"), [(True, "enough"), ({"content": "my own words"}, "my own words")])
def test_a_step_that_ends_the_run_is_asked_about_before(
    way: Way, db: Any, around: Callable[[Step], Any], answer: Any, content: str
) -> None:
    never = Step("never", publish)
    workflow = Workflow([around(Step("draft", stopping, review=True)), never], db=db)
    assert way.run(workflow, "tea", session_id="s").interrupts[0].value["content"] == "enough"
    assert way.resume(workflow, "s", "please").interrupts[0].value["content"] == "enough, please"
    out = way.resume(workflow, "s", answer)
    assert (out.status, out.content, "never" in out.steps) == ("completed", content.replace("enough", "enough, please"), False)


def test_a_step_that_ends_the_run_is_left_out_when_it_is_rejected_and_may_be_skipped(way: Way, db: Any) -> None:
    workflow = Workflow([Step("draft", stopping, review=True, on_error="skip"), publish], db=db)
    way.run(workflow, "tea", session_id="s")
    assert way.resume(workflow, "s", False).content == "published: tea"


def test_a_step_that_was_renamed_under_review_is_named(way: Way, db: Any) -> None:
    way.run(reviewed(db, Writer()), "tea", session_id="s")
    renamed = Workflow([Step("sketch", Writer(), review=True), publish], db=db)
    aliases = {"draft": "sketch", "review draft": "review sketch"}
    renamed = renamed.with_graph(renamed.graph_builder().compile(aliases=aliases))
    with (
        pytest.warns(GraphChangedWarning),
        pytest.raises(GraphChanged, match=r"session 's' waits at the review .* step 'sketch' has no output .* 'draft'"),
    ):
        way.resume(renamed, "s", True)


def test_false_fails_the_run_and_a_new_one_may_begin(way: Way, db: Any) -> None:
    workflow = reviewed(db, Writer())
    way.run(workflow, "tea", session_id="s")
    with pytest.raises(StepRejected, match="output of step 'draft' was rejected") as rejected:
        way.resume(workflow, "s", False)
    assert "resume('s') raises this again: begin a new run, or fork the session" in rejected.value.__notes__[-1]
    with pytest.raises(StepRejected):
        way.resume(workflow, "s")
    assert db.get_session("s").status == "error"
    fork = workflow.fork("s")
    assert way.resume(workflow, fork).status == "paused" and way.resume(workflow, fork, True).status == "completed"
    assert way.run(workflow, "coffee", session_id="s").interrupts[0].value["content"] == "draft 2 of coffee"


def test_false_skips_a_step_that_may_be_skipped(way: Way, db: Any) -> None:
    workflow = reviewed(db, Writer(), on_error="skip")
    way.run(workflow, "tea", session_id="s")
    out = way.resume(workflow, "s", False)
    assert out.content == "published: tea"
    assert out.steps["draft"] == StepOutput(None, name="draft", skipped=True, error="rejected by the reviewer")


def test_what_is_no_answer_is_asked_again(way: Way, db: Any) -> None:
    workflow = reviewed(db, Writer())
    way.run(workflow, "tea", session_id="s")
    again = way.resume(workflow, "s", 7)
    assert again.interrupts[0].value["problem"].startswith("7 is no answer: give True, False, a text")
    assert way.resume(workflow, "s", True).status == "completed"


class Draft(BaseModel):
    title: str
    words: int


@pytest.mark.parametrize("content", [{"title": "tea", "words": "many"}, {"title": "tea"}, "a text"])
def test_a_content_that_the_step_could_not_have_made_is_asked_for_again(way: Way, db: Any, content: Any) -> None:
    def draft(given: StepInput) -> Draft:
        return Draft(title="tea", words=1)

    def shown(given: StepInput) -> str:
        return repr(given.previous_step_content)

    workflow = Workflow([Step("draft", draft, review=True), shown], db=db)
    way.run(workflow, "tea", session_id="s")
    again = way.resume(workflow, "s", {"content": content})
    assert again.status == "paused" and f"{content!r} is no content of step 'draft'" in again.interrupts[0].value["problem"]
    out = way.resume(workflow, "s", {"content": {"title": "coffee", "words": 2}})
    assert out.content == repr(Draft(title="coffee", words=2))


def test_a_function_says_whether_and_what_is_asked(way: Way, db: Any) -> None:
    def doubt(output: StepOutput) -> str | None:
        return f"{output.name} is long" if len(output.content) > 14 else None

    workflow = Workflow([Step("draft", Writer(), review=doubt)], db=db)
    assert way.run(workflow, "tea", session_id="s").content == "draft 1 of tea"
    out = way.run(workflow, "a long story", session_id="s")
    assert out.interrupts[0].value["question"] == "draft is long"
    assert way.resume(workflow, "s", True).content == "draft 2 of a long story"


def test_an_agent_is_told_its_answer_and_the_note(way: Way, db: Any) -> None:
    model = ScriptedModel(["first try", "second try"])
    workflow = Workflow([Step("draft", Agent(model, add_history_to_context=False), review="Good?")], db=db)
    assert way.run(workflow, "tea", session_id="s").interrupts[0].value["question"] == "Good?"
    way.resume(workflow, "s", "warmer")
    asked = model.requests[1].messages[-1].text
    assert asked == "tea\n\nYour earlier answer was:\nfirst try\n\nA reviewer asks for a change: warmer"
    assert way.resume(workflow, "s", True).content == "second try"


def test_the_prompt_of_an_agent_that_is_reviewed_again_and_again_is_bounded(way: Way, db: Any) -> None:
    model = ScriptedModel(["an answer"] * 10)
    workflow = Workflow([Step("draft", Agent(model, num_history_runs=3), review=True)], db=db)
    way.run(workflow, "tea", session_id="s")
    for n in range(9):
        way.resume(workflow, "s", f"note {n}")
    sizes = [sum(len(message.text) for message in request.messages) for request in model.requests]
    assert sizes[4] == sizes[9], "a note is told with the answer it is about, not with those before it"


def test_an_object_is_shown_as_plain_data_and_edited_in_its_own_type(way: Way, db: Any) -> None:
    def write(given: StepInput) -> Draft:
        return Draft(title=given.input, words=3)

    def check(given: StepInput) -> str:
        assert type(given.previous_step_content) is Draft
        return given.previous_step_content.title

    workflow = Workflow([Step("write", write, review=True), check], db=db)
    assert way.run(workflow, "tea", session_id="s").interrupts[0].value["content"] == {"title": "tea", "words": 3}
    assert way.resume(workflow, "s", {"content": {"title": "coffee", "words": 4}}).content == "coffee"


def test_branches_ask_side_by_side_and_are_answered_one_by_one(way: Way, db: Any) -> None:
    left, right = Writer(), Writer()
    branches = Parallel(Step("left", left, review=True), Step("right", right, review=True))
    workflow = Workflow([branches], db=db)
    out = way.run(workflow, "tea", session_id="s")
    questions = {question.value["step"]: question.id for question in out.interrupts}
    assert set(questions) == {"left", "right"}
    out = way.resume(workflow, "s", answers={questions["right"]: "more"})
    assert out.status == "paused" and {q.value["step"] for q in out.interrupts} == {"left", "right"}
    answers = {question.id: True for question in out.interrupts}
    assert way.resume(workflow, "s", answers=answers).content == {"left": "draft 1 of tea", "right": "draft 2 of tea with more"}
    assert (left.calls, right.calls) == (1, 2)


def test_a_step_in_a_loop_is_reviewed_in_each_iteration(way: Way, db: Any) -> None:
    workflow = Workflow([Loop(Step("draft", Writer(), review=True), 2, forward_output=True)], db=db)
    way.run(workflow, "tea", session_id="s")
    assert way.resume(workflow, "s", True).interrupts[0].value["content"] == "draft 2 of draft 1 of tea"
    assert way.resume(workflow, "s", True).content == "draft 2 of draft 1 of tea"


def test_a_tool_that_has_to_be_confirmed_pauses_the_workflow(way: Way, db: Any) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    model = ScriptedModel([Reply(tool_calls=[ToolCall("c1", "pay", {"amount": 5})]), "It is paid."])
    steps = [Step("before", publish), Parallel(Agent(model, tools=[pay], name="buyer"), Step("beside", publish)), publish]
    workflow = Workflow(steps, db=db)
    out = way.run(workflow, "x", session_id="s")
    assert out.interrupts[0].value["tool"] == "pay"
    assert "buyer" not in out.steps and out.steps["beside"].content == "published: published: x"
    out = way.resume(workflow, "s", True)
    assert out.steps["buyer"].content == "It is paid." and out.status == "completed"
    assert model.requests[1].messages[-1].text == "paid 5"


def test_a_workflow_that_is_a_step_is_told_the_note_of_a_reviewer(way, db):
    given: list[str] = []

    def work(step_input: Any) -> str:
        given.append(step_input.message)
        return f"draft {len(given)}"

    workflow = Workflow([Step("inside", Workflow([work], name="inner"), review=True)], db=db)
    way.run(workflow, "go", session_id="s")
    way.resume(workflow, "s", "make it shorter")
    assert given[0] == "go" and "make it shorter" in given[1] and "draft 1" in given[1]
    assert way.resume(workflow, "s", True).content == "draft 2"
