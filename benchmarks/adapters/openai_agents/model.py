"""A model of openai-agents that answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText


class Scripted(Model):
    """The replies in their order."""

    def __init__(self, replies: Iterator[str]) -> None:
        self._replies = replies

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """The next one."""
        said = ResponseOutputText(annotations=[], text=next(self._replies), type="output_text", logprobs=[])
        message = ResponseOutputMessage(id="message", content=[said], role="assistant", status="completed", type="message")
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Not asked for."""
        raise NotImplementedError
