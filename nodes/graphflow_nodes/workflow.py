"""Nodes of workflows: steps, joins, conditions, loops, routers. Those of reviews are in ``reviews``.

A work is what a step does, as a flow: ``work(step_input, ctx)`` gives a record of its output and what else it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphflow.core.calls import CallOptions
from graphflow.core.comparison import MISSING, changed_keys
from graphflow.core.control import STOP, Command, Context, current_task
from graphflow.core.effects import Call, Emit, Flow
from graphflow.core.excerpts import error_text
from graphflow.core.nested import run_inside
from graphflow.core.plan import Function, Plan, flow
from graphflow.core.policies import RetryPolicy, next_attempt
from graphflow.core.steps import copied
from graphflow.errors import SessionError, UnknownTarget
from graphflow.messages import Message, TextPart
from graphflow_nodes.model import as_text
from graphflow_nodes.stepdata import Outline, Record, StepInput, StepOutput, last_number
from graphflow_nodes.voices import spoken

Changes = dict[str, Any]
Work = Callable[[StepInput, Context], Flow[Changes]]
"""What a step does. Its result is an update; ``outputs`` holds records that have no place yet."""
Node = Callable[..., Flow[Any]]
AGAIN, DONE = "again", "done"
"""Where a loop, a router or a review goes: back, or on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in its workflow."""

    name: str
    """The step it belongs to."""
    outline: Outline
    within: tuple[str, ...] = ()
    """The groups around the step, outermost first."""
    last: bool = False
    """Whether the run may end after it: then it says what the run gives."""
    outermost: bool = True
    """Whether it is in the graph of the workflow itself, not in that of a branch."""
    advances: bool = True
    """Whether what comes next is given its content; not so for one of several that run at once, or one that is reviewed."""
    opens: str | None = None
    """The Parallel whose first branch it is."""
    loops: tuple[str, ...] = ()
    """The loops around it, outermost first."""
    ends: tuple[Place, ...] = ()
    """The conditions that end with it, innermost first."""
    joined: bool = False
    """Whether a join or a review comes next, which ends the run where what was before it said so."""
    told: bool = True
    """Whether its node tells of it; not so where what runs inside it does."""


def step(place: Place, work: Work, *, skip: bool = False, retry: Sequence[RetryPolicy] = ()) -> Node:
    """A node that does one step and keeps its output, in a graph whose state is a WorkflowState.

    ``skip``: an error that no policy in ``retry`` lets it try again after is kept as its output, and the run goes on.
    """

    @flow
    def run_step(state: Any, ctx: Context) -> Flow[Any]:
        given = StepInput(place.outline, state, ctx, place.name)
        if place.opens is not None:
            yield from tell("step_started", replace(place, name=place.opens, within=place.within[:-1], told=True), state, ctx)
        yield from tell("step_started", place, state, ctx)
        try:
            update = yield from work(given, ctx)
        except SessionError:
            raise
        except Exception as error:
            if not skip or next_attempt(retry, error, ctx.attempt):
                raise
            ctx.task.session = None  # what was changed in it
            failure = error_text(error)
            update = {"outputs": {place.name: {"content": None, "skipped": True, "error": failure}}}
        return (yield from _finished(place, state, ctx, update))

    return run_step


def _finished(place: Place, state: Any, ctx: Context, update: Changes) -> Flow[Any]:
    """The step's update, with the places of its outputs, and what follows from it."""
    number = last_number(state["outputs"]) + 1
    made: dict[str, Record] = {name: {"n": number, **record} for name, record in update["outputs"].items()}
    update["outputs"] = made
    outputs = {**state["outputs"], **made}
    stop = any(record.get("stop") for record in made.values())
    skipped = bool(made.get(place.name, {}).get("skipped"))
    if place.advances and not skipped:
        update["previous"] = place.name
    if ctx.listening:
        output = place.outline.output(place.name, outputs) or StepOutput(name=place.name)
        yield from tell(
            "step_completed", place, state, ctx, content=output.content, skipped=output.skipped, error=output.error, stop=stop
        )
    return (yield from settled(place, state, ctx, update, outputs, stop=stop))


