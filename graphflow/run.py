"""Running agents (and whatever else compiles to a graph of messages): run, stream, resume, print, once for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, overload

from graphflow import drive
from graphflow.asking import Asked
from graphflow.core import options
from graphflow.core.audience import EVERYBODY, NOBODY
from graphflow.core.control import MISSING
from graphflow.core.ids import check_id, check_resumed, new_id
from graphflow.core.status import STATUSES
from graphflow.errors import GraphError
from graphflow.lazy import deferred
from graphflow.output import RunOutput as RunOutput
from graphflow.output import RunStatus as RunStatus
from graphflow.output import ToolExecution as ToolExecution
from graphflow.output import executions

if TYPE_CHECKING:
    from graphflow.builder import StateGraph
    from graphflow.core.calls import CallOptions, Ended
    from graphflow.core.effects import Flow
    from graphflow.core.plan import Plan
    from graphflow.core.reducers import Reducer
    from graphflow.drive.stream import Event
    from graphflow.drive.world import World
    from graphflow.graph import Graph
    from graphflow.messages import Message

builder = deferred("graphflow.builder")
calls = deferred("graphflow.core.calls")
ending = deferred("graphflow.ending")
events = deferred("graphflow.drive.stream")
inputs = deferred("graphflow.input")
speech = deferred("graphflow.messages")
printing = deferred("graphflow.printing")
runs = deferred("graphflow.core.runs")
spoken = deferred("graphflow.core.spoken")
steps = deferred("graphflow.core.steps")
structured = deferred("graphflow.models.structured")


class RunArguments(TypedDict, total=False):
    """What a run may be told besides its input; see ``Runner.run``."""

    session_id: str | None
    user_id: str | None
    session_state: Mapping[str, Any] | None
    add_history_to_context: bool | None
    num_history_runs: int | None
    output_schema: type[Any] | None
    context: Any
    recursion_limit: int
    on_unfinished: Literal["raise", "abandon"] | None
    on_busy: Literal["wait", "reject", "cancel"] | None
    idempotency_key: str | None


class Runner(Asked):
    """What everything that runs on a conversation shares. Subclasses give the graph and their settings."""

    __slots__ = ("_printed",)

    session_state: Mapping[str, Any] | None
    session_state_reducers: Mapping[str, Reducer] | None
    output_schema: type[Any] | None
    component_id: str
    _printed: dict[str | None, str] | None

    def _parts(self) -> Sequence[Any]:
        """What it runs inside: members, or what the steps run."""
        return ()

    def _session_reducers(self) -> dict[str, Reducer]:
        """The reducers of keys of session_state: its own, and those of what it runs inside."""
        reducers: dict[str, Reducer] = {}
        for part in self._parts():
            if isinstance(part, Runner):
                reducers.update(part._session_reducers())
        return {**reducers, **(self.session_state_reducers or {})}

    def _session_defaults(self) -> Mapping[str, Any]:
        """The keys that a session begins with: its own, and of what it runs inside those with a reducer, because what several
        tasks changed at once is told from the value that they began with.
        """
        parts = self._parts()
        if not parts:
            return dict(self.session_state) if self.session_state else {}
        defaults: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, Runner):
                reducers, begun = part._session_reducers(), part._session_defaults()
                defaults.update({key: begun[key] for key in reducers if key in begun})
        return {**defaults, **(self.session_state or {})}

    def graph_for(self, arguments: Mapping[str, Any]) -> Graph:
        """The graph for one call."""
        return self.graph

    def graph_input(self, input: Any) -> dict[str, Any]:
        """What the graph begins with when this is run with ``input``."""
        return {"messages": inputs.input_messages(input)}

    # --- a graph of its own ------------------------------------------------------------------------------------------------

    def graph_builder(self) -> StateGraph:
        """A StateGraph that holds the nodes and edges of ``graph``, to be edited.

        ``nodes`` and ``edges`` tell what is there; ``add_node``, ``replace_node(name, action)``, ``remove_node(name)``,
        ``add_edge``, ``remove_edge(source, target)``, ``add_conditional_edges`` and ``remove_conditional_edges(source)`` change
        it. Then ``with_graph(builder)`` runs on it, or ``builder.compile(db=…)`` makes a Graph of it. This object and its graph
        stay as they are. Nodes are made of the settings as they are now; later changes of those do not reach them.
        """
        made: StateGraph = builder.StateGraph.of(self.graph)
        return made

    def with_graph(self, graph: StateGraph | Graph) -> Self:
        """A copy of this object that runs, prints, streams and resumes on another graph: an edited ``graph_builder()``, or any
        Graph whose state has the stored channels of this one's (an agent's: ``messages`` and ``session_state``).

        Database, ids and defaults of a run stay those of this object. Sessions may go on from one graph to the other: what is
        stored belongs to both. A run that is unfinished has to fit (else ``resume`` raises GraphChanged). Raises GraphError
        for a graph that cannot work.
        """
        plan: Plan = builder.compiled(graph).plan
        own = self.graph.plan
        for name, channel in own.schema.channels.items():
            if channel.stored and name not in plan.schema.channels:
                raise GraphError(
                    f"graph {plan.name!r} has no field {name!r}, which {self.component_id!r} keeps its sessions in; declare it "
                    f"as {own.schema.cls.__name__} does, or begin with graph_builder()"
                )
        made = copy(self)
        made._run_on(replace(plan, name=own.name, session_type=own.session_type, on_unfinished=own.on_unfinished))
        return made

    def _run_on(self, plan: Plan) -> None:
        """Run on this graph from now on, and keep no printed sessions."""
        raise NotImplementedError

    # --- run -----------------------------------------------------------------------------------------------------------

    @overload
    def run(self, input: Any, *, stream: Literal[False] = False, **arguments: Unpack[RunArguments]) -> RunOutput: ...
    @overload
    def run(self, input: Any, *, stream: Literal[True], **arguments: Unpack[RunArguments]) -> Iterator[Event]: ...
    def run(self, input: Any, *, stream: bool = False, **arguments: Unpack[RunArguments]) -> RunOutput | Iterator[Event]:
        """Answer ``input`` (text, a Message, parts, a list of messages, a dict or a pydantic object) and return a RunOutput.

        ``stream=True`` returns an iterator of Events instead; the texts of the top level's token events are the content (what a
        model says before it calls tools comes as tokens, too, but is not part of it; an answer that no model told, because a
        node wrote it, comes as one token at the end), and the last event carries the RunOutput as ``output``. ``session_id``:
        of the call, else of the object, else a new one (in the RunOutput).
        ``session_state``: keys for this session, over the stored ones.
        ``num_history_runs=None`` asks for the history of all runs. ``user_id``: whom the run is for; a session without an
        owner becomes theirs. ``add_history_to_context``, ``num_history_runs``, ``output_schema``: for this call, in the place
        of the settings. ``on_unfinished``: what becomes of a crashed or paused run, "abandon" (an agent's and a team's default)
        or "raise" (a workflow's: UnfinishedRun). ``context``, ``recursion_limit``, ``on_busy``, ``idempotency_key``: see
        ``Graph.invoke``. Failures raise (NotOwner, SessionBusy, ModelError, what nodes raise); with a ``db`` the run is then
        stored with status ``error``, the input is not lost, and ``resume`` goes on. Killed at any moment, the session stands
        at the last commit.
        """
        prepared = self._prepare(input, arguments, stream)
        return drive.sync.stream(*prepared, events.View("events"), self.graph.on_event) if stream else drive.sync.run(*prepared)

    @overload
    def arun(
        self, input: Any, *, stream: Literal[False] = False, **arguments: Unpack[RunArguments]
    ) -> Awaitable[RunOutput]: ...
    @overload
    def arun(self, input: Any, *, stream: Literal[True], **arguments: Unpack[RunArguments]) -> AsyncIterator[Event]: ...
    def arun(
        self, input: Any, *, stream: bool = False, **arguments: Unpack[RunArguments]
    ) -> Awaitable[RunOutput] | AsyncIterator[Event]:
        """``run`` for asyncio: ``await agent.arun(…)``, or ``async for event in agent.arun(…, stream=True)``."""
        prepared = self._prepare(input, arguments, stream)
        return drive.aio.stream(*prepared, events.View("events"), self.graph.on_event) if stream else drive.aio.run(*prepared)

    @overload
    def resume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: Literal[False] = False,
        **arguments: Any,
    ) -> RunOutput: ...
    @overload
    def resume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: Literal[True],
        **arguments: Any,
    ) -> Iterator[Event]: ...
    def resume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: bool = False,
        **arguments: Any,
    ) -> RunOutput | Iterator[Event]:
        """Go on with the unfinished run of a session: after a crash or an error, or with answers to its questions
        (see Graph.resume). ``stream=True`` returns an iterator of Events, as for ``run``. The other arguments are those of
        ``run``, but for what a run begins with (``session_state``, ``idempotency_key``: ValueError).
        """
        prepared = self._prepare_resume(session_id, answer, answers, arguments, stream)
        return drive.sync.stream(*prepared, events.View("events"), self.graph.on_event) if stream else drive.sync.run(*prepared)

    @overload
    def aresume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: Literal[False] = False,
        **arguments: Any,
    ) -> Awaitable[RunOutput]: ...
    @overload
    def aresume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: Literal[True],
        **arguments: Any,
    ) -> AsyncIterator[Event]: ...
    def aresume(
        self,
        session_id: str | None = None,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream: bool = False,
        **arguments: Any,
    ) -> Awaitable[RunOutput] | AsyncIterator[Event]:
        """``resume`` for asyncio: ``await agent.aresume(…)``, or ``async for event in agent.aresume(…, stream=True)``."""
        prepared = self._prepare_resume(session_id, answer, answers, arguments, stream)
        return drive.aio.stream(*prepared, events.View("events"), self.graph.on_event) if stream else drive.aio.run(*prepared)

    def cancel(self, run_id: str, *, user_id: str | None = None) -> bool:
        """Cancel a run, from any thread or process (see Graph.cancel); whether there was anything to cancel."""
        return self.graph.cancel(run_id, user_id=self._user(user_id))

    async def acancel(self, run_id: str, *, user_id: str | None = None) -> bool:
        """``cancel`` for asyncio."""
        return await self.graph.acancel(run_id, user_id=self._user(user_id))

    # --- print ---------------------------------------------------------------------------------------------------------

    def print_response(self, input: Any, *, stream: bool = True, **arguments: Unpack[RunArguments]) -> None:
        """Run and show the answer in the terminal as it comes, or (``stream=False``) once it is there.

        Without a session id it keeps one of its own, per user.
        """
        told = self._printing(arguments)
        with printing.live(input, stored=self.db is not None) as show:
            events = self.run(input, stream=True, **told)
            for event in events if stream else list(events):
                show(event)

    async def aprint_response(self, input: Any, *, stream: bool = True, **arguments: Unpack[RunArguments]) -> None:
        """``print_response`` for asyncio."""
        told = self._printing(arguments)
        with printing.live(input, stored=self.db is not None) as show:
            events = self.arun(input, stream=True, **told)
            if stream:
                async for event in events:
                    show(event)
            else:
                for event in [event async for event in events]:
                    show(event)

    def cli_app(self, **arguments: Unpack[RunArguments]) -> None:
        """Talk in the terminal, in one session, until an empty line, ``exit``, ``quit`` or the end of input.

        Questions of a paused run are asked and answered there; a run that was left unfinished is gone on with first. Errors are
        shown and the conversation goes on. Ctrl-C stops a run, whose finished steps stay stored, and leaves at the prompt.
        ``/help`` lists what else can be typed. Without a ``db`` the session lives as long as the conversation. Takes the
        arguments of ``run``, except what is said.
        """
        options.names(arguments, tuple(RunArguments.__annotations__))
        told = self._printing(arguments)
        printing.Talk(self, self._session(told.pop("session_id", None)), told).run()

    # --- the flows behind them -------------------------------------------------------------------------------------------

    def _prepare(self, input: Any, arguments: Mapping[str, Any], listening: bool) -> tuple[Flow[RunOutput], World]:
        options.names(arguments, _OF_A_RUN)
        graph = self.graph_for(arguments)
        call = self._call(graph, arguments, listening)
        return graph.begin(self.graph_input(input), call, listening, lambda ended: self._output(ended, call))

    def _prepare_resume(
        self,
        session_id: str | None,
        answer: Any,
        answers: Mapping[str, Any] | None,
        arguments: Mapping[str, Any],
        listening: bool,
    ) -> tuple[Flow[RunOutput], World]:
        self._need_db()
        options.keyed("answers", answers, none="none")
        options.names(arguments, _OF_A_RESUME)
        check_resumed(session_id)
        for name, instead in _TO_BEGIN_WITH.items():
            if arguments.get(name) is not None:
                raise ValueError(f"{name}= is for beginning a run; {instead}")
        graph = self.graph_for(arguments)
        call = self._call(graph, {**arguments, "session_id": self._session(session_id)}, listening)
        flow = runs.resume(graph.plan, call, answer, answers)
        return ending.finishing(graph.plan, flow, call, lambda ended: self._output(ended, call)), graph.world(call)

    def _call(self, graph: Graph, arguments: Mapping[str, Any], listening: bool) -> CallOptions:
        of_graph: dict[str, Any] = {}
        of_nodes: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in _CHECKS:
                _CHECKS[name](name, value)
            if name == "num_history_runs" or (name in _NODE_OPTIONS and value is not None):
                of_nodes[name] = value
            elif name in _GRAPH_OPTIONS and value is not None:
                of_graph[name] = value
        call = graph.call(of_graph, audience=EVERYBODY if listening else NOBODY)
        call.options = of_nodes
        if call.audience is not NOBODY:
            call.spoken = spoken.Spoken()
        call.component_id = self.component_id
        chosen = arguments.get("session_id")
        chosen = self.session_id if chosen is None else chosen
        if chosen is not None:
            call.session_id = check_id(chosen, "session_id")
        elif call.idempotency_key is None:  # a run that the key has begun before knows its session
            call.session_id = new_id()
        call.user_id = self._user(arguments.get("user_id"))
        if defaults := self._session_defaults():
            call.defaults = {"session_state": steps.copied(dict(defaults))}  # whoever gets a result may change what is in it
        if arguments.get("session_state"):
            call.given = {"session_state": steps.copied(dict(arguments["session_state"]))}
        return call

    def _output(self, ended: Ended, call: CallOptions) -> RunOutput:
        messages = list(ended.values.get("messages", ()))
        answer = speech.answer_in(messages) if ended.status == "completed" else None
        content: Any = None if answer is None else answer.content
        schema = call.options.get("output_schema") or self.output_schema
        if answer is not None and schema is not None:
            content = structured.parse_output(schema, answer.text)
        return RunOutput(
            content=content,
            messages=messages,
            run_id=ended.run_id,
            session_id=ended.session_id or "",
            user_id=call.user_id,
            status=STATUSES[ended.status],
            interrupts=ended.interrupts,
            tools=executions([*messages, *_waiting_to_be_said(ended)] if ended.unmerged else messages),
            metrics=ended.metrics,
            session_state=ended.values.get("session_state", {}),
        )

    def _printing(self, arguments: Mapping[str, Any]) -> RunArguments:
        told = dict(arguments)
        if told.get("session_id") is None and self.session_id is None:
            user = self._user(told.get("user_id"))
            told["session_id"] = self.printed_sessions().setdefault(user, new_id())
        return told  # type: ignore[return-value]

    def printed_sessions(self) -> dict[str | None, str]:
        """The session that print_response keeps for each user."""
        if self._printed is None:
            self._printed = {}
        return self._printed


def _waiting_to_be_said(ended: Ended) -> list[Message]:
    """The messages of finished tasks, such as tool calls, that are added when the others of their superstep have finished."""
    updates = [value for value in calls.written(ended, "messages") if isinstance(value, list)]
    return [message for update in updates for message in update if isinstance(message, speech.Message)]


_TO_BEGIN_WITH: Mapping[str, str] = {
    "idempotency_key": "resume() needs none",
    "session_state": "resume() goes on with what the session has (graph.update_state changes it)",
}
"""The arguments of a run that mean nothing to one that was begun, and what does instead."""
_OF_A_RUN = ("input", "stream", *RunArguments.__annotations__)
_OF_A_RESUME = ("session_id", "answer", "answers", *_OF_A_RUN[1:])
_GRAPH_OPTIONS = ("context", "recursion_limit", "on_unfinished", "on_busy", "idempotency_key")
_NODE_OPTIONS = ("add_history_to_context", "output_schema")
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "session_state": partial(options.keyed, none="none"),
    "add_history_to_context": partial(options.flag, none="as it is set"),
    "output_schema": partial(options.type_of_values, none="as it is set"),
    "num_history_runs": partial(options.whole, none="all"),
}
"""What the arguments of a run may be that no graph checks."""
