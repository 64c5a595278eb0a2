"""The driver of asyncio: async nodes as coroutines, sync nodes and database calls in threads with the caller's
context variables.
"""

from __future__ import annotations

import asyncio
import functools
import warnings
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sized
from contextlib import suppress
from threading import get_ident
from time import perf_counter
from typing import Any, Final

from graphflow.core.attempts import Attempt
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
from graphflow.drive.errands import Errand, run_blocking, settled, threaded
from graphflow.drive.leaving import LeftWhenCancelled, LeftWhenStopping
from graphflow.drive.outcomes import outcome_of
from graphflow.drive.selfwaits import NODE, refuse_async
from graphflow.drive.siblings import Siblings
from graphflow.drive.stream import Event, View
from graphflow.drive.sync import MORE, STREAM_SIZE, UNSTORED, give_back, keep, note_usage, streamed, tell_piece
from graphflow.drive.threads import GRACE
from graphflow.drive.world import Emitter, World
from graphflow.models.base import AsyncModel, Reply, as_piece, as_reply, last_piece


async def run(flow: Flow[T], world: World) -> T:
    """Drive a flow to its end and give back the turns it holds.

    Cancelling the caller stops before the next work (``_WORK``), committed. What runs in a thread meanwhile has ``GRACE``
    seconds to end, and is then stored; else what comes of it is dropped.
    """
    try:
        result = await perform(flow, world)
    finally:
        try:
            give_back(world)
        except BaseException:
            give_back(world)
            raise
    if world.stopping is not None:
        raise world.stopping from None
    return result


