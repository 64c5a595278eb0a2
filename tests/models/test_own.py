"""Models of one's own: what they may give, and what is said of anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from graphflow import Agent
from graphflow.errors import ModelError
from graphflow.models.base import AsyncModel, Model, Reply, Request, Token


class Parrot(Model):
    """Yields what it is told to, or gives it at once."""

    def __init__(self, given: Any = None, pieces: tuple[Any, ...] | None = None) -> None:
        self.given, self.pieces = given, pieces

    def respond(self, request: Request) -> Any:
        return self.given

    def stream(self, request: Request) -> Iterator[Any]:
        return super().stream(request) if self.pieces is None else iter(self.pieces)


class AsyncParrot(AsyncModel, Parrot):
    """The same for asyncio."""

    async def arespond(self, request: Request) -> Any:
        return self.given

    async def astream(self, request: Request) -> AsyncIterator[Any]:
        for piece in self.stream(request):
            yield piece


@pytest.fixture(params=[Parrot, AsyncParrot])
def parrot(request: pytest.FixtureRequest) -> Callable[..., Model]:
    """A Model, and one that is awaited."""
    return request.param  # type: ignore[no-any-return]


def test_what_is_no_reply_is_an_error_that_names_the_model(way: Any, parrot: Callable[..., Model]) -> None:
    agent = Agent(parrot("Hello!"))
    words = rf"respond of {parrot.__name__} gave 'Hello!', which is no Reply: let it return Reply\(content"
    with pytest.raises(ModelError, match=words):
        way.run(agent, "Hi")
    with pytest.raises(ModelError, match=words):
        way.events(agent, "Hi")


@pytest.mark.parametrize(
    "pieces, words",
    [
        ((), "ended without a piece: let it yield the whole Reply last"),
        ((Token("Hello!"),), r"ended with Token\(text='Hello!'.*: let it yield the whole Reply last"),
        (("Hello!", Reply("Hello!")), r"yielded 'Hello!', which is no piece of an answer: let it yield Token\(text\)"),
    ],
    ids=["nothing", "tokens", "text"],
)
def test_a_stream_that_is_no_answer_is_an_error_that_names_the_model(
    way: Any, parrot: Callable[..., Model], pieces: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(ModelError, match=f"stream of {parrot.__name__} {words}"):
        way.events(Agent(parrot(pieces=pieces)), "Hi")


def test_a_reply_can_be_looked_up_and_be_the_default_of_a_field() -> None:
    no = Reply("No.")

    @dataclass
    class Canned:
        reply: Reply = no

    assert {Canned().reply: 1}[Reply("No.")] == 1
