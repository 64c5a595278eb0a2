"""Supersteps, as a flow: the tasks of the frontier run, their writes are merged, edges say what is next, the result is
committed.

The machine calls no node, database or clock (only routers and reducers, which are to be quick and pure): it yields effects
and is sent their outcomes (see ``core.effects``), so the sync and the async driver run the very same steps and raise the
very same errors. The superstep is Pregel's (Malewicz et al., 2010): tasks see the state as of the start of the step, and
their writes take effect together at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.core.advice import advice
from graphflow.core.changes import warn_of_unasked
from graphflow.core.control import START, Cancelled, Command, Interrupt
from graphflow.core.effects import Emit, Flow, RunTasks
from graphflow.core.excerpts import error_text
from graphflow.core.ledger import Ledger, question_rows, result_rows
from graphflow.core.ownership import watched
from graphflow.core.plan import NodePlan, Plan
from graphflow.core.reducers import Delta
from graphflow.core.results import result_of, session_write
from graphflow.core.routing import ask_and_route, refuse_answer
from graphflow.core.schemas import check_whole, input_update
from graphflow.core.sidewrites import stamped, told
from graphflow.core.sprint import can_sprint, sprint
from graphflow.core.stored import LogEntry, TaskResult
from graphflow.core.tasks import Outcome, RunInfo, Task
from graphflow.core.updates import Write, checked, told_update
from graphflow.errors import (
    DatabaseFailed,
    GraphflowError,
    InvalidUpdate,
    LeaseLost,
    RecursionLimit,
    SerializationError,
    UnknownTarget,
)


class Machine:
    """One run of one plan."""

    interrupts: tuple[Interrupt, ...] = ()
    unmerged: tuple[TaskResult, ...] = ()
    """Results of the finished tasks of a superstep that others pause, in the order of the tasks."""
    _closed = False
    """Whether there is no stored run, or none any more, to be ended."""
    _lost = False
    """Whether a commit at the end of an "exit" run failed: what it held is not stored."""
    _unstored: tuple[str, ...] = ()
    """The nodes of a superstep that could not be committed: they are next again."""
    _held = False
    """Whether a graph inside a task of the current superstep paused without a question."""
    _cancelled = False
    """Whether the run ends as cancelled where it would end, or wait, otherwise."""
    _drop = False
    """Whether results of the current superstep cannot be merged, so that a mended graph has to make them anew (from the steps
    they recorded)."""

    def __init__(self, plan: Plan, info: RunInfo) -> None:
        self.plan = plan
        self.info = info
        self.schema = plan.schema
        self.ledger = Ledger(plan.schema, info)
        self.steps = 0
        self.tells = info.audience.tells(info.ns)
        self.noted: dict[str, Any] = {}
        """What its nodes noted (``ctx.note``); it is among the metrics, too."""
        self.leaving: list[Command] = []
        """What tasks of a nested graph told the graph around it when they left."""
        self.metrics: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0, "seconds": 0.0, "nodes": {}}

    def run(self, before: Flow[None]) -> Flow[str]:
        """``before``, then superstep after superstep until nothing is left, a task asks a question, or something fails.

        Returns the run's status: "completed", "paused", "cancelled", or "left" (a nested graph, for its parent to go on). A
        node's exception comes out as itself, with a note saying where; what was committed stays, finished siblings are kept,
        and the stored run can be resumed.
        """
        try:
            yield from before
            return (yield from self._supersteps())
        except LeaseLost:
            raise
        except Exception as error:
            self._note(error)
            if not (isinstance(error, DatabaseFailed) and error.transient):  # else the next commit would fail as long, too
                try:
                    yield from self._close("error", error)
                except Exception as failure:
                    error.add_note(f"and the run could not be closed: {error_text(failure)}")
            raise
        except Cancelled:
            yield from self._close("cancelled")
            raise
        finally:
            self.ledger.leave()

    def _supersteps(self) -> Flow[str]:
        ledger = self.ledger
        if ledger.held or (self.plan.pauses and not ledger.passed and self._holds(())):
            return (yield from self._pause([]))
        sprints = can_sprint(self)
        while True:
            outcomes = (yield from sprint(self)) if sprints else []
            if outcomes:
                yield from self._take([outcome.task for outcome in outcomes], outcomes)
            else:
                tasks = self._next_tasks()
                if not tasks:
                    return "cancelled" if self._cancelled else "completed"
                if self.info.stop.requested:
                    raise Cancelled
                outcomes = yield from self._execute(tasks)
            if self.interrupts or self._held:
                return (yield from self._pause(outcomes))
            if self.leaving:
                return "left"
            results = [(o.task.node, o.result) for o in outcomes if o.result is not None]
            try:
                delta, entries = ledger.merge(results)
            except InvalidUpdate:
                self._drop = True
                raise
            yield from self.lead_on(outcomes, results)
            if (yield from self.finish_superstep(outcomes, delta, entries)):
                return "cancelled" if self._cancelled else "paused"

    def lead_on(self, outcomes: list[Outcome], results: Sequence[tuple[NodePlan, TaskResult]]) -> Flow[None]:
        """Find what is next. When a router raises, the nodes have finished all the same: their results are kept."""
        try:
            yield from ask_and_route(self.plan, self.ledger.values, self.ledger.frontier, results)
        except Exception as error:
            yield from self.stop("error", outcomes, error)
            raise

    def _holds(self, ran: Sequence[Outcome]) -> bool:
        """Whether the run is to pause where it stands: after a node that ran, or before one that is next."""
        plan = self.plan
        upcoming = self.ledger.upcoming()
        return bool(upcoming) and (
            any(name in plan.interrupt_before for name in upcoming)
            or any(outcome.task.node.name in plan.interrupt_after for outcome in ran)
        )

    def enter(self, input: Any, more: Sequence[Write] = (), cleared: Delta | None = None) -> Flow[tuple[Delta, list[LogEntry]]]:
        """Apply the input (and ``more`` writes) to the state and find the first tasks.

        ``cleared`` is the delta of what the new run emptied before. Returns the delta and the new rows of the message log.
        Raises InvalidUpdate for an input that the state, or a node that is first, cannot be made of.
        """
        writes = checked(self.schema, input_update(self.schema, self.plan.input_schema, input, self.ledger.values), START)
        result = TaskResult([*writes, *more])
        delta, entries = self.ledger.merge([(self.plan.entry, result)])
        for name, op in (cleared or {}).items():
            delta[name] = op if name not in delta else delta[name] if "set" in delta[name] else {**op, **delta[name]}
        values, frontier = self.ledger.values, self.ledger.frontier
        check_whole(self.schema, values)
        if self.plan.entry.after is not None:
            frontier.next = [*self.plan.entry.after]
        else:
            yield from ask_and_route(self.plan, values, frontier, [(self.plan.entry, result)])
        for arrival in frontier.next or frontier.deferred:
            if type(arrival) is str and (seen := self.plan.nodes[arrival].schema).form != "dict":
                seen.view(values)
        return delta, entries

    # --- tasks -----------------------------------------------------------------------------------------------------------

    def _next_tasks(self) -> list[Task]:
        frontier = self.ledger.frontier
        nodes = self.plan.nodes
        if not frontier.next:
            if not frontier.deferred:
                return []
            frontier.next = [*sorted(frontier.deferred, key=lambda name: nodes[name].index)]
            frontier.deferred = []
        if self.steps >= self.info.recursion_limit:
            raise self._too_many_steps()
        self.steps += 1
        tasks = []
        origin, info, values = frontier.origin, self.info, self.ledger.values
        for position, arrival in enumerate(frontier.next):
            if isinstance(arrival, str):
                node = nodes[arrival]
                tasks.append(Task(node, node.schema.view(values), position, origin, info))
            else:
                tasks.append(Task(nodes[arrival.node], arrival.arg, position, origin, info, sent=True))
        return [watched(task, self.schema) for task in tasks] if info.watched else tasks

    def _too_many_steps(self) -> RecursionLimit:
        ns = self.info.ns
        where = f" (inside, at {ns!r})" if ns else ""
        whose = " (of its own call, or of that of the outermost graph)" if ns else ""
        upcoming = ", ".join(map(repr, dict.fromkeys(self.ledger.upcoming())))
        return RecursionLimit(
            f"{self.plan.name!r}{where} made {self.steps} supersteps, its recursion_limit, and would run {upcoming} next; "
            f"give the loop a way out, or a higher recursion_limit={whose}"
        )

    def _execute(self, tasks: list[Task]) -> Flow[list[Outcome]]:
        """Outcomes of all tasks, in order; those stored before a crash are taken from their rows. Raises the first error."""
        ledger = self.ledger
        known, waiting = ledger.results, ledger.waiting
        todo = [task for task in tasks if task.id not in known and task.id not in waiting] if known or waiting else tasks
        for task in todo if ledger.answers else ():
            task.answers = ledger.answers.get(task.id, {})
        several = ledger.durable and len(tasks) > 1
        if several and ledger.rides:
            yield from ledger.settle()
        if self.tells.begin:
            yield from self.tell_begin(todo)
        outcomes: list[Outcome] = []
        if len(todo) == 1:
            outcomes = [(yield todo[0])]
        elif todo:
            outcomes = yield RunTasks(todo, self._record if several else None)
        yield from self._take(tasks, outcomes)
        if known:
            done = {outcome.task.id: outcome for outcome in outcomes}
            return [done.get(task.id) or Outcome(task, result=known[task.id]) for task in tasks if task.id not in waiting]
        return outcomes

    def _take(self, tasks: list[Task], outcomes: list[Outcome]) -> Flow[None]:
        """Check what tasks ended with, and note what they ask. Raises the first error, once finished siblings are kept."""
        asked: list[Interrupt] = []
        error: Exception | None = None
        for outcome in outcomes:
            self.settle(outcome)
            if outcome.result is None:
                error = error or outcome.error
                asked += outcome.interrupts
        if error is not None:
            yield from self.stop("error", outcomes, error)
            raise error
        waiting = self.ledger.waiting
        self.interrupts = tuple(_in_order(tasks, outcomes, waiting) if waiting else asked)

    def settle(self, outcome: Outcome) -> None:
        """Turn what a node returned into checked writes, once; what is wrong with it becomes the task's error."""
        if outcome.result is not None or outcome.error is not None or outcome.interrupts or outcome.leaving is not None:
            return
        if outcome.nested:
            self._held = True
            return
        task, value = outcome.task, outcome.value
        if task.answers:
            warn_of_unasked(task)
        try:
            if type(value) is dict:
                result = TaskResult(checked(self.schema, value, task.node.name))
            elif isinstance(value, Command) and value.graph is not None:
                self._leave(outcome, value)
                return
            else:
                result = result_of(self.plan, self.ledger.values, task, value)
                if result.side:
                    result.side = stamped(task, result.side)
            if task.runs:
                result.side += task.runs
            if task.session is not None:
                changes = task.session_changes()
                if changes:
                    result.writes.append(("session_state", session_write(self.schema, self.ledger.values, task, changes)))
            outcome.result = result
        except GraphflowError as error:
            outcome.error = self._located(error)

    def _leave(self, outcome: Outcome, command: Command) -> None:
        name = outcome.task.node.name
        if command.graph != Command.PARENT:
            raise UnknownTarget(f"a Command of node {name!r} has graph={command.graph!r}; give Command.PARENT")
        if not self.info.ns:
            raise UnknownTarget(f"a Command of node {name!r} addresses the graph around {self.plan.name!r}, but there is none")
        refuse_answer(command, name)
        outcome.leaving = Command(command.update, command.goto)
        self.leaving.append(outcome.leaving)

    def refresh(self) -> Flow[None]:
        """Run the rerunnable nodes again whose untracked output is gone, because another process made it."""
        for name in self.ledger.frontier.refresh:
            if name in self.plan.nodes and self.plan.nodes[name].rerunnable:
                node, ledger = self.plan.nodes[name], self.ledger
                task = Task(node, node.schema.view(ledger.values), 0, ledger.frontier.origin, self.info)
                self._take_untracked((yield watched(task, self.schema) if self.info.watched else task))

    def _take_untracked(self, outcome: Outcome) -> None:
        """Take only what a node wrote to channels that are not stored."""
        self.settle(outcome)
        if outcome.error is not None:
            raise outcome.error
        if outcome.result is not None:
            lost = [write for write in outcome.result.writes if not self.schema.channels[write[0]].stored]
            self.ledger.merge([(outcome.task.node, TaskResult(lost))])

    # --- the end of a superstep --------------------------------------------------------------------------------------------

    def finish_superstep(self, outcomes: list[Outcome], delta: Delta, entries: list[LogEntry]) -> Flow[bool]:
        """Commit, tell, and say whether the run pauses here."""
        ledger = self.ledger
        paused = self.plan.pauses and self._holds(outcomes)
        self.measure(outcomes)
        if self.plan.reruns:
            self._remember_refresh(outcomes)
        if not ledger.stored:
            ledger.passes()
        elif not paused and (ledger.exit or self.plan.reruns) and self._waits(outcomes, entries):
            ledger.ride(delta, entries)
        else:
            self._closed, self._lost = not ledger.opened, ledger.exit
            self._cancelled = self.info.stop.cancelled and not self.info.ns
            origin = ledger.frontier.origin
            try:
                yield ledger.superstep(delta, entries, self.metrics, paused, self._cancelled)
            except GraphflowError as error:
                yield from self._unwritten(outcomes, origin, error)
                raise
            ledger.advanced()
            self._lost = False
            self._closed = paused or ledger.over
        if self.tells.superstep:
            yield from self.tell_end(outcomes)
        return paused

    def _unwritten(self, outcomes: list[Outcome], origin: int, error: GraphflowError) -> Flow[None]:
        """A superstep could not be committed. When it cannot be stored, the tasks of it that can be are kept."""
        self._unstored = tuple(outcome.task.node.name for outcome in outcomes)
        if isinstance(error, SerializationError) and self.ledger.durable and len(outcomes) > 1:
            self.ledger.frontier.origin = origin
            yield from self._keep_each(outcomes)

    def _waits(self, outcomes: list[Outcome], entries: list[LogEntry]) -> bool:
        """Whether a superstep that is not the last is left to a later commit."""
        ledger = self.ledger
        if ledger.exit:
            return ledger.waits
        reads = len(outcomes) == 1 and outcomes[0].task.node.rerunnable and not (entries or ledger.side)
        return reads and bool(ledger.frontier.next)

    def _remember_refresh(self, outcomes: list[Outcome]) -> None:
        channels, refresh = self.schema.channels, self.ledger.frontier.refresh
        for outcome in outcomes:
            node = outcome.task.node
            if not node.rerunnable or node.name in refresh or outcome.result is None:
                continue
            if any([not channels[name].stored for name, _ in outcome.result.writes]):
                refresh.append(node.name)

    def _record(self, outcomes: list[Outcome]) -> Flow[None]:
        """Keep finished tasks while their siblings still run."""
        for outcome in outcomes:
            self.settle(outcome)
        rows = result_rows(outcomes)
        if not rows:
            return
        try:
            yield self.ledger.keep(rows)
        except SerializationError:
            yield from self._keep_each(outcomes)

    def _keep_each(self, outcomes: list[Outcome]) -> Flow[None]:
        """Keep tasks one by one, after not all of them could be stored: what is wrong with one becomes its own error."""
        for outcome in outcomes:
            rows = result_rows([outcome]) + question_rows([outcome])
            if not rows or outcome.task.id in self.ledger.results:
                continue
            try:
                yield self.ledger.keep(rows)
            except SerializationError as error:
                outcome.result, outcome.interrupts, outcome.error = None, (), error

    def _pause(self, outcomes: list[Outcome]) -> Flow[str]:
        """Stop at questions, or where the run is held. Cancelled meanwhile, it ends as that; its questions stay, for resume."""
        self._cancelled = self.info.stop.cancelled and not self.info.ns
        self.unmerged = tuple(outcome.result for outcome in outcomes if outcome.result is not None)
        status = "cancelled" if self._cancelled else "paused"
        yield from self.stop(status, outcomes)
        return status

    def stop(self, status: str, outcomes: list[Outcome], error: Exception | None = None) -> Flow[None]:
        """Keep what finished and what is asked, and end the run for now, in one transaction."""
        self.measure(outcomes)
        ledger = self.ledger
        rows = result_rows(o for o in outcomes if o.task.id not in ledger.results) + question_rows(outcomes)
        if self.info.ns and not outcomes and not ledger.held:
            rows = [ledger.holding()]
        if not ledger.stored or (not rows and (error is not None or self.info.ns)):
            return
        self._closed, self._lost = not ledger.opened, ledger.exit
        try:
            yield from ledger.stop(rows, self._ending(status, error))
        except SerializationError as failure:
            if not ledger.durable or len(outcomes) < 2:
                raise
            yield from self._keep_each(outcomes)
            if error is None:
                raise
            error.add_note(f"and beside it: {failure}")
            return
        self._closed = True

    def _ending(self, status: str, error: Exception | None = None) -> dict[str, Any]:
        """The parts of a commit that end the run for now; a nested graph leaves that to the outermost one."""
        if self.info.ns:
            return {}
        return {"closed": (self.ledger.closing(status, self.metrics, error),), "status": status}

    def _close(self, status: str, error: Exception | None = None) -> Flow[None]:
        """End the run for now. Results that could not be merged are dropped with it, so that a mended graph makes them anew."""
        ledger = self.ledger
        if not ledger.stored or self._closed:
            return
        drop = ledger.recorded and self._drop
        if ledger.exit and ledger.rides:
            opened = ledger.opened
            try:
                yield from ledger.stop((), self._ending(status, error))
            except SerializationError:
                if opened:
                    yield ledger.commit(**self._ending(status, error))
                raise
        elif drop or not self.info.ns:
            rows = ledger.steps.all(ledger.frontier.origin) if drop or (ledger.exit and not self._lost) else ()
            yield ledger.commit(drop_tasks=drop, tasks=rows, origin=ledger.frontier.origin, **self._ending(status, error))

    # --- telling ---------------------------------------------------------------------------------------------------------

    def tell_begin(self, tasks: list[Task]) -> Flow[None]:
        """The events of tasks that begin."""
        for task in tasks:
            yield Emit("node_started", task.node.name, {"task_id": task.id, "input": task.input}, self.info.ns)

    def tell_end(self, outcomes: list[Outcome]) -> Flow[None]:
        """The events of a superstep that is over."""
        never_stored = self.schema.untracked
        for outcome in outcomes:
            if self.tells.end:
                update = told_update(self.schema, outcome.result.writes) if outcome.result is not None else {}
                task_id = None if self.info.audience.contents_only else outcome.task.id
                untracked = tuple(name for name in update if name in never_stored) if never_stored else ()
                data: dict[str, Any] = {
                    "task_id": task_id, "update": update, "untracked": untracked, "seconds": outcome.seconds,
                }
                yield Emit("node_completed", outcome.task.node.name, data, self.info.ns)
            for write in outcome.result.side if outcome.result is not None else ():
                yield from told(write, outcome.task)
        if self.tells.state:
            ledger = self.ledger
            view = self.schema.shown(ledger.values)
            data = {"seq": ledger.head, "values": view, "next": ledger.upcoming(), "stored": not ledger.rides}
            yield Emit("checkpoint", "", data, self.info.ns)

    def measure(self, outcomes: list[Outcome]) -> None:
        """Count seconds, tokens and notes of tasks among the metrics of the run."""
        metrics = self.metrics
        nodes = metrics["nodes"]
        longest = 0.0
        for outcome in outcomes:
            if outcome.seconds > longest:
                longest = outcome.seconds
            name = outcome.task.node.name
            nodes[name] = nodes.get(name, 0.0) + outcome.seconds
            if outcome.task.noted is not None:
                self.noted.update(outcome.task.noted)
                metrics.update(outcome.task.noted)
            if outcome.usage is not None:
                metrics["input_tokens"] += outcome.usage.input_tokens
                metrics["output_tokens"] += outcome.usage.output_tokens
        metrics["seconds"] += longest

    def _note(self, error: Exception) -> None:
        if self.info.ns:
            error.add_note(f"in the nested graph {self.plan.name!r} ({self.info.ns})")
        elif self.ledger.stored:
            where = f"in graph {self.plan.name!r}, session {self.info.session_id!r}"
            if self._unstored and self._closed:
                error.add_note(f"{where}: nothing of this run is stored, since durability='exit' commits at the end")
                return
            upcoming = ", ".join(self._unstored or self.ledger.upcoming()) or "nothing"
            after = f", after checkpoint {self.ledger.head}" if self.ledger.head >= 0 else ""
            error.add_note(f"{where}{after} (next: {upcoming}); {advice(error, self.info.session_id)}")

    def _located(self, error: GraphflowError) -> GraphflowError:
        if isinstance(error, InvalidUpdate) and self.info.session_id is not None:
            error.args = (f"{error.args[0]} (session {self.info.session_id!r})", *error.args[1:])
        return error


def _in_order(tasks: list[Task], outcomes: list[Outcome], waiting: Mapping[str, Interrupt]) -> list[Interrupt]:
    """The questions of a superstep in the order of its tasks: those that were asked now, and those that wait from before."""
    asked = {outcome.task.id: outcome.interrupts for outcome in outcomes} | {id: (one,) for id, one in waiting.items()}
    return [question for task in tasks for question in asked.get(task.id, ())]
