"""Several tasks at once under plain calls: the caller's thread, and helpers of the process."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from graphflow import drive
from graphflow.core.control import Cancelled
from graphflow.core.effects import RunTasks
from graphflow.core.excerpts import error_text
from graphflow.core.tasks import Outcome, Task
from graphflow.drive.lookout import lookout
from graphflow.drive.threads import GRACE, WORKERS, in_thread, start
from graphflow.drive.world import World

if TYPE_CHECKING:
    from graphflow.drive.loop import Started

PATIENCE = 0.005
"""Seconds without the end of a task after which tasks seem to wait that are about to be recorded."""
SHORTEST_WAIT = 0.0001
"""Seconds after which is asked whether a thread was idle, and that it has to have been: less is not worth another thread."""
COLLECTING = 0.01
"""Seconds in which tasks that only compute may end before they are recorded, all together."""
RECORDING = 0.25
"""The most of the time of such tasks that goes into recording them."""


class Crew:
    """The caller's thread and helpers, taking the tasks of one superstep from one queue; finished ones are recorded meanwhile.

    Helpers are called as soon as the tasks seem to wait for something (``idle``, from then on): a thread was idle for most of
    its time, or none has ended between two looks of the process's ``lookout``. At most one is on its way at a time, and each
    one calls the next.
    Threads that only compute would hinder each other, above all where a database lets go of the interpreter at each statement;
    so tasks that do not wait are done by the caller, and tasks that wait are soon all running. Nobody ever waits for a helper
    that has not begun, so crews inside crews cannot starve.

    What ended is recorded at once when the tasks that still run seem to wait. Recording would slow tasks down that compute, so
    as long as they end one after the other they are collected for a while, and a kill costs at most the work of that while.
    """

    def __init__(self, effect: RunTasks, world: World) -> None:
        self.tasks = effect.tasks
        self.record = effect.record
        self.world = world
        self.context = contextvars.copy_context()
        """The caller's context variables, of which each helper has a copy of its own, and each task one of that."""
        self.outcomes: dict[Task, Outcome] = {}
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.unrecorded: list[Outcome] = []
        self.recorder: Future[None] | None = None
        self.failure: BaseException | None = None
        self.running = 0
        """Tasks that have begun and not ended."""
        self.working = 0
        """Threads that take tasks: no more than ``limit``."""
        self.limit = effect.tasks[0].run.max_concurrency or WORKERS
        self.waiting = deque(effect.tasks)
        self.awaited: list[Started[Outcome]] = []
        """Async nodes, which run on a background loop."""
        self.summoned = False
        """Whether a helper is on its way."""
        self.idle = False
        """Whether tasks seem to wait for something."""
        self.seen = -1
        """Tasks that had ended at the last look."""

    def run(self) -> list[Outcome]:
        """All outcomes, in the order of the tasks. A failure of the recording is raised when the running tasks have ended."""
        if self.tasks[0].run.max_concurrency is None:
            self._start_async()
        interruption: BaseException | None = None
        try:
            lookout.watch(self)
            self._work()
            with self.lock:
                while self.running or self.working:
                    self._check()
                    self.changed.wait()
        except BaseException as stop:  # Ctrl-C while others work: no other task begins
            self.failure = interruption = stop
            self._part()
        finally:
            lookout.leave(self)
        recorder = self.recorder
        if recorder is not None and not recorder.cancel():
            recorder.result()
        failure = interruption or self.failure  # an interruption, and not what became of the others by it
        if failure is not None:
            self._keep_rest(failure)
            raise failure
        return [self.outcomes[task] for task in self.tasks]

    def _check(self) -> None:
        """Raise what ended a task, if that was neither an error nor a cancellation: Ctrl-C comes to the caller's own, too."""
        failure = self.failure
        if failure is not None and not isinstance(failure, Exception | Cancelled):
            raise failure

    def _part(self) -> None:
        """Tell tasks that still run to stop, and wait for a while, so that what they did is kept and nothing is done twice."""
        self.world.call.stop.request()
        for future in self.awaited:
            future.cancel_task()
        ends = perf_counter() + GRACE
        with self.lock:
            self.idle = True  # from here on, each end is told
            while self.running and (left := ends - perf_counter()) > 0:
                self.changed.wait(left)

    def _keep_rest(self, failure: BaseException) -> None:
        """Keep what finished beside a task that was stopped. After a failed recording, another would fail as well."""
        with self.lock:
            rest, self.unrecorded = self.unrecorded, []
        if isinstance(failure, Exception) or self.record is None or not rest:
            return
        try:
            self._keep(rest)
        except Exception as error:
            if isinstance(failure, Cancelled):
                raise
            failure.add_note(f"and what finished beside it could not be kept: {error_text(error)}")

    def _start_async(self) -> None:
        """Put all async nodes on a background loop at once; they need no threads."""
        awaited = [task for task in self.tasks if task.node.function.awaits]
        if not awaited:
            return
        self.waiting = deque(task for task in self.tasks if not task.node.function.awaits)
        self.running = len(awaited)
        for task in awaited:
            started = drive.loop.start(drive.aio.execute(task, self.world))
            self.awaited.append(started)
            started.add_done_callback(functools.partial(self._ended, task))

    def _ended(self, task: Task, future: Future[Outcome]) -> None:
        error = future.exception()
        if error is not None:
            self.failure = error
        with self.lock:
            self._finish(task, None if error is not None else future.result())

    def _work(self) -> None:
        with self.lock:
            if self.working >= self.limit:
                return
            self.working += 1
            task = self._take()
        looked, worked = perf_counter(), thread_time()
        while task is not None:
            outcome: Outcome | None = None
            try:
                outcome = contextvars.copy_context().run(drive.sync.execute, task, self.world)
            except BaseException as stop:
                self.failure = stop
            now = perf_counter()
            if now - looked > SHORTEST_WAIT and not self.idle:
                busy = thread_time()
                self.idle = now - looked > 2 * (busy - worked) + SHORTEST_WAIT
                looked, worked = now, busy
            with self.lock:
                self._finish(task, outcome)
                task = self._take()

    def _take(self) -> Task | None:
        """The next task of a thread, which holds the lock; None when it is to take no more."""
        if not self.waiting or self.failure is not None:
            self.working -= 1
            self.changed.notify_all()
            return None
        task = self.waiting.popleft()
        self.running += 1
        if self.idle:
            self._summon()
        return task

    def look(self) -> bool:
        """Call a helper when no task has ended since the last look. Once one was called, each calls the next: whether to look
        again, because none has been needed or could be had.
        """
        with self.lock:
            ended = len(self.outcomes)
            if ended == self.seen and not self.idle:
                self.idle = True
                self.changed.notify_all()
            self.seen = ended
            return not self.idle or self._summon()

    def _summon(self) -> bool:
        """Call one more helper, if there is something to do for it and none is on its way; for a thread that holds the lock.
        Whether that should be tried again: there can be no more threads at the moment, so those there are do it all.
        """
        if not self.waiting or self.failure is not None or self.summoned or self.working >= self.limit:
            return False
        self.summoned = True  # before it can have come
        try:
            self.context.copy().run(start, self._help)
        except RuntimeError:
            self.summoned = False
            return True
        return False

    def _help(self) -> None:
        self.summoned = False
        self._work()

    def _finish(self, task: Task, outcome: Outcome | None) -> None:
        """Take note of a task that has ended, for a thread that holds the lock."""
        self.running -= 1
        if outcome is not None:
            self.outcomes[task] = outcome
        others = self.running or self.waiting
        if self.idle or not others:
            self.changed.notify_all()
        if self.record is None or outcome is None:
            return
        self.unrecorded.append(outcome)
        if others and self.recorder is None and self.failure is None:
            with suppress(RuntimeError):  # no more threads: what finished is committed with the superstep
                self.recorder = self.context.copy().run(in_thread, self._record)

    def _record(self) -> None:
        """Keep finished tasks, as long as there are new ones and siblings still run."""
        assert self.record is not None
        collecting = COLLECTING
        while True:
            with self.lock:
                self._collect(perf_counter() + collecting)
                if not self.unrecorded or self.failure is not None or not (self.running or self.waiting):
                    self.recorder = None
                    return
                batch, self.unrecorded = self.unrecorded, []
            begun = perf_counter()
            try:
                self._keep(batch)
            except BaseException as error:
                self.failure = error
            collecting = max(COLLECTING, (perf_counter() - begun) / RECORDING)

    def _collect(self, until: float) -> None:
        """Wait as long as tasks end one after the other."""
        while not self.idle and self.failure is None and (self.running or self.waiting) and perf_counter() < until:
            ended = len(self.outcomes)
            self.changed.wait(PATIENCE)
            if len(self.outcomes) == ended:
                return

    def _keep(self, outcomes: list[Outcome]) -> None:
        assert self.record is not None
        drive.sync.perform(self.record(outcomes), self.world)
