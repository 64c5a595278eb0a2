"""Operations on runs and sessions, as flows: begin, resume, look, edit. Each is written once and driven sync or async."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graphflow.core.control import MISSING, START, Cancelled, Interrupt, Send
from graphflow.core.effects import (
    Acquire,
    Call,
    CloseRun,
    Emit,
    Flow,
    Load,
    LoadMany,
    LogEntry,
    OpenRun,
    RunInfo,
    RunTasks,
    Sleep,
    Stored,
    TaskResult,
    TaskRow,
    task_id,
)
from graphflow.core.ids import check_id, new_id
from graphflow.core.machine import Machine
from graphflow.core.plan import Plan
from graphflow.core.reducers import Delta
from graphflow.core.routing import route
from graphflow.core.state import Values
from graphflow.core.updates import checked, reset, update_of
from graphflow.errors import (
    GraphChanged,
    GraphChangedWarning,
    InvalidAnswer,
    InvalidUpdate,
    LeaseLost,
    SessionBusy,
    SessionNotFound,
    UnfinishedRun,
)


@dataclass(slots=True, eq=False)
class CallOptions:
    """What a caller says besides the input."""

    session_id: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    context: Any = None
    db: Any = None
    recursion_limit: int = 1000
    max_concurrency: int | None = None
    on_unfinished: Literal["raise", "abandon"] | None = None
    on_busy: str = "wait"
    component_id: str | None = None
    listening: bool = False
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For dict channels: keys to write at the begin of a run where neither the session nor the input has them."""
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For dict channels: keys to write at the begin of a run."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Ended:
    """How a run ended, and the state it left."""

    status: str
    values: Values
    interrupts: tuple[Interrupt, ...]
    session_id: str | None
    run_id: str
    seq: int
    metrics: Mapping[str, Any]


class _Patience:
    """How a run meets a session that another process holds: it polls, in growing pauses, until the database's busy_timeout."""

    def __init__(self, call: CallOptions) -> None:
        self.left = 0.0 if call.on_busy == "reject" else float(call.db.busy_timeout)
        self.pause = 0.01

    def wait(self, held: SessionBusy | LeaseLost) -> Flow[None]:
        """Pause before the next try; raises ``held`` when there is none."""
        if self.left <= 0:
            raise held
        seconds = min(self.pause * random.uniform(0.5, 1.0), self.left)
        self.left -= seconds
        self.pause = min(self.pause * 1.5, 0.5)
        yield Sleep(seconds)


def _check_free(stored: Stored | None) -> None:
    if stored is not None and stored.holder is not None:
        raise busy(stored.session_id, stored.holder)


def busy(session_id: str, holder: str) -> SessionBusy:
    """The error for a session that another process runs."""
    return SessionBusy(
        f"session {session_id!r} is being run by {holder}; wait for it (on_busy='wait' does, for the database's "
        "busy_timeout=), or use another session"
    )


# --- a new run ---------------------------------------------------------------------------------------------------------


def invoke(plan: Plan, input: Any, call: CallOptions) -> Flow[Ended]:
    """Begin a run with ``input`` and go on until it ends. The input is durable before the first node runs."""
    run_id = call.run_id or new_id()
    if call.db is None:
        machine = _machine(plan, call, run_id)
        machine.ledger.values.update(plan.schema.initial())
        yield from _enter(machine, input, call)
        return (yield from _drive(machine))
    call.session_id = check_id(call.session_id, "session_id") if call.session_id is not None else new_id()
    if call.user_id is not None:
        check_id(call.user_id, "user_id")
    yield Acquire(call.session_id, call.on_busy)
    patience = _Patience(call)
    while True:
        machine = _machine(plan, call, run_id)
        try:
            stored = yield Load(call.session_id, call.user_id, plan.schema)
            _check_free(stored)
            yield from _open(machine, input, stored, call)
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)
            continue
        return (yield from _drive(machine))


def _machine(plan: Plan, call: CallOptions, run_id: str) -> Machine:
    info = RunInfo(
        run_id,
        session_id=call.session_id,
        user_id=call.user_id,
        context=call.context,
        db=call.db,
        listening=call.listening,
        max_concurrency=call.max_concurrency,
        options=call.options,
    )
    return Machine(plan, info, recursion_limit=call.recursion_limit)


