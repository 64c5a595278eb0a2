"""Steps that fail: where resume begins, what is not done again, retries, steps that are skipped."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest

from graphflow import Agent, Context, RetryPolicy, interrupt, tool
from graphflow.errors import InvalidUpdate, UnfinishedRun
from graphflow.messages import ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow.workflow import Condition, Loop, Parallel, Router, Step, StepInput, StepOutput, Steps, Workflow
from tests.conftest import Way


class Works:
    """Steps that count how often they ran, and fail while they are broken."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.broken: dict[str, int] = {}
        """How many more times a step fails, from which call on it does not matter."""

    def __call__(self, name: str) -> Step:
        return Step(name, self.work(name))

    def work(self, name: str) -> Any:
        def step(given: StepInput, ctx: Context) -> str:
            ctx.session_state[f"{name} began"] = True
            self.calls[name] += 1
            if self.broken.get(name, 0):
                self.broken[name] -= 1
                raise ConnectionError(f"{name} is down")
            return f"{name}({given.message})"

        return step


@pytest.fixture
def works() -> Works:
    return Works()


def test_resume_begins_with_the_step_that_failed(way: Way, db: Any, works: Works) -> None:
    workflow = Workflow([works("one"), works("two"), works("three")], db=db, name="flow")
    works.broken["three"] = 1
    with pytest.raises(ConnectionError, match="three is down") as caught:
        way.run(workflow, "x", session_id="s")
    assert "resume('s') goes on" in "\n".join(caught.value.__notes__)
    assert db.get_session("s").status == "error"
    out = way.resume(workflow, "s")
    assert (out.content, out.status) == ("three(two(one(x)))", "completed")
    assert works.calls == {"one": 1, "two": 1, "three": 2}
    assert [message.text for message in db.get_messages("s")] == ["x", "three(two(one(x)))"]


def test_a_failed_branch_does_not_repeat_its_finished_siblings(way: Way, db: Any, works: Works) -> None:
    branches = Parallel(works("a"), Steps("two", [works("b"), works("c"), works("d")]), works("e"))
    workflow = Workflow([branches, works("end")], db=db)
    works.broken.update(c=1, e=1)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    out = way.resume(workflow, "s")
    assert out.steps["parallel"].content == {"a": "a(x)", "two": "d(c(b(x)))", "e": "e(x)"}
    assert works.calls == {"a": 1, "b": 1, "c": 2, "d": 1, "e": 2, "end": 1}
    assert db.check().ok


