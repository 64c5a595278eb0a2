"""openai-agents. It is asynchronous; everything is driven on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, SQLiteSession, Usage, function_tool
from agents.memory import SessionSettings
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from benchmarks.shapes import CONTEXT
from benchmarks.work import ANSWER, get_weather

IMPORTS = {"library": "import agents", "agent": "from agents import Agent"}
WRITING: dict[str, Any] = {}
PARTS: dict[str, Any] = {}


class Scripted(Model):
    """Answers at once."""

    def __init__(self, replies: Iterable[str]) -> None:
        self._answers = iter(replies)

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """The next reply."""
        said = ResponseOutputText(annotations=[], text=next(self._answers), type="output_text", logprobs=[])
        message = ResponseOutputMessage(id="message", content=[said], role="assistant", status="completed", type="message")
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Not asked for."""
        raise NotImplementedError


class Sessions:
    """Keeps the session used last open: each holds a connection of its own."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._open: tuple[str, SQLiteSession] | None = None

    def __call__(self, name: str) -> SQLiteSession:
        if self._open is None or self._open[0] != name:
            if self._open is not None:
                self._open[1].close()
            self._open = name, SQLiteSession(name, self._file, session_settings=SessionSettings(limit=CONTEXT))
        return self._open[1]


def agents(file: Path | None, tools: bool, replies: Iterable[str] | None = None) -> Callable[[], Any]:
    """Agents that share a model and a file."""
    model, given = Scripted(replies or repeat(ANSWER)), [function_tool(get_weather)] if tools else []
    loop, sessions = asyncio.new_event_loop(), None if file is None else Sessions(file)

    def make() -> Any:
        agent = Agent(name="weather", model=model, tools=given)

        def ask(question: str, session: str) -> Any:
            kept = None if sessions is None else sessions(session)
            return loop.run_until_complete(Runner.run(agent, question, session=kept))

        return agent, ask

    return make


def chat(file: Path, replies: Iterable[str]) -> Callable[[str, str], Any]:
    """A conversation that reads as many earlier messages as ours."""
    ask: Callable[[str, str], Any] = agents(file, tools=False, replies=replies)()[1]
    return ask
