"""What a nested graph changed in, or added to, the fields it shares with the graph around it: as updates to the latter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.core.comparison import MISSING, changed_keys, same
from graphflow.core.control import Overwrite
from graphflow.core.machine import Machine
from graphflow.core.reducers import message_delta
from graphflow.core.state import Channel, StateSchema, Values
from graphflow.messages import RemoveMessage


def changes(machine: Machine, start: Values, shared: tuple[str, ...], outer: StateSchema) -> list[Values]:
    """The updates that carry what the nested graph changed in, or added to, the fields that both states have."""
    values, added = machine.ledger.values, machine.ledger.frontier.added
    update: Values = {}
    more: list[Values] = []
    for name in shared:
        if name not in values:
            continue
        channel = outer.channels[name]
        old, new = start.get(name, MISSING), values[name]
        if channel.kind == "fold" and machine.schema.channels[name].kind == "fold":
            more += [{name: write} for write in _rewritten(added.get(name, []), new)]
        elif not same(old, new):
            update[name] = _DIFFERENCE[channel.kind](channel, old, new)
    return [update, *more]


def _rewritten(writes: list[Any], new: Any) -> list[Any]:
    """What was written to a folded channel, to be folded into the parent's; an Overwrite replaces the parent's as well."""
    return [Overwrite(new)] if any(isinstance(write, Overwrite) for write in writes) else writes


def _whole(channel: Channel, old: Any, new: Any) -> Any:
    return new


def _appended(channel: Channel, old: Any, new: Any) -> Any:
    if old is MISSING or new[: len(old)] == old:
        return new[0 if old is MISSING else len(old) :]
    return Overwrite(new)


def _merged(channel: Channel, old: Any, new: Any) -> Any:
    before = {} if old is MISSING else old
    if any(key not in new for key in before):
        return Overwrite(new)
    return {key: value for key, value in new.items() if key not in before or not same(before[key], value)}


def _changed_keys(channel: Channel, old: Any, new: Any) -> Any:
    return changed_keys({} if old is MISSING else old, new)


def _changed_messages(channel: Channel, old: Any, new: Any) -> Any:
    op = message_delta([] if old is MISSING else old, new)
    return [*(RemoveMessage(id=id) for id in op.get("remove", ())), *op["upsert"]]


_DIFFERENCE: dict[str, Callable[[Channel, Any, Any], Any]] = {
    "plain": _whole,
    "append": _appended,
    "merge": _merged,
    "keys": _changed_keys,
    "messages": _changed_messages,
    "fold": _whole,
}
