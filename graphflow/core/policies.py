"""What a node may be told about failing, waiting and repeating itself: retry, timeout, error handler, cache.

A node with policies is lowered to a flow node around the user's function, so that each policy exists once for both drivers and
a node without policies costs nothing more. From the outside in: cache, error handler, retries, timeout, function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import BaseModel

from graphflow.core import options
from graphflow.core.attempts import Attempt, fenced
from graphflow.core.control import MISSING, Context, Suspended
from graphflow.core.effects import Call, Emit, Flow, RunAttempt, Sleep, Spent
from graphflow.core.excerpts import error_text
from graphflow.core.hints import one
from graphflow.core.plan import AS_A_HANDLER, Function, lower_function
from graphflow.core.tasks import Outcome, Task
from graphflow.errors import GraphError, ModelError, NodeTimeout, SessionError

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]

_LASTING = (
    *(FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError),
    ValueError,  # many a library's "wrong URL" is an OSError, too
)
_PASSING_STATUS = frozenset({408, 425, 429})
_PASSING_NAMES = frozenset(
    {
        *("httpx.TimeoutException", "httpx.NetworkError", "httpx.RemoteProtocolError", "httpx.ProxyError"),
        *("openai.APIConnectionError", "httpcore.TimeoutException", "httpcore.NetworkError"),
        *("requests.ConnectionError", "requests.Timeout", "aiohttp.ClientConnectionError"),
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed a moment later: a lost connection, a timeout (also the node's own), an error
    of the operating system that is not about a missing or forbidden file, an HTTP answer 408, 425, 429 or 5xx.

    Errors of httpx, openai, requests and aiohttp are known by name and status, so that none of them is loaded for it. A
    ModelError counts as what caused it. Programming errors (TypeError, KeyError, ValueError …) never count.
    """
    if isinstance(error, ModelError) and error.__cause__ is not None:
        return is_transient(error.__cause__)
    status = _status(error)
    if status is not None:
        return status in _PASSING_STATUS or status >= 500
    if isinstance(error, _LASTING):
        return False
    if isinstance(error, OSError | NodeTimeout | EOFError):
        return True
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}" for cls in type(error).__mro__}
    return not names.isdisjoint(_PASSING_NAMES)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells, where its library keeps it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if type(status) is int and 400 <= status <= 599:
                return status
    return None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a node that raised runs again. ``add_node(…, retry=RetryPolicy())``, or a list of which the first that fits the
    error decides.

    The wait before attempt n + 1 is ``initial * factor ** (n - 1)`` seconds, at most ``max_interval``; with ``jitter`` a random
    time up to that, so that many who failed together do not come back together. Attempts are counted over all policies of
    the node. What a failed attempt wrote is dropped; what it did to the world is not, so hand ``ctx.task_key`` to it, or
    make it a ``ctx.step``. A crash during the wait begins again at attempt 1. A SessionError (the session was lost to another
    run, the database failed) ends the node at once: no policy is asked, and no error handler is told.
    """

    max_attempts: int = 3
    """Executions in all, the first included."""
    initial: float = 0.5
    """Seconds before the second attempt."""
    factor: float = 2.0
    max_interval: float = 60.0
    """Seconds that no wait exceeds."""
    jitter: bool = True
    retry_on: RetryOn = is_transient
    """An exception class, a tuple of them, or a function of the error. The default takes only what may pass by itself."""

    def __post_init__(self) -> None:
        options.whole("max_attempts", self.max_attempts, 1)
        for name in ("initial", "factor", "max_interval"):
            options.number(name, getattr(self, name))
        options.flag("jitter", self.jitter)
        classes = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        for item in classes:
            if not (isinstance(item, type) and issubclass(item, Exception)) and (
                isinstance(item, type) or isinstance(self.retry_on, tuple) or not callable(item)
            ):
                repair = "an exception class, a tuple of them, or a function of the error"
                raise options.refused("retry_on", self.retry_on, repair)
        if callable(self.retry_on):
            options.plain_function("retry_on", self.retry_on, "a function of the error")

    def fits(self, error: Exception) -> bool:
        """Whether this policy is about such an error."""
        if isinstance(self.retry_on, type | tuple):
            return isinstance(error, self.retry_on)
        return bool(self.retry_on(error))

    def wait(self, attempt: int) -> float:
        """Seconds to wait after attempt number ``attempt`` failed."""
        import tenacity  # noqa: PLC0415  # 20 ms that only a failing node needs

        state = tenacity.RetryCallState(None, None, (), {})  # type: ignore[arg-type]
        state.attempt_number = attempt
        kind = tenacity.wait_random_exponential if self.jitter else tenacity.wait_exponential
        return float(kind(multiplier=self.initial, exp_base=self.factor, max=self.max_interval)(state))


def next_attempt(policies: Sequence[RetryPolicy], error: Exception, number: int) -> RetryPolicy | None:
    """The first policy that fits an error, if it allows another attempt after this one, which is the ``number``-th."""
    policy = next((policy for policy in policies if policy.fits(error)), None)
    return policy if policy is not None and number < policy.max_attempts else None


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """When a node's result is used again instead of running it: ``add_node(…, cache=CachePolicy(key=lambda s: s["topic"]))``.

    ``key`` makes of the node's input what decides (default: all of the input; lists, dicts, models and dataclasses may be
    in it). What a node reads beside its input (``ctx.user_id``, ``ctx.context``) decides nothing: one that reads such would
    give one user the result of another. ``ttl`` is how many seconds a result is good (default: until ``graph.clear_cache()``).
    Results live in this process, with the graph: a restart forgets them. The ``max_size`` that were used last are kept for each
    node. What is given back is a copy. A node that is running is not waited for: two tasks with one key at the same time both
    run.
    An error and an unanswered question are not kept; a run that pauses finds what was kept before.
    """

    key: Callable[[Any], Any] | None = None
    ttl: float | None = None
    max_size: int = 1000

    def __post_init__(self) -> None:
        options.plain_function("key", self.key, "a function of the node's input", none="all of it")
        options.seconds("ttl", self.ttl, none="no end")
        options.whole("max_size", self.max_size, 1)


@dataclass(frozen=True, slots=True)
class NodeError:
    """What an error handler is told: ``exception`` was raised in ``node`` at its last ``attempt``."""

    node: str
    exception: Exception
    attempt: int


class Results(Protocol):
    """Where a node's results are kept; safe to use from any thread."""

    def get(self, key: Hashable) -> Any:
        """A copy of the result, or MISSING."""

    def put(self, key: Hashable, result: Any) -> None:
        """Keep a copy of a result."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What one node was told, checked."""

    retry: tuple[RetryPolicy, ...] = ()
    timeout: float | None = None
    cache: CachePolicy | None = None
    on_error: Function | None = None


