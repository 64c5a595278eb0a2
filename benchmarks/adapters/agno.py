"""agno."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.response import ModelResponse

from benchmarks.conversation import USER
from benchmarks.work import ANSWER, get_weather

IMPORTS = {"library": "import agno", "agent": "from agno.agent import Agent"}
WRITING: dict[str, Any] = {}
PARTS: dict[str, Any] = {}


class Scripted(Model):
    """Answers at once."""

    def __init__(self, replies: Iterable[str]) -> None:
        super().__init__(id="scripted")
        self._answers = iter(replies)

    def invoke(self, *_: Any, **__: Any) -> ModelResponse:
        """The next reply."""
        return ModelResponse(role="assistant", content=next(self._answers))

    async def ainvoke(self, *_: Any, **__: Any) -> ModelResponse:
        """The next reply."""
        return self.invoke()

    def invoke_stream(self, *_: Any, **__: Any) -> Iterator[ModelResponse]:
        """The next reply in one piece."""
        yield self.invoke()

    async def ainvoke_stream(self, *_: Any, **__: Any) -> Any:
        """The next reply in one piece."""
        yield self.invoke()

    def _parse_provider_response(self, response: Any, **_: Any) -> Any:
        return response

    def _parse_provider_response_delta(self, response: Any) -> Any:
        return response


def agents(file: Path | None, tools: bool, replies: Iterable[str] | None = None) -> Callable[[], Any]:
    """Agents that share a model and a database."""
    model, given = Scripted(replies or repeat(ANSWER)), [get_weather] if tools else None
    db = None if file is None else SqliteDb(db_file=str(file))

    def make() -> Any:
        agent = Agent(model=model, tools=given, db=db, add_history_to_context=db is not None, telemetry=False)
        return agent, lambda question, session: agent.run(question, session_id=session, user_id=USER)

    return make


def chat(file: Path, replies: Iterable[str]) -> Callable[[str, str], Any]:
    """A conversation; a history of three runs is the default."""
    ask: Callable[[str, str], Any] = agents(file, tools=False, replies=replies)()[1]
    return ask
