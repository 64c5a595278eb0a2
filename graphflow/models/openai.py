"""OpenAIChat: models behind OpenAI's chat completions, or behind any server that speaks them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from graphflow.core import options
from graphflow.errors import ModelError
from graphflow.models.base import AsyncModel, Piece, Reply, Request, Restart
from graphflow.models.openai_format import Answer, Transient, request_fields

LONGEST_WAIT = 120.0
"""Seconds. A server that asks for a longer pause (Retry-After) is not waited for."""

LONGEST_CONNECT = 10.0
"""Seconds."""

OPENAI = "https://api.openai.com/v1"
_HOSTS_OF_OPENAI = (".openai.com", ".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")

_TRANSIENT_STATUS = {408, 409, 429}
_REPAIRS = {
    400: "change the request as the provider says",
    401: "check api_key= or OPENAI_API_KEY",
    403: "use a key or a model this key may use",
    404: "check the model id and base_url=",
    413: "send less: a shorter history, a summary, smaller files",
    422: "change the request as the provider says",
    429: "check the plan and the billing of the account",
}


class OpenAIChat(AsyncModel):
    """A chat model at OpenAI or at any server that speaks chat completions (give ``base_url``).

    ``api_key`` falls back to OPENAI_API_KEY, ``base_url`` to OPENAI_BASE_URL. ``timeout`` is in seconds, for each wait for more
    bytes: a whole answer comes at once where nobody listens to its tokens. Connecting takes 10 of them at most. ``max_tokens``
    bounds one answer. ``extra`` are further fields of the request body, e.g.
    ``{"reasoning_effort": "low"}``; they win over the fields made here. ``client_options`` are further arguments of the openai
    clients, e.g. ``default_headers``. Constructing imports and connects to nothing.

    ``max_retries`` is how often a failed request is sent again, 0 for never. Failures that may pass are tried again after a
    random pause (at most ``backoff`` seconds, doubled each time up to 20) or the one the server names (Retry-After): status
    408, 409, 429 (but not a used-up quota) and 5xx, lost connections, timeouts, streams cut short, answers without choices or
    that cannot be read, and tool calls whose arguments are no JSON object. ``stream`` yields a Restart when tokens of a failed
    attempt were already given out.
    Everything else is a ModelError at once, with status, the provider's message and the repair; the API key is in none.

    One object serves threads, event loops and forked processes alike: each loop and each process gets a client of its own.
    """

    def __init__(
        self,
        id: str = "gpt-5-mini",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 600.0,
        max_retries: int = 4,
        backoff: float = 0.5,
        temperature: float | None = None,
        max_tokens: int | None = None,
        extra: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.id = options.text("id", id)
        options.seconds("timeout", timeout)
        options.whole("max_retries", max_retries)
        options.seconds("backoff", backoff, above_zero=False)
        options.number("temperature", temperature, none="that of the server")
        options.whole("max_tokens", max_tokens, 1, none="no limit")
        options.keyed("extra", extra, none="none")
        options.keyed("client_options", client_options, none="none")
        if client_options and "max_retries" in client_options:
            raise ValueError("client_options: give max_retries= beside it, since retries are graphflow's")
        self._attempts = 1 + max_retries
        self._backoff = backoff
        self._timeout = timeout
        self._told_timeout = None if client_options and "timeout" in client_options else timeout
        self._client_fields = {"api_key": api_key, "base_url": base_url} | dict(client_options or {})
        # OpenAI's newer models refuse max_tokens; other servers know only that.
        place = str(self._client_fields["base_url"] or os.environ.get("OPENAI_BASE_URL") or OPENAI)
        limit = "max_completion_tokens" if _is_of_openai(place) else "max_tokens"
        chosen = {"temperature": temperature, limit: max_tokens, "extra_body": dict(extra or {})}
        self._fields = {"model": id} | {name: value for name, value in chosen.items() if value not in (None, {})}
        self._sync_clients: dict[int, Any] = {}
        self._async_clients: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None, None]]] = {}

    def __repr__(self) -> str:
        return f"OpenAIChat({self.id!r})"

    def respond(self, request: Request) -> Reply:
        """The whole answer to one request."""
        *_, reply = self._pieces(request, streamed=False)
        assert isinstance(reply, Reply)
        return reply

    async def arespond(self, request: Request) -> Reply:
        """``respond`` for asyncio."""
        reply = [piece async for piece in self._apieces(request, streamed=False)][-1]
        assert isinstance(reply, Reply)
        return reply

    def stream(self, request: Request) -> Iterator[Piece]:
        """The answer in pieces, the Reply last."""
        return self._pieces(request, streamed=True)

    def astream(self, request: Request) -> AsyncIterator[Piece]:
        """``stream`` for asyncio."""
        return self._apieces(request, streamed=True)

    # The two loops below differ in await only; what is sent, read, retried and raised is decided by what they call.

    def _pieces(self, request: Request, *, streamed: bool) -> Iterator[Piece]:
        client, fields, answer = self._sync_client(), self._request(request, streamed), None
        for attempt in _tenacity().Retrying(**self._policy()):
            if answer and answer.started:
                yield Restart("the answer broke off")
            answer = Answer(request, streamed=streamed, model=self.id)
            with attempt, self._failures(client):
                response = client.chat.completions.create(**fields)
                with response if streamed else nullcontext([response]) as chunks:
                    for chunk in chunks:
                        yield from answer.feed(chunk)
                reply = answer.finish()
        yield reply

    async def _apieces(self, request: Request, *, streamed: bool) -> AsyncIterator[Piece]:
        client, fields, answer = await self._async_client(), self._request(request, streamed), None
        async for attempt in _tenacity().AsyncRetrying(**self._policy()):
            if answer and answer.started:
                yield Restart("the answer broke off")
            answer = Answer(request, streamed=streamed, model=self.id)
            with attempt, self._failures(client):
                response = await client.chat.completions.create(**fields)
                async with response if streamed else nullcontext(_each(response)) as chunks:
                    async for chunk in chunks:
                        for token in answer.feed(chunk):
                            yield token
                reply = answer.finish()
        yield reply

    def _request(self, request: Request, streamed: bool) -> dict[str, Any]:
        streaming = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
        return self._fields | request_fields(request, self.id) | streaming

    def _policy(self) -> dict[str, Any]:
        tenacity = _tenacity()
        backoff = tenacity.wait_random_exponential(multiplier=self._backoff, max=20)
        return {
            "retry": tenacity.retry_if_exception_type(Transient),
            "stop": tenacity.stop_after_attempt(self._attempts),
            "wait": lambda state: asked_pause(state.outcome.exception(), otherwise=backoff(state)),
            "retry_error_callback": _give_up,
        }

    @contextmanager
    def _failures(self, client: Any) -> Iterator[None]:
        """Turns what goes wrong inside into Transient or ModelError, without the API key, which providers like to quote."""
        try:
            yield
        except Exception as error:
            failure = classify(error, timeout=self._told_timeout)
            if failure is None:
                raise
            text = f"{self.id} at {client.base_url.host}: {failure}"
            key = client.api_key
            text = text.replace(key, "***") if isinstance(key, str) and len(key) > 5 else text
            # The original would bring the key back into the traceback; what it knew is in the text.
            raise (Transient(text, failure.retry_after) if isinstance(failure, Transient) else ModelError(text)) from None

    def _sync_client(self) -> Any:
        # Clients of a parent process stay here untouched: closing their inherited connections would end the parent's.
        pid = os.getpid()
        if pid not in self._sync_clients:
            client = self._sync_clients.setdefault(pid, self._new_client(_openai().OpenAI))
            # Left to the garbage collector, connections may be found before the client, and warn that nobody closed them.
            weakref.finalize(self, _close, client, pid).atexit = False
        return self._sync_clients[pid]

    async def _async_client(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            for other in list(self._async_clients):
                if other.is_closed():
                    self._async_clients.pop(other, None)
            client = self._new_client(_openai().AsyncOpenAI)
            self._async_clients[loop] = client, (keeper := _kept_open(client))
            await anext(keeper)
        return self._async_clients[loop][0]

    def _new_client(self, kind: Any) -> Any:
        try:
            timeout = _openai().Timeout(self._timeout, connect=min(self._timeout, LONGEST_CONNECT))
            client = kind(max_retries=0, **{"timeout": timeout, **self._client_fields})
        except _openai().OpenAIError:
            raise ModelError(
                f"{self.id} has no API key: set OPENAI_API_KEY or give api_key= (any text for a server that asks for none)"
            ) from None
        if client.base_url.scheme not in ("http", "https") or not client.base_url.host:
            raise ModelError(
                f"{self.id} has a base_url= (or OPENAI_BASE_URL) that is no address: begin it with http:// or https://"
            )
        return client


def _is_of_openai(base_url: str) -> bool:
    """Whether OpenAI's own models answer there, at OpenAI's or at Azure's."""
    host = urlsplit(base_url).hostname or ""
    return f".{host}".endswith(_HOSTS_OF_OPENAI)