def policies(
    node: str,
    retry: RetryPolicy | Sequence[RetryPolicy] | None,
    timeout: float | None,
    cache: CachePolicy | None,
    on_error: Callable[..., Any] | None,
) -> Policies:
    """The policies of a node. Raises ValueError naming it."""
    of = f"node {node!r}"
    listed = () if retry is None else (retry,) if isinstance(retry, RetryPolicy) else retry
    if not isinstance(listed, Sequence) or not all(isinstance(policy, RetryPolicy) for policy in listed):
        raise options.refused("retry", retry, "a RetryPolicy, or a list of them", of=of)
    options.seconds("timeout", timeout, none="no end", of=of)
    if cache is not None and not isinstance(cache, CachePolicy):
        raise options.refused("cache", cache, "a CachePolicy", of=of)
    options.function("on_error", on_error, "a function (state, error)", none="none", of=of)
    handler = None if on_error is None else lower_function(on_error, f"on_error of node {node!r}", AS_A_HANDLER)
    if handler is not None and handler.kind == "flow":
        raise GraphError(f"on_error of node {node!r} is a flow; give a function (state, error), def or async def")
    return Policies(tuple(listed), timeout, cache, handler)


def guarded(function: Function, policies: Policies, results: Results | None) -> Function:
    """The node's function with its policies around it, as a flow."""
    own = function
    if function.kind == "flow" and policies.timeout is not None:
        function = Function(_Fenced(function), "flow", True)
    return Function(_Guarded(function, policies, results), "flow", True, awaits=function.awaits, inner=own)


@dataclass(frozen=True, slots=True, eq=False)
class _Fenced:
    """A flow whose next effects are refused once its attempt was given up: its thread may still be driving it."""

    function: Function

    def __call__(self, state: Any, ctx: Context) -> Flow[Any]:
        return fenced(self.function.call(state, ctx) if self.function.wants_context else self.function.call(state), ctx.task)


