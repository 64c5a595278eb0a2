"""The driver of asyncio: async nodes as coroutines, sync nodes and database calls in threads with the caller's
context variables.
"""

from __future__ import annotations

import asyncio
import functools
import math
import warnings
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence, Sized
from contextlib import suppress
from threading import get_ident
from time import perf_counter
from typing import Any, Final

from graphflow.core.attempts import Attempt
from graphflow.core.control import Cancelled, Parted, current_task
from graphflow.core.effects import (
    Acquire,
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
from graphflow.core.tasks import Outcome, Task
from graphflow.db.base import PERFORMED
from graphflow.db.turns import session_queue
from graphflow.drive.errands import Errand
from graphflow.drive.leaving import LeftWhenCancelled, LeftWhenStopping
from graphflow.drive.selfwaits import NODE, refuse_async
from graphflow.drive.stream import Event, View
from graphflow.drive.sync import MORE, STREAM_SIZE, give_back, keep, note_usage, streamed, tell_piece
from graphflow.drive.threads import all_free
from graphflow.drive.world import Emitter, World, failed, parted, unwrap_group
from graphflow.errors import NodeTimeout
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
    world.stopping = None
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
            value = await _finished(functools.partial(function.call, *arguments), world, alone)
            if type(value) is not dict and is_awaitable(value):
                value = await left_when_cancelled(value, world)
        return Outcome(task, value, perf_counter() - started, usage[0] if usage else None)
    except Parted as stop:
        return parted(task, stop, started, usage)
    except BaseExceptionGroup as group:
        stop_inside = unwrap_group(group)
        if stop_inside is not None:
            return parted(task, stop_inside, started, usage)
        if isinstance(group, Exception):
            return failed(task, group, started, usage)
        raise
    except Exception as error:
        return failed(task, error, started, usage)
    finally:
        if token is None:  # a signal's handler came as it was set
            current_task.set(None)
        else:
            current_task.reset(token)


async def _threaded(work: Callable[[], T], *, store: bool = False) -> T:
    """Run blocking work in a helper thread; cancelled before it has begun, it is not done."""
    errand = Errand(work, store=store)
    try:
        await errand.end()
    except asyncio.CancelledError:
        errand.call_off()
        raise
    return errand.result()


AT_ONCE: Final = 0.0001
"""Seconds for which the loop itself waits for a function in a thread, when the one before took no longer and no other is
under way: going to sleep and being woken takes longer than most functions that only compute."""


async def _finished(work: Callable[[], T], world: World, alone: bool = False) -> T:
    """Run a user's blocking function in a helper thread, or in one of its own. Cancelled meanwhile, it has ``GRACE`` seconds to
    end, since a thread cannot be stopped: then what it did counts, and the run stops after that.
    """
    waits = world.brisk and not alone and all_free()
    errand = Errand(work, alone=alone)
    try:
        if waits:
            await asyncio.sleep(0)  # whoever else has something to do comes first
        if not (waits and errand.ends_within(AT_ONCE)):
            world.brisk = False
            await errand.end()
    except asyncio.CancelledError as stop:
        if (not alone and errand.call_off()) or _given_up(current_task.get()):
            raise
        await settled([errand.end()], GRACE)
        if errand.ended is None:
            raise
        world.stopping = stop
    world.brisk = errand.seconds < AT_ONCE
    return errand.result()


async def settled(futures: Sequence[asyncio.Future[Any]], seconds: float = math.inf) -> asyncio.CancelledError | None:
    """Wait until all are done, for so long at most, whatever cancels the waiting: anyio, for one, cancels again at each turn of
    the loop. Gives the last cancellation, if there was one.
    """
    loop = asyncio.get_running_loop()
    stop, ends = None, loop.time() + seconds
    while not all([future.done() for future in futures]) and (left := ends - loop.time()) > 0:
        try:
            await asyncio.wait(futures, timeout=None if left == math.inf else left)
        except asyncio.CancelledError as cancelled:
            stop = cancelled
    return stop


def _given_up(task: Task | None) -> bool:
    """Whether the task is an attempt that is out of time, so that nothing more is to come of it."""
    try:
        if task is not None:
            task.check_open()
    except NodeTimeout:
        return True
    return False


# --- effects -----------------------------------------------------------------------------------------------------------


async def _run_task(task: Task, world: World, usage: Any) -> Outcome:
    return await execute(task, world)


async def _run_tasks(effect: RunTasks, world: World, usage: Any) -> list[Outcome]:
    return await _Crew(effect, world).run()


async def _store(method: str, effect: Any, world: World, usage: Any) -> Any:
    call = functools.partial(world.commit if type(effect) is Commit else getattr(world.store, method), effect)
    if world.store is None or not world.store.blocking:
        return call()
    if type(effect) is not Commit:
        known = world.store.at_hand(effect)
        return await _threaded(call, store=True) if known is None else known
    # A commit that has begun is finished, and its outcome taken, before a cancellation is let through: nobody is left in doubt.
    committing = Errand(call, store=True)
    world.stopping = await committing.finish() or world.stopping
    return committing.result()


async def _call(effect: Call, world: World, usage: Any) -> Any:
    if effect.is_async:
        return await left_when_cancelled(effect.fn(*effect.args, **effect.kwargs), world)
    value = await _finished(functools.partial(effect.fn, *effect.args, **effect.kwargs), world)
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
        return as_reply(model, await (model.arespond(request) if awaits else _threaded(lambda: model.respond(request))))
    task, piece = current_task.get(), None
    if not isinstance(model, AsyncModel):
        return await _threaded(functools.partial(streamed, model, request, task, world))
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


GRACE: Final = 1.0
"""Seconds that a cancelled attempt has for its clean-up, and a function in a thread for its end, before the run goes on
without it."""


async def run_attempt(effect: RunAttempt, world: World, usage: Any) -> Outcome:
    """Execute a node's function once; out of time, it is cancelled."""
    attempt = effect.attempt
    if attempt.seconds is None:
        return await execute(attempt, world)
    ended = asyncio.ensure_future(execute(attempt, world, alone=True))
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
}

