"""Workflow: steps in an order that is written down, compiled to one graph whose sessions are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

from pydantic import TypeAdapter, ValidationError

from graphflow.core.calls import CallOptions, Ended, written
from graphflow.core.plan import Plan
from graphflow.core.reducers import Reducer
from graphflow.core.status import STATUSES
from graphflow.db.base import Db
from graphflow.drive.world import Emitter
from graphflow.graph import Graph
from graphflow.messages import Message
from graphflow.output import RunOutput
from graphflow.run import Runner
from graphflow.settings import check_settings
from graphflow.workflow.compiling import Compiler
from graphflow.workflow.inputs import as_declared, as_message, refused
from graphflow.workflow.naming import everything, named, works
from graphflow.workflow.steps import as_list
from graphflow_nodes.stepdata import Outline, ending

_COMPILED = attrgetter("name", "steps", "db", "add_workflow_history", "num_history_runs", "on_event", "session_state_reducers")
"""The settings of a workflow that its graph is made of."""


class Workflow(Runner):
    """Steps that run in the order they are written in, as one graph, with sessions that survive.

    ``steps``: functions, Agents, Teams, Graphs, Workflows, ``Step(name, what, …)`` around one of them, and the groups
    ``Steps``, ``Parallel``, ``Condition``, ``Loop``, ``Router``. Names of steps are unique; what has none is given one
    (a function has its own). Each finished step is stored: after a crash or an error ``resume`` begins with the step that
    was not finished. Without steps a run completes and returns its input.

    The input of a run is any value that the database keeps. A pydantic object (or a dataclass) needs ``input_schema`` if
    another process is to resume its run. With ``input_schema`` steps are given the input as that type, whether it comes as an
    object of it, as plain data, or as a text that is its JSON; what does not fit is an InvalidUpdate before anything is stored.
    ``add_workflow_history``: steps are told the inputs and outputs of the last ``num_history_runs`` completed runs of the
    session (None: of all); functions find them in ``step_input.workflow_session.history``, agents and leaders of teams are told
    them in their system message, and no log keeps them a second time. ``add_history_to_context`` and ``num_history_runs`` of
    a call are about these runs; the agents of steps go by their own settings. ``description``, ``session_id``, ``user_id``,
    ``session_state``, ``on_event`` as for an Agent, ``session_state_reducers`` as for a Team.

    New input on a session whose run crashed or is paused is an UnfinishedRun (unless ``on_unfinished="abandon"``). A run that
    failed or was cancelled is left behind by new input, which begins with the first step: until then ``resume`` goes on with
    it, afterwards nothing does. Raises GraphError for steps that cannot be, ValueError for a setting that cannot be.
    """

    __slots__ = (
        "_edited",
        "_made",
        "add_workflow_history",
        "db",
        "description",
        "input_schema",
        "name",
        "num_history_runs",
        "on_event",
        "outline",
        "output_schema",
        "session_id",
        "session_state",
        "session_state_reducers",
        "steps",
        "user_id",
    )

    def __init__(
        self,
        steps: Any = (),
        *,
        name: str | None = None,
        description: str | None = None,
        db: Db | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        session_state: Mapping[str, Any] | None = None,
        session_state_reducers: Mapping[str, Reducer] | None = None,
        input_schema: type[Any] | None = None,
        add_workflow_history: bool = False,
        num_history_runs: int | None = 3,
        on_event: Emitter | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.steps = tuple(named(as_list(steps, "the workflow", empty=True), set()))
        self.db = db
        self.session_id = session_id
        self.user_id = user_id
        self.session_state = session_state
        self.session_state_reducers = session_state_reducers
        self.input_schema = input_schema
        self.add_workflow_history = add_workflow_history
        self.num_history_runs = num_history_runs
        self.on_event = on_event
        self.output_schema = None
        check_settings(self)
        self.outline = Outline(None if input_schema is None else TypeAdapter(input_schema))
        self._edited: Plan | None = None
        self._made: tuple[tuple[Any, ...], Graph] | None = None
        self._printed = None

    @property
    def component_id(self) -> str:  # type: ignore[override]
        """What the database lists this workflow's sessions under."""
        return self.name or "workflow"

    @property
    def graph(self) -> Graph:
        """The graph this workflow compiles to: a node for each step, condition, loop, router, review and join."""
        settings = (*_COMPILED(self), *(getattr(part, "graph", part) for part in self._parts()))
        made = self._made
        if made is None or len(made[0]) != len(settings) or not all(map(is_, made[0], settings)):
            check_settings(self)
            past = self.num_history_runs if self.add_workflow_history else 0
            plan = self._edited
            if plan is None:
                plan = Compiler(self.outline, self._session_reducers()).plan(
                    self.component_id, self.steps, past_runs=past, session_type="workflow"
                )
            self._made = made = settings, Graph(plan, db=self.db, on_event=self.on_event)
        return made[1]

    def _parts(self) -> Sequence[Any]:
        """What the steps run."""
        return list(works(self.steps))

    def _session_defaults(self) -> Mapping[str, Any]:
        """The keys that a session begins with: its own, and those of what its steps run, of several that of the first."""
        defaults: dict[str, Any] = {}
        for part in self._parts():
            if isinstance(part, Runner):
                defaults = {**part._session_defaults(), **defaults}
        return {**defaults, **(self.session_state or {})}

    def _run_on(self, plan: Plan) -> None:
        self._edited = plan
        self._made = self._printed = None

    # --- input and output --------------------------------------------------------------------------------------------------

    def graph_input(self, input: Any) -> dict[str, Any]:
        """The channels that a run begins with. Raises InvalidUpdate for what is not of the ``input_schema``."""
        channels = self._taken(input)
        said = [as_message(channels.get("live", input))]
        if not self.steps:
            said.append(Message("assistant", said[0].content))
        return {**channels, "messages": said}

    def _taken(self, input: Any) -> dict[str, Any]:
        declared = self.outline.input_type
        if declared is None:
            return self.outline.take_input(input)
        try:
            value = as_declared(declared, input)
        except ValidationError as error:
            raise refused(self.component_id, self.input_schema, input, error) from error
        return self.outline.take_declared(value, said=input)

    def record(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the workflow around this one keeps of a run."""
        outputs = values.get("outputs") or {}
        name = ending(outputs, values.get("previous"))
        return {"content": self.outline.input(values)} if name is None else self.outline.expanded(name, outputs)

    def _call(self, graph: Graph, arguments: Mapping[str, Any], listening: bool) -> CallOptions:
        if arguments.get("output_schema") is not None:
            raise ValueError("output_schema= is for agents: give it to the agent of a step")
        asked = arguments.get("add_history_to_context") is not None or "num_history_runs" in arguments
        if asked and not self.add_workflow_history:
            raise ValueError(
                "add_history_to_context= and num_history_runs= are about earlier runs of the workflow, and this one reads "
                "none: make it with Workflow(add_workflow_history=True), or give them to the agents of its steps"
            )
        return super()._call(graph, arguments, listening)

    def _output(self, ended: Ended, call: CallOptions) -> RunOutput:
        values, outline = ended.values, self.outline
        outputs = dict(values.get("outputs") or {})
        for made in written(ended, "outputs"):
            outputs.update(made)
        done = ended.status == "completed"
        steps = {name: output for name in everything(self.steps) if (output := outline.output(name, outputs)) is not None}
        return RunOutput(
            content=outline.final(values, outputs, values.get("previous")) if done else None,
            messages=list(values.get("messages", ())),
            run_id=ended.run_id,
            session_id=ended.session_id or "",
            user_id=call.user_id,
            status=STATUSES[ended.status],
            interrupts=ended.interrupts,
            metrics=ended.metrics,
            session_state=values.get("session_state", {}),
            steps=steps,
        )
