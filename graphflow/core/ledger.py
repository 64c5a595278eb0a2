"""What a run has in hand (state, frontier, place in the session) and the commits that make it durable."""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from typing import Any

from graphflow.core.control import MISSING, Interrupt, Overwrite
from graphflow.core.effects import Advance, CloseRun, Commit, Flow, NewCheckpoint
from graphflow.core.excerpts import error_text
from graphflow.core.ids import digest
from graphflow.core.plan import NodePlan
from graphflow.core.reducers import Delta, Op
from graphflow.core.state import Channel, StateSchema, Values
from graphflow.core.steps import StepBook
from graphflow.core.stored import OWN_ORIGINS, Frontier, LogEntry, Range, SideWrite, Stored, TaskResult, TaskRow, Weight
from graphflow.core.tasks import Outcome, RunInfo
from graphflow.core.updates import Write, reduce_writes
from graphflow.messages import RemoveMessage


class Ledger:
    """The books of one run. Its methods change what is in hand or make a Commit of it; none of them does any I/O."""

    fleeting = False
    """Whether nothing of the run is stored when it comes to its end: a graph inside one that is committed at its end."""
    passed = False
    """Whether the current superstep has begun before, so that nothing holds it back (``interrupt_before``)."""
    held = False
    """Whether a nested graph has paused where it stands, and nobody has gone past that."""
    rides = False
    """Whether supersteps were made since the last commit that wait for the next one."""
    added: Container[str] = ()
    """Channels whose writes are kept one by one, because a nested graph hands them on to its parent."""
    _rode: tuple[Values, dict[str, list[Range]], int, dict[str, list[Any]]] = ({}, {}, 0, {})
    """State, ranges, log_head and what the frontier has added after the last superstep that waits."""

    def __init__(self, schema: StateSchema, info: RunInfo) -> None:
        self.schema = schema
        self.info = info
        self.stored = info.session_id is not None and info.db is not None
        self.exit = self.stored and info.durability == "exit"
        """Whether everything is committed at once, when the run ends or pauses."""
        self.durable = self.stored and not self.exit
        self.values: Values = info.values
        self.ranges: dict[str, list[Range]] = {}
        self.frontier = Frontier(-1)
        self.head = -1
        self.epoch = 0
        self.log_head = 0
        self.durable_log = 0
        """The log as of the last commit; ``log_head`` runs ahead of it while a superstep is being merged."""
        self.weight = info.fence.weight
        self.earlier: Mapping[str, Any] = {}
        """What earlier calls of the run measured."""
        self.results: dict[str, TaskResult] = {}
        """Results of tasks of the current superstep that finished before this process took over, by task id."""
        self.side: list[SideWrite] = []
        """Side writes of the superstep that is being merged."""
        self.answers: dict[str, dict[int, Any]] = {}
        """Answers to questions of the current superstep, by task id and order."""
        self.questions: dict[tuple[str, int], Interrupt] = {}
        """Questions of the current superstep, answered or not, by task id and order."""
        self.waiting: dict[str, Interrupt] = {}
        """Questions of the current superstep that are still without an answer, by task id."""
        self.recorded = False
        """Whether the current superstep has rows in the tasks table."""
        self.steps = info.steps = StepBook(self.durable)
        self._riding: list[Delta] = []
        self._entries: list[LogEntry] = []
        self._side: list[SideWrite] = []
        self._opening: dict[str, Any] = {}
        info.ledger = self
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
        self.earlier = {} if stored.run is None else stored.run.metrics
        rows = (*stored.tasks, *answers)
        self.recorded = bool(rows) or stored.inner_rows
        held = next((row.value for row in rows if row.kind == "held"), None)
        for row in rows:
            if row.kind == "passed":
                self.info.fence.passed = row.value
        self.passed = bool(rows) if held is None else self.info.fence.passed > held
        self.held = held is not None and not self.passed
        self.results = {row.task_id: row.value for row in rows if row.kind == "result"}
        self.questions = {(row.task_id, row.nth): row.value for row in rows if row.kind == "interrupt"}
        for row in rows:
            if row.kind == "answer":
                self.answers.setdefault(row.task_id, {})[row.nth] = row.value
            elif row.kind == "step":
                self.steps.add(self.frontier.origin, row)
        for (task_id, nth), question in self.questions.items():
            if task_id not in self.results and nth not in self.answers.get(task_id, {}):
                self.waiting[task_id] = question

    def took_over(self) -> None:
        """The session is ours under a new fencing number, which the graphs inside this one write under, too."""
        self.epoch += 1
        fence = self.info.fence
        fence.epoch, fence.weight = self.epoch, self.weight

    def leave(self) -> None:
        """Be known to nobody through the run, which is over: then all of it is gone at once, without the garbage collector."""
        self.info.ledger = None

    def begin(self) -> None:
        """Forget what an earlier run of the session left pending: a new run begins."""
        self.ranges, self.earlier = {}, {}
        self.frontier = Frontier(self.frontier.origin)
        self.passed = self.held = False
        self._forget()

    def _forget(self) -> None:
        """Begin a superstep that nothing is known of."""
        self.results, self.answers, self.questions, self.waiting = {}, {}, {}, {}

    # --- the state -----------------------------------------------------------------------------------------------------

    def merge(self, results: Iterable[tuple[NodePlan, TaskResult]]) -> tuple[Delta, list[LogEntry]]:
        """Apply the writes of all nodes, in task order, to the state. Returns the delta and the new rows of the message log.

        Raises InvalidUpdate before anything is changed.
        """
        by_channel: dict[str, list[Write]] = {}
        side: list[SideWrite] = []
        for node, result in results:
            if result.side:
                side += result.side
            for name, value in result.writes:
                if name in by_channel:
                    by_channel[name].append((node.name, value))
                else:
                    by_channel[name] = [(node.name, value)]
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
        self.frontier.added = {**self.frontier.added, channel.name: added}

    def _identify(
        self, name: str, value: list[Any], op: Op, entries: list[LogEntry], ranges: dict[str, list[Range]] | None
    ) -> tuple[list[Any], Op]:
        """Give ids to messages that came without one, and move those of a logged channel (one with ``ranges``) from the
        delta into the log."""
        first = self.log_head + len(entries) + 1
        prefix = self.own_ids
        if ranges is None:
            ahead = f"+{len(self._riding)}" if self._riding else ""
            prefix = f"{prefix}{self.head + 1}{ahead}.{name}."
        if "append" in op:  # messages without ids, which the value ends with
            changed = [message.with_id(f"{prefix}{number}") for number, message in enumerate(op["append"], first)]
            value[-len(changed) :] = changed
            if ranges is None:
                return value, {"upsert": changed}
        else:
            changed = op["set"] if "set" in op else op["upsert"]
            removals: list[LogEntry] = [RemoveMessage(id=gone) for gone in op.get("remove", ())]
            if ranges is not None and "set" in op:
                removals = [RemoveMessage(id=message.id) for message in self.values.get(name, ())]
            start = first + len(removals)
            named = {id(m): m.with_id(f"{prefix}{start + n}") for n, m in enumerate(changed) if m.id is None}
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

    @property
    def over(self) -> bool:
        """Whether nothing runs next."""
        return not (self.frontier.next or self.frontier.deferred)

    def passes(self) -> None:
        """A superstep of a run that is not stored is over."""
        self.head += 1
        self.frontier.origin = self.head

    # --- commits ---------------------------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether a superstep of a run that is committed at its end is left to a later commit, or to none."""
        return not self.over or (self.fleeting and self.head < 0)

    @property
    def opened(self) -> bool:
        """Whether the run is stored. One that is committed at its end only is not until then, or until a graph inside it is."""
        return self.stored and not self._opening

    def commit(
        self,
        checkpoint: NewCheckpoint | None = None,
        messages: Sequence[LogEntry] = (),
        side: Sequence[SideWrite] = (),
        **parts: Any,
    ) -> Commit | Advance:
        """A commit at the place where the session stands."""
        info = self.info
        session_id: Any = info.session_id  # there is one, since the run is stored
        if self._opening:
            opening, self._opening = self._opening, {}
            parts = {**opening, **parts, "closed": (*opening["closed"], *parts.get("closed", ()))}
        elif checkpoint is not None and not (messages or side or parts or info.ns) and self.weight.run is not None:
            return Advance(session_id, self.epoch, checkpoint)
        place = session_id, self.head, self.epoch, info.run_id, info.ns, self.weight.session, info.within
        return Commit(*place, checkpoint, messages, side, **parts)

    def checkpoint(self, delta: Delta) -> NewCheckpoint:
        """The row for the state as it is now."""
        return NewCheckpoint(
            self.head + 1, delta, self.frontier, self.log_head, self.schema, self.values, self.ranges, self.weight
        )

    def ride(self, delta: Delta, entries: Sequence[LogEntry] = (), **opening: Any) -> None:
        """Leave a superstep to the next commit; ``opening`` is what that has to say beside it."""
        self._riding.append(delta)
        self._entries += entries
        self._side, self.side = [*self._side, *self.side], []
        self._opening.update(opening)
        self.rides = True
        if self.exit:
            self.durable_log = self.log_head  # whatever is committed next, these entries are in it
            self.frontier.origin = self._unstored_origin()
            self._forget()
        self._rode = self.values.copy(), self.ranges.copy(), self.log_head, self.frontier.added

    def _unstored_origin(self) -> int:
        """What ids of tasks derive from when no checkpoint comes before them: a number of this run's own, above every seq."""
        return _own_origin(self.info.run_id, self.head) + len(self._riding)

    def flush(self, **parts: Any) -> Commit | Advance:
        """The commit of what rode along, before something durable rests on it. The frontier keeps its origin, so task
        ids stay.
        """
        values, ranges, log_head, added = self._rode
        deltas, entries, side = self._unload()
        delta, frontier = joined_deltas(deltas, values), self.frontier
        if frontier.added is not added:  # a superstep that has been merged, and did not come to its end
            frontier = replace(frontier, added=added)
        new = NewCheckpoint(self.head + 1, delta, frontier, log_head, self.schema, values, ranges, self.weight)
        return self.commit(new, entries, side, **parts)

    def settle(self) -> Flow[None]:
        """Commit what rode along, and before it what that rests on."""
        yield from self.ground()
        if not self.rides:
            return
        load, opening = (self._riding, self._entries, self._side), self._opening
        commit = self.flush(status="running") if opening else self.flush()
        self.rides = True  # until it is acknowledged, since others may ask
        try:
            yield commit
        except BaseException:
            (self._riding, self._entries, self._side), self._opening = load, opening
            raise
        self.rides = False
        self.head += 1
        if opening:
            self.took_over()

    def ground(self) -> Flow[None]:
        """Have the graph around this one committed as far as it has come, and take its fencing number."""
        if self.exit and self.info.around is not None:
            yield from self.info.around.settle()
            fence = self.info.fence
            self.epoch = fence.epoch
            self.weight.session, self.weight.run = fence.weight.session, fence.weight.run

    def superstep(
        self, delta: Delta, entries: list[LogEntry], metrics: dict[str, Any], paused: bool = False, cancelled: bool = False
    ) -> Commit | Advance:
        """The commit of a superstep; the last one also closes the run, and one that is ``paused`` stops it there; if it was
        ``cancelled`` meanwhile, as that.
        """
        if self.rides:
            deltas, earlier, side = self._unload()
            delta, entries = joined_deltas([*deltas, delta], self.values), [*earlier, *entries]
            self.side = [*side, *self.side]
        frontier = self.frontier
        frontier.origin = self.head + 1
        done = self.over
        if done:
            frontier.joins, frontier.refresh = {}, []
        status = "completed" if done else "paused" if paused else None
        if status is not None and cancelled:
            status = "cancelled"
        parts: dict[str, Any] = {}
        if self.info.ns:  # how the run stands is the outermost graph's to say
            if paused and not done:
                parts = {"tasks": [self.holding()], "origin": frontier.origin}
        elif status is not None:
            parts = {"closed": (self.closing(status, metrics, last=self.log_head),), "status": status}
        if self.recorded or self.info.fence.rows:
            parts["drop_tasks"] = True
        return self.commit(self.checkpoint(delta), entries, self.side, **parts)

    def holding(self) -> TaskRow:
        """The row that says where a nested graph pauses, until a later fencing number goes past it."""
        return TaskRow("", "", "held", self.epoch)

    def advanced(self) -> None:
        """A superstep's commit was acknowledged."""
        self.head += 1
        self.durable_log = self.log_head
        if self.side:
            self.side = []
        if not self.info.ns:
            self.info.fence.rows = False
        if self.recorded:
            self.recorded = self.passed = self.held = False
            self._forget()

    def stop(self, rows: Sequence[TaskRow], ending: Mapping[str, Any]) -> Flow[None]:
        """Commit task rows of the unfinished superstep; ``ending`` are the parts that end the run for now."""
        if self.exit:
            rows = [*self.steps.all(self.frontier.origin), *rows]
        if self.exit and self.rides:
            origin, schema = self.frontier.origin, self.schema
            if self.info.ns and rows:
                self.info.fence.rows = True
            yield self.flush(tasks=rows, origin=origin, schema=schema, drop_tasks=self.recorded, **ending)
            return
        yield from self.settle()
        yield self.keep(rows, **ending)

    def record_step(self, row: TaskRow) -> Flow[None]:
        """Make a recorded step durable; what rode along is committed before it."""
        yield from self.settle()
        yield self.keep([row])

    def keep(self, rows: Sequence[TaskRow], **more: Any) -> Commit | Advance:
        """The commit of task rows of the unfinished superstep."""
        self.recorded = True
        if self.info.ns:
            self.info.fence.rows = True
        return self.commit(tasks=rows, origin=self.frontier.origin, schema=self.schema, **more)

    def closing(
        self, status: str, metrics: dict[str, Any], error: BaseException | None = None, *, last: int | None = None
    ) -> CloseRun:
        """The record that ends this run, for now or for good; ``last`` is its last message, when that is not durable yet.

        ``metrics`` are those of this call, and are added to what earlier ones measured.
        """
        if last is None:
            last = self.log_head if status == "completed" else self.durable_log
        text = None if error is None else error_text(error)
        return CloseRun(self.info.run_id, status, last, error=text, metrics=_added(self.earlier, metrics))

    def _unload(self) -> tuple[list[Delta], list[LogEntry], list[SideWrite]]:
        load = self._riding, self._entries, self._side
        self._riding, self._entries, self._side, self.rides = [], [], [], False
        return load


