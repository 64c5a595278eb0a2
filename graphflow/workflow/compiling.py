"""From steps to one graph: nodes, edges, fan-out, joins and back-edges. A branch of several steps is a graph of its own."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter

from graphflow.builder import StateGraph
from graphflow.core.control import END, START
from graphflow.core.plan import Plan
from graphflow.core.policies import RetryPolicy
from graphflow.core.reducers import Reducer
from graphflow.db.typed import is_exact
from graphflow.errors import GraphError, InvalidUpdate
from graphflow.graph import Graph
from graphflow.input import input_messages
from graphflow.messages import Message
from graphflow.models.structured import parse_output
from graphflow.run import Runner
from graphflow.states import with_reducers
from graphflow.workflow.functions import lowered
from graphflow.workflow.naming import leaves
from graphflow.workflow.steps import Condition, Group, Loop, Parallel, Router, Step, Steps
from graphflow_nodes import stepdata
from graphflow_nodes import workflow as nodes
from graphflow_nodes.conversation import history
from graphflow_nodes.model import as_text
from graphflow_nodes.reviews import review
from graphflow_nodes.workflow import DONE, Inside, Place

Entries = tuple[str, ...]
"""The nodes that something begins with: several for a Parallel."""
HISTORY = "earlier runs"


# --- types -----------------------------------------------------------------------------------------------------------------


def adapter_of(hint: Any) -> TypeAdapter[Any] | None:
    """How values of a type are stored; None when they are kept as they are."""
    if get_origin(hint) is stepdata.StepOutput:
        hint = get_args(hint)[0]
    if hint is stepdata.StepOutput or is_exact(hint):
        return None
    try:
        return TypeAdapter(hint)
    except PydanticUserError:  # a class that pydantic does not know: what is of it is refused when it is stored
        return None


def _declared(fn: Any) -> Any:
    """The return annotation of a function; Any when there is none to be had. Types of its parameters need not be known."""
    inner = inspect.unwrap(getattr(fn, "func", fn))
    function = inner if hasattr(inner, "__code__") else type(inner).__call__
    holder = SimpleNamespace(__annotations__={"return": getattr(function, "__annotations__", {}).get("return", Any)})
    try:
        return typing.get_type_hints(holder, globalns=getattr(function, "__globals__", {}))["return"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any


# --- works -----------------------------------------------------------------------------------------------------------------


def _asked(content: Any) -> list[Message]:
    """The messages that a content is for an agent."""
    if isinstance(content, Mapping) or not isinstance(content, str | Message | list | tuple):
        return [Message("user", as_text(content))]
    try:
        return input_messages(content)
    except InvalidUpdate:
        return [Message("user", as_text(content))]


def _messages(given: Any) -> dict[str, Any]:
    said = _asked(given.message)
    return {"messages": [*said[:-1], nodes.with_note(said[-1], given)] if said else said}


def _noted(given: Any) -> Any:
    """What a workflow is given: the message and, where that is a text, a reviewer's note."""
    message = given.message
    return nodes.with_note(Message("user", message), given).text if isinstance(message, str) else message


def _answer(values: Mapping[str, Any]) -> str | None:
    said = values.get("messages") or ()
    return said[-1].content if said and said[-1].role == "assistant" else None


def _runner(runner: Runner) -> Inside:
    schema = runner.output_schema

    def content(values: Mapping[str, Any]) -> Any:
        answer = _answer(values)
        return answer if schema is None or answer is None else parse_output(schema, str(answer))

    return Inside(lambda: runner.graph.plan, _messages, content, runner.session_state or {})


def _graph(step: Step) -> Inside:
    plan: Plan = step.what.plan
    talks = "messages" in plan.schema.channels
    kept = {name for name, channel in plan.schema.channels.items() if channel.stored and name != "session_state"}

    def begin(given: Any) -> Mapping[str, Any]:
        if step.input is not None:
            made: Mapping[str, Any] = step.input(given)
            return made
        if talks:
            return _messages(given)
        if not isinstance(given.message, Mapping):
            raise InvalidUpdate(
                f"step {step.name!r} is the graph {plan.name!r}, which begins with a dict of its fields, and is given "
                f"{type(given.message).__name__}: say what it begins with, "
                f"Step({step.name!r}, graph, input=lambda step_input: …)"
            )
        return given.message

    def content(values: Mapping[str, Any]) -> Any:
        if step.output is not None:
            return step.output(plan.schema.view(dict(values)))
        if talks:
            return _answer(values)
        return {name: value for name, value in values.items() if name in kept}

    return Inside(lambda: plan, begin, content)