@dataclass(frozen=True, slots=True, eq=False)
class _Guarded:
    function: Function
    policies: Policies
    results: Results | None

    def __call__(self, state: Any, ctx: Context) -> Flow[Any]:
        task = ctx.task
        if self.results is None:
            return (yield from self._handled(task))
        assert self.policies.cache is not None
        key = _key(self.policies.cache, state, task.node.name)
        found = self.results.get(key)
        if found is not MISSING:
            value, changes = found
            task.change_session(changes)
            return value
        try:
            value = yield from self._tried(task)
        except Exception as error:
            return (yield from self._handle(task, error))
        self.results.put(key, (value, task.session_changes()))
        return value

    def _handled(self, task: Task) -> Flow[Any]:
        try:
            return (yield from self._tried(task))
        except Exception as error:
            return (yield from self._handle(task, error))

    def _handle(self, task: Task, error: Exception) -> Flow[Any]:
        handler = self.policies.on_error
        if handler is None or isinstance(error, SessionError):
            raise error
        told = NodeError(task.node.name, error, task.attempt)
        try:
            return (yield Call(handler.call, (task.input, told), {}, handler.kind == "async"))
        except Exception as second:
            second.add_note(f"raised by on_error of node {task.node.name!r}, which was told of {error_text(error)}")
            raise

    def _tried(self, task: Task) -> Flow[Any]:
        """What the first attempt returns that raises nothing, or what the last one raises."""
        node = replace(task.node, function=self.function)
        number = 0
        while True:
            number += 1
            task.attempt = number
            attempt = Attempt(task, node, number, self.policies.timeout)
            outcome, failure = yield from _executed(attempt)
            task.asked = attempt.asked
            if outcome is not None and failure is None:
                if outcome.interrupts or outcome.nested:
                    raise Suspended(*outcome.interrupts, nested=outcome.nested)
                task.session, task.runs, task.noted = attempt.session, attempt.runs, attempt.noted
                task.input = attempt.input  # its own copy of the state, which it may have changed and given back
                return outcome.value
            attempt.closed = True
            if isinstance(failure, SessionError):  # such as that the session is no longer ours: not for the node to mend
                raise failure
            policy = next_attempt(self.policies.retry, failure, number)
            if policy is None:
                failure.add_note(f"attempt {number} of node {node.name!r} was the last")
                raise failure
            seconds = policy.wait(number)
            told = {"attempt": number, "reason": error_text(failure), "seconds": seconds}
            yield Emit("attempt_restarted", node.name, told, task.run.ns)
            yield Sleep(seconds)


def _executed(attempt: Attempt) -> Flow[tuple[Outcome | None, Any]]:
    """How an attempt ended, and its error if it failed. The tokens it used count either way."""
    try:
        outcome: Outcome = yield RunAttempt(attempt)
    except Exception as error:
        return None, error
    if outcome.usage is not None:
        yield Spent(outcome.usage.input_tokens, outcome.usage.output_tokens)
    return outcome, outcome.error


# --- keys of the cache -----------------------------------------------------------------------------------------------------


def _key(cache: CachePolicy, state: Any, node: str) -> Hashable:
    """What a node's input is looked up by. Raises TypeError for a key that is equal to nothing but itself."""
    if cache.key is None:
        return _frozen(state, node)
    key = cache.key(state)
    kind: Any = type(key)
    if kind.__eq__ is object.__eq__ and not isinstance(key, type):
        raise _no_key(key, node)
    return _frozen(key, node)


def _frozen(value: Any, node: str) -> Hashable:
    """The value as something that can be looked up: equal only for what is equal in value and type."""
    kind = type(value)
    if isinstance(value, Mapping):
        return kind, frozenset((_frozen(key, node), _frozen(item, node)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return kind, tuple(_frozen(item, node) for item in value)
    if isinstance(value, set | frozenset):
        return kind, frozenset(_frozen(item, node) for item in value)
    if isinstance(value, BaseModel):
        return kind, _frozen(dict(value), node)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return kind, tuple(_frozen(getattr(value, part.name), node) for part in dataclasses.fields(value))
    try:
        hash(value)
    except TypeError:
        raise _no_key(value, node) from None
    return kind, value


def _no_key(value: Any, node: str) -> TypeError:
    return TypeError(
        f"the cache of node {node!r} cannot look up {one(type(value).__qualname__)}; give CachePolicy(key=…) that makes "
        "of the input what decides, such as a text or a number"
    )