def _added(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metrics of the calls of one run: what is counted adds up, of what was noted the later word stands."""
    if not earlier:
        return now
    total = {**earlier, **now}
    for name in ("input_tokens", "output_tokens", "seconds"):
        total[name] = earlier.get(name, 0) + now.get(name, 0)
    total["nodes"] = dict(earlier.get("nodes", {}))
    for node, seconds in now.get("nodes", {}).items():
        total["nodes"][node] = total["nodes"].get(node, 0.0) + seconds
    return total


def joined_deltas(deltas: Sequence[Delta], values: Values) -> Delta:
    """One delta for supersteps that are committed together; ``values`` is the state after the last of them."""
    if len(deltas) == 1:
        return deltas[0]
    by_channel: dict[str, list[Op]] = {}
    for delta in deltas:
        for name, op in delta.items():
            by_channel.setdefault(name, []).append(op)
    return {name: ops[0] if len(ops) == 1 else _joined_ops(ops, values.get(name)) for name, ops in by_channel.items()}


def _joined_ops(ops: list[Op], value: Any) -> Op:
    emptied: Op = {"unset": None} if "unset" in ops[0] else {}
    changes = [change for op in ops if (change := {verb: item for verb, item in op.items() if verb != "unset"})]
    if all("log" in change for change in changes):
        ranges: list[Range] = list(changes[0]["log"])
        for change in changes[1:]:
            ranges = _joined(ranges, change["log"][0])
        return {**emptied, "log": ranges}
    if all("append" in change for change in changes):
        return {**emptied, "append": [item for change in changes for item in change["append"]]}
    return {"set": value}


def result_rows(outcomes: Iterable[Outcome]) -> list[TaskRow]:
    """The rows of tasks that finished."""
    return [TaskRow(o.task.id, o.task.node.name, "result", o.result) for o in outcomes if o.result is not None]


def question_rows(outcomes: Iterable[Outcome]) -> list[TaskRow]:
    """The rows of tasks that ask something; what a graph inside a task asks is kept by that graph."""
    return [
        TaskRow(o.task.id, o.task.node.name, "interrupt", o.interrupts[0], nth=o.interrupts[0].nth)
        for o in outcomes
        if o.interrupts and not o.nested
    ]


@lru_cache(maxsize=256)  # the same for every superstep until a commit, and for the graphs inside
def _own_origin(run_id: str, head: int) -> int:
    return OWN_ORIGINS + int(digest(f"{run_id}\n{head}", 7), 16)


def _joined(ranges: Iterable[Range], added: Range) -> list[Range]:
    """Ranges with one more at the end, neighbours made one."""
    joined = list(ranges)
    if joined and joined[-1][1] + 1 == added[0]:
        joined[-1] = (joined[-1][0], added[1])
    elif added[0] <= added[1]:
        joined.append(added)
    return joined