def test_a_loop_goes_on_in_the_iteration_in_which_it_failed(way: Way, db: Any, works: Works) -> None:
    def fragile(given: StepInput) -> str:
        works.calls["fragile"] += 1
        if works.calls["fragile"] == 2:
            raise ConnectionError("down")
        return f"fragile({given.message})"

    workflow = Workflow([works("before"), Loop([works("a"), fragile, works("b")], 3, forward_output=True)], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    out = way.resume(workflow, "s")
    assert out.content == "b(fragile(a(b(fragile(a(b(fragile(a(before(x))))))))))"
    assert works.calls == {"before": 1, "a": 3, "fragile": 4, "b": 3}


def test_what_was_decided_is_not_decided_again(way: Way, db: Any, works: Works) -> None:
    asked: list[str] = []

    def odd(given: StepInput) -> bool:
        asked.append("odd")
        return len(asked) == 1

    def pick(given: StepInput) -> list[str]:
        asked.append("pick")
        return ["r2", "r1"]

    steps = [Condition(odd, works("yes"), works("no")), Router([works("r1"), works("r2")], pick)]
    workflow = Workflow(steps, db=db)
    works.broken.update(yes=1, r2=1, r1=1)
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            way.resume(workflow, "s")
    assert way.resume(workflow, "s").content == "r1(r2(yes(x)))"
    assert asked == ["odd", "pick"]


def test_an_agent_step_resumes_inside(way: Way, db: Any) -> None:
    booked: list[str] = []

    def book(city: str) -> str:
        booked.append(city)
        return f"booked {city}"

    model = ScriptedModel([Reply(tool_calls=[ToolCall("c1", "book", {"city": "Oslo"})]), ConnectionError("down"), "All done."])
    workflow = Workflow([Agent(model, tools=[book], name="travel"), lambda given: given.previous_step_content.upper()], db=db)
    with pytest.raises(ConnectionError):
        way.run(workflow, "go", session_id="s")
    assert way.resume(workflow, "s").content == "ALL DONE."
    assert booked == ["Oslo"] and len(model.requests) == 3


def test_a_nested_workflow_resumes_inside(way: Way, db: Any, works: Works) -> None:
    inner = Workflow([works("a"), works("b")], name="inner")
    workflow = Workflow([works("a"), inner, works("c")], db=db)
    works.calls.clear()
    works.broken["b"] = 1
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    assert way.resume(workflow, "s").content == "c(b(a(a(x))))"
    assert works.calls == {"a": 2, "b": 2, "c": 1}


def test_new_input_does_not_leave_a_paused_run_behind_in_silence(way: Way, db: Any) -> None:
    workflow = Workflow([Step("ask", lambda given: interrupt("sure?"))], db=db)
    assert way.run(workflow, "x", session_id="s").status == "paused"
    with pytest.raises(UnfinishedRun, match=r"resume\('s'\)"):
        way.run(workflow, "y", session_id="s")
    assert way.run(workflow, "y", session_id="s", on_unfinished="abandon").status == "paused"
    assert way.resume(workflow, "s", "yes").content == "yes"


def test_new_input_begins_anew_after_a_run_that_failed(way: Way, db: Any, works: Works) -> None:
    workflow = Workflow([works("one"), works("two")], db=db, add_workflow_history=True)
    works.broken["two"] = 1
    with pytest.raises(ConnectionError):
        way.run(workflow, "x", session_id="s")
    out = way.run(workflow, "y", session_id="s")
    assert (out.content, works.calls["one"]) == ("two(one(y))", 2)
    assert [run.status for run in db.get_runs("s")] == ["error", "completed"]
    assert way.resume(workflow, "s").content == "two(one(y))" and works.calls["two"] == 2, "the failed run is not gone on with"


@pytest.mark.parametrize("deep", [False, True])
def test_branches_that_clash_run_again_once_that_is_mended(way: Way, db: Any, deep: bool) -> None:
    def write(value: int) -> Any:
        def step(given: StepInput, ctx: Context) -> None:
            ctx.session_state["most"] = value

        return step

    branches = Parallel(Step("a", write(1)), Step("b", write(2)))
    steps = [Parallel(Steps("branch", [branches]), Step("c", write(0)))] if deep else [branches]
    for call in (partial(way.run, input="x"), way.resume):
        with pytest.raises(InvalidUpdate, match=r"session_state\['most'\]") as caught:
            call(Workflow(steps, db=db), session_id="s")
        assert "resume('s') goes on once that is mended; until then it raises this again" in caught.value.__notes__[-1]
    mended = Workflow(steps, db=db, session_state_reducers={"most": max})
    assert way.resume(mended, "s").session_state == {"most": 2}


# --- retries ----------------------------------------------------------------------------------------------------------


def quickly(max_attempts: int = 3, retry_on: type[Exception] = ConnectionError) -> RetryPolicy:
    return RetryPolicy(max_attempts, initial=0.001, retry_on=retry_on)


def test_a_step_is_tried_again_as_its_policy_says(way: Way, db: Any, works: Works) -> None:
    def odd(given: StepInput) -> None:
        works.calls["odd"] += 1
        raise KeyError("not transient")

    workflow = Workflow([Step("a", works.work("a"), retry=quickly())], db=db)
    works.broken["a"] = 2
    assert way.run(workflow, "x").content == "a(x)"
    assert works.calls["a"] == 3
    works.broken["a"] = 9
    with pytest.raises(ConnectionError):
        way.run(workflow, "x")
    assert works.calls["a"] == 6
    with pytest.raises(KeyError):
        way.run(Workflow([Step("odd", odd, retry=[quickly(retry_on=OSError), quickly(5, ValueError)])], db=db), "x")
    assert works.calls["odd"] == 1


def test_an_agent_that_is_tried_again_goes_on_inside(way: Way, db: Any) -> None:
    booked: list[str] = []

    def book(city: str) -> str:
        booked.append(city)
        return f"booked {city}"

    model = ScriptedModel([Reply(tool_calls=[ToolCall("c1", "book", {"city": "Oslo"})]), ConnectionError("down"), "done"])
    workflow = Workflow([Step("travel", Agent(model, tools=[book]), retry=quickly())], db=db)
    assert way.run(workflow, "go").content == "done"
    assert booked == ["Oslo"]


# --- skipping ---------------------------------------------------------------------------------------------------------


def test_a_step_may_be_skipped_and_says_so(way: Way, db: Any, works: Works) -> None:
    seen: list[StepOutput | None] = []

    def look(given: StepInput) -> Any:
        seen.append(given.get_step_output("b"))
        return given.previous_step_name, given.previous_step_content

    workflow = Workflow([works("a"), Step("b", works.work("b"), on_error="skip"), look], db=db)
    works.broken["b"] = 1
    out = way.run(workflow, "x", session_id="s")
    assert out.status == "completed" and out.content == ("a", "a(x)"), "the next step is given what came before"
    assert seen == [StepOutput(None, name="b", skipped=True, error="ConnectionError: b is down")]
    assert out.steps["b"].skipped and out.steps["b"].error == "ConnectionError: b is down"
    assert out.session_state == {"a began": True}, "what a failed step wrote is dropped"


def test_retries_come_before_skipping(way: Way, db: Any, works: Works) -> None:
    workflow = Workflow([Step("a", works.work("a"), retry=quickly(2), on_error="skip")], db=db)
    works.broken["a"] = 1
    assert way.run(workflow, "x").steps["a"].content == "a(x)"
    works.broken["a"] = 2
    out = way.run(workflow, "x")
    assert out.steps["a"].skipped and works.calls["a"] == 4 and out.content == "x"


def test_a_skipped_branch_is_empty_in_the_result(way: Way, db: Any, works: Works) -> None:
    workflow = Workflow([Parallel(works("a"), Step("b", works.work("b"), on_error="skip"))], db=db)
    works.broken["b"] = 1
    assert way.run(workflow, "x").content == {"a": "a(x)", "b": None}


def test_questions_of_a_skipped_step_are_gone_with_it(way: Way, db: Any) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    def fail() -> str:
        """Fail."""
        raise ConnectionError("down")

    calls = [ToolCall("c1", "pay", {"amount": 1}), ToolCall("c2", "fail", {})]
    agent = Agent(ScriptedModel([Reply(tool_calls=calls)]), tools=[pay, fail], on_tool_error="raise")
    workflow = Workflow([Step("try", agent, on_error="skip"), Step("ask", lambda given: interrupt("go on?"))], db=db)
    out = way.run(workflow, "x", session_id="s")
    assert [question.value for question in out.interrupts] == ["go on?"]
    assert [question.value for question in workflow.graph.get_state("s").interrupts] == ["go on?"]
    assert way.resume(workflow, "s", "yes").content == "yes"
