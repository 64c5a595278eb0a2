"""Operations on stored sessions, as flows: look, look back, edit, fork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphflow.core import options
from graphflow.core.calls import CallOptions, Patience, check_free, new_machine
from graphflow.core.checks import meant
from graphflow.core.control import START, Interrupt, Send
from graphflow.core.effects import Acquire, Flow, ForkSession, Load, LoadMany, OpenRun, ReadMessages
from graphflow.core.ids import check_id, check_user, new_id
from graphflow.core.memories import ReadSummary, Summary
from graphflow.core.plan import Join, Plan
from graphflow.core.routing import ask_and_route
from graphflow.core.stored import Stored, TaskResult, TaskRow
from graphflow.core.tasks import lasting_namespace, namespace, task_id
from graphflow.core.updates import checked, hold_defaults, update_of
from graphflow.errors import (
    InvalidUpdate,
    LeaseLost,
    SessionBusy,
    SessionNotFound,
)
from graphflow.messages import Message


def existing(
    plan: Plan, session_id: str, user_id: str | None, *, ns: str = "", at: int | None = None, with_log: bool = False
) -> Flow[Stored]:
    """The stored session. Raises SessionNotFound, NotOwner."""
    user_id = check_user(user_id)
    stored: Stored | None = yield Load(session_id, user_id, plan.schema, ns=ns, at=at, with_log=with_log)
    if stored is None and ns:
        raise SessionNotFound(f"session {session_id!r} has no nested graph {ns!r}; get_state(…).tasks tells the ns of each")
    if stored is None:
        raise SessionNotFound(f"there is no session {session_id!r} in this database; a run with that session_id begins it")
    if plan.aliases:
        rename(stored, plan.aliases)
    return stored


def rename(stored: Stored, aliases: Mapping[str, str]) -> None:
    """Call nodes that are pending, those of joins that wait and those to be refreshed by their new names, and tasks' rows by
    the ids that go with them.
    """
    before = pending_tasks(stored)
    frontier = stored.frontier
    frontier.next = [_renamed(arrival, aliases) for arrival in frontier.next]
    frontier.deferred = [aliases.get(name, name) for name in frontier.deferred]
    frontier.refresh = [aliases.get(name, name) for name in frontier.refresh]
    frontier.joins = {
        _renamed_join(key, aliases): [aliases.get(name, name) for name in ran] for key, ran in frontier.joins.items()
    }
    ids = {old.id: new for old, new in zip(before, pending_tasks(stored), strict=True)}
    for row in stored.tasks:
        if row.task_id in ids:
            row.task_id, row.node = ids[row.task_id].id, ids[row.task_id].node


def _renamed(arrival: str | Send, aliases: Mapping[str, str]) -> str | Send:
    if isinstance(arrival, Send):
        return Send(aliases.get(arrival.node, arrival.node), arrival.arg)
    return aliases.get(arrival, arrival)


def _renamed_join(key: str, aliases: Mapping[str, str]) -> str:
    join = Join.of(key)
    return Join(tuple(aliases.get(name, name) for name in join.sources), aliases.get(join.target, join.target)).key


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task of a stored frontier: "done" (kept while a sibling is not), "waiting" (at ``interrupts``) or "pending"."""

    id: str
    node: str
    state: str
    paths: tuple[str, str]
    """The namespace of the nested graph that the task runs, if its node is one: of this call, and of one that lasts."""
    interrupts: tuple[Interrupt, ...] = ()


def pending_tasks(stored: Stored) -> list[StoredTask]:
    """The tasks of the next superstep, in order, as far as they are."""
    frontier = stored.frontier
    done = {row.task_id for row in stored.tasks if row.kind == "result"}
    asked = pending_questions(stored)
    tasks = []
    for position, arrival in enumerate(frontier.next or frontier.deferred):
        node = arrival if isinstance(arrival, str) else arrival.node
        id = task_id(stored.session_id, stored.ns, frontier.origin, node, position)
        paths = namespace(stored.ns, node, frontier.origin, position), lasting_namespace(stored.ns, node)
        inside = tuple(f"{path}/" for path in paths)
        own = [row.value for row in asked if (row.task_id == id if row.ns is None else f"{row.ns}/".startswith(inside))]
        state = "done" if id in done else "waiting" if own else "pending"
        tasks.append(StoredTask(id, node, state, paths, tuple(own) if state == "waiting" else ()))
    return tasks


def pending_questions(stored: Stored) -> list[TaskRow]:
    """The rows of the questions that have no answer yet, those of nested graphs last."""
    done = {row.task_id for row in stored.tasks if row.kind == "result"}
    answered = {(row.task_id, row.nth) for row in stored.tasks if row.kind == "answer"}
    own = [row for row in stored.tasks if row.kind == "interrupt" and row.task_id not in done]
    return [row for row in own if (row.task_id, row.nth) not in answered] + stored.questions


