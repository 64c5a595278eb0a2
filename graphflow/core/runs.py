"""Runs, as flows: begin and resume. Each is written once and driven sync or async."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphflow.core.calls import CallOptions, Ended, Patience, check_free, new_machine
from graphflow.core.changes import check_fit, check_values
from graphflow.core.control import MISSING, START, Cancelled
from graphflow.core.effects import (
    Acquire,
    CloseRun,
    Emit,
    Flow,
    Load,
    LogEntry,
    OpenRun,
    RunTasks,
    Stored,
    TaskResult,
    TaskRow,
)
from graphflow.core.ids import check_id, new_id
from graphflow.core.machine import Machine
from graphflow.core.plan import Plan
from graphflow.core.reducers import Delta
from graphflow.core.routing import route
from graphflow.core.sessions import existing, pending_tasks
from graphflow.core.updates import checked, reset, update_of
from graphflow.errors import (
    InvalidAnswer,
    LeaseLost,
    SessionBusy,
    UnfinishedRun,
)

# --- a new run ---------------------------------------------------------------------------------------------------------


def invoke(plan: Plan, input: Any, call: CallOptions) -> Flow[Ended]:
    """Begin a run with ``input`` and go on until it ends. The input is durable before the first node runs."""
    run_id = call.run_id or new_id()
    if call.db is None:
        machine = new_machine(plan, call, run_id)
        machine.ledger.values.update(plan.schema.initial())
        yield from _enter(machine, input, call)
        return (yield from _drive(machine))
    call.session_id = check_id(call.session_id, "session_id") if call.session_id is not None else new_id()
    if call.user_id is not None:
        check_id(call.user_id, "user_id")
    yield Acquire(call.session_id, call.on_busy)
    patience = Patience(call)
    while True:
        machine = new_machine(plan, call, run_id)
        try:
            stored = yield Load(call.session_id, call.user_id, plan.schema)
            check_free(stored)
            yield from _open(machine, input, stored, call)
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)
            continue
        return (yield from _drive(machine))


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
        yield from check_values(plan, stored)
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
        opened=OpenRun(info.run_id, call.component_id, plan.fingerprint, info.first_message, outline=plan.outline),
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
    patience = Patience(call)
    while True:
        try:
            stored = yield from existing(plan, session_id, call.user_id, with_log=True)
            check_free(stored)
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
    machine = new_machine(plan, call, stored.run.run_id)
    ledger = machine.ledger
    ledger.adopt(stored, rows)
    if ledger.upcoming():
        yield from check_fit(plan, stored)
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


def _before(machine: Machine) -> Flow[None]:
    """What comes before the first superstep: telling, and running again the rerunnable nodes whose untracked output is gone."""
    if machine.info.listening:
        yield Emit("run_started", "", {"values": machine.schema.view(machine.ledger.values)})
    for name in machine.ledger.frontier.refresh:
        if name in machine.plan.nodes:
            (outcome,) = yield RunTasks([machine.task(name)])
            machine.take_untracked(outcome)