def classify(error: Exception, *, timeout: float | None) -> ModelError | None:
    """What an exception of the openai client means; None for a mistake in the program, which is no failure of the model."""
    openai = _openai()
    if isinstance(error, ModelError):
        return error
    if isinstance(error, openai.APITimeoutError):
        if timeout is None:
            return Transient("no answer within the timeout of client_options=")
        connecting = any(kind.__name__ == "ConnectTimeout" for kind in type(error.__cause__).__mro__)
        if connecting:
            return Transient(f"no connection within {min(timeout, LONGEST_CONNECT):g} seconds")
        return Transient(f"no answer within {timeout:g} seconds: a longer answer needs a longer timeout=")
    if isinstance(error, openai.APIStatusError):
        return _refusal(error.status_code, error, error.response.headers)
    if isinstance(error, openai.APIConnectionError):
        return Transient(f"connection failed: {error.__cause__ or error}")
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return Transient("the answer cannot be read: it is not the JSON of a chat completion")
    if isinstance(error, UnicodeEncodeError):
        return ModelError("the request holds text that cannot be sent: check api_key=, extra= and client_options=")
    if isinstance(error, openai.APIError):  # an error told inside a stream, some of them with the status they stand for
        code = str(error.code)
        status = int(code) if code.isdigit() else 400 if error.type == "invalid_request_error" else 500
        return _refusal(status, error, {})
    if isinstance(error, openai.OpenAIError):
        return ModelError(str(error))
    # Older clients let errors of the HTTP library through; by name, because which library that is depends on the client.
    if isinstance(error, OSError) or any(kind.__name__ == "RequestError" for kind in type(error).__mro__):
        return Transient(f"connection failed: {error}")
    return None


