"""Nested graphs: a graph that runs inside a task of another, with its own frontier and its own checkpoints.

It writes under the fencing number of the outermost run into a namespace that its task names (``research:3.0``: the node, the
seq its frontier came from, its position), so whatever interrupts the task, the graph inside goes on where it was: its
finished nodes do not run again, and when it had come to its end, its stored end is its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from graphflow.core.attempts import Attempt, fenced
from graphflow.core.audience import NOBODY
from graphflow.core.calls import CallOptions, Ended
from graphflow.core.changes import check_fit_inside, check_values_inside
from graphflow.core.control import Context, Left, Overwrite, Suspended, current_task
from graphflow.core.differences import changes
from graphflow.core.effects import Commit, Flow, Keep, Load, Spent, T
from graphflow.core.flows import handed_on
from graphflow.core.ledger import Ledger
from graphflow.core.machine import Machine
from graphflow.core.plan import F, Plan, flow
from graphflow.core.runs import starting_keys
from graphflow.core.sessions import rename
from graphflow.core.state import StateSchema, Values
from graphflow.core.stored import RunWrite, Stored
from graphflow.core.tasks import PER_CALL, RunInfo, Speaker, Task, in_namespace, lasting_namespace, namespace
from graphflow.core.updates import Write, hold_defaults, reset
from graphflow.errors import GraphError, InvalidUpdate, SessionNotFound

Mapper = Callable[[Any], Any]
WHOLE_LOG = 2**31 - 1
"""More messages than a log has: all of it is earlier than what a nested run says."""


# --- a graph as a node ---------------------------------------------------------------------------------------------------


def graph_node(
    plan: Plan, outer: StateSchema, name: str, *, input: Mapper | None, output: Mapper | None, persist: bool
) -> Callable[..., Flow[Any]]:
    """The flow of a node that is a graph.

    ``input(state)`` gives what it starts with and ``output(its state)`` the update; without them, the fields that both states
    have go in, and what was changed or added comes out. ``persist``: it keeps its state between calls. Raises GraphError when
    nothing would go in or out.
    """
    if persist and PER_CALL.search(name):
        raise GraphError(
            f"node {name!r} keeps the state of its graph between calls (persist=True), and its name ends as calls are "
            "numbered that keep none (name:3.2); give it another name"
        )
    inside = nestable(plan)
    shared = tuple(field for field in inside.schema.channels if field in outer.channels)
    taken, given_back = (
        shared if part is None else tuple(field for field in shared if field in part.channels)
        for part in (plan.input_schema, plan.output_schema)
    )
    if not shared and (input is None or output is None):
        raise GraphError(
            f"the graph {plan.name!r} at node {name!r} shares no field with the state around it; give input= and output=, "
            "functions from one state to the other"
        )

    @flow
    def run_graph(state: Any, ctx: Context) -> Flow[Any]:
        task = current_task.get()
        assert task is not None
        if input is not None:
            given = input(state)
        elif task.sent:
            given = _known(state, inside.schema, outer)
        else:
            given = _shared(task.run.values, taken, inside.schema)
        call = _Call(plan, task, given, lasting=persist, compared=output is None, shares_log=_shares_log(plan, outer, shared))
        machine = yield from call.run()
        if machine.leaving:
            return list(machine.leaving)
        if output is not None:
            return output(inside.schema.view(machine.ledger.values))
        return changes(machine, call.start, given_back, outer)

    return run_graph


@lru_cache(maxsize=256)
def nestable(plan: Plan) -> Plan:
    """The plan as it runs inside another: its messages are kept in its state, and go into a log only with its result."""
    if not plan.schema.logged:
        return plan
    channels = {
        name: replace(channel, lifetime="per_run") if channel.lifetime == "logged" else channel
        for name, channel in plan.schema.channels.items()
    }
    return replace(plan, schema=replace(plan.schema, channels=channels, logged=()))


@lru_cache(maxsize=256)
def _folded(plan: Plan) -> frozenset[str]:
    return frozenset(name for name, channel in plan.schema.channels.items() if channel.kind == "fold")


def _shares_log(plan: Plan, outer: StateSchema, shared: tuple[str, ...]) -> bool:
    return any(name in shared and name in outer.channels for name in plan.schema.logged)


def _known(given: Any, inside: StateSchema, outer: StateSchema) -> Any:
    """The argument of a Send: fields that only the graph around has are left out, so that a whole state may be sent."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if name in inside.channels or name not in outer.channels}


