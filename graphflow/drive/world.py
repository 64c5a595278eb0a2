"""What both drivers share: whom events go to, which turns are held, and how a node's end becomes an outcome."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from graphflow import drive
from graphflow.core.attempts import Attempt
from graphflow.core.calls import CallOptions
from graphflow.core.control import Context
from graphflow.core.effects import Advance, Commit, Flow, T
from graphflow.core.excerpts import error_text
from graphflow.core.tasks import Task
from graphflow.db.base import Store
from graphflow.drive.stream import Event, View
from graphflow.errors import SessionBusy

if TYPE_CHECKING:
    from graphflow.db.turns import Ticket

Emitter = Callable[[Event], None]


class World:
    """The surroundings of one driven flow: its store, its listeners and the turns it holds."""

    def __init__(self, store: Store | None = None, emitter: Emitter | None = None, call: CallOptions | None = None) -> None:
        self.store = store
        self.emitter = emitter
        self.call = call or CallOptions()
        self.tickets: list[Ticket] = []
        self.stopping: BaseException | None = None
        """Under asyncio: a cancellation that waits for the commit under way."""
        self.pressure: Callable[[], Awaitable[None]] | None = None
        """Under asyncio: waits until whoever reads the stream has caught up."""
        self.brisk = True
        """Under asyncio: whether the function in a thread that ended last was done at once, as the next may be."""
        self.keeping = threading.RLock()
        """Held while an attempt makes something durable, and while one is given up."""

    def perform(self, flow: Flow[T]) -> T:
        """Drive a flow from inside a node, blocking."""
        return drive.sync.perform(flow, self)

    async def aperform(self, flow: Flow[T]) -> T:
        """Drive a flow from inside an async node, which may be stopped without the rest of the run."""
        return await drive.aio.run(flow, self.inside())

    def commit(self, effect: Commit | Advance) -> None:
        """Commit, unless what is committed belongs to an attempt that was given up: NodeTimeout."""
        assert self.store is not None
        if type(effect) is Advance or effect.within is None:
            self.store.commit(effect)
            return
        with self.keeping:
            effect.within.check_open()
            self.store.commit(effect)

    def give_up(self, attempt: Attempt) -> None:
        """Let nothing more come of an attempt. What it is just committing is committed first."""
        with self.keeping:
            attempt.closed = True

    def emit(self, type: str, node: str, data: Mapping[str, Any], ns: str = "") -> None:
        """Hand an event to the listeners, if there are any."""
        if self.emitter is not None:
            if not ns and self.call.spoken is not None:
                self.call.spoken.hear(type, data)
            self.emitter(Event(type, node, ns, self.call.run_id or "", self.call.session_id, data))

    def parts(self, view: View, listener: Emitter | None) -> deque[Any]:
        """What a view shows of the events from now on, for whoever reads it off; ``listener`` hears each event before."""
        parts: deque[Any] = deque()

        def emit(event: Event) -> None:
            if listener is not None:
                listener(event)
            parts.extend(view(event))

        self.emitter = emit
        return parts

    def inside(self, listener: Emitter | None = None) -> World:
        """The surroundings of a graph that a node of this flow calls; ``listener`` hears of that graph only."""
        emitter = self.emitter
        if listener is not None:
            emitter = listener if emitter is None else both(emitter, listener)
        inside = World(self.store, emitter, self.call)
        inside.keeping = self.keeping
        return inside

    def context(self, task: Task) -> Context:
        """What the node of a task is told beside the state."""
        return Context(task, self.emit if self.emitter is not None else None)

    def busy(self, session_id: str, seconds: float | None) -> SessionBusy:
        """The error for a session whose turn did not come; None seconds: nobody has waited for it."""
        if seconds is None:
            how, more = "on_busy='reject' does not wait", "give on_busy='wait', or 'cancel' for that run to stop"
        else:
            how, more = f"waited {seconds:g} seconds", "raise the database's busy_timeout="
        return SessionBusy(
            f"session {session_id!r} is held by another run of this process ({how}); try again later, or {more}"
        )


def both(first: Emitter, second: Emitter) -> Emitter:
    """One listener made of two."""

    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen


def guarded(listener: Emitter) -> Emitter:
    """A user's listener that cannot break the run it listens to: what it raises becomes a warning."""

    def listen(event: Event) -> None:
        try:
            listener(event)
        except Exception as error:
            # Where warnings are errors, this one is not to break the run either.
            with suppress(Warning):
                warnings.warn(f"on_event raised {error_text(error)}; the run goes on", RuntimeWarning, stacklevel=2)

    return listen
