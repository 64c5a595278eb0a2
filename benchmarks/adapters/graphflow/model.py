"""A model of graphflow that answers at once."""

from __future__ import annotations

from collections.abc import Iterator

from graphflow.models.base import AsyncModel, Reply, Request


class Scripted(AsyncModel):
    """The replies in their order. It keeps no requests, so that the process does not grow."""

    def __init__(self, replies: Iterator[str]) -> None:
        self._replies = replies

    def respond(self, request: Request) -> Reply:
        """The next one."""
        return Reply(next(self._replies))