def settled(place: Place, state: Any, ctx: Context, update: Changes, outputs: Mapping[str, Record], *, stop: bool) -> Flow[Any]:
    """The update of a step that nothing changes any more, and where it leads: on, or with ``stop`` to the end of the run."""
    stop = stop and not place.joined
    if not stop:
        yield from tell_ends(place, state, ctx, outputs)
    if (place.last or stop) and place.outermost:
        previous = place.name if stop else update.get("previous", state.get("previous"))
        yield from say(place, state, ctx, update, outputs, previous)
    return Command(update, goto=STOP) if stop else update


def say(
    place: Place, state: Any, ctx: Context, update: Changes, outputs: Mapping[str, Record], previous: str | None
) -> Flow[None]:
    """Add what the run gives to its messages, and tell it as the text of the answer."""
    text = _text(place.outline.final(state, outputs, previous))
    update["messages"] = [Message("assistant", text)]
    if ctx.listening and text:
        yield spoken(ctx, text)


def _text(content: Any) -> str:
    return "" if content is None else as_text(content)


def tell(type: str, place: Place, state: Any, ctx: Context, **data: Any) -> Flow[None]:
    """An event about a step: ``name``, ``within`` (the groups around it), the ``attempt`` and, in a loop, the ``iteration``."""
    if ctx.listening and place.told:
        turns = [state["ways"][loop]["iteration"] for loop in place.loops if state["ways"].get(loop)]
        iteration = turns[-1] if turns else None
        data = {"name": place.name, "within": place.within, "iteration": iteration, "attempt": ctx.attempt, **data}
        yield Emit(type, ctx.node, data, ctx.ns)


def tell_ends(place: Place, state: Any, ctx: Context, outputs: Mapping[str, Record]) -> Flow[None]:
    """Tell that the conditions that end with a step are completed."""
    for around in place.ends if ctx.listening else ():
        chosen = state["ways"][around.name]["to"]
        yield from tell("step_completed", around, state, ctx, chosen=chosen, content=_content(around, outputs))


def _content(place: Place, outputs: Mapping[str, Record]) -> Any:
    output = place.outline.output(place.name, outputs)
    return None if output is None else output.content


# --- works -----------------------------------------------------------------------------------------------------------------


def call_function(function: Function, place: Place) -> Work:
    """The work of a function ``(step_input[, ctx]) -> value | StepOutput``."""

    def work(given: StepInput, ctx: Context) -> Flow[Changes]:
        value = yield from called(function, given, ctx)
        return {"outputs": {place.name: place.outline.record(place.name, value, ctx.stored)}}

    return work


def called(function: Function, given: Any, ctx: Context) -> Flow[Any]:
    args = (given, ctx) if function.wants_context else (given,)
    if function.kind == "flow":
        return (yield from function.call(*args))
    return (yield Call(function.call, args, {}, function.kind == "async"))


@dataclass(frozen=True, slots=True)
class Inside:
    """How a step runs a graph: the graph as it is now, what it begins with, and what it gives."""

    plan: Callable[[], Plan]
    begin: Callable[[StepInput], Mapping[str, Any]]
    """Channels to begin with; without ``session_state``, which it shares."""
    content: Callable[[Mapping[str, Any]], Any]
    """From the state it ended with to a content, or to a record (``packed``)."""
    session_state: Mapping[str, Any] = field(default_factory=dict)
    """Keys that the session begins with where it has none."""
    packed: bool = False


def call_inside(inside: Inside, place: Place) -> Work:
    """The work of a graph: an agent's, a team's, a workflow's, or any. It goes on inside after a crash or a question."""

    def work(given: StepInput, ctx: Context) -> Flow[Changes]:
        values, update = yield from _run_inside(inside, given, ctx)
        content = inside.content(values)
        record = {"inner": content} if inside.packed else place.outline.record(place.name, content, ctx.stored)
        return {**update, "outputs": {place.name: record}}

    return work


