"""How steps follow each other: sequences, parallel branches, conditions, loops, routers, nested workflows, early stop."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphflow import END, START, Agent, Context, StateGraph, Team, append, untracked
from graphflow.errors import GraphError, InvalidUpdate, UnknownTarget
from graphflow.messages import ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow.workflow import Condition, Loop, Parallel, Router, Step, StepInput, StepOutput, Steps, Workflow
from tests.conftest import Way


def wrap(name: str) -> Any:
    """A step that writes its name around what it is given."""

    def step(given: StepInput) -> str:
        return f"{name}({given.message})"

    step.__name__ = name
    return step


async def later(given: StepInput) -> str:
    await asyncio.sleep(0)
    return f"later({given.message})"


def test_each_step_is_given_the_content_of_the_one_before(way: Way, db: Any) -> None:
    out = way.run(Workflow([wrap("a"), later, wrap("b")], db=db), "x")
    assert (out.content, out.status) == ("b(later(a(x)))", "completed")
    assert {name: output.content for name, output in out.steps.items()} == {
        "a": "a(x)",
        "later": "later(a(x))",
        "b": "b(later(a(x)))",
    }


def test_without_steps_a_run_gives_its_input(way: Way, db: Any) -> None:
    for value in ("text", {"a": [1, 2.5, None]}, 7, ("a", 1)):
        out = way.run(Workflow(db=db), value)
        assert (out.content, out.status) == (value, "completed") and type(out.content) is type(value)
    assert Workflow().run("x").content == "x"


def test_a_step_finds_the_input_and_every_earlier_output_by_name(way: Way) -> None:
    seen: dict[str, Any] = {}

    def look(given: StepInput) -> None:
        seen["input"] = given.input
        seen["previous"] = (given.previous_step_name, given.previous_step_content)
        seen["by name"] = given.get_step_content("first")
        seen["output"] = given.get_step_output("second")
        seen["not yet"] = given.get_step_output("look"), given.get_step_content("look")
        with pytest.raises(UnknownTarget, match="there is no step 'frist' in this workflow; did you mean 'first'"):
            given.get_step_content("frist")

    def first(given: StepInput) -> list[int]:
        assert given.previous_step_content is None and given.previous_step_name is None
        return [1]

    way.run(Workflow([first, Step("second", wrap("b")), look]), {"x": 1})
    assert seen["input"] == {"x": 1}
    assert seen["previous"] == ("second", "b([1])")
    assert seen["by name"] == [1]
    assert seen["output"] == StepOutput("b([1])", name="second")
    assert seen["not yet"] == (None, None)


def test_a_second_parameter_called_session_state_is_the_sessions_dict(way: Way, db: Any) -> None:
    def count(step_input: StepInput, session_state: dict[str, Any]) -> int:
        session_state["runs"] = session_state.get("runs", 0) + 1
        return session_state["runs"]

    async def often(step_input: StepInput, session_state: dict[str, Any] | None = None) -> bool:
        assert session_state is not None
        return session_state["runs"] > 1

    def pick(step_input: StepInput, session_state: dict[str, Any]) -> str:
        session_state["picked"] = "once" if session_state["runs"] == 1 else "again"
        return session_state["picked"]

    def enough(outputs: list[StepOutput], session_state: dict[str, Any]) -> bool:
        return session_state["runs"] > 2

    class Counter:
        def __call__(self, step_input: StepInput, session_state: dict[str, Any]) -> str:
            return f"{step_input.message} after {session_state['runs']}"

    steps = [
        count,
        Condition(often, wrap("yes")),
        Router([wrap("once"), wrap("again")], pick),
        Step("tell", Counter()),
        Loop(wrap("turn"), 2, enough),
    ]
    workflow = Workflow(steps, db=db)
    assert way.run(workflow, "x", session_id="s").steps["tell"].content == "once(1) after 1"
    out = way.run(workflow, "x", session_id="s")
    assert out.steps["tell"].content == "again(yes(2)) after 2"
    assert out.session_state == {"runs": 2, "picked": "again"} == way_state(workflow)


def test_what_gives_none_hands_nothing_on(way: Way, db: Any) -> None:
    model = ScriptedModel(["one", "two"])
    first, second = Agent(model, name="first", add_history_to_context=False), Agent(model, name="second")
    nothing = Step("nothing", lambda given: None)
    look = Step("look", lambda given: (given.previous_step_name, given.previous_step_content, given.message))
    out = way.run(Workflow([first, nothing, second, Step("again", nothing.what), look], db=db), "question")
    assert [request.messages[-1].text for request in model.requests] == ["question", "question"]
    assert out.content == ("again", None, "question")
    assert way.run(Workflow([nothing], db=db), "question").content is None, "but as the last step it is what the run gives"


def test_a_step_may_take_the_context(way: Way, db: Any) -> None:
    def who(given: StepInput, ctx: Context) -> list[Any]:
        return [ctx.node, ctx.session_id, ctx.user_id, given.workflow_session.session_id, given.workflow_session.user_id]

    out = way.run(Workflow([who], db=db), "x", session_id="s", user_id="ann")
    assert out.content == ["who", "s", "ann", "s", "ann"]


# --- Parallel ---------------------------------------------------------------------------------------------------------


def test_a_parallel_gives_every_branch_under_its_name_in_order(way: Way, db: Any) -> None:
    steps = [
        wrap("start"),
        Parallel(wrap("b"), Steps("two", [wrap("c"), wrap("d")]), later, wrap("a"), name="all"),
        lambda given: (list(given.previous_step_content.items()), given.get_step_content("c"), given.get_step_content("two")),
    ]
    out = way.run(Workflow(steps, db=db), "x")
    contents = [("b", "b(start(x))"), ("two", "d(c(start(x)))"), ("later", "later(start(x))"), ("a", "a(start(x))")]
    assert out.content == (contents, "c(start(x))", "d(c(start(x)))")
    assert out.steps["all"].content == dict(contents)


def test_branches_run_at_the_same_time(way: Way) -> None:
    barrier = threading.Barrier(2, timeout=20)

    def meet(given: StepInput) -> str:
        barrier.wait()
        return "met"

    branches = Parallel(Step("left", meet), Steps("right", [wrap("a"), Step("inner", meet)]))
    assert way.run(Workflow([branches]), "x").content == {"left": "met", "right": "met"}


def test_any_group_can_be_a_branch(way: Way, db: Any) -> None:
    branches = Parallel(
        Loop([wrap("turn")], max_iterations=2, forward_output=True, name="loop"),
        Condition(False, wrap("never"), wrap("other"), name="choice"),
        Router([wrap("r1"), wrap("r2")], lambda given: ["r2", "r1"], name="route"),
        Parallel(wrap("p1"), wrap("p2"), name="inner"),
    )
    out = way.run(Workflow([branches], db=db), "x")
    assert out.content == {
        "loop": "turn(turn(x))",
        "choice": "other(x)",
        "route": "r1(r2(x))",
        "inner": {"p1": "p1(x)", "p2": "p2(x)"},
    }


@pytest.mark.parametrize("group", ["condition", "router"])
def test_a_branch_in_which_nothing_runs_gives_none_whatever_it_gave_before(way: Way, db: Any, group: str) -> None:
    asked: list[int] = []
    seen: list[Any] = []

    def first(given: StepInput) -> bool:
        asked.append(1)
        return len(asked) == 1

    def old(given: StepInput) -> str:
        return "of the first iteration"

    def look(given: StepInput) -> None:
        seen.append(given.previous_step_content)

    if group == "condition":
        sometimes: Any = Condition(first, [old], name="sometimes")
    else:
        sometimes = Router([old], lambda given: "old" if first(given) else None, name="sometimes")
    inner = Workflow([Loop([Parallel(sometimes, wrap("always"), name="both"), look], 2)], name="inner", db=db)
    assert way.run(inner, "x").status == "completed"
    assert seen == [{"sometimes": "of the first iteration", "always": "always(x)"}, {"sometimes": None, "always": "always(x)"}]
    asked.clear()
    both = Parallel(sometimes, wrap("always"), name="both")
    assert way.run(Workflow([Workflow([Loop([both], 2)], name="inner")], db=db), "x").content == {
        "sometimes": None,
        "always": "always(x)",
    }


def test_branches_merge_what_they_write_to_the_session(way: Way, db: Any) -> None:
    def note(key: str, value: Any) -> Any:
        def step(given: StepInput) -> None:
            given.workflow_session.session_state[key] = value

        return step

    def forget(given: StepInput, ctx: Context) -> None:
        del ctx.session_state["old"]

    branches = Parallel(
        Step("a", note("a", 1)), Steps("two", [Step("b", note("b", 2)), Step("c", note("c", 3))]), Step("d", forget)
    )
    workflow = Workflow([branches], db=db, session_state={"old": 0, "kept": 9})
    out = way.run(workflow, "x", session_id="s")
    assert out.session_state == {"a": 1, "b": 2, "c": 3, "kept": 9} == way_state(workflow)
    for clashing in (Step("b", note("a", 2)), Steps("two", [Step("b", note("a", 2)), wrap("c")])):
        with pytest.raises(InvalidUpdate, match=rf"'a' and '{clashing.name}' wrote different values to session_state\['a'\]"):
            way.run(Workflow([Parallel(Step("a", note("a", 1)), clashing)], db=db), "x")


def way_state(workflow: Workflow) -> dict[str, Any]:
    return workflow.get_session_state("s")


def test_the_steps_of_an_output_are_all_steps_and_groups_that_ran(way: Way, db: Any) -> None:
    steps = [
        Steps("pair", [wrap("a"), wrap("b")]),
        Parallel(wrap("c"), Steps("two", [wrap("d")]), name="both"),
        lambda given: "x",
        Loop([wrap("turn")], 2, name="loop"),
        Condition(True, wrap("yes"), wrap("no"), name="choice"),
        Condition(False, wrap("never"), name="not chosen"),
        Router([wrap("r"), wrap("q")], lambda given: "r", name="route"),
    ]
    out = way.run(Workflow(steps, db=db), "x")
    assert list(out.steps) == ["a", "b", "pair", "c", "d", "two", "both", "step", "turn", "loop", "yes", "choice", "r", "route"]
    assert {name: out.steps[name].content for name in ("pair", "both", "loop", "choice", "route")} == {
        "pair": "b(a(x))",
        "both": {"c": "c(b(a(x)))", "two": "d(b(a(x)))"},
        "loop": "turn(x)",
        "choice": "yes(turn(x))",
        "route": "r(yes(turn(x)))",
    }
    assert all(output.name == name for name, output in out.steps.items())


# --- Condition --------------------------------------------------------------------------------------------------------


async def is_long(given: StepInput) -> bool:
    return len(given.message) > 3


@pytest.mark.parametrize(("text", "expected"), [("long text", "end(b(a(long text)))"), ("no", "end(c(no))")])
def test_a_condition_takes_one_of_two_ways(way: Way, db: Any, text: str, expected: str) -> None:
    workflow = Workflow([Condition(is_long, [wrap("a"), wrap("b")], [wrap("c")]), wrap("end")], db=db)
    assert way.run(workflow, text).content == expected


def test_what_a_plain_function_gives_is_awaited_where_it_has_to_be(way: Way, db: Any) -> None:
    asked: list[str] = []

    async def never(about: Any) -> bool:
        asked.append(type(about).__name__)
        return False

    async def chosen(given: StepInput) -> str:
        return "c"

    steps = [
        Step("a", lambda given: later(given)),
        Condition(lambda given: never(given), [wrap("b")]),
        Loop([wrap("turn")], 2, lambda outputs: never(outputs), forward_output=True),
        Router([wrap("c"), wrap("d")], lambda given: chosen(given)),
    ]
    assert way.run(Workflow(steps, db=db), "x").content == "c(turn(turn(later(x))))"
    assert asked == ["StepInput", "list"]


def test_where_no_step_runs_the_content_goes_on(way: Way, db: Any) -> None:
    assert way.run(Workflow([wrap("a"), Condition(False, wrap("b")), wrap("c")], db=db), "x").content == "c(a(x))"
    assert way.run(Workflow([wrap("a"), Condition(False, wrap("b"))], db=db), "x").content == "a(x)"
    assert way.run(Workflow([Condition(False, wrap("b"))], db=db), "x").content == "x"


# --- Loop -------------------------------------------------------------------------------------------------------------


def test_a_loop_begins_each_time_with_what_came_before_it(way: Way, db: Any) -> None:
    assert way.run(Workflow([wrap("a"), Loop([wrap("b"), wrap("c")]), wrap("d")], db=db), "x").content == "d(c(b(a(x))))"


def test_a_loop_may_forward_its_output(way: Way, db: Any) -> None:
    workflow = Workflow([Loop(wrap("b"), max_iterations=2, forward_output=True)], db=db)
    assert way.run(workflow, "x").content == "b(b(x))"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_end_condition_sees_the_outputs_of_the_iteration(way: Way, db: Any, asynchronous: bool) -> None:
    seen: list[list[Any]] = []

    def enough(outputs: list[StepOutput]) -> bool:
        seen.append([(output.name, output.content) for output in outputs])
        return len(seen) == 2

    async def aenough(outputs: list[StepOutput]) -> bool:
        return enough(outputs)

    loop = Loop([wrap("a"), Parallel(wrap("b"), wrap("c"), name="p")], 5, aenough if asynchronous else enough)
    way.run(Workflow([loop], db=db), "x")
    iteration = [("a", "a(x)"), ("b", "b(a(x))"), ("c", "c(a(x))"), ("p", {"b": "b(a(x))", "c": "c(a(x))"})]
    assert seen == [iteration, iteration]


def test_loops_inside_loops_begin_anew(way: Way) -> None:
    calls: list[str] = []
    inner = Loop([Step("i", lambda given: calls.append("i"))], 2, name="inner")
    outer = Loop([Step("o", lambda given: calls.append("o")), inner], 2, name="outer")
    way.run(Workflow([outer]), "x")
    assert calls == ["o", "i", "i", "o", "i", "i"]


# --- Router -----------------------------------------------------------------------------------------------------------


def test_a_router_runs_what_is_chosen_by_name_or_as_itself(way: Way, db: Any) -> None:
    a, b = wrap("a"), Step("b", wrap("b"))
    for chosen, expected in [
        ("a", "end(a(x))"),
        (b, "end(b(x))"),
        (a, "end(a(x))"),
        ([b, "a"], "end(a(b(x)))"),
        ([], "end(x)"),
        (None, "end(x)"),
    ]:
        workflow = Workflow([Router([a, b], lambda given, chosen=chosen: chosen), wrap("end")], db=db)
        assert way.run(workflow, "x").content == expected


def test_an_unknown_choice_is_an_error_that_names_the_choices(way: Way, db: Any) -> None:
    workflow = Workflow([Router([wrap("a"), wrap("b")], lambda given: "c", name="pick")], db=db)
    with pytest.raises(UnknownTarget, match="router 'pick' returned 'c', which is not among its choices: 'a', 'b'"):
        way.run(workflow, "x")


# --- early stop -------------------------------------------------------------------------------------------------------


def stop(given: StepInput) -> StepOutput:
    return StepOutput("stopped", stop=True)


def test_a_stop_in_a_workflow_inside_another_ends_that_one_alone(way: Way, db: Any) -> None:
    inner = Workflow([stop, wrap("never")], name="inner")
    out = way.run(Workflow([inner, Step("after", lambda given: f"{given.message}!")], db=db), "x")
    assert (out.content, out.steps["inner"].content, out.steps["inner"].stop) == ("stopped!", "stopped", False)


@pytest.mark.parametrize(
    "steps",
    [
        [stop, wrap("never")],
        [Parallel(stop, wrap("beside")), wrap("never")],
        [Parallel(Steps("branch", [stop, wrap("never")]), wrap("beside")), wrap("never too")],
        [Loop([stop, wrap("never")]), wrap("never too")],
        [Condition(True, [stop, wrap("never")]), wrap("never too")],
        [Router([stop], lambda given: "stop"), wrap("never")],
        [Parallel(Loop([Parallel(Steps("deep", [stop]), wrap("x"), name="in")]), wrap("beside"), name="out"), wrap("never")],
    ],
)
def test_an_early_stop_ends_the_whole_run_completed(way: Way, db: Any, steps: list[Any]) -> None:
    workflow = Workflow(steps, db=db)
    out = way.run(workflow, "x", session_id="s")
    assert (out.status, out.content) == ("completed", "stopped")
    assert not any(name.startswith("never") for name in out.steps)
    assert [message.text for message in db.get_messages("s")] == ["x", "stopped"]
    assert db.check().ok
    assert way.run(workflow, "y", session_id="s").content == "stopped", "the session goes on with a new run"


def stops(name: str) -> Step:
    return Step(name, lambda given: StepOutput(f"{name} stopped", stop=True))


@pytest.mark.parametrize(
    "branches",
    [
        Parallel(wrap("beside"), stops("first"), stops("second")),
        Parallel(stops("first"), Steps("two", [stops("second"), wrap("never")])),
        Parallel(Steps("two", [wrap("before"), stops("first"), wrap("never")]), stops("second")),
        Parallel(
            Steps("two", [Parallel(stops("first"), stops("second"), name="in"), wrap("never")]), stops("third"), name="out"
        ),
        Loop(
            Parallel(
                Condition(lambda given: given.get_step_output("b") is not None, stops("first"), name="choice"),
                Step("b", wrap("b")),
                Step("second", lambda given: StepOutput("second stopped", stop=given.get_step_output("b") is not None)),
            )
        ),
    ],
)
def test_of_several_that_stop_at_once_the_first_in_declaration_order_counts(way: Way, db: Any, branches: Any) -> None:
    workflow = Workflow([branches, wrap("never too")], db=db)
    events = way.events(workflow, "x", session_id="s")
    output = events[-1].output
    assert (output.status, output.content) == ("completed", "first stopped")
    assert not any(name.startswith("never") for name in output.steps)
    assert [message.text for message in db.get_messages("s")] == ["x", "first stopped"]
    assert "".join(event.text for event in events if event.type == "token" and not event.ns) == "first stopped"


def test_a_stop_inside_a_nested_workflow_ends_that_one_only(way: Way) -> None:
    inner = Workflow([stop, wrap("never")], name="inner")
    assert way.run(Workflow([inner, wrap("after")]), "x").content == "after(stopped)"


# --- what a step may be -----------------------------------------------------------------------------------------------


def test_an_agent_answers_what_it_is_given(way: Way, db: Any) -> None:
    model = ScriptedModel(["one", "two"])
    first, second = Agent(model, name="first", instructions="Be first."), Agent(model, name="second")
    out = way.run(Workflow([first, wrap("between"), second], db=db), "question", session_id="s")
    assert out.content == "two"
    assert [[m.text for m in request.messages] for request in model.requests] == [
        ["Be first.", "question"],
        ["between(one)"],
    ]
    assert [message.text for message in db.get_messages("s")] == ["question", "two"]


def test_an_agent_has_a_history_of_its_own(way: Way, db: Any) -> None:
    model = ScriptedModel([f"answer {n}" for n in range(6)])
    workflow = Workflow([Agent(model, name="bot"), Loop(Agent(model, name="looped"), 2)], db=db)
    way.run(workflow, "one", session_id="s")
    way.run(workflow, "two", session_id="s")
    texts = [[m.text for m in request.messages] for request in model.requests]
    assert texts[3] == ["one", "answer 0", "two"]
    assert texts[5] == ["answer 0", "answer 1", "answer 0", "answer 2", "answer 3", "answer 4", "answer 3"]
    runs = db.get_runs("s", include_members=True)
    assert sorted(run.ns for run in runs) == ["", "", "bot", "bot", *["looped"] * 4]


def test_an_agent_in_a_loop_sees_its_earlier_iterations_where_they_are_stored(way: Way, db: Any) -> None:
    def asked(database: Any, **settings: Any) -> list[list[str]]:
        model = ScriptedModel(["one", "two"])
        way.run(Workflow([Loop(Agent(model, **settings), 2, forward_output=True)], db=database), "x")
        return [[message.text for message in request.messages] for request in model.requests]

    assert asked(db) == [["x"], ["x", "one", "one"]]
    assert asked(None) == [["x"], ["one"]]
    assert asked(db, add_history_to_context=False) == asked(None, add_history_to_context=False) == [["x"], ["one"]]


def test_a_tool_of_an_agent_and_a_step_share_the_session(way: Way, db: Any) -> None:
    def remember(city: str, ctx: Context) -> str:
        ctx.session_state["city"] = city
        ctx.session_state.pop("gone")
        return f"was {ctx.session_state['before']}"

    def before(given: StepInput) -> None:
        given.workflow_session.session_state.update(before=1, gone=2)

    model = ScriptedModel([Reply(tool_calls=[ToolCall("c1", "remember", {"city": "Oslo"})]), "done"])
    agent = Agent(model, tools=[remember], session_state={"own": 3})
    seen = lambda given, ctx: dict(ctx.session_state)  # noqa: E731
    out = way.run(Workflow([before, agent, seen], db=db), "x", session_id="s")
    assert out.content == {"before": 1, "city": "Oslo", "own": 3} == out.session_state


class Sum(TypedDict):
    connection: Annotated[Any, untracked]
    numbers: list[int]
    total: int
    log: Annotated[list[str], append]


def test_a_graph_is_a_step(way: Way, db: Any) -> None:
    builder = StateGraph(Sum, name="sum")
    builder.add_node("add", lambda state: {"total": sum(state["numbers"]), "log": ["added"], "connection": object()})
    builder.add_edge(START, "add")
    builder.add_edge("add", END)
    graph = builder.compile()
    given = way.run(Workflow([graph], db=db), {"numbers": [1, 2]})
    assert given.content == {"numbers": [1, 2], "total": 3, "log": ["added"]}
    mapped = Step("sum", graph, input=lambda given: {"numbers": given.input}, output=lambda state: state["total"])
    assert way.run(Workflow([mapped], db=db), [4, 5]).content == 9
    with pytest.raises(InvalidUpdate, match="step 'sum' is the graph 'sum', which begins with a dict of its fields"):
        way.run(Workflow([graph], db=db), "x")


def test_a_workflow_is_run_by_a_node_and_is_none_itself(way: Way, db: Any) -> None:
    inner = Workflow([wrap("a")], name="inner")
    ends = {"log": [], "numbers": [1]}
    as_node = StateGraph(Sum).add_node("inner", inner, input=lambda state: {}, output=lambda state: {})
    with pytest.raises(GraphError, match=r"begun without the workflow's input: call workflow\.run\(…\), in a node of another"):
        way.invoke(as_node.add_edge(START, "inner").add_edge("inner", END).compile(db=db), ends)
    run_by = StateGraph(Sum).add_node("node", lambda state: {"log": [inner.run("x").content]})
    assert way.invoke(run_by.add_edge(START, "node").add_edge("node", END).compile(db=db), ends)["log"] == ["a(x)"]


def test_workflows_nest_with_outlines_of_their_own(way: Way, db: Any) -> None:
    inner = Workflow([wrap("a"), Parallel(wrap("b"), wrap("c"))], name="inner")
    outer = Workflow([wrap("a"), inner, lambda given: given.previous_step_content["c"]], db=db)
    assert way.run(outer, "x", session_id="s").content == "c(a(a(x)))"
    assert way.run(Workflow([Workflow(name="empty"), wrap("z")], db=db), "x").content == "z(x)"


def yields(given: StepInput) -> Any:
    yield given.input


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Workflow([wrap("a"), Step("a", stop)]), "two steps are called 'a'; give one of them another name"),
        (lambda: Workflow([wrap("a"), Parallel(Steps("b", [wrap("a")]), wrap("c"))]), "two steps are called 'a'"),
        (lambda: Workflow([Agent(name="x"), Agent(name="x")]), "two steps are called 'x'"),
        (lambda: Loop([]), "Loop has no steps: give at least one"),
        (lambda: Steps("s", []), r"Steps\('s'\) has no steps"),
        (lambda: Parallel(), "Parallel has no steps"),
        (lambda: Condition(True, []), "Condition 'condition' has no steps"),
        (lambda: Router([], stop), "Router 'stop' has no steps"),
        (lambda: Step("s", stop, input=lambda given: "x"), "step 's' is no Graph, and input= is for a step that is one"),
        (lambda: Step("s", Agent(), output=lambda state: "x"), "step 's' is no Graph, and output= is for a step that is one"),
        (lambda: Workflow([5]), "a step is 5: give a function, an Agent, a Team, a Graph, a Workflow"),
        (lambda: Step("", stop), "'' cannot be the name of a step"),
        (lambda: Step("a", None), "step 'a' is None: give a function"),
        (
            lambda: Workflow([Step("a", lambda: 1)]).graph,
            r"step 'a' takes \(\); it is called with \(step_input\), \(step_input, ctx\) or \(step_input, session_state\)",
        ),
        (lambda: Workflow([lambda a, b, c: 1]).graph, r"step 'step' takes \(a, b, c\); it is called with \(step_input\)"),
        (lambda: Condition(lambda: True, stop), r"the evaluator of 'condition' takes \(\); it is called with \(step_input\)"),
        (lambda: Router([stop], lambda: "a", name="r"), r"the selector of router 'r' takes \(\); it is called with \(step_in"),
        (lambda: Loop(stop, end_condition=lambda: 1), r"the end_condition of Loop takes \(\); it is called with \(outputs\)"),
        (lambda: Step("a", stop, review=lambda: 1), r"the review of step 'a' takes \(\); it is called with \(output\)"),
        (lambda: Workflow([yields]).graph, "step 'yields' is a generator function; return the result instead"),
        (
            lambda: Workflow([Step("earlier runs", stop)], add_workflow_history=True).graph,
            "two nodes of the workflow are called 'earlier runs'",
        ),
        (lambda: Workflow([Step("draft", stop, review=True), Step("review draft", stop)]).graph, "two nodes .* 'review draft'"),
    ],
)
def test_what_cannot_be_a_workflow_is_an_error_with_the_repair(build: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build()


def test_wrong_settings_are_errors() -> None:
    with pytest.raises(ValueError, match="max_iterations=0: give a whole number from 1 on"):
        Loop([stop], max_iterations=0)
    with pytest.raises(ValueError, match="on_error='ignore' of step 'a': give 'fail' or 'skip'"):
        Step("a", stop, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retry=3 of node 'a': give a RetryPolicy"):
        Step("a", stop, retry=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output_schema= is for agents"):
        Workflow([stop]).run("x", output_schema=dict)
    for asked in ({"add_history_to_context": True}, {"add_history_to_context": False}, {"num_history_runs": None}):
        with pytest.raises(ValueError, match=r"Workflow\(add_workflow_history=True\), or give them to the agents"):
            Workflow([stop]).run("x", **asked)


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"executor": stop}, "write Step(name, what)"),
        ({"name": "a", "executor": stop}, "write Step('a', what)"),
        ({"name": "a", "agent": Agent("offline")}, "write Step('a', what)"),
        ({"name": "a", "what": stop, "max_retries": 3}, "write Step('a', what, retry=RetryPolicy(…))"),
        ({"name": "a", "what": stop, "skip_on_failure": True}, "write Step('a', what, on_error='skip')"),
        ({"name": "a", "what": stop, "retries": 3}, "write Step('a', what, retry=, on_error=, review=, input=, output=)"),
    ],
)
def test_a_setting_that_a_step_has_by_another_name_is_an_error_that_says_it(settings: Any, written: str) -> None:
    setting = list(settings)[-1]
    with pytest.raises(TypeError, match=re.escape(f"a step has no setting {setting}=; {written}")):
        Step(**settings)


def test_what_has_no_name_is_given_one() -> None:
    unnamed = [
        Agent("offline"),
        Agent("offline"),
        lambda given: 1,
        lambda given: 2,
        Loop(lambda given: 3),
        Loop(lambda given: 4),
    ]
    names = [step.name for step in Workflow(unnamed).steps]
    assert names == ["agent", "agent 2", "step", "step 2", "loop", "loop 2"]


def test_the_graph_shows_every_step_and_way() -> None:
    steps = [
        Step("draft", wrap("d"), review=True),
        Parallel(wrap("a"), Steps("two", [wrap("b"), wrap("c")]), name="both"),
        Loop([wrap("turn")], name="again and again"),
        Condition(is_long, wrap("yes"), wrap("no")),
    ]
    graph = Workflow(steps, name="shown").graph
    assert list(graph.plan.nodes) == [
        *("draft", "review draft", "a", "two", "both", "again and again", "turn", "is_long", "yes", "no"),
    ]
    inner = graph.plan.nodes["two"].graph
    assert inner is not None and list(inner.nodes) == ["b", "c"]
    drawn = graph.draw_mermaid()
    for edge in ("draft --> ", '-.->|"again"| draft', '-.->|"again"| turn', "turn --> ", "is_long -.-> yes", "yes --> finish"):
        assert edge in drawn


def test_a_team_is_a_step(way: Way, db: Any) -> None:
    call = ToolCall("c1", "delegate_task_to_member", {"member_id": "ann", "task": "look it up"})
    leader = ScriptedModel([Reply(tool_calls=[call]), "the team's word"])
    team = Team([Agent(ScriptedModel(["ann's word"]), name="ann")], model=leader, name="desk")
    workflow = Workflow([wrap("before"), team, wrap("after")], db=db)
    out = way.run(workflow, "x", session_id="s")
    assert out.content == "after(the team's word)" and out.steps["desk"].content == "the team's word"
    assert leader.requests[0].messages[-1].text == "before(x)"
    assert [message.text for message in db.get_messages("s")] == ["x", "after(the team's word)"]


def test_agents_side_by_side_may_have_defaults_for_the_same_key(way, db):
    def note(ctx: Context) -> str:
        """Note it."""
        ctx.session_state["notes"].append("hi")
        return "noted"

    calls = ScriptedModel([Reply(tool_calls=[ToolCall("1", "note", {})]), "done"])
    first = Agent(calls, name="a1", tools=[note], session_state={"notes": []})
    second = Agent(ScriptedModel(["done"]), name="a2", session_state={"notes": []})
    assert way.run(Workflow([Parallel(first, second, name="both")], db=db), "x").session_state == {"notes": ["hi"]}
    assert first.session_state == second.session_state == {"notes": []}


def test_the_branches_of_a_parallel_tell_of_themselves_once(way):
    def a(given: Any) -> str:
        return "a"

    def b(given: Any) -> str:
        return "b"

    def c(given: Any) -> str:
        return "c"

    yes = Condition(lambda given: True, [a], name="cond")
    all_three = Parallel(yes, Loop([b], max_iterations=2, name="loop"), Steps("group", [c]))
    events = way.events(Workflow([all_three]), "x")
    told = [(event.name, event.iteration) for event in events if event.type == "step_started"]
    assert [name for name, _ in told].count("cond") == 1
    assert [iteration for name, iteration in told if name == "loop"] == [1, 2]
    assert [name for name, _ in told].count("group") == 1
    ended = [(event.name, event.iteration) for event in events if event.type == "step_completed"]
    assert sorted(map(str, told)) == sorted(map(str, ended))


def test_a_workflow_notices_settings_of_its_agents_that_are_changed(way):
    class Answer(BaseModel):
        x: int

    agent = Agent(ScriptedModel(['{"x": 1}'] * 2), name="a")
    workflow = Workflow([agent])
    assert way.run(workflow, "go").content == '{"x": 1}'
    agent.output_schema = Answer
    assert way.run(workflow, "go").content == Answer(x=1)