def _enter(machine: Machine, input: Any, call: CallOptions, cleared: Delta | None = None) -> Flow[tuple[Delta, list[LogEntry]]]:
    """Apply the input to the state and find the first tasks. ``cleared`` is the delta of what the new run emptied before."""
    plan, ledger = machine.plan, machine.ledger
    writes = checked(plan.schema, update_of(plan.schema, input, None, START), START)
    for name in {**call.defaults, **call.given}:
        held, given = ledger.values.get(name) or {}, call.given.get(name, {})
        entries_of = {**{key: value for key, value in call.defaults.get(name, {}).items() if key not in held}, **given}
        if entries_of:
            writes.append((name, entries_of))
    result = TaskResult(writes)
    delta, entries = ledger.merge([(START, result)])
    for name, op in (cleared or {}).items():
        delta[name] = op if name not in delta else delta[name] if "set" in delta[name] else {**op, **delta[name]}
    yield from route(plan, ledger.values, ledger.frontier, [(plan.entry, result)])
    return delta, entries


def _open(machine: Machine, input: Any, stored: Stored | None, call: CallOptions) -> Flow[None]:
    """The first transaction of a run: session, run row and input. Nothing is written when the input is wrong."""
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    closed = []
    cleared: Delta = {}
    if stored is None:
        ledger.values.update(plan.schema.initial())
    else:
        ledger.adopt(stored)
        cleared = reset(plan.schema, ledger.values, ledger.ranges)
        ledger.begin()
        if stored.run is not None and stored.run.status in ("running", "paused"):
            closed.append(_abandoned(plan, stored, call))
    info.first_message = ledger.log_head + 1
    delta, entries = yield from _enter(machine, input, call, cleared)
    ledger.frontier.origin = ledger.head + 1
    done = not ledger.upcoming()
    if done:
        closed.append(ledger.closing("completed", machine.metrics))
    yield ledger.commit(
        checkpoint=ledger.checkpoint(delta),
        messages=entries,
        drop_tasks=ledger.recorded,
        take_over=True,
        user_id=call.user_id,
        session_type=plan.session_type,
        component_id=call.component_id,
        opened=OpenRun(info.run_id, call.component_id, plan.fingerprint, info.first_message),
        closed=closed,
        status="completed" if done else "running",
    )
    ledger.advanced()
    ledger.epoch += 1


def _abandoned(plan: Plan, stored: Stored, call: CallOptions) -> CloseRun:
    assert stored.run is not None
    if (call.on_unfinished or plan.on_unfinished) != "abandon":
        what = (
            "is paused at a question" if stored.run.status == "paused" else "was not finished (it crashed, or is still running)"
        )
        raise UnfinishedRun(
            f"run {stored.run.run_id!r} of session {stored.session_id!r} {what}; go on with resume({stored.session_id!r}), "
            "or give on_unfinished='abandon' to leave it behind"
        )
    return CloseRun(stored.run.run_id, "abandoned", stored.log_head)


def _drive(machine: Machine) -> Flow[Ended]:
    """Run the supersteps and tell how they ended."""
    info = machine.info
    try:
        status = yield from machine.run(_before(machine))
    except Exception as error:
        if info.listening:
            yield Emit("run_failed", "", {"error": error})
        raise
    except Cancelled:
        if info.listening:
            yield Emit("run_cancelled", "", {})
        raise
    ledger = machine.ledger
    return Ended(status, ledger.values, machine.interrupts, info.session_id, info.run_id, ledger.head, machine.metrics)


# --- going on ----------------------------------------------------------------------------------------------------------


def resume(plan: Plan, call: CallOptions, answer: Any = MISSING, answers: Mapping[str, Any] | None = None) -> Flow[Ended]:
    """Go on with what is unfinished: after a crash, an error, a fork, an edit, or with answers to pending questions."""
    session_id = check_id(call.session_id, "session_id")
    yield Acquire(session_id, call.on_busy)
    patience = _Patience(call)
    while True:
        try:
            stored = yield from existing(plan, session_id, call.user_id, with_log=True)
            _check_free(stored)
            machine = yield from _reopen(plan, call, stored, answer, answers)
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)
            continue
        if not machine.ledger.upcoming():
            assert stored.run is not None
            ledger = machine.ledger
            return Ended(stored.run.status, ledger.values, (), session_id, stored.run.run_id, ledger.head, {})
        return (yield from _drive(machine))


def _reopen(plan: Plan, call: CallOptions, stored: Stored, answer: Any, answers: Mapping[str, Any] | None) -> Flow[Machine]:
    """The machine of the stored run, which is ours from here on when it has anything left to do."""
    assert stored.run is not None
    rows = _answer_rows(stored, answer, answers)
    call.run_id = stored.run.run_id
    machine = _machine(plan, call, stored.run.run_id)
    ledger = machine.ledger
    ledger.adopt(stored, rows)
    if ledger.upcoming():
        _check_fit(plan, stored)
        yield ledger.commit(
            tasks=rows,
            origin=ledger.frontier.origin,
            schema=plan.schema,
            take_over=True,
            user_id=call.user_id,
            session_type=plan.session_type,
            reopened=stored.run.run_id,
            status="running",
        )
        ledger.epoch += 1
        machine.info.first_message = stored.run.first_message
    return machine


