"""What graphflow asks of a language model: one request in, one reply out, perhaps in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphflow.core import options
from graphflow.core.excerpts import excerpt
from graphflow.errors import ModelError
from graphflow.messages import Message, ToolCall


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the provider counts them."""

    input_tokens: int = 0
    output_tokens: int = 0


# Not frozen, as Request: every question to a model makes both, and that would take several times as long.
@dataclass(slots=True, unsafe_hash=True)
class Reply:
    """What a model answered: text, wishes to call tools, or both.

    ``cut``: the text ends at a limit of tokens, before the model was done. ``provider_details`` are what the model has to see
    again beside this answer when it is told what the tools said, in a form of its own that JSON can hold (signatures of its
    thoughts, for some): they are stored with the message.
    """

    content: str = ""
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage = Usage()
    reasoning: str = ""
    cut: bool = False
    provider_details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it. ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(slots=True, unsafe_hash=True)
class Request:
    """What a model is asked. ``output_schema`` is the type that the answer has to be JSON of: a pydantic model, or any other
    that ``pydantic.TypeAdapter`` takes (``list[int]``, ``Literal[…]``); None for text.
    """

    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    output_schema: type[Any] | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a streamed answer. ``reasoning`` pieces are not part of the content."""

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """A streamed attempt broke after some tokens and starts over: the pieces so far do not count."""

    reason: str = field(default="")


Piece = Token | Restart | Reply


class Model:
    """Base of all models. A model of your own has to write ``respond``; ``stream`` has a default made from it.

    ``stream`` yields Tokens (and a Restart when it has to begin again) and, last, the whole Reply.
    A model raises ModelError when it gives up; it does its own retries, so nothing outside multiplies them.
    Under asyncio a plain Model runs in a thread.
    """

    id: str = "model"

    def respond(self, request: Request) -> Reply:
        """The whole answer to one request."""
        raise NotImplementedError(f"{type(self).__name__} has to define respond(request)")

    def stream(self, request: Request) -> Iterator[Piece]:
        """The answer in pieces, the Reply last."""
        reply = as_reply(self, self.respond(request))
        if reply.content:
            yield Token(reply.content)
        yield reply


class AsyncModel(Model):
    """A Model that can also be awaited; under asyncio these twins are used instead of a thread."""

    async def arespond(self, request: Request) -> Reply:
        """``respond`` for asyncio. The default suits models that answer at once and never block."""
        return self.respond(request)

    async def astream(self, request: Request) -> AsyncIterator[Piece]:
        """``stream`` for asyncio. The default suits models that answer at once and never block."""
        for piece in self.stream(request):
            yield piece


def check_source(model: object) -> None:
    """Raise ValueError for what a node cannot ask: what is neither a Model nor a function that gives one."""
    if not isinstance(model, Model) and not callable(model):
        raise options.refused("model", model, "a Model (resolve_model makes one of a text), or a function that gives one")


def as_reply(model: Model, given: Any) -> Reply:
    """What ``respond`` of a model gave. Raises ModelError when it is no Reply, or counts its tokens in something else than
    ints.
    """
    if isinstance(given, Reply):
        return _counted(model, given)
    raise ModelError(
        f"respond of {type(model).__name__} gave {excerpt(given)}, which is no Reply: let it return Reply(content, "
        "tool_calls=…), or, if it is async, make it arespond of an AsyncModel"
    )


def as_piece(model: Model, given: Any) -> Piece:
    """What ``stream`` of a model yielded. Raises ModelError when it is no piece of an answer."""
    if isinstance(given, Token | Restart | Reply):
        return given
    raise ModelError(
        f"stream of {type(model).__name__} yielded {excerpt(given)}, which is no piece of an answer: let it yield Token(text) "
        "for each piece and, last, the whole Reply"
    )


def last_piece(model: Model, piece: Piece | None) -> Reply:
    """The Reply that ``stream`` of a model ended with. Raises ModelError when it ended with something else, or with nothing, or
    counts its tokens in something else than ints.
    """
    if isinstance(piece, Reply):
        return _counted(model, piece)
    raise ModelError(
        f"stream of {type(model).__name__} ended {'without a piece' if piece is None else f'with {excerpt(piece)}'}: let it "
        "yield the whole Reply last, also when its content was yielded in Tokens before"
    )


def _counted(model: Model, reply: Reply) -> Reply:
    """The reply, whose tokens can be added to those of others."""
    usage: Any = reply.usage
    if usage is None or (
        isinstance(usage, Usage) and isinstance(usage.input_tokens, int) and isinstance(usage.output_tokens, int)
    ):
        return reply
    raise ModelError(
        f"{type(model).__name__} answered with usage={excerpt(usage)}: let it be Usage(input_tokens, output_tokens) with two "
        "ints, 0 for what the server does not count, or None when it counts nothing"
    )
