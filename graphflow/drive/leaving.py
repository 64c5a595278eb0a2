"""Leaving what a coroutine awaits, when its run is asked to stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from graphflow.core.control import Cancelled
from graphflow.core.stopping import Stop


class LeftWhenStopping:
    """Leaves what is awaited inside when the run is asked to stop, as asyncio.timeout does when time is up: Cancelled."""

    __slots__ = ("_inside", "_left", "_loop", "_stop", "_task")

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._inside, self._left = True, False

    def __enter__(self) -> None:
        self._stop.tell(self._tell)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        assert self._task is not None
        self._inside = False
        self._stop.forget(self._tell)
        if self._left:
            alone = self._task.uncancel() == 0
            if alone and kind is asyncio.CancelledError:
                raise Cancelled from None

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._when)

    def _when(self) -> None:
        """Called in the loop when the run is asked to stop."""
        self._leave()

    def _leave(self) -> None:
        if self._inside and not self._left:
            assert self._task is not None
            self._left = True
            self._task.cancel()


class LeftWhenCancelled(LeftWhenStopping):
    """The same for a user's coroutine, which is left when the run is cancelled and it does not end in ``patience`` seconds."""

    __slots__ = ("_patience",)

    def __init__(self, stop: Stop, patience: float) -> None:
        super().__init__(stop)
        self._patience = patience

    def _when(self) -> None:
        if self._stop.cancelled:
            self._loop.call_later(self._patience, self._leave)
