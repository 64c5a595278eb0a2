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

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphflow.core.control import MISSING
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
    """The delta from one message list to the next: ids that went, messages that came or changed."""
    before = {message.id: message for message in old}
    after = {message.id for message in new}
    op: Op = {"upsert": [message for message in new if before.get(message.id) is not message]}
    removed = [id for id in before if id not in after]
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
