"""A small server that speaks OpenAI's chat completions, and misbehaves on demand. It serves real HTTP to real clients."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Behaviour = Callable[[dict[str, Any]], Awaitable[Response]]
"""Takes the body of a request and answers it."""


class OpenAIServer:
    """``with OpenAIServer(says("hello"), fails(500)) as server:`` answers one request after the other as the script says.

    The last behaviour is repeated when the script is over; ``play`` starts another script on the same server. ``requests`` are
    the bodies received since, ``headers`` their headers, ``connections`` what they came by. ``base_url`` is for clients.
    """

    def __init__(self, *script: Behaviour) -> None:
        self.play(*script)
        # Without the protocol named, some systems hand out a socket whose TCP_NODELAY cannot be set.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def play(self, *script: Behaviour) -> OpenAIServer:
        """Forget the old script and what it received, and follow this one."""
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections: list[Any] = []
        return self

    def _run(self) -> None:
        async def serve() -> None:
            asyncio.get_running_loop().call_soon(self._started.set)
            await self._server.serve(sockets=[self._socket])

        asyncio.run(serve())

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        position = len(self.requests)
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.connections.append(request.client)
        return await self.script[min(position, len(self.script) - 1)](body)

    def __enter__(self) -> OpenAIServer:
        self._socket.listen()  # so that a client may connect before the loop has come round to serving
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


# --- behaviours


def says(
    content: str | None = "hello",
    *,
    tool_calls: list[dict[str, Any]] | None = None,
    finish_reason: str = "stop",
    **fields: Any,
) -> Behaviour:
    """A whole answer; asked to stream, the same in pieces. ``fields`` are further fields of the message."""

    async def behave(body: dict[str, Any]) -> Response:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        if not body.get("stream"):
            message = {"role": "assistant", "content": content, "tool_calls": tool_calls, **fields}
            return JSONResponse(_completion({"message": message, "finish_reason": finish_reason}) | {"usage": usage})
        pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        pieces += [{name: value} for name, value in fields.items()]
        pieces += [{"content": piece} for piece in _split(content or "")]
        for index, call in enumerate(tool_calls or ()):
            pieces += _call_pieces(index, call)
        chunks = [_completion({"delta": piece, "finish_reason": None}) for piece in pieces]
        chunks += [_completion({"delta": {}, "finish_reason": finish_reason}), {**_completion(), "choices": [], "usage": usage}]
        return _events([*map(json.dumps, chunks), "[DONE]"])

    return behave


def calls(*wanted: tuple[str, str, str]) -> Behaviour:
    """Tool calls, given as (id, name, arguments as JSON text); streamed, their pieces are mixed."""
    made = [{"id": id, "type": "function", "function": {"name": name, "arguments": text}} for id, name, text in wanted]
    return says(None, tool_calls=made, finish_reason="tool_calls")


def fails(status: int, message: str = "it went wrong", *, headers: dict[str, str] | None = None, **error: Any) -> Behaviour:
    """An error with this status."""

    async def behave(body: dict[str, Any]) -> Response:
        return JSONResponse({"error": {"message": message, **error}}, status, headers)

    return behave


def sends(text: str, content_type: str = "application/json") -> Behaviour:
    """A body that is this text, whatever it is."""

    async def behave(body: dict[str, Any]) -> Response:
        return Response(text, media_type=content_type)

    return behave


def streams(*deltas: dict[str, Any], then: str = "[DONE]") -> Behaviour:
    """A stream of exactly these deltas. ``then`` may be anything a stream can end with; empty, the stream just stops."""
    chunks = [json.dumps(_completion({"delta": delta, "finish_reason": delta.pop("finish_reason", None)})) for delta in deltas]

    async def behave(body: dict[str, Any]) -> Response:
        return _events([*chunks, *([then] if then else [])])

    return behave


def breaks_off(*pieces: str) -> Behaviour:
    """A stream whose connection is lost after these pieces of content."""

    async def behave(body: dict[str, Any]) -> Response:
        async def events() -> AsyncIterator[str]:
            for piece in pieces:
                yield f"data: {json.dumps(_completion({'delta': {'content': piece}, 'finish_reason': None}))}\n\n"

        # More bytes are promised than sent: the server has to drop the connection, and the client notices.
        return StreamingResponse(events(), media_type="text/event-stream", headers={"content-length": "100000"})

    return behave


def never_answers() -> Behaviour:
    """Nothing, until the client gives up."""

    async def behave(body: dict[str, Any]) -> Response:
        await asyncio.sleep(30)
        return Response()

    return behave


def _completion(*choices: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, **c} for c in choices],
    }


def _split(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def _call_pieces(index: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    function = call["function"]
    opening = {"index": index, "id": call["id"], "type": "function", "function": {"name": function["name"], "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in _split(function["arguments"])]
    return [{"tool_calls": [piece]} for piece in (opening, *rest)]


def _events(data: Iterable[str]) -> Response:
    async def events() -> AsyncIterator[str]:
        for each in data:
            yield f"data: {each}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