def _refusal(status: int, error: Any, headers: Mapping[str, str]) -> ModelError:
    body = error.body if isinstance(error.body, dict) else {}
    text = f"status {status}: {str(body.get('message') or error.message)[:500]}"
    lasting = status < 500 and status not in _TRANSIENT_STATUS
    if lasting or "insufficient_quota" in (body.get("code"), body.get("type")):
        return ModelError(f"{text} ({_REPAIRS.get(status, _REPAIRS[400])})")
    pause = retry_after(headers, now=time.time())
    if pause is not None and pause > LONGEST_WAIT:
        return ModelError(f"{text} (the server asks to wait {pause:.0f} seconds: run it again then)")
    return Transient(text, pause)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds until the time a server names in ``retry-after-ms`` or ``retry-after`` (RFC 9110: seconds or a date)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - now
            except ValueError:
                continue
        return max(0.0, seconds)
    return None


def asked_pause(error: BaseException | None, *, otherwise: float) -> float:
    """Seconds to wait after ``error``: never less than the server asked for, a bit more so that not all come back at once.

    A time that is past asks for nothing: the server's clock may be behind.
    """
    asked = error.retry_after if isinstance(error, Transient) else None
    return asked * (1 + random.random() / 4) if asked else otherwise


def _give_up(state: Any) -> None:
    error = state.outcome.exception()
    attempts = f"{state.attempt_number} attempt{'' if state.attempt_number == 1 else 's'}"
    raise ModelError(f"{error} (gave up after {attempts}: try later, or raise max_retries=)") from None


async def _each(response: Any) -> AsyncIterator[Any]:
    yield response


def _close(client: Any, pid: int) -> None:
    """Close a client in the process that it belongs to."""
    if os.getpid() == pid:
        client.close()


async def _kept_open(client: Any) -> AsyncGenerator[None, None]:
    """Closes ``client`` when its loop ends: asyncio.run and its like close the loop's unfinished async generators."""
    try:
        yield
    finally:
        await client.close()


def _openai() -> Any:
    try:
        import openai  # noqa: PLC0415
    except ImportError:
        raise ModelError("OpenAIChat needs the openai package: pip install openai") from None
    return openai


def _tenacity() -> Any:
    import tenacity  # noqa: PLC0415

    return tenacity