_WORK: Final = frozenset((Task, RunTasks, RunAttempt, Call, Ask, Sleep, Acquire))
"""The effects that begin something; the others tell or store what was done."""


# --- several tasks at once ---------------------------------------------------------------------------------------------


class _Crew:
    """The tasks of one superstep as asyncio tasks; finished ones are recorded while siblings still run."""

    def __init__(self, effect: RunTasks, world: World) -> None:
        self.effect = effect
        self.world = world
        self.unrecorded: list[Outcome] = []
        self.recorder: asyncio.Task[None] | None = None
        self.running = len(effect.tasks)
        limit = effect.tasks[0].run.max_concurrency
        self.places = asyncio.Semaphore(limit) if limit is not None else None

    async def run(self) -> list[Outcome]:
        """All outcomes, in the order of the tasks. When the caller is cancelled, so are the tasks."""
        futures = [asyncio.create_task(self._one(task), name=NODE) for task in self.effect.tasks]
        try:
            # Not gathered: a task that is cancelled there has the others be cancelled once more, in the time they have to end.
            await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
            outcomes = [future.result() for future in futures]
        except BaseException as stop:
            for future in futures:
                future.cancel()
            meanwhile = await settled(futures)
            recorder = self.recorder
            if recorder is not None:
                meanwhile = await settled([recorder]) or meanwhile
                if not recorder.cancelled():
                    recorder.exception()  # asked for, so that nobody is told it was never looked at
            if isinstance(stop, Cancelled):
                stop = meanwhile or stop  # else whoever cancelled the caller meanwhile would never hear of it
            self.world.stopping = None  # what tasks noted whose threads ended in time
            ended = [future.result() for future in futures if not future.cancelled() and future.exception() is None]
            if len(ended) == len(futures):
                self.world.stopping = stop
                return ended
            await self._keep_rest(stop)
            raise stop
        recorder = self.recorder
        if recorder is not None:
            # Not awaited itself: it would take a cancellation of the caller for its own, and finish its commit.
            self.world.stopping = await settled([recorder]) or self.world.stopping
            recorder.result()
        return outcomes

    async def _one(self, task: Task) -> Outcome:
        if self.places is None:
            outcome = await execute(task, self.world)
        else:
            async with self.places:
                outcome = await execute(task, self.world)
        self.running -= 1
        if self.effect.record is not None and self.running:
            self.unrecorded.append(outcome)
            if self.recorder is None:
                self.recorder = asyncio.ensure_future(self._record())
        return outcome

    async def _record(self) -> None:
        assert self.effect.record is not None
        while self.unrecorded and self.running:
            batch, self.unrecorded = self.unrecorded, []
            await self._keep(batch)
        self.recorder = None

    async def _keep_rest(self, stop: BaseException) -> None:
        """Keep what finished beside a task that was left."""
        if self.effect.record is None or not self.unrecorded:
            return
        try:
            await self._keep(self.unrecorded)
        except Exception as error:
            if isinstance(stop, Cancelled):
                raise
            stop.add_note(f"and what finished beside it could not be kept: {error_text(error)}")

    async def _keep(self, outcomes: list[Outcome]) -> None:
        assert self.effect.record is not None
        await perform(self.effect.record(outcomes), self.world.inside())  # a cancellation beside it is not its own


# --- streaming ---------------------------------------------------------------------------------------------------------


class _Channel:
    """Parts on their way from a run to an async reader. Nodes put them from any thread; between its own effects the run waits
    when the reader is behind.
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
    resumed.
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
        if meanwhile is not None:
            raise meanwhile from None
        raise
    await task
