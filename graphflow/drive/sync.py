"""The driver of plain calls.

A single ready task runs in the caller's own thread, several in that and in helpers (``drive.crew``). An ``async def`` node
runs on a loop of the process (``drive.loop``).
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import Future, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import get_ident
from time import perf_counter
from typing import Any, Final

from graphflow import drive
from graphflow.core.control import Cancelled, current_task
from graphflow.core.effects import (
    Acquire,
    Advance,
    Ask,
    Call,
    Commit,
    Emit,
    Flow,
    Keep,
    RunAttempt,
    RunTasks,
    Sleep,
    Spent,
    T,
    is_awaitable,
)
from graphflow.core.excerpts import error_text
from graphflow.core.stopping import Stop
from graphflow.core.tasks import Outcome, Task
from graphflow.db.base import PERFORMED
from graphflow.db.turns import session_queue
from graphflow.drive.crew import Crew
from graphflow.drive.outcomes import outcome_of
from graphflow.drive.stream import Event, View
from graphflow.drive.threads import GRACE, in_own_thread, may_wait
from graphflow.drive.world import Emitter, World
from graphflow.errors import DatabaseFailed, LeaseLost, SerializationError
from graphflow.models.base import Model, Piece, Reply, Request, Restart, Token, Usage, as_piece, as_reply, last_piece


def run(flow: Flow[T], world: World) -> T:
    """Drive a flow to its end and give back the turns it holds."""
    try:
        return perform(flow, world)
    finally:
        if world.tickets:
            try:
                give_back(world)
            except BaseException:  # the exception of a signal's handler may have come at any moment
                give_back(world)
                raise


def give_back(world: World) -> None:
    """Give the turns back that a flow held. Done again, it does what was left undone."""
    for ticket in world.tickets:
        try:
            if world.store is not None and ticket.has_turn:
                world.store.leave(ticket.key[1])
                ticket.has_turn = False  # a lease that another run takes from here on is that one's
        finally:
            session_queue().leave(ticket)


MORE: Final[Any] = object()
"""Stands for the result of a flow that has not ended yet."""


def perform(flow: Flow[T], world: World, usage: list[Any] | None = None, told: Sized = ()) -> T:
    """Drive a flow to its end; MORE when it was driven only until an Emit has put something into ``told``."""
    outcome: Any = None
    step: Callable[[Any], Any] = flow.send
    while True:
        try:
            effect = step(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            outcome, step = _HANDLERS[type(effect)](effect, world, usage), flow.send
            if told and type(effect) is Emit:  # another one's outcome has to go back first
                return MORE  # type: ignore[no-any-return]
        except (Exception, Cancelled) as error:
            outcome, step = error, flow.throw
        except BaseException as stop:
            _cancel(flow, world, stop)
            raise


def _cancel(flow: Flow[Any], world: World, stop: BaseException) -> None:
    """Let a flow that is being stopped write its last commit."""
    try:
        effect = flow.throw(Cancelled())
        while True:
            effect = flow.send(_HANDLERS[type(effect)](effect, world, None))
    except (StopIteration, Cancelled):
        return
    except Exception as error:
        stop.add_note(f"and the run could not be closed: {error_text(error)}")


def execute(task: Task, world: World) -> Outcome:
    """Run one task to its outcome."""
    function = task.node.function
    task.world = world
    usage: list[Any] = []
    started = perf_counter()
    token = None
    try:
        token = current_task.set(task)
        call = function.call
        value = call(task.input, world.context(task)) if function.wants_context else call(task.input)
        if function.kind == "flow":
            value = perform(value, world, usage)
        elif function.kind == "async" or (type(value) is not dict and is_awaitable(value)):
            value = drive.loop.background(drive.aio.left_when_cancelled(value, world))
        return Outcome(task, value, perf_counter() - started, usage[0] if usage else None)
    except BaseException as error:
        outcome = outcome_of(error, task, started, usage)
        if outcome is None:
            raise
        return outcome
    finally:
        if token is None:  # a signal's handler came as it was set
            current_task.set(None)
        else:
            current_task.reset(token)


# --- effects -----------------------------------------------------------------------------------------------------------


def _run_task(task: Task, world: World, usage: Any) -> Outcome:
    return execute(task, world)


def _run_tasks(effect: RunTasks, world: World, usage: Any) -> list[Outcome]:
    return Crew(effect, world).run()


def _store(method: str, effect: Any, world: World, usage: Any) -> Any:
    return getattr(world.store, method)(effect)


def _commit(effect: Commit | Advance, world: World, usage: Any) -> None:
    world.commit(effect)


def _call(effect: Call, world: World, usage: Any) -> Any:
    value = effect.fn(*effect.args, **effect.kwargs)
    if effect.is_async or (type(value) is not str and is_awaitable(value)):
        return drive.loop.background(drive.aio.left_when_cancelled(value, world))
    return value


def _ask(effect: Ask, world: World, usage: list[Any] | None) -> Reply:
    stop = world.call.stop
    if stop.requested:
        raise Cancelled
    if world.emitter is None or effect.quiet:
        reply = as_reply(effect.model, effect.model.respond(effect.request))
    else:
        reply = streamed(effect.model, effect.request, current_task.get(), world, stop)
    note_usage(usage, reply.usage)
    return reply


def streamed(model: Model, request: Request, task: Task | None, world: World, left: Stop) -> Reply:
    """The answer of a model whose pieces are passed on to the listeners as they come, until the run, or ``left``, is asked to
    stop: Cancelled.
    """
    piece, stop = None, world.call.stop
    for piece in model.stream(request):
        if stop.requested or left.requested:
            raise Cancelled
        tell_piece(as_piece(model, piece), task, world)
    return last_piece(model, piece)


def tell_piece(piece: Piece, task: Task | None, world: World) -> None:
    """Pass a piece of a streamed answer on to the listeners. Raises NodeTimeout when the asking attempt was given up."""
    node, ns = "", ""
    told: dict[str, Any] = {"attempt": 1}
    if task is not None:
        task.check_open()
        node, ns, speaker = task.node.name, task.run.ns, task.run.speaker
        told = {"attempt": task.attempt}
        if speaker is not None:
            told["member"] = speaker.name
            ns = ns if speaker.voice is None else speaker.voice
    if isinstance(piece, Token):
        world.emit("reasoning" if piece.reasoning else "token", node, {"text": piece.text, **told}, ns)
    elif isinstance(piece, Restart):
        world.emit("attempt_restarted", node, {"reason": piece.reason, **told}, ns)


def note_usage(usage: list[Any] | None, spent: Usage | Spent | None) -> None:
    """Add tokens to what the task has used; None are those of a model that does not count them."""
    if usage is None or spent is None:
        return
    if usage:
        old = usage.pop()
        spent = Usage(old.input_tokens + spent.input_tokens, old.output_tokens + spent.output_tokens)
    usage.append(spent)


def _emit(effect: Emit, world: World, usage: Any) -> None:
    world.emit(effect.type, effect.node, effect.data, effect.ns)


def _acquire(effect: Acquire, world: World, usage: Any) -> None:
    assert world.store is not None
    cancelling = effect.on_busy == "cancel"
    ticket = session_queue().join(world.store.identity, effect.session_id, world.call, cancelling=cancelling)
    world.tickets.append(ticket)
    ticket.thread = get_ident()
    if ticket.has_turn:
        return
    if effect.on_busy == "reject" and not ticket.future.done():
        raise world.busy(effect.session_id, None)
    drive.selfwaits.refuse(ticket)
    try:
        ticket.future.result(world.store.busy_timeout)
    except TimeoutError:
        raise world.busy(effect.session_id, world.store.busy_timeout) from None


def _spent(effect: Spent, world: World, usage: list[Any] | None) -> None:
    note_usage(usage, effect)


def _run_attempt(effect: RunAttempt, world: World, usage: Any) -> Outcome:
    attempt = effect.attempt
    if attempt.seconds is None:
        return execute(attempt, world)
    if attempt.node.function.awaits:
        return drive.loop.background(drive.aio.run_attempt(effect, world, usage))
    ended = in_own_thread(lambda: execute(attempt, world))
    try:
        wait([ended], attempt.seconds)
    except BaseException:  # Ctrl-C: what the thread does is not to go on beside a resume, if it ends soon
        world.call.stop.request()
        wait([ended], GRACE)
        raise
    finally:
        if not ended.done():
            world.give_up(attempt)
    if not ended.done():
        raise attempt.timed_out("; its thread cannot be stopped, but nothing more will come of it")
    return ended.result()


def keep(effect: Keep, world: World, usage: Any) -> None:
    """Make something durable in the middle of a task: a recorded step, or what a nested graph rests on."""
    with world.keeping:
        effect.task.check_open()
        perform(effect.commits(), world)


def _sleep(effect: Sleep, world: World, usage: Any) -> None:
    woken: SimpleQueue[None] = SimpleQueue()  # into which may be put from anywhere, also by the garbage collector
    stop, wake = world.call.stop, functools.partial(woken.put, None)
    stop.tell(wake)
    try:
        with suppress(Empty):
            woken.get(timeout=effect.seconds)
            raise Cancelled
    finally:
        stop.forget(wake)


_HANDLERS: dict[type[Any], Callable[[Any, World, Any], Any]] = {
    Task: _run_task,
    RunTasks: _run_tasks,
    RunAttempt: _run_attempt,
    Keep: keep,
    Call: _call,
    Ask: _ask,
    Emit: _emit,
    Acquire: _acquire,
    Sleep: _sleep,
    Spent: _spent,
    **{effect: functools.partial(_store, method) for effect, method in PERFORMED.items()},
    Commit: _commit,
    Advance: _commit,
}


# --- streaming ---------------------------------------------------------------------------------------------------------


class _Channel:
    """A bounded queue between a run and whoever reads it; closing it cancels the run at its next word."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.parts: deque[Any] = deque()
        self.changed = threading.Condition()
        self.abandoned = False
        self.ended = False

    def put(self, part: Any) -> None:
        """Add a part, waiting while the reader is behind. Raises Cancelled when nobody reads any more."""
        with self.changed:
            while len(self.parts) >= self.size and not self.abandoned and may_wait():
                self.changed.wait(LOOK_EVERY)
            if self.abandoned:
                raise Cancelled
            self.parts.append(part)
            self.changed.notify_all()

    def end(self) -> None:
        """There will be no more parts."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def abandon(self) -> None:
        """Nobody reads any more."""
        with self.changed:
            self.abandoned = True
            self.changed.notify_all()

    def read(self) -> Iterator[Any]:
        """The parts, until the end."""
        while True:
            with self.changed:
                while not self.parts and not self.ended:
                    self.changed.wait()
                if not self.parts:
                    return
                part = self.parts.popleft()
                self.changed.notify_all()
            yield part


STREAM_SIZE = 256
"""Parts a run may be ahead of its reader."""
LOOK_EVERY = 1.0
"""Seconds after which a run that waits for its reader looks whether there is one: the garbage collector may have found that out
in the run's own thread, just before it began to wait."""

