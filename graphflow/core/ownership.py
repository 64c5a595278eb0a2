"""Whose values are: only what a node returns counts, so a node that changes in place what it was given makes a mistake.

A watched task is given copies. Whatever differs from them afterwards was changed by that node and by no other, and the state
is as it was.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy, deepcopy
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel

from graphflow.core.control import Parted, current_task
from graphflow.core.effects import Flow
from graphflow.core.excerpts import excerpt
from graphflow.core.plan import Function
from graphflow.core.state import StateSchema
from graphflow.core.tasks import Task
from graphflow.errors import ChangedInPlace


class Everywhere:
    """Whether all runs of this process are watched; each run looks when it begins."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = 0
        """How many want it so."""


everywhere = Everywhere()


def watched(task: Task, schema: StateSchema) -> Task:
    """The task, whose node is now looked at. What the state never stores (``untracked``) is the node's to use as it likes."""
    task.node = replace(task.node, function=_watching(task.node.function, schema))
    return task


def _watching(function: Function, schema: StateSchema) -> Function:
    call = function.call

    def plain(state: Any, *ctx: Any) -> Any:
        with _Watch(schema) as given:
            return call(given, *ctx)

    async def awaited(state: Any, *ctx: Any) -> Any:
        with _Watch(schema) as given:
            return await call(given, *ctx)

    def flowing(state: Any, *ctx: Any) -> Flow[Any]:
        with _Watch(schema) as given:
            return (yield from call(given, *ctx))

    kinds: dict[str, Callable[..., Any]] = {"sync": plain, "async": awaited, "flow": flowing}
    return replace(function, call=kinds[function.kind], inner=function.own)


class _Watch:
    """One execution of a task: gives it copies, and compares them with what they were made of when it is over.

    What the node raises comes out as itself, with a note; instead of its result or its question there is ChangedInPlace.
    """

    def __init__(self, schema: StateSchema) -> None:
        task = current_task.get()
        assert task is not None
        self.task = task
        self.schema = schema
        self.pairs: list[tuple[str, Any, Any]] = []
        """The field (empty: there is none), the original and the copy of each value."""

    def __enter__(self) -> Any:
        task, own = self.task, self.task.node.schema
        memo: dict[int, Any] = {}
        if task.sent:
            task.input = self._copied("", task.input, memo)
            return task.input
        # The top level is the node's own. What it gives back is compared with the input, which has to keep its own, too.
        if own.form == "dict":
            task.input = {name: self._copied(name, value, memo) for name, value in task.input.items()}
        else:
            given, task.input = task.input, copy(task.input)
            for name in own.channels:
                if hasattr(given, name):
                    object.__setattr__(task.input, name, self._copied(name, getattr(given, name), memo))
        return copy(task.input)

    def _copied(self, field: str, value: Any, memo: dict[int, Any]) -> Any:
        channel = self.schema.channels.get(field)
        if channel is not None and not channel.stored:
            return value
        try:
            made = _duplicate(value, memo)
        except RuntimeError:  # deeper than Python goes, or somebody who was given up is changing it
            return value
        self.pairs.append((field, value, made))
        return made

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, Exception | Parted):
            return  # it was stopped: what it has done by then is not to be told
        for field, was, now in self.pairs:
            found = difference(was, now, f"state.{field}" if field else "Send.arg")
            if found is not None:
                wrong = self._changed(field, *found)
                if isinstance(error, Exception):
                    error.add_note(str(wrong))
                    return
                raise wrong from None

    def _changed(self, field: str, path: str, was: Any, now: Any) -> ChangedInPlace:
        name = self.task.node.name
        repair = f"return that, as {{{field!r}: …}}" if field else "return what comes of it"
        return ChangedInPlace(
            f"node {name!r} changed {path} in place: it was {_shown(was)} and is {_shown(now)} now. Only what a node returns "
            f"counts, and others may be using what it was given: change a copy (copy.deepcopy) and {repair}",
            node=name,
            path=path,
        )


_NOTHING: Final = object()


def _shown(value: Any) -> str:
    return "not there" if value is _NOTHING else excerpt(value, 60)


# --- copying -----------------------------------------------------------------------------------------------------------------

_CONSTANT: Final = frozenset({int, float, complex, bool, str, bytes, type(None), type(...), type})


