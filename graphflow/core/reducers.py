"""Reducers: how several writes to one channel become one value, and the delta that says so.

A *delta* describes a change by itself, so that loading it never calls a reducer and reducers may change between deployments:

====================  =======================================================
``{"set": value}``       the channel now holds value
``{"unset": None}``      the channel holds nothing (a new run began)
``{"append": items}``    items were added at the end of a list
``{"merge": entries}``   entries were put into a dict; ``"drop": keys`` were taken out
``{"upsert": messages}`` messages replaced those of the same id, or were added; ``"remove": ids`` before that
``{"log": ranges}``      messages of these ``(first, last)`` rows of the session's log were upserted
====================  =======================================================

``unset`` may stand beside another op, which then starts from nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from graphflow.core.comparison import same
from graphflow.core.control import MISSING
from graphflow.core.options import refused
from graphflow.messages import Message, RemoveMessage, as_messages

Op = dict[str, Any]
Delta = dict[str, Op]
Reducer = Callable[[Any, Any], Any]


def append(old: list[Any], new: list[Any]) -> list[Any]:
    """Reducer for lists: the items of the update are added at the end."""
    return [*(old or ()), *new]


def merge(old: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
    """Reducer for dicts: the entries of the update are put in; later tasks win over earlier ones."""
    return {**(old or {}), **new}


def add_messages(old: list[Message], new: Any) -> list[Message]:
    """Reducer for messages: one with a known id replaces the old one, others are added, ``RemoveMessage`` removes.

    Takes a Message, a ``(role, text)`` pair, a dict, or a list of these. Removing an unknown id raises ValueError.
    """
    return upsert(old or [], as_messages(new))


def merge_keys(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Reducer of session_state: key-level changes; ``MISSING`` deletes a key. Two tasks may not write one key differently."""
    merged = {**(old or {}), **new}
    return {key: value for key, value in merged.items() if value is not MISSING}


class keyed:
    """Reducer of session_state that also says, for some keys, how writes of several tasks in one superstep are put together.

    ``session_state: Annotated[dict[str, Any], keyed(calls=operator.add, seen=append)]``. Each task has a copy of the dict and
    changes it as it likes; what counts is what it changed in the value that all of them began with. ``operator.add`` adds up
    what was added to a number, and puts one after another what was added at the end of a list, a tuple or a text; ``append``
    is that for lists; ``merge`` and ``operator.or_`` put in the entries that were added to a dict or a set, or changed; ``max``
    and ``min`` choose. A key without a reducer takes one write, or several of the same value. Raises ValueError for another
    reducer: one of two values does not tell what a task changed.
    """

    def __init__(self, /, **reducers: Reducer) -> None:
        for key, reducer in reducers.items():
            if reducer not in _JOINS:
                raise refused(f"the reducer of session_state[{key!r}]", reducer, JOINING)
        self.reducers: Final[Mapping[str, Reducer]] = reducers
        self.__qualname__ = merge_keys.__qualname__  # a stored run fits, whatever becomes of writes that come together

    def __call__(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        return merge_keys(old, new)

    def join(self, key: str, old: Any, values: Sequence[Any]) -> Any:
        """One value out of several that tasks made of ``old`` (MISSING: there was none). Raises ValueError or TypeError for
        values that cannot be put together.
        """
        return _JOINS[self.reducers[key]](old, values)


def _added(old: Any, values: Sequence[Any]) -> Any:
    joined = values[0]
    for value in values[1:]:
        if isinstance(value, list | tuple | str):
            joined = joined + _tail(old, value)
        else:
            joined = joined + (value if old is MISSING else value - old)
    return joined


def _appended(old: Any, values: Sequence[Any]) -> Any:
    return [*values[0], *(item for value in values[1:] for item in _tail(old, value))]


def _tail(old: Any, new: Any) -> Any:
    """What was added at the end."""
    if old is MISSING:
        return new
    if new[: len(old)] != old:
        raise ValueError("one of them changed more than it added at the end")
    return new[len(old) :]


def _merged(old: Any, values: Sequence[Any]) -> Any:
    joined = values[0]
    for value in values[1:]:
        if isinstance(value, dict):
            before = {} if old is MISSING else old
            value = {key: entry for key, entry in value.items() if key not in before or before[key] != entry}
        joined = joined | value
    return joined


_JOINS: Final[Mapping[Any, Callable[[Any, Sequence[Any]], Any]]] = {
    operator.add: _added,
    append: _appended,
    merge: _merged,
    operator.or_: _merged,
    max: lambda old, values: max(values),
    min: lambda old, values: min(values),
}
JOINING: Final = "operator.add, append, merge, operator.or_, max or min"
"""What a key of session_state may have as its reducer."""


def upsert(old: list[Message], changes: Iterable[Message | RemoveMessage]) -> list[Message]:
    """``old`` with each change applied in order. Messages without an id are added."""
    messages = list(old)
    places: dict[str, int] | None = None
    for change in changes:
        if places is None and change.id is not None:
            places = {message.id: at for at, message in enumerate(messages) if message.id is not None}
        at = None if change.id is None or places is None else places.get(change.id)
        if isinstance(change, RemoveMessage):
            if at is None:
                raise ValueError(f"there is no message {change.id!r} to remove")
            del messages[at]
            places = None
        elif at is None:
            if places is not None and change.id is not None:
                places[change.id] = len(messages)
            messages.append(change)
        else:
            messages[at] = change
    return messages


def message_delta(old: list[Message], new: list[Message]) -> Op:
    """The delta from one message list to the next: ids that went, messages that came or changed. From the first one on that
    stands elsewhere than the delta would put it, all go and come again.
    """
    before = {message.id: message for message in old}
    after = {message.id for message in new}
    removed = [id for id in before if id not in after]
    changed = [message for message in new if not same(before.get(message.id), message)]
    placed = [*(id for id in before if id in after), *(message.id for message in new if message.id not in before)]
    moved = next((at for at, message in enumerate(new) if at >= len(placed) or message.id != placed[at]), len(new))
    if moved < len(new):
        again = new[moved:]
        removed += [message.id for message in again if message.id in before]
        changed = [*(message for message in new[:moved] if not same(before.get(message.id), message)), *again]
    op: Op = {"upsert": changed}
    if removed:
        op["remove"] = removed
    return op


def apply_op(old: Any, op: Mapping[str, Any]) -> Any:
    """The value after one delta; MISSING stands for "holds nothing". Owns ``old``: lists and dicts are changed in place."""
    if "set" in op:
        return op["set"]
    if "unset" in op:
        if len(op) == 1:
            return MISSING
        old = MISSING
    if "append" in op:
        value = [] if old is MISSING else old
        value.extend(op["append"])
        return value
    if "merge" in op:
        value = {} if old is MISSING else old
        value.update(op["merge"])
        for key in op.get("drop", ()):
            value.pop(key, None)
        return value
    kept = [] if old is MISSING else old
    gone = set(op.get("remove", ()))
    if gone:
        kept = [message for message in kept if message.id not in gone]
    return upsert(kept, op["upsert"])