async def perform(flow: Flow[T], world: World, usage: list[Any] | None = None, told: Sized = ()) -> T:
    """Drive a flow to its end, or, when its world is stopping, to the next work.

    MORE when it was driven only until an Emit has put something into ``told``.
    """
    outcome: Any = None
    step: Callable[[Any], Any] = flow.send
    while True:
        try:
            effect = step(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if world.stopping is not None and type(effect) in _WORK:
            stopping = world.stopping
            await _cancel(flow, world, stopping)
            raise stopping
        try:
            outcome = await _HANDLERS[type(effect)](effect, world, usage)
            step = flow.send
            if told and type(effect) is Emit:  # another one's outcome has to go back first
                return MORE  # type: ignore[no-any-return]
        except (Exception, Cancelled) as error:
            outcome, step = error, flow.throw
        except BaseException as stop:
            await _cancel(flow, world, stop)
            raise


async def _cancel(flow: Flow[Any], world: World, stop: BaseException) -> None:
    """Let a flow that is being stopped write its last commit."""
    try:
        effect = flow.throw(Cancelled())
        while True:
            effect = flow.send(await _HANDLERS[type(effect)](effect, world, None))
    except (StopIteration, Cancelled):
        return
    except Exception as error:
        stop.add_note(f"and the run could not be closed: {error_text(error)}")
        with suppress(Warning):  # where warnings are errors, this one is not to take the place of the cancellation
            # A note is seen by nobody whose task is cancelled, or who has left a stream.
            what = f"a run of session {world.call.session_id!r} was stopped, and that could not be stored"
            warnings.warn(f"{what}: {error_text(error)}", RuntimeWarning, stacklevel=2)


async def execute(task: Task, world: World, alone: bool = False) -> Outcome:
    """Run one task to its outcome; ``alone``: what blocks may never end."""
    function = task.node.function
    task.world = world
    usage: list[Any] = []
    started = perf_counter()
    token = None
    try:
        token = current_task.set(task)
        arguments = (task.input, world.context(task)) if function.wants_context else (task.input,)
        if function.kind == "async":
            work = function.call(*arguments)
            value = await (work if world.store is None else left_when_cancelled(work, world))
        elif function.kind == "flow":
            value = await perform(function.call(*arguments), world, usage)
        else:
            value = await run_blocking(functools.partial(function.call, *arguments), world, alone)
            if type(value) is not dict and is_awaitable(value):
                value = await left_when_cancelled(value, world)
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


async def _run_task(task: Task, world: World, usage: Any) -> Outcome:
    return await execute(task, world)


async def _run_tasks(effect: RunTasks, world: World, usage: Any) -> list[Outcome]:
    return await Siblings(effect, world).run()


async def _store(method: str, effect: Any, world: World, usage: Any) -> Any:
    call = functools.partial(getattr(world.store, method), effect)
    if world.store is None or not world.store.blocking:
        return call()
    known = world.store.at_hand(effect)
    return await threaded(call, store=True) if known is None else known


async def _commit(effect: Commit | Advance, world: World, usage: Any) -> None:
    if world.store is None or not world.store.blocking:
        world.commit(effect)
        return
    # A commit that has begun is finished, and its outcome taken, before a cancellation is let through: nobody is left in doubt.
    committing = Errand(functools.partial(world.commit, effect), store=True)
    world.stopping = await committing.finish() or world.stopping
    committing.result()


async def _call(effect: Call, world: World, usage: Any) -> Any:
    if effect.is_async:
        return await left_when_cancelled(effect.fn(*effect.args, **effect.kwargs), world)
    value = await run_blocking(functools.partial(effect.fn, *effect.args, **effect.kwargs), world)
    return await left_when_cancelled(value, world) if type(value) is not str and is_awaitable(value) else value


async def _ask(effect: Ask, world: World, usage: list[Any] | None) -> Reply:
    if isinstance(effect.model, AsyncModel):
        with LeftWhenStopping(world.call.stop):
            reply = await _answer(effect, world)
    elif world.call.stop.requested:
        raise Cancelled
    else:
        reply = await _answer(effect, world)
    note_usage(usage, reply.usage)
    return reply


async def _answer(effect: Ask, world: World) -> Reply:
    model, request = effect.model, effect.request
    if world.emitter is None or effect.quiet:
        awaits = isinstance(model, AsyncModel)
        return as_reply(model, await (model.arespond(request) if awaits else threaded(lambda: model.respond(request))))
    task, piece = current_task.get(), None
    if not isinstance(model, AsyncModel):
        left = Stop()
        try:
            return await threaded(functools.partial(streamed, model, request, task, world, left))
        except asyncio.CancelledError:
            left.request()  # its thread is not to go on telling what nobody waits for
            raise
    async for piece in model.astream(request):
        tell_piece(as_piece(model, piece), task, world)
        if world.pressure is not None:
            await world.pressure()
    return last_piece(model, piece)


PATIENCE: Final = 1.0
"""Seconds that a user's coroutine has, when its run is cancelled, to look at ``ctx.cancelled`` and return what it has."""


async def left_when_cancelled(work: Awaitable[T], world: World) -> T:
    """Await a user's coroutine; left where it awaits (Cancelled) when the run is cancelled and it does not end soon."""
    if world.store is None:  # nobody could cancel the run
        return await work
    with LeftWhenCancelled(world.call.stop, PATIENCE):
        return await work


async def _emit(effect: Emit, world: World, usage: Any) -> None:
    world.emit(effect.type, effect.node, effect.data, effect.ns)
    if world.pressure is not None and world.stopping is None:
        await world.pressure()


async def _acquire(effect: Acquire, world: World, usage: Any) -> None:
    assert world.store is not None
    cancelling = effect.on_busy == "cancel"
    ticket = session_queue().join(world.store.identity, effect.session_id, world.call, cancelling=cancelling)
    world.tickets.append(ticket)
    ticket.thread, ticket.task = get_ident(), id(asyncio.current_task())
    if effect.on_busy == "reject" and not ticket.future.done():
        raise world.busy(effect.session_id, None)
    if ticket.has_turn:
        return
    refuse_async(ticket)
    try:
        # Who gives up waiting leaves the line; the place in it is not to be cancelled, or nobody after it would be called.
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ticket.future)), world.store.busy_timeout)
    except TimeoutError:
        raise world.busy(effect.session_id, world.store.busy_timeout) from None


async def _spent(effect: Spent, world: World, usage: list[Any] | None) -> None:
    note_usage(usage, effect)


async def run_attempt(effect: RunAttempt, world: World, usage: Any) -> Outcome:
    """Execute a node's function once; out of time, it is cancelled."""
    attempt = effect.attempt
    if attempt.seconds is None:
        return await execute(attempt, world)
    inside = world.inside()  # the attempt's own: that it was cancelled says nothing of the run
    inside.pressure = world.pressure
    ended = asyncio.create_task(execute(attempt, inside, alone=True), name=NODE)
    try:
        await asyncio.wait([ended], timeout=attempt.seconds)
    except BaseException as stop:
        ended.cancel()
        await settled([ended], GRACE)
        if ended.done() and not ended.cancelled() and ended.exception() is None:
            world.stopping = stop
            return ended.result()
        await _stop(ended, attempt, world)
        raise
    if not ended.done():
        await _stop(ended, attempt, world)
        raise attempt.timed_out("; it was cancelled" if attempt.node.function.awaits else "; nothing more will come of it")
    return ended.result()


