"""What a run has in hand (state, frontier, place in the session) and the commits that make it durable."""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable, Sequence
from functools import reduce
from typing import Any

from graphflow.core.control import MISSING, Interrupt, Overwrite
from graphflow.core.effects import (
    CloseRun,
    Commit,
    Frontier,
    LogEntry,
    NewCheckpoint,
    Outcome,
    Range,
    RunInfo,
    SideWrite,
    Stored,
    TaskResult,
    TaskRow,
    Weight,
)
from graphflow.core.ids import digest
from graphflow.core.reducers import Delta, Op
from graphflow.core.state import Channel, StateSchema, Values
from graphflow.core.updates import Write, reduce_writes
from graphflow.messages import RemoveMessage


class Ledger:
    """The books of one run. Its methods change what is in hand or make a Commit of it; none of them does any I/O."""

    def __init__(self, schema: StateSchema, info: RunInfo) -> None:
        self.schema = schema
        self.info = info
        self.stored = info.session_id is not None and info.db is not None
        self.values: Values = info.values
        self.ranges: dict[str, list[Range]] = {}
        self.frontier = Frontier(-1)
        self.head = -1
        self.epoch = 0
        self.log_head = 0
        self.durable_log = 0
        """The log as of the last commit; ``log_head`` runs ahead of it while a superstep is being merged."""
        self.weight = Weight()
        self.results: dict[str, TaskResult] = {}
        """Results of tasks of the current superstep that finished before this process took over, by task id."""
        self.side: list[SideWrite] = []
        """Side writes of the superstep that is being merged."""
        self.answers: dict[str, dict[int, Any]] = {}
        """Answers to questions of the current superstep, by task id and order."""
        self.waiting: dict[str, Interrupt] = {}
        """Questions of the current superstep that are still without an answer, by task id."""
        self.recorded = False
        """Whether the current superstep has rows in the tasks table."""
        self.rides = False
        """Whether rerunnable supersteps changed something since the last commit."""
        self.added: Container[str] = ()
        """Channels whose writes are kept one by one, because a nested graph hands them on to its parent."""
        self._riding: Delta = {}
        # Messages of graphs inside others get ids of their own, since all of them may meet in the outermost one.
        self.own_ids = f"{info.run_id}.{digest(info.ns, 4)}-" if info.ns else f"{info.run_id}-"
        if info.ns:
            self.epoch = info.fence.epoch
            self.weight = Weight(session=info.fence.weight.session, run=info.fence.weight.run)

    def adopt(self, stored: Stored, answers: Sequence[TaskRow] = ()) -> None:
        """Stand where the stored session stands, with new answers to its questions."""
        self.values.update(stored.values)
        self.ranges, self.frontier, self.weight = stored.ranges, stored.frontier, stored.weight
        self.head, self.epoch = stored.head, stored.epoch
        self.log_head = self.durable_log = stored.log_head
        rows = (*stored.tasks, *answers)
        self.recorded = bool(rows) or stored.inner_rows
        self.results = {row.task_id: row.value for row in rows if row.kind == "result"}
        for row in rows:
            if row.kind == "answer":
                self.answers.setdefault(row.task_id, {})[row.nth] = row.value
        for row in rows:
            if row.kind == "interrupt" and row.task_id not in self.results and row.nth not in self.answers.get(row.task_id, {}):
                self.waiting[row.task_id] = row.value

    def took_over(self) -> None:
        """The session is ours under a new fencing number, which the graphs inside this one write under, too."""
        self.epoch += 1
        fence = self.info.fence
        fence.epoch, fence.weight = self.epoch, self.weight

    def begin(self) -> None:
        """Forget what an earlier run of the session left pending: a new run begins."""
        self.ranges = {}
        self.frontier = Frontier(self.frontier.origin)
        self.results, self.answers, self.waiting = {}, {}, {}

    # --- the state -----------------------------------------------------------------------------------------------------

    def merge(self, results: Iterable[tuple[str, TaskResult]]) -> tuple[Delta, list[LogEntry]]:
        """Apply the writes of all tasks, in task order, to the state. Returns the delta and the new rows of the message log.

        Raises InvalidUpdate before anything is changed.
        """
        by_channel: dict[str, list[Write]] = {}
        side: list[SideWrite] = []
        for node, result in results:
            if result.side:
                side += result.side
            for name, value in result.writes:
                if name in by_channel:
                    by_channel[name].append((node, value))
                else:
                    by_channel[name] = [(node, value)]
        merged: Values = {}
        delta: Delta = {}
        entries: list[LogEntry] = []
        ranges: dict[str, list[Range]] = {}
        for name, writes in by_channel.items():
            channel = self.schema.channels[name]
            value, op = reduce_writes(channel, self.values.get(name, MISSING), writes)
            if op is not None and channel.kind == "messages":
                value, op = self._identify(name, value, op, entries, ranges if channel.lifetime == "logged" else None)
            elif name in self.added:
                self._keep_added(channel, writes)
            merged[name] = value
            if op is not None and channel.lifetime != "untracked":
                delta[name] = op
        self.side = side
        self.values.update(merged)
        self.ranges.update(ranges)
        self.log_head += len(entries)
        return delta, entries

    def _keep_added(self, channel: Channel, writes: list[Write]) -> None:
        """Remember what was written to a folded channel. Sums and unions are kept as one write."""
        added = [*self.frontier.added.get(channel.name, ()), *(value for _, value in writes)]
        if channel.reducer in (operator.add, operator.or_) and not any(isinstance(value, Overwrite) for value in added):
            added = [reduce(channel.reducer, added)]
        self.frontier.added[channel.name] = added

    def _identify(
        self, name: str, value: list[Any], op: Op, entries: list[LogEntry], ranges: dict[str, list[Range]] | None
    ) -> tuple[list[Any], Op]:
        """Give ids to messages that came without one, and move those of a logged channel (one with ``ranges``) from the
        delta into the log."""
        changed = op["set"] if "set" in op else op["upsert"]
        first = self.log_head + len(entries) + 1
        removals: list[LogEntry] = [RemoveMessage(id=id) for id in op.get("remove", ())]
        if ranges is not None and "set" in op:
            removals = [RemoveMessage(id=message.id) for message in self.values.get(name, ())]
        start = first + len(removals)
        prefix = self.own_ids if ranges is not None else f"{self.own_ids}{self.head + 1}.{name}."
        named = {id(m): m.with_id(f"{prefix}{start + n}") for n, m in enumerate(changed) if m.id is None}
        if named:
            value = [named.get(id(m), m) for m in value]
            changed = [named.get(id(m), m) for m in changed]
        if ranges is None:
            return value, ({"set": value} if "set" in op else {**op, "upsert": changed})
        entries += removals
        entries += changed
        added = (first, self.log_head + len(entries))
        ranges[name] = _joined(self.ranges.get(name, ()), added)
        return value, {"log": [added]}

    def upcoming(self) -> tuple[str, ...]:
        """The names of the nodes that run next."""
        return tuple(a if isinstance(a, str) else a.node for a in self.frontier.next or self.frontier.deferred)

    # --- commits ---------------------------------------------------------------------------------------------------------

    def commit(self, **parts: Any) -> Commit:
        """A commit at the place where the session stands."""
        info = self.info
        return Commit(info.session_id, self.head, self.epoch, info.run_id, ns=info.ns, **parts)  # type: ignore[arg-type]

    def checkpoint(self, delta: Delta) -> NewCheckpoint:
        """The row for the state as it is now."""
        return NewCheckpoint(
            self.head + 1, delta, self.frontier, self.log_head, self.schema, self.values, self.ranges, self.weight
        )

    def ride(self, delta: Delta) -> None:
        """Leave a rerunnable superstep to the next commit."""
        self._riding = self._with_riding(delta)
        self.rides = True

    def flush(self) -> Commit:
        """The commit of what rode along, before something durable rests on it. The frontier keeps its origin, so task
        ids stay.
        """
        delta, self._riding, self.rides = self._riding, {}, False
        return self.commit(checkpoint=self.checkpoint(delta))

    def superstep(self, delta: Delta, entries: list[LogEntry], metrics: dict[str, Any]) -> Commit:
        """The commit of a superstep; the last one also closes the run."""
        if self.rides:
            delta, self._riding, self.rides = self._with_riding(delta), {}, False
        frontier = self.frontier
        frontier.origin = self.head + 1
        done = not frontier.next and not frontier.deferred
        if done:
            frontier.joins, frontier.refresh = {}, []
        ends = done and not self.info.ns
        return self.commit(
            checkpoint=self.checkpoint(delta),
            messages=entries,
            side=self.side,
            drop_tasks=self.recorded,
            closed=(self.closing("completed", metrics),) if ends else (),
            status="completed" if ends else None,
        )

    def advanced(self) -> None:
        """A superstep's commit was acknowledged."""
        self.head += 1
        self.durable_log = self.log_head
        if self.side:
            self.side = []
        if self.recorded:
            self.recorded, self.results, self.answers, self.waiting = False, {}, {}, {}

    def keep(self, rows: list[TaskRow], **more: Any) -> Commit:
        """The commit of task rows of the unfinished superstep."""
        self.recorded = True
        return self.commit(tasks=rows, origin=self.frontier.origin, schema=self.schema, **more)

    def closing(self, status: str, metrics: dict[str, Any], error: BaseException | None = None) -> CloseRun:
        """The record that ends this run, for now or for good."""
        last = self.log_head if status == "completed" else self.durable_log
        text = None if error is None else f"{type(error).__name__}: {error}"
        return CloseRun(self.info.run_id, status, last, error=text, metrics=metrics)

    def _with_riding(self, delta: Delta) -> Delta:
        """One delta for supersteps that are committed together."""
        if not self._riding:
            return delta
        whole = dict(self._riding)
        for name, op in delta.items():
            earlier = whole.get(name)
            if earlier is None:
                whole[name] = op
            elif "log" in op and "log" in earlier:
                whole[name] = {"log": _joined(earlier["log"], op["log"][0])}
            elif "append" in op and "append" in earlier:
                whole[name] = {"append": [*earlier["append"], *op["append"]]}
            else:
                whole[name] = {"set": self.values[name]}
        return whole


def result_rows(outcomes: Iterable[Outcome]) -> list[TaskRow]:
    """The rows of tasks that finished."""
    return [TaskRow(o.task.id, o.task.node.name, "result", o.result) for o in outcomes if o.result is not None]


def question_rows(outcomes: Iterable[Outcome]) -> list[TaskRow]:
    """The rows of tasks that ask something; what a graph inside a task asks is kept by that graph."""
    return [
        TaskRow(o.task.id, o.task.node.name, "interrupt", o.interrupts[0], nth=o.task.asked - 1)
        for o in outcomes
        if o.interrupts and not o.nested
    ]


def _joined(ranges: Iterable[Range], added: Range) -> list[Range]:
    """Ranges with one more at the end, neighbours made one."""
    joined = list(ranges)
    if joined and joined[-1][1] + 1 == added[0]:
        joined[-1] = (joined[-1][0], added[1])
    elif added[0] <= added[1]:
        joined.append(added)
    return joined
