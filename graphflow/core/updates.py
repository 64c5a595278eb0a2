"""Updates: what nodes write, checked against the channels and merged into the state."""

from __future__ import annotations

import difflib
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, get_args
from uuid import UUID

from pydantic import ValidationError

from graphflow.core.comparison import same
from graphflow.core.control import MISSING, START, Overwrite
from graphflow.core.hints import one
from graphflow.core.reducers import Delta, Op, keyed, merge_keys, message_delta, upsert
from graphflow.core.state import Channel, Kind, StateSchema, Values
from graphflow.errors import InvalidUpdate
from graphflow.messages import Message, RemoveMessage

Write = tuple[str, Any]
"""Before merging (channel, value) of one node; while merging a channel (node, value)."""


def unknown_field(schema: StateSchema, key: Any, node: str, where: str) -> InvalidUpdate:
    """The error for a key that is no channel, with the nearest name."""
    near = difflib.get_close_matches(str(key), schema.channels, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(schema.channels)}"
    if not near and "session_state" in schema.channels:
        hint = f"{hint}; what has none of its own may be kept in session_state"
    return InvalidUpdate(f"{where} wrote {key!r}, which is not a field of {schema.cls.__name__}; {hint}", nodes=(node,))


def _who(node: str) -> str:
    return "the input" if node == START else f"node {node!r}"


def checked(schema: StateSchema, update: Mapping[str, Any], node: str) -> list[Write]:
    """The update's entries with validated values as (channel, value). Raises InvalidUpdate naming field and node."""
    channels = schema.channels
    writes: list[Write] = []
    for key, value in update.items():
        channel = channels.get(key)
        if channel is None:
            raise unknown_field(schema, key, node, _who(node))
        validate = channel.validate_update
        try:
            if isinstance(value, Overwrite):
                value = _overwriting(channel, value)
            elif validate is not None:
                value = validate(value)
        except (ValidationError, ValueError, TypeError) as error:
            raise wrong_type(channel, node, value, error) from error
        writes.append((key, value))
    return writes


def _overwriting(channel: Channel, value: Overwrite) -> Any:
    """The write of an Overwrite, checked; to a field without a reducer it is one like any other."""
    new = value.value if channel.validate_value is None else channel.validate_value(value.value)
    return new if channel.kind == "plain" else Overwrite(new)


def wrong_type(channel: Channel, node: str, value: Any, error: Exception) -> InvalidUpdate:
    """The error for a value that a channel does not take."""
    return _refused(channel, node, f"{_who(node)} wrote {_shown(value)} to", error)


def _wrong_result(channel: Channel, node: str, value: Any, error: Exception) -> InvalidUpdate:
    """The error for what a channel's reducer made of what a node wrote, when the channel does not take that."""
    name = getattr(channel.reducer, "__name__", type(channel.reducer).__name__)
    return _refused(channel, node, f"with what {_who(node)} wrote, the reducer {name!r} gave {_shown(value)} for", error)


