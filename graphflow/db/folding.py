"""Folding stored texts: a snapshot made of what is in the database, and of nothing that the code says or has in hand."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from graphflow.db.jsontext import dumps, loads_packed
from graphflow.db.packing import Packer
from graphflow.db.tags import TAG


def snapshot_of(texts: Sequence[str], exact: Container[str] = ()) -> str:
    """The snapshot that a snapshot and the deltas after it amount to, without knowing the types of what is in them.

    Operations are put behind one another as they were stored. Those that are ranges of the log, and those of an ``exact``
    channel, are made one where that is plain to see; what is in others is checked as it is loaded, write by write.
    A channel stands where it was last set, so that the last of two names wins that are one.
    """
    whole: dict[str, list[dict[str, Any]]] = {}
    for text in texts:
        for name, op in loads_packed(text).items():
            ops = whole.setdefault(name, [])
            for part in op.get("ops", (op,)):
                if "set" in part or "unset" in part:
                    whole[name] = whole.pop(name)
                    ops.clear()
                if not (ops and (name in exact or "log" in part) and _joined(ops[-1], part)):
                    ops.append(part)
    packer = Packer(packed=True)
    made: dict[str, Any] = {}
    for name, ops in whole.items():
        packed = [{verb: packer.pack(value) for verb, value in op.items()} for op in ops]
        made[name] = packed[0] if len(packed) == 1 else {"ops": packed}
    return dumps(made)


def _joined(last: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether ``part`` could be made one with the operation before it."""
    (verb, new), *others = part.items()
    if others or not last:
        return False
    where, old = list(last.items())[-1]
    if verb == "append" and where in ("set", "append") and type(old) is list and type(new) is list:
        old.extend(new)
        return True
    if verb == "merge" and where in ("set", "merge") and _is_plain(old) and _is_plain(new):
        if not any(_is_missing(value) for value in new.values()):
            old.update(new)
            return True
    elif verb == where == "log":
        old.extend(new)
        return True
    return False


def _is_plain(value: Any) -> bool:
    return type(value) is dict and TAG not in value


def _is_missing(value: Any) -> bool:
    return type(value) is dict and TAG in value and value[TAG][0] == "missing"