ENDS = ("_completed", "_failed", "_updated")
"""How the types of events end that tell the end of something."""
UNSTORED = (DatabaseFailed, LeaseLost, SerializationError)
"""What is raised when something could not be stored."""


def stream(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> Iterator[Any]:
    """Drive a flow and give its parts as they come; what it raises is raised at the end.

    Leaving the iterator early stops the run at its next border, or at its next event that does not tell the end of something
    (what a tool or a step has done is stored first); the committed work is kept and can be resumed. When it cannot be stored
    that the run was left, closing the iterator raises that.
    """
    if world.store is None and view.audience.between_only:
        return _between(flow, world, view, listener)
    return _meanwhile(flow, world, view, listener)


def _between(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> Iterator[Any]:
    """The parts of a flow that is driven by its reader, as far as that asks: it holds no session that others wait for."""
    told = world.parts(view, listener)
    going_on = True
    try:
        while going_on:
            going_on = perform(flow, world, None, told) is MORE
            while told:
                yield told.popleft()
    except BaseException as stop:
        _cancel(flow, world, stop)
        raise


def _meanwhile(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> Iterator[Any]:
    """The parts of a flow that is driven in a helper thread."""
    channel = _Channel(STREAM_SIZE)

    def emit(event: Event) -> None:
        if listener is not None:
            listener(event)
        if channel.abandoned:
            if event.type.endswith(ENDS):
                return
            raise Cancelled
        for part in view(event):
            channel.put(part)

    thread = 0

    def work() -> None:
        nonlocal thread
        thread = get_ident()
        try:
            run(flow, world)
        finally:
            channel.end()

    world.emitter = emit
    process, collecting = os.getpid(), drive.collecting
    done: Future[None] | None = None
    try:
        done = in_own_thread(work)
        yield from channel.read()
    except GeneratorExit:
        if done is not None and os.getpid() == process:  # the thread is not in a process that was forked meanwhile
            _leave(channel, world)
            if not (collecting.is_collecting() or thread == get_ident() or _is_in(world)):  # else the run waits for this thread
                wait([done])
                if isinstance(done.exception(), UNSTORED):
                    done.result()
        raise
    except BaseException:
        _leave(channel, world)
        if done is not None:
            wait([done])
        raise
    done.result()


def _leave(channel: _Channel, world: World) -> None:
    """Stop a run that nobody reads any more."""
    channel.abandon()
    world.call.stop.request()


def _is_in(world: World) -> bool:
    """Whether this is done by a task of the run."""
    task = current_task.get()
    return task is not None and task.run.stop is world.call.stop