# --- the graph -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    action: Callable[..., Any]
    order: int
    graph: Plan | None = None
    retry: tuple[RetryPolicy, ...] = ()


class Compiler:
    """Makes one graph. Steps are placed from the last to the first, each knowing what follows it."""

    def __init__(self, outline: stepdata.Outline, reducers: Mapping[str, Reducer]) -> None:
        self.outline = outline
        self.reducers = reducers
        self.nodes: dict[str, _Node] = {}
        self.edges: list[tuple[str | list[str], str]] = []
        self.ways: list[tuple[str, dict[str, Entries]]] = []
        self.order: dict[str, int] = {}

    def plan(
        self,
        name: str,
        steps: Sequence[Step | Group],
        around: Place | None = None,
        *,
        past_runs: int | None = 0,
        **kinds: Any,
    ) -> Plan:
        """The graph of these steps. ``past_runs``: how many earlier runs its steps are told of (None: all)."""
        self._number(steps)
        around = around or Place("", self.outline)
        entries = self._chain(steps, (END,), around)
        state = stepdata.WorkflowState if around.outermost else stepdata.BranchState
        builder = StateGraph(with_reducers(state, self.reducers), name=name)
        if past_runs != 0:
            builder.add_node(HISTORY, history(last_runs=past_runs), rerunnable=True)
            self.edges += [(HISTORY, entry) for entry in entries]
            entries = (HISTORY,)
        for label, node in sorted(self.nodes.items(), key=lambda item: item[1].order):
            builder.add_node(label, node.action, retry=node.retry or None)
        for entry in entries:
            builder.add_edge(START, entry)
        for source, target in self.edges:
            builder.add_edge(source, target)
        for label, targets in self.ways:
            builder.add_conditional_edges(label, nodes.way(label, targets), _table(targets))
        plan = builder.plan(name, **kinds)
        graphs = {label: node.graph for label, node in self.nodes.items() if node.graph is not None}
        return replace(plan, nodes={label: replace(node, graph=graphs.get(label)) for label, node in plan.nodes.items()})

    def _number(self, steps: Sequence[Step | Group]) -> None:
        for step in steps:
            if not isinstance(step, Parallel):
                self.order[str(step.name)] = len(self.order)
            if isinstance(step, Group):
                self._number(step.parts())
            if isinstance(step, Parallel):
                self.order[str(step.name)] = len(self.order)

    def _add(self, name: str, node: _Node) -> None:
        if name in self.nodes or name == HISTORY:
            raise GraphError(f"two nodes of the workflow are called {name!r}; give the step another name")
        self.nodes[name] = node

    # --- placing -----------------------------------------------------------------------------------------------------------

    def _chain(self, steps: Sequence[Step | Group], then: Entries, around: Place) -> Entries:
        for step in reversed(steps):
            then = self._place(step, then, around)
            around = replace(around, ends=())
        return then

    def _place(self, step: Step | Group, then: Entries, around: Place) -> Entries:
        name = str(step.name)
        place = replace(around, name=name, last=then == (END,))
        inside = replace(around, within=(*around.within, name), ends=())
        if isinstance(step, Step):
            self.outline.types.setdefault(name, None)
            return self._step(step, then, place)
        self.outline.groups[name] = tuple(leaves(step))
        if isinstance(step, Steps):
            return self._chain(step.steps, then, replace(inside, ends=place.ends))
        if isinstance(step, Parallel):
            return self._parallel(step, then, place, inside)
        if isinstance(step, Condition):
            return self._condition(step, then, place, replace(inside, ends=(place, *place.ends)))
        if isinstance(step, Loop):
            return self._loop(step, then, place, inside)
        assert isinstance(step, Router)
        return self._router(step, then, place, inside)

    def _step(self, step: Step, then: Entries, place: Place) -> Entries:
        name = place.name
        reviewed = step.review is not None and step.review is not False
        action, graph = self._work(step, place)
        skip = step.on_error == "skip"
        worked = replace(place, advances=False, last=False, ends=(), joined=True) if reviewed else place
        node = nodes.step(worked, action, skip=skip, retry=step.retry)
        self._add(name, _Node(node, self.order[name], graph, step.retry))
        if reviewed:
            label = f"review {name}"
            self._add(label, _Node(review(place, label, step.review, skip), self.order[name]))
            self.edges.append((name, label))
            self.ways.append((label, {DONE: then, nodes.AGAIN: (name,)}))
        elif not place.joined:
            self.edges += [(name, entry) for entry in then]
        return (name,)

    def _work(self, step: Step, place: Place) -> tuple[nodes.Work, Plan | None]:
        """What a step does, and the graph that it runs, if it is one."""
        what = step.what
        outline = getattr(what, "outline", None)
        if isinstance(what, Runner) and isinstance(outline, stepdata.Outline):
            self.outline.inner[step.name] = outline
            workflow: Any = what
            inside = Inside(
                lambda: workflow.graph.plan,
                lambda given: workflow.graph_input(_noted(given)),
                workflow.record,
                what.session_state or {},
                packed=True,
            )
        elif isinstance(what, Runner):
            inside = _runner(what)
            if what.output_schema is not None:
                self.outline.types[step.name] = adapter_of(what.output_schema)
        elif isinstance(what, Graph):
            inside = _graph(step)
            if step.output is not None:
                self.outline.types[step.name] = adapter_of(_declared(step.output))
        else:
            function = lowered(what, f"step {step.name!r}")
            self.outline.types[step.name] = adapter_of(_declared(what))
            return nodes.call_function(function, place), None
        return nodes.call_inside(inside, place), inside.plan()

    def _parallel(self, step: Parallel, then: Entries, place: Place, around: Place) -> Entries:
        names = [str(branch.name) for branch in step.branches]
        for at, branch in enumerate(step.branches):
            opens = place.name if at == 0 else None
            beside = replace(around, name=names[at], last=False, advances=False, joined=True, opens=opens)
            if isinstance(branch, Step) and not branch.review:
                self.outline.types.setdefault(branch.name, None)
                self._step(branch, (), beside)
                continue
            plan = Compiler(self.outline, self.reducers).plan(names[at], [branch], replace(around, outermost=False))
            work = nodes.call_branch(plan, leaves(branch))
            branch_node = nodes.step(replace(beside, told=isinstance(branch, Steps)), work)
            self._add(names[at], _Node(branch_node, self.order[names[at]], plan))
        self.outline.types.setdefault(place.name, None)
        self._add(place.name, _Node(nodes.join(place, names), self.order[place.name]))
        self.edges.append((names, place.name))
        self.edges += [(place.name, entry) for entry in then]
        return tuple(names)

    def _condition(self, step: Condition, then: Entries, place: Place, around: Place) -> Entries:
        name = place.name
        yes = self._chain(step.steps, then, around)
        no = self._chain(step.else_steps, then, around)
        action = nodes.condition(place, step.evaluator, ("yes", "no"), (False, not step.else_steps))
        self._add(name, _Node(action, self.order[name]))
        self.ways.append((name, {"yes": yes, "no": no}))
        return (name,)

    def _loop(self, step: Loop, then: Entries, place: Place, around: Place) -> Entries:
        name = place.name
        body = self._chain(step.steps, (name,), replace(around, loops=(*around.loops, name)))
        action = nodes.loop(
            place,
            leaves(step),
            max_iterations=step.max_iterations,
            end_condition=step.end_condition,
            forward_output=step.forward_output,
        )
        self._add(name, _Node(action, self.order[name]))
        self.ways.append((name, {nodes.AGAIN: body, DONE: then}))
        return (name,)

    def _router(self, step: Router, then: Entries, place: Place, around: Place) -> Entries:
        name = place.name
        targets = {str(choice.name): self._place(choice, (name,), around) for choice in step.choices}
        if DONE in targets:
            raise GraphError(f"a choice of router {name!r} is called {DONE!r}; give it another name")
        choices = {str(choice.name): choice for choice in step.choices}
        self._add(name, _Node(nodes.router(place, choices, step.selector), self.order[name]))
        self.ways.append((name, {**targets, DONE: then}))
        return (name,)


def _table(targets: Mapping[str, Entries]) -> dict[str, str]:
    """The targets of a conditional edge: what the label of each way stands for."""
    table: dict[str, str] = {}
    for label, entries in targets.items():
        for key, entry in [(label, entries[0])] if len(entries) == 1 else zip(entries, entries, strict=True):
            if table.setdefault(key, entry) != entry:
                raise GraphError(f"a step is called {key!r}, which is also a way of the group before it; give it another name")
    return table