def questions_in_order(stored: Stored) -> list[Interrupt]:
    """The questions that have no answer yet, in the order of the tasks that ask."""
    return [question for task in pending_tasks(stored) for question in task.interrupts]


def results_in_order(stored: Stored) -> list[TaskResult]:
    """The results of finished tasks whose siblings are not, in the order of the tasks."""
    results = {row.task_id: row.value for row in stored.tasks if row.kind == "result"}
    return [results[task.id] for task in pending_tasks(stored) if task.id in results]


def get_state(plan: Plan, session_id: str, user_id: str | None, at: int | None, ns: str, outermost: Plan) -> Flow[Stored]:
    """The session, or a nested graph in it, at its head or at checkpoint ``at``. ``plan`` is that graph's."""
    session_id = check_id(session_id, "session_id")
    stored = yield from existing(plan, session_id, user_id, ns=ns, at=at, with_log=True)
    if ns and stored.seq == stored.head:
        session = yield from existing(outermost, session_id, user_id)
        stored.questions = [row for row in session.questions if row.ns is not None and row.ns.startswith(f"{ns}/")]
    return stored


def get_state_history(plan: Plan, session_id: str, user_id: str | None, limit: int | None, ns: str = "") -> Flow[list[Stored]]:
    """The session, or a nested graph in it, at each of its checkpoints, newest first."""
    session_id, user_id = check_id(session_id, "session_id"), check_user(user_id)
    yield from existing(plan, session_id, user_id, ns=ns)
    history: list[Stored] = yield LoadMany(session_id, user_id, plan.schema, limit, ns)
    return history


def update_state(plan: Plan, session_id: str, user_id: str | None, update: Any, as_node: str | None, db: Any) -> Flow[int]:
    """Write to the state by hand. Returns the new checkpoint's seq.

    With ``as_node`` the edges out of that node say what is next (START: as if it were an input); without, what was next stays.
    """
    options.text("as_node", as_node, none="nobody")
    if as_node is not None and as_node != START and as_node not in plan.nodes:
        raise ValueError(f"as_node={as_node!r} is not a node; {meant(as_node, plan.nodes)}")
    call = CallOptions(check_id(session_id, "session_id"), check_user(user_id), db=db)
    yield Acquire(session_id)
    patience = Patience(call)
    while True:
        try:
            return (yield from _edit(plan, call, update, as_node))
        except (LeaseLost, SessionBusy) as held:
            yield from patience.wait(held)


def _edit(plan: Plan, call: CallOptions, update: Any, as_node: str | None) -> Flow[int]:
    session_id, user_id = check_id(call.session_id, "session_id"), call.user_id
    stored: Stored | None = yield Load(session_id, user_id, plan.schema, with_log=True)
    check_free(stored)
    run_id = stored.run.run_id if stored is not None and stored.run is not None else new_id()
    machine = new_machine(plan, call, run_id)
    ledger = machine.ledger
    if stored is None:
        ledger.values.update(plan.schema.initial())
    else:
        ledger.adopt(stored)
    node = as_node or "update_state"
    result = TaskResult(checked(plan.schema, update_of(plan.schema, update, plan.schema.shown(ledger.values), node), node))
    for name, _ in result.writes:
        if not plan.schema.channels[name].stored:
            raise InvalidUpdate(f"update_state cannot write {name!r}: an untracked field is not stored", field=name)
    writer = plan.nodes[node] if node in plan.nodes else replace(plan.entry, name=node)
    delta, entries = ledger.merge([(writer, result)])
    if stored is None:
        hold_defaults(plan.schema, ledger.values, delta, begins=True)
    if as_node is not None:
        ledger.frontier.next, ledger.frontier.deferred = [], []
        yield from ask_and_route(plan, ledger.values, ledger.frontier, [(writer, result)])
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
        opened=OpenRun(run_id, None, plan.fingerprint, 1, outline=plan.outline) if stored is None else None,
        closed=(ledger.closing(status, machine.metrics),) if status is not None else (),
        status=status,
    )
    return ledger.head + 1


def fork(session_id: str, user_id: str | None, at: int | None, new_session_id: str | None) -> Flow[str]:
    """A new session with the old one's past up to checkpoint ``at``. The source is untouched."""
    options.whole("at", at, none="all of it")
    new: str = yield ForkSession(check_id(session_id, "session_id"), check_user(user_id), at, new_session_id)
    return new


def get_summary(session_id: str, user_id: str | None) -> Flow[str | None]:
    """The latest summary of a session."""
    effect = ReadSummary(check_id(session_id, "session_id"), user_id=check_user(user_id), check=True)
    summary: Summary | None = yield effect
    return None if summary is None else summary.text


def get_messages(session_id: str, user_id: str | None) -> Flow[list[Message]]:
    """All messages of a session."""
    messages: list[Message] = yield ReadMessages(check_id(session_id, "session_id"), check_user(user_id))
    return messages