async def _stop(ended: asyncio.Future[Any], attempt: Attempt, world: World) -> None:
    giving_up = Errand(functools.partial(world.give_up, attempt), store=True)
    stop = await giving_up.finish()
    ended.cancel()
    stop = await settled([ended], GRACE) or stop
    if ended.done() and not ended.cancelled():
        ended.exception()  # asked for, so that nobody is told it was never looked at
    giving_up.result()
    if stop is not None:
        raise stop


async def _keep(effect: Keep, world: World, usage: Any) -> None:
    if world.store is None or not world.store.blocking:
        keep(effect, world, usage)
        return
    keeping = Errand(functools.partial(keep, effect, world, usage), store=True)
    stop = await keeping.finish()
    if stop is not None:
        raise stop
    keeping.result()


async def _sleep(effect: Sleep, world: World, usage: Any) -> None:
    with LeftWhenStopping(world.call.stop):
        await asyncio.sleep(effect.seconds)


_HANDLERS: dict[type[Any], Callable[[Any, World, Any], Coroutine[Any, Any, Any]]] = {
    Task: _run_task,
    RunTasks: _run_tasks,
    RunAttempt: run_attempt,
    Keep: _keep,
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

_WORK: Final = frozenset((Task, RunTasks, RunAttempt, Call, Ask, Sleep, Acquire))
"""The effects that begin something; the others tell or store what was done."""


# --- streaming ---------------------------------------------------------------------------------------------------------


class _Channel:
    """Parts on their way from a run to an async reader. Nodes put them from any thread; between its own effects the run waits
    when the reader is behind. Threads do not: a few slow readers would keep all helpers from everybody else.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        self.parts: deque[Any] = deque()
        self.filled = asyncio.Event()
        self.drained = asyncio.Event()
        self.ended = False

    def put(self, part: Any) -> None:
        """Add a part."""
        self.parts.append(part)
        if get_ident() == self.thread:
            self.filled.set()
        else:
            self.loop.call_soon_threadsafe(self.filled.set)

    def end(self) -> None:
        """There will be no more parts."""
        self.ended = True
        self.filled.set()

    async def pressure(self) -> None:
        """Wait until the reader has caught up."""
        while len(self.parts) >= self.size:
            self.drained.clear()
            await self.drained.wait()

    async def read(self) -> AsyncIterator[Any]:
        """The parts, until the end."""
        while True:
            while self.parts:
                part = self.parts.popleft()
                self.drained.set()
                yield part
            if self.ended:
                return
            self.filled.clear()
            if not self.parts and not self.ended:
                await self.filled.wait()


def stream(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> AsyncGenerator[Any, None]:
    """Drive a flow and give its parts as they come; what it raises is raised at the end.

    Leaving the iterator early (or cancelling its reader) cancels the run as ``run`` says; the committed work is kept and can be
    resumed. Where the run has failed meanwhile because something could not be stored, leaving raises that.
    """
    if world.store is None and view.audience.between_only:
        return _between(flow, world, view, listener)
    return _meanwhile(flow, world, view, listener)


async def _between(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> AsyncGenerator[Any, None]:
    """The parts of a flow that is driven by its reader, as far as that asks: it holds no session that others wait for."""
    told = world.parts(view, listener)
    going_on = True
    try:
        while going_on:
            going_on = await perform(flow, world, None, told) is MORE
            while told:
                part = told.popleft()
                if world.stopping is None:  # else whoever reads has been cancelled
                    yield part
    except BaseException as stop:
        await _cancel(flow, world, stop)
        raise
    if world.stopping is not None:
        raise world.stopping


async def _meanwhile(flow: Flow[Any], world: World, view: View, listener: Emitter | None) -> AsyncGenerator[Any, None]:
    """The parts of a flow that is driven in an asyncio task."""
    channel = _Channel(STREAM_SIZE)

    def emit(event: Event) -> None:
        if listener is not None:
            listener(event)
        for part in view(event):
            channel.put(part)

    async def work() -> None:
        try:
            await run(flow, world)
        finally:
            channel.end()

    world.emitter = emit
    world.pressure = channel.pressure
    task = asyncio.ensure_future(work())
    try:
        async for part in channel.read():
            yield part
    except BaseException:
        world.pressure = None
        task.cancel()
        meanwhile = await settled([task])
        failure = None if task.cancelled() else task.exception()  # which is nobody's to look at but this
        if meanwhile is not None:
            raise meanwhile from None
        if isinstance(failure, UNSTORED):
            raise failure from None
        raise
    await task
