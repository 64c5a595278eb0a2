"""What tests of graphs and agents need: a model that says what it is told to, a clock that is moved by hand, and somebody who
watches that nodes change nothing in place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from graphflow.core.ownership import everywhere
from graphflow.errors import ModelError
from graphflow.messages import ToolCall as ToolCall
from graphflow.models.base import Model, Piece, Request
from graphflow.models.base import Reply as Reply
from graphflow.models.offline import in_words

ScriptedReply = str | Reply | BaseException | type[BaseException] | Callable[[Request], Any]
"""A text, a Reply, an exception (or its class) to raise, or a function of the request that returns any of these."""


class ScriptedModel(Model):
    """Answers with ``replies``, one per request in the order they come, and keeps every request in ``requests``.

    ``replies`` may be endless (``itertools.repeat("ok")``). A request more than there are replies is a ModelError that counts
    them. Safe to share between threads; under asyncio it runs in a thread, so a reply's function may block. Streams in words.
    """

    id = "scripted"

    def __init__(self, replies: Iterable[ScriptedReply]) -> None:
        if isinstance(replies, str):
            raise ValueError(f"ScriptedModel takes a list of replies: write ScriptedModel([{replies!r}])")
        self.requests: list[Request] = []
        self._replies = iter(replies)
        self._given = 0
        self._lock = threading.Lock()

    def respond(self, request: Request) -> Reply:
        """The next reply of the script."""
        with self._lock:
            self.requests.append(request)
            try:
                reply = next(self._replies)
            except StopIteration:
                raise ModelError(
                    f"ScriptedModel has no reply left: all {self._given} of its replies were used when request number "
                    f"{len(self.requests)} came, ending with {self._last_words(request)!r}"
                ) from None
            self._given += 1
        return self._played(reply, request)

    def stream(self, request: Request) -> Iterator[Piece]:
        """The next reply word by word, the Reply last."""
        yield from in_words(self.respond(request))

    def _played(self, reply: Any, request: Request) -> Reply:
        while callable(reply) and not isinstance(reply, type):
            reply = reply(request)
        if isinstance(reply, BaseException) or (isinstance(reply, type) and issubclass(reply, BaseException)):
            raise reply
        if isinstance(reply, str):
            return Reply(reply)
        if isinstance(reply, Reply):
            return reply
        raise ModelError(f"ScriptedModel cannot play {reply!r}: give a str, a Reply, an exception or a function of the request")

    @staticmethod
    def _last_words(request: Request) -> str:
        return request.messages[-1].text[:80] if request.messages else ""


class FakeClock:
    """A clock in seconds that stands still until ``advance`` moves it: pass it where a function like ``time.time`` is taken."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: advance({seconds})")
        self._now += seconds


_asking: Final = threading.Lock()


@contextmanager
def strict() -> Iterator[None]:
    """Watch every run that begins meanwhile, in any thread, as ``StateGraph.compile(debug=True)`` does for one graph: a node,
    tool or step that changes in place what it was given is a ChangedInPlace.

    For agents, teams and workflows as well as for graphs. In a ``conftest.py``, for all tests::

        @pytest.fixture(autouse=True)
        def nothing_is_changed_in_place():
            with strict():
                yield
    """
    with _asking:
        everywhere.asked += 1
    try:
        yield
    finally:
        with _asking:
            everywhere.asked -= 1