def _shared(values: Values, shared: tuple[str, ...], inside: StateSchema) -> Values:
    """What both states have, as the nested graph takes it: as it is, not once more through its reducers."""
    return {
        name: values[name] if inside.channels[name].reducer is None else Overwrite(values[name])
        for name in shared
        if name in values
    }


def plan_at(plan: Plan, ns: str) -> Plan:
    """The plan of the nested graph that a namespace names. Raises ValueError when there is none."""
    rest = ns
    while rest:
        node = next((node for node in plan.nodes.values() if node.graph is not None and in_namespace(node.name, rest)), None)
        if node is None or node.graph is None:
            raise ValueError(f"ns={ns!r}: there is no node at {rest!r} in graph {plan.name!r} that is a graph")
        plan, rest = nestable(node.graph), rest[len(in_namespace(node.name, rest)) :]
    return plan


# --- a graph that a node calls ---------------------------------------------------------------------------------------------


def call_graph(plan: Plan, input: Any, task: Task, *, options: CallOptions | None = None) -> Flow[Ended]:
    """Run a graph inside a task, as the n-th that its node calls. Its questions pause the task, as its own would.

    The order of calls has to be the same each time the node runs. In namespaces it is called by the graph's own name.
    Of ``options`` count those that say how the graph runs: context, limits, settings of nodes, keys to begin with.
    """
    segment = f"{plan.name}:{task.calls}"
    task.calls += 1
    call = _Call(plan, task, input, segment=segment, name=plan.name)
    if options is not None:
        call.take(options)
    return fenced(_called(call), task) if isinstance(task, Attempt) else _called(call)


def run_inside(
    plan: Plan, input: Any, task: Task, *, options: CallOptions | None = None, speaker: Speaker | None = None
) -> Flow[Ended]:
    """Run the graph that the task's node is (``NodePlan.graph``), for a flow that makes its input and looks at its end.

    At most once per execution. Its namespace is that of a node that is a graph. ``options`` as for ``call_graph``;
    ``speaker``: the member of a team that it is.
    """
    call = _Call(plan, task, input)
    if options is not None:
        call.take(options)
    if speaker is not None:
        call.info.speaker = speaker
    return _called(call)


def stands_for(plan: Plan) -> Callable[[F], F]:
    """Mark a flow node that runs this graph with ``run_inside``, so that the graph is its ``NodePlan.graph``."""

    def mark(fn: F) -> F:
        fn.__graphflow_graph__ = plan  # type: ignore[attr-defined]
        return flow(fn)

    return mark


def _called(call: _Call) -> Flow[Ended]:
    machine = yield from call.run()
    if machine.leaving:
        raise Left(machine.leaving)
    info, ledger = call.info, machine.ledger
    return Ended("completed", ledger.values, (), info.session_id, info.run_id, ledger.head, machine.metrics)


def _spent(machine: Machine) -> Flow[None]:
    """Count the tokens of a nested graph as the task's."""
    metrics = machine.metrics
    if metrics["input_tokens"] or metrics["output_tokens"]:
        yield Spent(metrics["input_tokens"], metrics["output_tokens"])


# --- the run -----------------------------------------------------------------------------------------------------------------