def call_branch(plan: Plan, steps: Sequence[str]) -> Work:
    """The work of a branch of several steps: a graph of its own, whose outputs are the workflow's."""

    def begin(given: StepInput) -> Mapping[str, Any]:
        state = given.state
        told = {name: state[name] for name in ("input", "live", "outputs", "previous", "ways", "history") if name in state}
        return {**told, "input": {"content": given.input}} if "said" in state["input"] else told

    inside = Inside(lambda: plan, begin, lambda values: None)

    def work(given: StepInput, ctx: Context) -> Flow[Changes]:
        before = last_number(given.state["outputs"])
        values, update = yield from _run_inside(inside, given, ctx)
        made = {name: values["outputs"][name] for name in steps if name in values["outputs"]}
        return {**update, "outputs": {name: record for name, record in made.items() if record["n"] > before}}

    return work


def _run_inside(inside: Inside, given: StepInput, ctx: Context) -> Flow[tuple[Mapping[str, Any], Changes]]:
    """Run a graph as this node's; the state it ended with, and the update of what it changed in the session's dict."""
    task = current_task.get()
    assert task is not None
    plan = inside.plan()
    begin, options = dict(inside.begin(given)), background(given)
    if "session_state" not in plan.schema.channels:
        ended = yield from run_inside(plan, begin, task, options=options)
        return ended.values, {}
    before = {**copied(dict(inside.session_state)), **(given.state.get("session_state") or {})}
    ended = yield from run_inside(plan, {**begin, "session_state": before}, task, options=options)
    after = ended.values.get("session_state") or {}
    changes = changed_keys(given.state.get("session_state") or {}, after)
    return ended.values, {"session_state": changes} if changes else {}


def background(given: StepInput) -> CallOptions | None:
    """The earlier runs of the workflow as an agent is told them: beside its input, for one call, so that no log keeps them."""
    runs = [f"Input: {run.input}\nOutput: {run.content or '(none)'}" for run in given.workflow_session.history]
    if not runs:
        return None
    return CallOptions(options={"background": "\n\n".join(["Earlier runs of this workflow, oldest first:", *runs])})


def with_note(message: Message, given: StepInput) -> Message:
    """What an agent is asked: the message, with a reviewer's note where there is one. Its log keeps both, as it was asked."""
    if given.review_note is None:
        return message
    output = given.get_step_output(given.name)
    earlier = _text(None if output is None else output.content)
    note = f"Your earlier answer was:\n{earlier}\n\nA reviewer asks for a change: {given.review_note}"
    if isinstance(message.content, str):
        return message.model_copy(update={"content": f"{message.content}\n\n{note}"})
    return message.model_copy(update={"content": [*message.content, TextPart(text=note)]})


# --- ways ------------------------------------------------------------------------------------------------------------------


def join(place: Place, branches: Sequence[str]) -> Node:
    """A node after branches that ran at the same time: its content is theirs, by name; None for one that had nothing to do.

    What branches left when they ran before, in a loop, is older than what this node left then. Where branches ended the run, it
    ends here, with the content of the first of them in the order of declaration.
    """

    @flow
    def join_branches(state: Any, ctx: Context) -> Flow[Any]:
        stopped = (place.outline.stopped_in(branch, state["outputs"]) for branch in branches)
        by = next(filter(None, stopped), None)
        record = {"all": list(branches), **({} if by is None else {"stop": True, "by": by})}
        before = state["outputs"].get(place.name)
        if before is not None:
            record["since"] = before["n"]
        return (yield from _finished(place, state, ctx, {"outputs": {place.name: record}}))

    return join_branches


def condition(place: Place, evaluator: Function | bool, names: tuple[str, str], empty: tuple[bool, bool]) -> Node:
    """A node that says which way to go: the first of ``names`` when the evaluator says so. ``empty``: which has no steps."""

    @flow
    def evaluate(state: Any, ctx: Context) -> Flow[Any]:
        yield from tell("step_started", place, state, ctx)
        if isinstance(evaluator, bool):
            answer: Any = evaluator
        else:
            answer = yield from called(evaluator, StepInput(place.outline, state, ctx, place.name), ctx)
        chosen = 0 if answer else 1
        update: Changes = {"ways": {place.name: {"to": names[chosen]}}}
        if empty[chosen]:
            yield from tell("step_completed", place, state, ctx, chosen=names[chosen], content=None)
            yield from tell_ends(place, state, ctx, state["outputs"])
        if empty[chosen] and place.last and place.outermost:
            yield from say(place, state, ctx, update, state["outputs"], state.get("previous"))
        return update

    return evaluate


