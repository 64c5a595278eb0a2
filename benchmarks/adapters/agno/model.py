"""A model of agno that answers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from agno.models.base import Model
from agno.models.response import ModelResponse


class Scripted(Model):
    """The replies in their order."""

    def __init__(self, replies: Iterator[str]) -> None:
        super().__init__(id="scripted")
        self._replies = replies

    def invoke(self, *_: Any, **__: Any) -> ModelResponse:
        """The next one."""
        return ModelResponse(role="assistant", content=next(self._replies))

    async def ainvoke(self, *_: Any, **__: Any) -> ModelResponse:
        """The next one."""
        return self.invoke()

    def invoke_stream(self, *_: Any, **__: Any) -> Iterator[ModelResponse]:
        """The next one in one piece."""
        yield self.invoke()

    async def ainvoke_stream(self, *_: Any, **__: Any) -> AsyncIterator[ModelResponse]:
        """The next one in one piece."""
        yield self.invoke()

    def _parse_provider_response(self, response: Any, **_: Any) -> Any:
        return response

    def _parse_provider_response_delta(self, response: Any) -> Any:
        return response