def existing(
    plan: Plan, session_id: str, user_id: str | None, *, at: int | None = None, with_log: bool = False
) -> Flow[Stored]:
    """The stored session. Raises SessionNotFound, NotOwner."""
    stored: Stored | None = yield Load(session_id, user_id, plan.schema, at=at, with_log=with_log)
    if stored is None:
        raise SessionNotFound(f"there is no session {session_id!r} in this database; invoke() with that session_id begins it")
    if plan.aliases:
        _rename(stored, plan.aliases)
    return stored


def _rename(stored: Stored, aliases: Mapping[str, str]) -> None:
    """Call pending nodes by their new names, and their tasks' rows by the ids that go with them."""
    before = pending_tasks(stored)
    frontier = stored.frontier
    frontier.next = [_renamed(arrival, aliases) for arrival in frontier.next]
    frontier.deferred = [aliases.get(name, name) for name in frontier.deferred]
    ids = {old.id: new for old, new in zip(before, pending_tasks(stored), strict=True)}
    for row in stored.tasks:
        if row.task_id in ids:
            row.task_id, row.node = ids[row.task_id].id, ids[row.task_id].node


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task of a stored frontier: "done" (kept while a sibling is not), "waiting" (at ``interrupt``) or "pending"."""

    id: str
    node: str
    state: str
    interrupt: Interrupt | None = None
    nth: int = 0


def pending_tasks(stored: Stored) -> list[StoredTask]:
    """The tasks of the next superstep, in order, as far as they are."""
    frontier = stored.frontier
    done = {row.task_id for row in stored.tasks if row.kind == "result"}
    answered = {(row.task_id, row.nth) for row in stored.tasks if row.kind == "answer"}
    asked = {row.task_id: row for row in stored.tasks if row.kind == "interrupt" and (row.task_id, row.nth) not in answered}
    tasks = []
    for position, arrival in enumerate(frontier.next or frontier.deferred):
        node = arrival if isinstance(arrival, str) else arrival.node
        id = task_id(stored.session_id, "", frontier.origin, node, position)
        if id in done:
            tasks.append(StoredTask(id, node, "done"))
        elif id in asked:
            tasks.append(StoredTask(id, node, "waiting", asked[id].value, asked[id].nth))
        else:
            tasks.append(StoredTask(id, node, "pending"))
    return tasks


def _answer_rows(stored: Stored, answer: Any, answers: Mapping[str, Any] | None) -> list[TaskRow]:
    questions = {task.interrupt.id: task for task in pending_tasks(stored) if task.interrupt is not None}
    where = f"session {stored.session_id!r}"
    if answer is not MISSING:
        if answers is not None:
            raise ValueError("give either an answer or answers=, not both")
        if len(questions) != 1:
            raise InvalidAnswer(
                f"{where} has no pending question; resume({stored.session_id!r}) without an answer "
                "goes on with what is unfinished"
                if not questions
                else f"{where} has {len(questions)} pending questions; answer by id: "
                f"answers={{{', '.join(map(repr, questions))}: …}}"
            )
        answers = {next(iter(questions)): answer}
    for id in answers or {}:
        if id not in questions:
            known = f"pending are {', '.join(map(repr, questions))}" if questions else "nothing is pending"
            raise InvalidAnswer(f"{where} has no pending question {id!r}; {known}")
    return [
        TaskRow(questions[id].id, questions[id].node, "answer", value, nth=questions[id].nth)
        for id, value in (answers or {}).items()
    ]


def _check_fit(plan: Plan, stored: Stored) -> None:
    """Refuse to go on when what is pending does not fit the graph; warn when the graph changed but it does."""
    frontier = stored.frontier
    joins = {join.key for join in plan.joins}
    names = [a if isinstance(a, str) else a.node for a in frontier.next] + frontier.deferred
    missing = [f"node {name!r} is pending but gone" for name in names if name not in plan.nodes]
    missing += [f"the join {key!r} is waiting but gone" for key in frontier.joins if key not in joins]
    assert stored.run is not None
    if missing:
        raise GraphChanged(
            f"graph {plan.name!r} changed and the unfinished run {stored.run.run_id!r} of session "
            f"{stored.session_id!r} does not fit it: "
            f"{'; '.join(missing)}. Bring the names back, compile with aliases={{'old': 'new'}}, "
            "or begin anew with on_unfinished='abandon'"
        )
    if stored.run.fingerprint != plan.fingerprint:
        warnings.warn(
            f"graph {plan.name!r} changed since run {stored.run.run_id!r} of session {stored.session_id!r} was stored; "
            "everything pending still fits, so it goes on",
            GraphChangedWarning,
            stacklevel=2,
        )


def _renamed(arrival: str | Send, aliases: Mapping[str, str]) -> str | Send:
    if isinstance(arrival, Send):
        return Send(aliases.get(arrival.node, arrival.node), arrival.arg)
    return aliases.get(arrival, arrival)


def _before(machine: Machine) -> Flow[None]:
    """What comes before the first superstep: telling, and running again the rerunnable nodes whose untracked output is gone."""
    if machine.info.listening:
        yield Emit("run_started", "", {"values": machine.schema.view(machine.ledger.values)})
    for name in machine.ledger.frontier.refresh:
        if name in machine.plan.nodes:
            (outcome,) = yield RunTasks([machine.task(name)])
            machine.take_untracked(outcome)


# --- looking and editing -----------------------------------------------------------------------------------------------


def get_state(plan: Plan, session_id: str, user_id: str | None, at: int | None) -> Flow[Stored]:
    """The session at its head or at checkpoint ``at``."""
    return (yield from existing(plan, check_id(session_id, "session_id"), user_id, at=at, with_log=True))


def get_state_history(plan: Plan, session_id: str, user_id: str | None, limit: int | None) -> Flow[list[Stored]]:
    """The session at each of its checkpoints, newest first."""
    yield from existing(plan, check_id(session_id, "session_id"), user_id)
    history: list[Stored] = yield LoadMany(session_id, user_id, plan.schema, limit)
    return history


def update_state(plan: Plan, session_id: str, user_id: str | None, update: Any, as_node: str | None, db: Any) -> Flow[int]:
    """Write to the state by hand. Returns the new checkpoint's seq.

    With ``as_node`` the edges out of that node say what is next (START: as if it were an input); without, what was next stays.
    """
    if as_node is not None and as_node != START and as_node not in plan.nodes:
        raise ValueError(f"as_node={as_node!r} is not a node; the nodes are {', '.join(map(repr, plan.nodes))}")
    call = CallOptions(check_id(session_id, "session_id"), user_id, db=db)
    yield Acquire(session_id)
    patience = _Patience(call)
    while True:
        try:
            return (yield from _edit(plan, call, update, as_node))
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)


def _edit(plan: Plan, call: CallOptions, update: Any, as_node: str | None) -> Flow[int]:
    session_id, user_id = check_id(call.session_id, "session_id"), call.user_id
    stored: Stored | None = yield Load(session_id, user_id, plan.schema, with_log=True)
    _check_free(stored)
    run_id = stored.run.run_id if stored is not None and stored.run is not None else new_id()
    machine = _machine(plan, call, run_id)
    ledger = machine.ledger
    if stored is None:
        ledger.values.update(plan.schema.initial())
    else:
        ledger.adopt(stored)
    node = as_node or "update_state"
    result = TaskResult(checked(plan.schema, update_of(plan.schema, update, machine.schema.view(ledger.values), node), node))
    for name, _ in result.writes:
        if not plan.schema.channels[name].stored:
            raise InvalidUpdate(f"update_state cannot write {name!r}: an untracked field is not stored", field=name)
    delta, entries = ledger.merge([(node, result)])
    if as_node is not None:
        ledger.frontier.next, ledger.frontier.deferred = [], []
        yield from route(
            plan, ledger.values, ledger.frontier, [(plan.entry if as_node == START else plan.nodes[as_node], result)]
        )
        ledger.frontier.origin = ledger.head + 1
    changed = as_node is not None or stored is None
    status = ("paused" if ledger.upcoming() else "completed") if changed else None
    yield ledger.commit(
        checkpoint=ledger.checkpoint(delta),
        messages=entries,
        drop_tasks=as_node is not None and ledger.recorded,
        take_over=True,
        user_id=user_id,
        session_type=plan.session_type,
        opened=OpenRun(run_id, None, plan.fingerprint, 1) if stored is None else None,
        closed=(ledger.closing(status, machine.metrics),) if status is not None else (),
        status=status,
    )
    return ledger.head + 1


def fork(plan: Plan, session_id: str, user_id: str | None, at: int | None, new_session_id: str | None, db: Any) -> Flow[str]:
    """A new session with the old one's past up to checkpoint ``at``. The source is untouched."""
    yield from existing(plan, check_id(session_id, "session_id"), user_id, at=at)
    new: str = yield Call(db.fork_session, (session_id, at, new_session_id), {}, False)
    return new