def loop(
    place: Place,
    steps: Sequence[str],
    *,
    max_iterations: int,
    end_condition: Function | None = None,
    forward_output: bool = False,
) -> Node:
    """A node before and after the steps of a loop: lets them begin, and says whether they run again."""

    @flow
    def turn(state: Any, ctx: Context) -> Flow[Any]:
        outputs = state["outputs"]
        stands = state["ways"].get(place.name)
        if stands is None or stands["to"] == DONE:
            started: Changes = {"to": AGAIN, "iteration": 1, "entry": state.get("previous"), "since": last_number(outputs)}
            yield from tell("step_started", place, state, ctx, iteration=1)
            return {"ways": {place.name: started}}
        made = place.outline.since(steps, stands["since"], outputs)
        content = made[-1].content if made else None
        yield from tell("step_completed", place, state, ctx, iteration=stands["iteration"], content=content)
        enough = stands["iteration"] >= max_iterations
        if end_condition is not None and not enough:
            enough = bool((yield from called(end_condition, made, ctx)))
        if not enough:
            begun = {**stands, "iteration": stands["iteration"] + 1, "since": last_number(outputs)}
            yield from tell("step_started", place, state, ctx, iteration=begun["iteration"])
            return {"ways": {place.name: begun}, **({} if forward_output else {"previous": stands["entry"]})}
        update: Changes = {"ways": {place.name: {"to": DONE}}}
        yield from tell_ends(place, state, ctx, outputs)
        if place.last and place.outermost:
            yield from say(place, state, ctx, update, outputs, state.get("previous"))
        return update

    return turn


def router(place: Place, choices: Mapping[str, Any], selector: Function) -> Node:
    """A node before and after the chosen steps: asks once which are chosen, and lets them run one after the other."""

    @flow
    def choose(state: Any, ctx: Context) -> Flow[Any]:
        stands = state["ways"].get(place.name)
        if stands is None or stands["to"] == DONE:
            yield from tell("step_started", place, state, ctx)
            answer = yield from called(selector, StepInput(place.outline, state, ctx, place.name), ctx)
            chosen = _chosen(place.name, choices, answer)
            if chosen:
                return {"ways": {place.name: {"to": chosen[0], "then": chosen[1:], "chosen": chosen}}}
            stands = {"chosen": []}
        elif stands["then"]:
            return {"ways": {place.name: {**stands, "to": stands["then"][0], "then": stands["then"][1:]}}}
        update: Changes = {"ways": {place.name: {"to": DONE}}}
        content = _content(place, state["outputs"]) if stands["chosen"] else None
        yield from tell("step_completed", place, state, ctx, chosen=stands["chosen"], content=content)
        yield from tell_ends(place, state, ctx, state["outputs"])
        if place.last and place.outermost:
            yield from say(place, state, ctx, update, state["outputs"], state.get("previous"))
        return update

    return choose


def _chosen(router: str, choices: Mapping[str, Any], answer: Any) -> list[str]:
    """The names of the chosen steps. Raises UnknownTarget for what is not among the choices."""
    names = []
    for item in answer if isinstance(answer, list | tuple) else () if answer is None else (answer,):
        name = next((name for name, choice in choices.items() if item is choice or item == name), None)
        if name is None:
            name = next((name for name, choice in choices.items() if item is getattr(choice, "what", MISSING)), None)
        if name is None:
            known = ", ".join(map(repr, choices))
            raise UnknownTarget(f"the selector of router {router!r} returned {item!r}, which is not among its choices: {known}")
        names.append(name)
    return names


def way(node: str, targets: Mapping[str, Sequence[str]]) -> Callable[[Any], list[str]]:
    """A router from a node of this module: where what it wrote leads to. For one target the label stands for it."""
    table = {label: [label] if len(names) == 1 else list(names) for label, names in targets.items()}

    def go(state: Any) -> list[str]:
        return table[state["ways"][node]["to"]]

    return go