class _Call:
    """One run of a graph inside a task."""

    def __init__(
        self,
        plan: Plan,
        task: Task,
        input: Any,
        *,
        segment: str = "",
        name: str | None = None,
        lasting: bool = False,
        compared: bool = False,
        shares_log: bool = False,
    ) -> None:
        outer = task.run
        self.keeps_log = () if shares_log else plan.schema.logged
        self.declared = plan
        self.plan = plan = nestable(plan)
        self.task = task
        self.input = input
        self.options: CallOptions | None = None
        self.lasting = lasting
        self.compared = compared
        """Whether its end is compared with its start."""
        self.segment = segment
        self.start: Values = {}
        """The state as of its start."""
        self.info = RunInfo(
            outer.run_id,
            session_id=outer.session_id,
            user_id=outer.user_id,
            ns=self._namespace(task.node.name),
            context=outer.context,
            db=outer.db,
            audience=outer.audience,
            max_concurrency=outer.max_concurrency,
            first_message=outer.first_message if shares_log else WHOLE_LOG,
            recursion_limit=outer.recursion_limit,
            log_ns=outer.log_ns if shares_log else lasting_namespace(outer.log_ns, name or task.node.name),
            aliases=plan.aliases,
            fence=outer.fence,
            durability=outer.durability,
            around=outer.ledger,
            stop=outer.stop,
            speaker=None if outer.speaker is None else replace(outer.speaker, voice=None),
            watched=outer.watched or plan.debug,
            within=task if outer.within is not None or (isinstance(task, Attempt) and task.seconds is not None) else None,
        )

    def take(self, options: CallOptions) -> None:
        """Run as the options say."""
        self.options, outer = options, self.task.run
        self.info.context = outer.context if options.context is None else options.context
        self.info.options = options.options
        if options.recursion_limit is not None:
            self.info.recursion_limit = options.recursion_limit
        self.info.max_concurrency = options.max_concurrency or outer.max_concurrency
        if options.audience is not NOBODY:
            self.info.audience = options.audience

    def run(self) -> Flow[Machine]:
        """Run the graph to its end, or to where it is left. Raises Suspended when it asks, and what its nodes raise."""
        around = self.task.run.ledger
        if around is not None and around.rides and not around.exit:
            # What this graph commits rests on what the graph around it has done, which a sibling may be committing now.
            yield Keep(self.task, around.settle)
        if self.lasting:
            self._claim()
        stored = yield from self._stored()
        self.info.resumed = stored is not None
        machine = Machine(self.plan, self.info)
        going_on = stored is not None and (not self.lasting or stored.frontier.caller in self._callers())
        before = self._reopen(machine, stored) if stored is not None and going_on else self._open(machine, stored)
        running = machine.run(before)
        if machine.ledger.exit:
            running = _grounded(running, self.task, machine.ledger)
        try:
            status = yield from running if self.info.within is None else fenced(running, self.task)
        except Exception:
            yield from _spent(machine)
            raise
        finally:
            self.task.note(machine.noted)
        yield from _spent(machine)
        if status == "paused":
            raise Suspended(*machine.interrupts, nested=True)
        if self.keeps_log and machine.ledger.stored and status == "completed":
            self.task.runs += (self._run_write(machine),)
        return machine

    def _run_write(self, machine: Machine) -> RunWrite:
        """What the graph said, for a log of its own. Messages that were given ids here get those of their rows there."""
        own, task = machine.ledger.own_ids, self.task
        said = [message for name in self.keeps_log for message in machine.ledger.values.get(name, ())]
        return RunWrite(
            f"{task.id}.{self.segment}" if self.segment else task.id,
            task.run.run_id,
            self.plan.name,
            self.info.log_ns,
            tuple(message.with_id(None) if str(message.id).startswith(own) else message for message in said),
        )

    def _namespace(self, node: str) -> str:
        task, outer = self.task, self.task.run.ns
        if self.lasting:
            return lasting_namespace(outer, node)
        path = namespace(outer, node, task.origin, task.position)
        return f"{path}/{self.segment}" if self.segment else path

    def _stored(self) -> Flow[Stored | None]:
        """What an earlier execution of the task left, perhaps under an earlier name of the node."""
        task, outer, info = self.task, self.task.run, self.info
        if outer.db is None or outer.session_id is None or not (self.lasting or outer.resumed or task.attempt > 1):
            return None
        for name in self._names():
            ns = self._namespace(name)
            stored: Stored | None = yield Load(outer.session_id, outer.user_id, self.plan.schema, ns=ns, with_log=True)
            if stored is not None:
                info.ns = ns
                return stored
        return None

    def _names(self) -> tuple[str, ...]:
        """The node's name, and those it had earlier."""
        node = self.task.node.name
        return (node, *(old for old, new in self.task.run.aliases.items() if new == node))

    def _callers(self) -> list[str]:
        """What the task may be called in a stored frontier: it is known without the session, so that a copy goes on inside."""
        task = self.task
        return [namespace(task.run.ns, name, task.origin, task.position) for name in self._names()]

    def _claim(self) -> None:
        """Raise InvalidUpdate when another task of the same superstep runs this graph as well: there is one state to keep.

        It does not matter which of them is first or done already, so that the same graph never fails only now and then.
        """
        task, info, claims = self.task, self.info, self.info.fence.lasting
        if info.db is None or info.session_id is None:
            return
        # One operation of a dict: of two threads that come at once, one is first.
        if claims.setdefault((info.ns, task.origin), task.position) != task.position:
            raise InvalidUpdate(
                f"two tasks of one superstep run the graph at node {task.node.name!r} (session {info.session_id!r}, "
                f"state path {info.ns!r}), which keeps one state between calls (persist=True); give persist=False, or let "
                "one run after the other, in supersteps of their own",
                nodes=(task.node.name,),
            )

    def _open(self, machine: Machine, stored: Stored | None) -> Flow[None]:
        """The first commit: the input is durable before the first node runs."""
        ledger = machine.ledger
        cleared = {}
        if stored is None:
            ledger.values.update(self.plan.schema.initial())
        else:
            given = self.input if isinstance(self.input, Mapping) else {}
            yield from check_values_inside(self.declared, stored, self.info.fence.before, given)
            ledger.adopt(stored)
            cleared = reset(self.plan.schema, ledger.values, ledger.ranges)
            ledger.begin()
        delta, entries = yield from machine.enter(self.input, self._keys(ledger.values), cleared)
        if self.plan.schema.varying:
            hold_defaults(self.plan.schema, ledger.values, delta, begins=stored is None)
        self.start = dict(ledger.values)
        ledger.added = _folded(self.plan)
        ledger.frontier.origin = ledger.head + 1
        if self.lasting:
            ledger.frontier.caller = self.task.path
        if ledger.exit:
            ledger.fleeting = not self.lasting
            ledger.ride(delta, entries)
        elif ledger.stored:
            if self.compared:
                ledger.frontier.start = ledger.head + 1
            yield ledger.commit(ledger.checkpoint(delta), entries, drop_tasks=ledger.recorded)
            ledger.advanced()

    def _reopen(self, machine: Machine, stored: Stored) -> Flow[None]:
        """Stand where the stored graph stands. What it started with is found by starting once more, aside: that makes what is
        not stored as well.
        """
        if self.plan.aliases:
            rename(stored, self.plan.aliases)
        yield from check_fit_inside(self.declared, stored, self.info.fence.before)
        aside = Machine(self.plan, replace(self.info, values={}))
        aside.ledger.values.update(self.plan.schema.initial())
        yield from aside.enter(self.input, self._keys(aside.ledger.values))
        self.start = aside.ledger.values
        if stored.frontier.start is not None and (self._edited() or self.plan.schema.varying):
            began = yield from self._began(stored.frontier.start)
            if began is not None:
                self.start = {**{name: self.start[name] for name in self.plan.schema.untracked & self.start.keys()}, **began}
        machine.ledger.adopt(stored)
        for name, channel in self.plan.schema.channels.items():
            if not channel.stored and name in self.start:
                machine.ledger.values[name] = self.start[name]  # what the graph around gives is not stored here either
        machine.ledger.added = _folded(self.plan)
        yield from machine.refresh()

    def _edited(self) -> bool:
        """Whether the state around may have been changed by hand since the task was begun: a checkpoint came between."""
        around = self.task.run.ledger
        return around is not None and around.head != self.task.origin

    def _began(self, start: int) -> Flow[Values | None]:
        """The stored state as of its start; None when that was pruned."""
        info, schema = self.info, self.plan.schema
        try:
            stored: Stored | None = yield Load(info.session_id or "", info.user_id, schema, ns=info.ns, at=start, with_log=True)
        except SessionNotFound:
            return None
        return None if stored is None else stored.values

    def _keys(self, values: Values) -> list[Write]:
        return [] if self.options is None else starting_keys(values, self.options)


def _grounded(running: Flow[T], task: Task, ledger: Ledger) -> Flow[T]:
    """The flow of a graph inside a run that is committed at its end: that run is stored before anything of the graph is."""

    def grounded(commit: Commit) -> Flow[Commit]:
        yield Keep(task, ledger.ground)
        return replace(commit, epoch=ledger.epoch)

    return handed_on(running, lambda effect: grounded(effect) if type(effect) is Commit else None)