def _duplicate(value: Any, memo: dict[int, Any]) -> Any:
    """A copy. What has none that is equal to it (a client, a lock) is itself, and is not looked at."""
    kind = type(value)
    if kind in _CONSTANT:
        return value
    if id(value) in memo:
        return memo[id(value)]
    made: Any
    if kind is list:
        made = memo[id(value)] = []
        made.extend(_duplicate(item, memo) for item in value)
    elif kind is dict:
        made = memo[id(value)] = {}
        made.update((key, _duplicate(item, memo)) for key, item in value.items())
    elif kind is tuple:
        made = memo[id(value)] = tuple(_duplicate(item, memo) for item in value)
    else:
        try:
            made = deepcopy(value)
            made = value if difference(value, made, "") else made
        except Exception:
            made = value
        memo[id(value)] = made
    return made


# --- comparing ---------------------------------------------------------------------------------------------------------------

Found = tuple[str, Any, Any]
"""A path, what was there, and what is there now."""


def difference(was: Any, now: Any, path: str) -> Found | None:
    """The first place where a value is no longer what it was; None as well where that cannot be told."""
    try:
        return _difference(was, now, path, set())
    except RuntimeError:  # deeper than Python goes, or somebody who was given up is changing it
        return None


def _difference(was: Any, now: Any, path: str, seen: set[tuple[int, int]]) -> Found | None:
    if was is now or (id(was), id(now)) in seen:
        return None
    here = path, was, now
    if type(was) is not type(now):
        return here
    if type(was) in _CONSTANT:
        return here if was != now else None
    seen.add((id(was), id(now)))
    if isinstance(was, list | tuple | deque) and len(was) != len(now):
        return here
    if isinstance(was, dict | list | tuple | deque | BaseModel) or dataclasses.is_dataclass(was):
        return _first(_parts(was), _parts(now), path, seen)
    if _are_equal(was, now):
        return None
    if isinstance(was, set | frozenset):
        return here
    try:
        (inside, attributes), (inside_now, attributes_now) = _taken_apart(was), _taken_apart(now)
    except Exception:  # it has no parts that could be compared
        return None
    if _difference(inside, inside_now, "", seen):
        return here
    return _first(attributes, attributes_now, path, seen)


def _are_equal(was: Any, now: Any) -> bool:
    """Whether its class says so; arrays, which compare item by item, do not say."""
    try:
        return bool(was == now)
    except Exception:
        return False


def _first(was: Parts, now: Parts, path: str, seen: set[tuple[int, int]]) -> Found | None:
    left = dict(now)
    for label, value in was:
        found = _difference(value, left.pop(label, _NOTHING), path + label, seen)
        if found is not None:
            return found
    return next(((path + label, _NOTHING, value) for label, value in left.items()), None)


Parts = Iterable[tuple[str, Any]]
"""Of what a value consists of: how it is reached, and what it is."""


def _parts(value: Any) -> Parts:
    if isinstance(value, dict):
        return ((f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]", at) for key, at in value.items())
    if isinstance(value, list | tuple | deque):
        return ((f"[{n}]", item) for n, item in enumerate(value))
    if isinstance(value, BaseModel):
        return _attributes(value, value.__dict__, value.__pydantic_extra__, value.__pydantic_private__)
    named = [part.name for part in dataclasses.fields(value)]
    return ((f".{name}", getattr(value, name)) for name in named if hasattr(value, name))


def _taken_apart(value: Any) -> tuple[Any, Parts]:
    """What a copy of an object is made of, as ``copy`` and ``pickle`` are told, apart from its attributes, and these."""
    _, arguments, state, items, pairs = (*value.__reduce_ex__(4), None, None, None)[:5]
    states = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    inside = (arguments, [part for part in states if not isinstance(part, dict)], list(items or ()), list(pairs or ()))
    return inside, _attributes(value, *(part for part in states if isinstance(part, dict)))


def _attributes(value: Any, *parts: dict[str, Any] | None) -> Parts:
    """Without those that are computed of the others when they are first read."""
    kind = type(value)
    for part in parts:
        for name, item in (part or {}).items():
            if not isinstance(getattr(kind, str(name), None), cached_property):
                yield f".{name}", item
