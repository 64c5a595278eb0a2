"""Runs, as flows: begin and resume. Each is written once and driven sync or async."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphflow.core.abandoned import Left, leave_behind
from graphflow.core.answers import storable
from graphflow.core.calls import CallOptions, Ended, KeyTaken, Patience, check_free, new_machine
from graphflow.core.changes import check_fit, check_values
from graphflow.core.control import MISSING, START, Cancelled
from graphflow.core.effects import Acquire, Emit, FindKey, Flow, KeyedRun, Load, OpenRun
from graphflow.core.excerpts import excerpt
from graphflow.core.ids import check_id, check_user, new_id
from graphflow.core.keys import check_key, check_resumable, stored_end
from graphflow.core.ledger import joined_deltas
from graphflow.core.machine import Machine
from graphflow.core.plan import Plan
from graphflow.core.reducers import Delta
from graphflow.core.schemas import given_fields
from graphflow.core.sessions import existing, pending_questions, questions_in_order
from graphflow.core.state import Values
from graphflow.core.stored import Stored, TaskResult, TaskRow
from graphflow.core.updates import Write, checked, hold_defaults, reset
from graphflow.errors import (
    InvalidAnswer,
    LeaseLost,
    NoDatabase,
    SessionBusy,
)

# --- a new run ---------------------------------------------------------------------------------------------------------


def invoke(plan: Plan, input: Any, call: CallOptions) -> Flow[Ended]:
    """Begin a run with ``input`` and go on until it ends. The input is durable before the first node runs."""
    return _begin(plan, input, call) if call.idempotency_key is None else _once(plan, input, call)


def _begin(plan: Plan, input: Any, call: CallOptions, keyed: TaskResult | None = None) -> Flow[Ended]:
    run_id = call.run_id or new_id()
    if call.db is None:
        machine = new_machine(plan, call, run_id)
        machine.ledger.values.update(plan.schema.initial())
        yield from machine.enter(input, starting_keys(machine.ledger.values, call))
        # Numbered as a stored run is, whose input is checkpoint 0: its tasks and namespaces are called alike.
        machine.ledger.head = machine.ledger.frontier.origin = 0
        return (yield from _drive(machine, call))
    call.session_id = check_id(call.session_id, "session_id") if call.session_id is not None else new_id()
    call.user_id = check_user(call.user_id)
    yield Acquire(call.session_id, call.on_busy)
    patience = Patience(call)
    while True:
        machine = new_machine(plan, call, run_id)
        stored: Stored | None = None
        try:
            # What is kept in mind is compared when the run is stored: with durability "exit" its nodes would have run by then.
            recent = plan.fingerprint if keyed is None and call.durability == "sync" else None
            stored = yield Load(call.session_id, call.user_id, plan.schema, recent=recent)
            check_free(stored)
            yield from _open(machine, input, stored, call, keyed)
        except KeyTaken:
            raise
        except (LeaseLost, SessionBusy) as held:
            if stored is None or not stored.recalled:  # else the database has not been asked yet
                yield from patience.wait(held, stored)
            continue
        return (yield from _drive(machine, call))


def _once(plan: Plan, input: Any, call: CallOptions) -> Flow[Ended]:
    """What the idempotency key stands for: a run is begun with it once, and every later call gives what became of that one."""
    if call.db is None:
        raise NoDatabase("an idempotency_key needs a database to be remembered in; give db=SqliteDb(…)")
    key = call.idempotency_key = check_id(call.idempotency_key, "idempotency_key")
    session_id = call.session_id
    call.user_id = check_user(call.user_id)
    writes = checked(plan.schema, given_fields(plan.schema, plan.input_schema, input), START)
    keyed = TaskResult([*writes, *call.given.items()])
    look = FindKey(call.component_id, call.user_id, key, keyed, plan.schema)
    acquired: set[str] = set()
    patience = Patience(call)
    while True:
        found: KeyedRun | None = yield look
        if found is None:
            try:
                return (yield from _begin(plan, input, call, keyed))
            except KeyTaken:
                if session_id is not None:
                    acquired.add(session_id)  # whose turn is ours until this call ends
                call.session_id = session_id
                continue
        check_key(found, key, session_id)
        call.session_id, call.run_id = found.session_id, found.run_id
        if found.status in ("completed", "paused"):
            return (yield from stored_end(plan, call, found))
        if found.session_id not in acquired:
            yield Acquire(found.session_id, "reject" if call.on_busy == "reject" else "wait")
            acquired.add(found.session_id)
            continue
        stored: Stored | None = None
        try:
            stored = yield from existing(plan, found.session_id, call.user_id, with_log=True)
            check_free(stored)
            check_resumable(found, key, stored)
            machine = yield from _reopen(plan, call, stored, MISSING, None)
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)
            continue
        return (yield from _go_on(machine, stored, call))


def starting_keys(values: Values, call: CallOptions) -> list[Write]:
    """What the caller gives to dict channels: its defaults where the session has nothing, and what it says for this run."""
    writes: list[Write] = []
    for name in {**call.defaults, **call.given}:
        held, given = values.get(name) or {}, call.given.get(name, {})
        entries = {**{key: value for key, value in call.defaults.get(name, {}).items() if key not in held}, **given}
        if entries:
            writes.append((name, entries))
    return writes


def _open(
    machine: Machine, input: Any, stored: Stored | None, call: CallOptions, keyed: TaskResult | None = None
) -> Flow[None]:
    """The first transaction of a run: session, run row and input. Nothing is written when the input is wrong."""
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    left = Left()
    cleared: Delta = {}
    if stored is None:
        ledger.values.update(plan.schema.initial())
    else:
        info.fence.before = yield from check_values(plan, stored)
        left = leave_behind(plan, stored, call)
        ledger.adopt(stored)
        cleared = reset(plan.schema, ledger.values, ledger.ranges)
        ledger.begin()
    info.first_message = ledger.log_head + 1
    delta, entries = yield from machine.enter(input, starting_keys(ledger.values, call), cleared)
    if plan.schema.varying:
        hold_defaults(plan.schema, ledger.values, delta, begins=stored is None)
    if left.delta:
        delta = joined_deltas([left.delta, delta], ledger.values)
    closed, ledger.side = left.closed, left.side
    ledger.frontier.origin = ledger.head + 1
    done = not ledger.upcoming()
    if done:
        closed.append(ledger.closing("completed", machine.metrics))
    opening: dict[str, Any] = {
        "drop_tasks": ledger.recorded,
        "take_over": True,
        "user_id": call.user_id,
        "session_type": plan.session_type,
        "component_id": call.component_id,
        "opened": OpenRun(
            info.run_id,
            call.component_id,
            plan.fingerprint,
            info.first_message,
            idempotency_key=call.idempotency_key if keyed is not None else None,
            input=keyed,
            outline=plan.outline,
        ),
        "closed": closed,
        "schema": plan.schema,
    }
    if ledger.exit and not done and keyed is None:  # other callers with the key have to find its run
        ledger.ride(delta, entries, **opening)
        return
    status = "completed" if done else "running"
    yield ledger.commit(ledger.checkpoint(delta), entries, ledger.side, status=status, **opening)
    ledger.advanced()
    ledger.took_over()


def _drive(machine: Machine, call: CallOptions) -> Flow[Ended]:
    """Run the supersteps and tell how they ended; when that is by raising, ``call.broken_off`` tells."""
    info = machine.info
    try:
        status = yield from machine.run(_before(machine))
    except Exception:
        call.broken_off = _ended(machine, "error")
        raise
    except Cancelled:
        if not info.stop.requested:  # it was not asked to: whoever drives it is being stopped
            call.broken_off = _ended(machine, "cancelled")
            raise
        status = "cancelled"
    return _ended(machine, status)


def _ended(machine: Machine, status: str) -> Ended:
    info, ledger = machine.info, machine.ledger
    place = info.session_id, info.run_id, ledger.head
    return Ended(status, ledger.values, machine.interrupts, *place, machine.metrics, machine.unmerged)


# --- going on ----------------------------------------------------------------------------------------------------------


def resume(plan: Plan, call: CallOptions, answer: Any = MISSING, answers: Mapping[str, Any] | None = None) -> Flow[Ended]:
    """Go on with what is unfinished: after a crash, an error, a fork, an edit, or with answers to pending questions."""
    session_id = call.session_id = check_id(call.session_id, "session_id")
    call.user_id = check_user(call.user_id)
    yield Acquire(session_id, call.on_busy)
    patience = Patience(call)
    while True:
        stored: Stored | None = None
        try:
            stored = yield from existing(plan, session_id, call.user_id, with_log=True)
            check_free(stored)
            machine = yield from _reopen(plan, call, stored, answer, answers)
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held, stored)
            continue
        return (yield from _go_on(machine, stored, call))


def _go_on(machine: Machine, stored: Stored, call: CallOptions) -> Flow[Ended]:
    """Run what a reopened run has left to do, if anything."""
    if machine.ledger.upcoming():
        return (yield from _drive(machine, call))
    assert stored.run is not None
    ledger = machine.ledger
    return Ended(stored.run.status, ledger.values, (), stored.session_id, stored.run.run_id, ledger.head, {})


def _reopen(plan: Plan, call: CallOptions, stored: Stored, answer: Any, answers: Mapping[str, Any] | None) -> Flow[Machine]:
    """The machine of the stored run, which is ours from here on when it has anything left to do."""
    assert stored.run is not None
    rows = _answer_rows(stored, answer, answers)
    call.run_id = stored.run.run_id
    machine = new_machine(plan, call, stored.run.run_id)
    ledger = machine.ledger
    ledger.adopt(stored, [row for row in rows if row.ns is None])
    if ledger.upcoming():
        machine.info.fence.before = yield from check_fit(plan, stored)
        if stored.status in ("paused", "error") and (plan.pauses or stored.inner_rows):
            # Whoever resumes has seen where it paused: it goes past that, also after a crash from here on.
            rows.append(TaskRow("", "", "passed", ledger.epoch + 1))
            ledger.passed = ledger.recorded = True
            machine.info.fence.passed = ledger.epoch + 1
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
        ledger.took_over()
        machine.info.first_message = stored.run.first_message
        machine.info.resumed = True
    elif stored.run.status == "cancelled":  # with its last step: there is nothing to do but to let it count
        closed = (ledger.closing("completed", machine.metrics),)
        yield ledger.commit(take_over=True, user_id=call.user_id, closed=closed, status="completed")
        stored.run.status = "completed"
    return machine


def _answer_rows(stored: Stored, answer: Any, answers: Mapping[str, Any] | None) -> list[TaskRow]:
    questions = {row.value.id: row for row in pending_questions(stored)}
    where = f"session {stored.session_id!r}"
    if answer is not MISSING:
        if answers is not None:
            raise ValueError("give either an answer or answers=, not both")
        if len(questions) != 1:
            raise _unclear(stored)
        answers = {next(iter(questions)): answer}
    for id in answers or {}:
        if id not in questions:
            known = f"pending are {', '.join(map(repr, questions))}" if questions else "nothing is pending"
            raise InvalidAnswer(f"{where} has no pending question {id!r}; {known}")
    rows = []
    for id, value in (answers or {}).items():
        row = questions[id]
        rows.append(replace(row, kind="answer", value=storable(value, row.value.schema, f"{where}, question {id!r}")))
    return rows


def _unclear(stored: Stored) -> InvalidAnswer:
    """The error for one answer where none is asked for, or several."""
    where, questions = f"session {stored.session_id!r}", questions_in_order(stored)
    if not questions:
        return InvalidAnswer(
            f"{where} has no pending question; resume({stored.session_id!r}) without an answer goes on with what is unfinished"
        )
    listed = "; ".join(f"{question.id!r} asks {excerpt(question.value)}" for question in questions)
    return InvalidAnswer(f"{where} has {len(questions)} pending questions; answer them by id, answers={{id: …}}: {listed}")


def _before(machine: Machine) -> Flow[None]:
    """What comes before the first superstep."""
    if machine.tells.run:
        yield Emit("run_started", "", {"values": machine.schema.shown(machine.ledger.values)})
    yield from machine.refresh()
