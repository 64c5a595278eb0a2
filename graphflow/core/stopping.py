"""Asking a run to stop: it does so at its next superstep border, or where it waits for a model, with its state committed."""

from __future__ import annotations

from collections.abc import Callable


class Stop:
    """Whether a run has been asked to stop. Any thread may ask; whoever waits for something slow is told at once.

    ``requested``: it stops at its next border, unless that is its end. ``cancelled``: somebody was told that it is cancelled,
    so it is not to end otherwise.
    """

    __slots__ = ("_told", "cancelled", "requested")

    def __init__(self) -> None:
        self.requested = False
        self.cancelled = False
        self._told: list[Callable[[], object]] = []

    def request(self) -> None:
        """Ask the run to stop."""
        self.requested = True
        for call in tuple(self._told):
            call()

    def cancel(self) -> None:
        """Ask the run to stop, and to end as cancelled."""
        self.cancelled = True
        self.request()

    def tell(self, call: Callable[[], object]) -> None:
        """Have ``call`` called, by whatever thread asks, when the run is asked to stop (or was before), until ``forget``."""
        self._told.append(call)
        if self.requested:
            call()

    def forget(self, call: Callable[[], object]) -> None:
        """Tell no more."""
        self._told.remove(call)