def _refused(channel: Channel, node: str, what: str, error: Exception) -> InvalidUpdate:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        path = "".join(f"[{part!r}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        detail = f"{first['msg']} at state.{channel.name}{path}, got {type(first['input']).__name__}"
    else:
        detail = str(error)
    declared = getattr(channel.type, "__name__", None) if not get_args(channel.type) else None
    return InvalidUpdate(
        f"{what} {channel.name!r}, declared as {declared or channel.type}: {detail}",
        field=channel.name,
        nodes=(node,),
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def update_of(
    schema: StateSchema, value: Any, view: Any, node: str, place: str = "", *, in_place: bool = False
) -> Mapping[str, Any]:
    """The mapping a node's return value stands for: a dict, None, or an instance of the state (its changed fields).

    ``place`` says where it was in what the node returned, if it was not all of it. ``in_place``: it is the very object that the
    node was given, so what is in its fields was left there, or put there. A new object says nothing by a field that holds its
    default.
    """
    if value is None:
        return {}
    if type(value) is dict or isinstance(value, Mapping):
        return value
    if schema.form != "dict" and isinstance(value, schema.cls):
        return _changed_fields(schema, value, view, in_place)
    if node == START:
        raise InvalidUpdate(
            f"the input is {type(value).__name__}: give a dict of fields of {schema.cls.__name__}; "
            "to go on with an unfinished run call resume()"
        )
    raise InvalidUpdate(
        f"node {node!r} returned {type(value).__name__}{place}; a node returns a dict of the fields it changes, "
        f"a Command, {'' if schema.form == 'dict' else one(schema.cls.__name__) + ', '}None, or a list of these",
        nodes=(node,),
    )


def _changed_fields(schema: StateSchema, value: Any, view: Any, in_place: bool) -> Values:
    changed: Values = {}
    declared = value.model_fields_set if schema.form == "model" else schema.channels
    for name, channel in schema.channels.items():
        if name not in declared:
            continue
        now = getattr(value, name)
        before = getattr(view, name, MISSING) if isinstance(view, schema.cls) else MISSING
        if now is before or (in_place and same(before, now)):
            continue
        if schema.form == "dataclass" and not in_place and channel.default is not None and now == channel.default():
            continue
        changed[name] = now
    return changed


def told_update(schema: StateSchema, writes: list[Write]) -> Values:
    """The writes of a task as one update, for whoever hears of it: several to one field are put together, where its reducer
    takes what that gives as well.
    """
    update = dict(writes)
    if len(update) < len(writes):
        for name in update:
            values = [value for key, value in writes if key == name]
            channel = schema.channels[name]
            kind = channel.kind
            if len(values) == 1 or any(isinstance(value, Overwrite) for value in values):
                continue
            if kind in ("append", "messages"):
                update[name] = [item for value in values for item in value]
            elif kind in ("merge", "keys"):
                update[name] = {key: item for value in values for key, item in value.items()}
            elif channel.reducer is operator.add or channel.reducer is operator.or_:
                update[name] = functools.reduce(channel.reducer, values)
    return update


# --- merging the writes of a superstep -----------------------------------------------------------------------------------


def reduce_writes(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    """The channel's new value and its delta, from the writes of one superstep in task-path order.

    ``writes`` are (node, validated value); ``old`` is MISSING when the channel holds nothing.
    Returns (new, None) when nothing changed that has to be stored.
    """
    if len(writes) > 1:
        overwriting = [node for node, value in writes if isinstance(value, Overwrite)]
        if channel.kind == "plain" or overwriting:
            raise _conflict(channel, writes, bool(overwriting))
    value = writes[0][1]
    if isinstance(value, Overwrite):
        if channel.kind == "messages" and any(isinstance(message, RemoveMessage) for message in value.value):
            raise InvalidUpdate(
                f"{channel.name!r} was overwritten with a RemoveMessage; leave the message out", field=channel.name
            )
        new = upsert([], value.value) if channel.kind == "messages" else value.value
        return new, {"set": new}
    return _REDUCE[channel.kind](channel, old, writes)


def _conflict(channel: Channel, writes: list[Write], overwriting: bool) -> InvalidUpdate:
    nodes = tuple(node for node, _ in writes)
    who = f"nodes {', '.join(map(repr, nodes))} wrote {channel.name!r} in one superstep"
    if overwriting:
        return InvalidUpdate(
            f"{who}, one of them with Overwrite: an Overwrite has to be the only write", field=channel.name, nodes=nodes
        )
    return InvalidUpdate(
        f"{who}, but the field takes one write; give it a reducer, e.g. Annotated[list[...], append], or write it in one node",
        field=channel.name,
        nodes=nodes,
    )


def written(schema: StateSchema, writes: Iterable[Write]) -> Delta:
    """The delta of writes to channels that hold what was written last."""
    return {name: {"set": value} for name, value in writes if name not in schema.untracked}


def _reduce_plain(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    value = writes[0][1]
    return value, {"set": value}


def _items(writes: list[Write]) -> list[Any]:
    """What is in the lists that were written, one after the other."""
    return writes[0][1] if len(writes) == 1 else [item for _, value in writes for item in value]


def _reduce_append(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    items = _items(writes)
    if type(items) is not list:
        items = list(items)
    if not items:
        return ([] if old is MISSING else old), None
    return (items if old is MISSING or not old else [*old, *items]), {"append": items}


def _reduce_merge(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    entries = writes[0][1] if len(writes) == 1 else {key: entry for _, value in writes for key, entry in value.items()}
    base = {} if old is MISSING else old
    return {**base, **entries}, ({"merge": entries} if entries else None)


def _reduce_keys(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    base = {} if old is MISSING else old
    entries = writes[0][1] if len(writes) == 1 else _joined_keys(channel, base, writes)
    op: Op = {"merge": {key: value for key, value in entries.items() if value is not MISSING}}
    drop = [key for key, value in entries.items() if value is MISSING and key in base]
    if drop:
        op["drop"] = drop
    return merge_keys(base, entries), (op if op["merge"] or drop else None)


def _joined_keys(channel: Channel, base: Mapping[str, Any], writes: list[Write]) -> dict[str, Any]:
    """The entries that several tasks wrote, of which a key may have several, as one of each."""
    written: dict[str, list[Write]] = {}
    for node, value in writes:
        for key, entry in value.items():
            written.setdefault(key, []).append((node, entry))
    return {key: _joined(channel, key, base.get(key, MISSING), of_key) for key, of_key in written.items()}


def _joined(channel: Channel, key: str, old: Any, writes: list[Write]) -> Any:
    values = [value for _, value in writes]
    reducer = channel.reducer
    if len(values) > 1 and isinstance(reducer, keyed) and key in reducer.reducers and MISSING not in values:
        try:
            return reducer.join(key, old, values)
        except (ValueError, TypeError) as error:
            raise _keys_conflict(channel, key, writes, f"its reducer cannot put them together: {error}") from None
    if any(value != values[0] for value in values):
        of = f"session_state_reducers={{{key!r}: …}} of an Agent, Team or Workflow, keyed({key}=…) in a state of one's own"
        repair = f"write it in one task, give each a key of its own, or give the key a reducer ({of})"
        raise _keys_conflict(channel, key, writes, repair)
    return values[0]


def _keys_conflict(channel: Channel, key: str, writes: list[Write], repair: str) -> InvalidUpdate:
    nodes = tuple(node for node, _ in writes)
    who = f"{len(nodes)} tasks of node {nodes[0]!r}" if len(set(nodes)) == 1 else f"nodes {' and '.join(map(repr, nodes))}"
    values = ", ".join("(deleted)" if value is MISSING else _shown(value) for _, value in writes)
    return InvalidUpdate(
        f"{who} wrote different values to {channel.name}[{key!r}] in one superstep: {values}; {repair}",
        field=channel.name,
        nodes=nodes,
    )


def _reduce_messages(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    base: list[Message] = [] if old is MISSING else old
    changes: list[Message | RemoveMessage] = _items(writes)
    for change in changes:
        if change.id is not None:
            break
    else:  # what most nodes write: messages that come after the others
        return [*base, *changes], ({"append": changes} if changes else None)
    try:
        new = upsert(base, changes)
    except ValueError as error:
        nodes = tuple(node for node, _ in writes)
        raise InvalidUpdate(
            f"{', '.join(map(repr, nodes))} wrote {channel.name!r}: {error}", field=channel.name, nodes=nodes
        ) from None
    op = message_delta(base, new)
    return new, (op if op["upsert"] or "remove" in op else None)


_CONSTANT = (int, float, complex, str, bytes, bool, frozenset, type(None))


def _reduce_fold(channel: Channel, old: Any, writes: list[Write]) -> tuple[Any, Op | None]:
    assert channel.reducer is not None
    new = old
    for node, value in writes:
        first = new is MISSING
        new = value if first else channel.reducer(new, value)
        if channel.checks_result and channel.validate_value is not None:
            try:
                new = channel.validate_value(new)
            except ValueError as error:
                raise (wrong_type if first else _wrong_result)(channel, node, new, error) from error
    # A reducer that changes the old value in place gives it back: only of values that cannot change is "the same" sure.
    unchanged = new is old and isinstance(new, _CONSTANT)
    return new, (None if unchanged else {"set": new})


_REDUCE: dict[Kind, Callable[[Channel, Any, list[Write]], tuple[Any, Op | None]]] = {
    "plain": _reduce_plain,
    "append": _reduce_append,
    "merge": _reduce_merge,
    "keys": _reduce_keys,
    "messages": _reduce_messages,
    "fold": _reduce_fold,
}


def hold_defaults(schema: StateSchema, values: Values, delta: Delta, *, begins: bool) -> None:
    """Have the first delta of a session (``begins``), or of a later run, hold the defaults that may be others when they are
    made again as it is loaded.
    """
    for name in schema.varying:
        if (begins or name in schema.fresh) and type(values.get(name)) in _HELD and "set" not in delta.get(name, ()):
            delta[name] = {"set": values[name]}


_HELD: Final = (str, int, float, bytes, UUID, Decimal, date, datetime, time)
"""What ids, times and random numbers are: a default of another kind may be something that cannot be stored."""


def reset(schema: StateSchema, values: Values, ranges: Mapping[str, Any]) -> Delta:
    """Empty the channels that start fresh in each run (changes ``values``); the delta that says so.

    ``ranges`` tells which logged channels hold messages: their values need not have been read for that.
    """
    delta: Delta = {}
    for name in schema.fresh:
        channel = schema.channels[name]
        old = values.pop(name, MISSING)
        if channel.default is not None:
            values[name] = channel.default()
        if ranges.get(name) or (channel.stored and old is not MISSING and old != values.get(name, MISSING)):
            delta[name] = {"unset": None}
    return delta
