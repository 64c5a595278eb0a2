"""Several tasks at once under asyncio."""

from __future__ import annotations

import asyncio

from graphflow import drive
from graphflow.core.control import Cancelled
from graphflow.core.effects import RunTasks
from graphflow.core.excerpts import error_text
from graphflow.core.tasks import Outcome, Task
from graphflow.drive.errands import settled
from graphflow.drive.selfwaits import NODE
from graphflow.drive.world import World


class Siblings:
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
            if not isinstance(stop, asyncio.CancelledError):
                self.world.stopping = None  # what tasks noted, whose threads ended in time, was the end of these tasks alone
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
            outcome = await drive.aio.execute(task, self.world)
        else:
            async with self.places:
                outcome = await drive.aio.execute(task, self.world)
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
        await drive.aio.perform(self.effect.record(outcomes), self.world.inside())  # a cancellation beside it is not its own
