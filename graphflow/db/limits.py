"""How large what is stored may be. What is larger is refused before anything is written, on every database alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from graphflow.core import options
from graphflow.core.effects import NewCheckpoint
from graphflow.core.ids import check_id
from graphflow.core.stored import LogEntry, TaskRow
from graphflow.db.codec import encode_delta
from graphflow.db.rows import plain_text
from graphflow.db.tags import MAX_DEPTH
from graphflow.errors import InvalidId, SerializationError
from graphflow.messages import Message

MIB: Final = 2**20
LONGEST_ID: Final = 255
LARGEST: Final = 900 * MIB
"""Both databases end at about a billion bytes of one value."""


@dataclass(frozen=True)
class Limits:
    """Settings of a database: ``SqliteDb("s.db", limits=Limits(message_bytes=100_000))``. Raises ValueError.

    What goes beyond one is a SerializationError that names the state path (or an InvalidId), and nothing of the step is
    written. Sizes are of JSON text in UTF-8.
    """

    message_bytes: int = 32 * MIB
    """One message, with the images and files in it."""
    value_bytes: int = 64 * MIB
    """What one superstep, one task or one recorded step writes to the state."""
    state_bytes: int = 256 * MIB
    """A whole state, looked at whenever a snapshot of it is written."""
    depth: int = MAX_DEPTH
    """How deeply values may be nested. At most the default: JSON parsers give up beyond it."""
    id_length: int = LONGEST_ID
    """Characters of a session or user id. At most the default: ids are in indexes."""

    def __post_init__(self) -> None:
        highest = {"depth": MAX_DEPTH, "id_length": LONGEST_ID}
        for name in self.__dataclass_fields__:
            options.whole(name, getattr(self, name), 1, highest.get(name, LARGEST))

    def check_id(self, value: object, what: str) -> str:
        """The id itself. Raises InvalidId."""
        id = check_id(value, what)
        if len(id) > self.id_length:
            raise InvalidId(f"{what} {id[:40]!r}… has {len(id)} characters, and this database's limit is {self.id_length}")
        return id


# --- looking ---------------------------------------------------------------------------------------------------------------


def check_checkpoint(limits: Limits, new: NewCheckpoint, delta: str | None, frontier: str | None, snapshot: str | None) -> None:
    """Raise SerializationError when a checkpoint is too large, naming the field that makes it so."""
    if delta is not None and len(delta) * 4 > limits.value_bytes:
        _check(delta, limits.value_bytes, "value_bytes", partial(_heaviest, new, new.delta))
    if frontier is not None and len(frontier) * 4 > limits.value_bytes:
        _check(frontier, limits.value_bytes, "value_bytes", lambda: "frontier")
    if snapshot is not None and len(snapshot) * 4 > limits.state_bytes:
        _check(snapshot, limits.state_bytes, "state_bytes", partial(_heaviest, new, new.values))


def check_message(limits: Limits, seq: int, entry: LogEntry, body: str) -> None:
    """Raise SerializationError when a message is too large."""
    contents = 0
    if isinstance(entry, Message) and not isinstance(entry.content, str):
        contents = sum(len(getattr(part, "data", None) or b"") for part in entry.content)
    if len(body) * 4 + contents > limits.message_bytes:
        _check(body, limits.message_bytes, "message_bytes", lambda: f"messages[{seq}]", contents)


def check_names(row: TaskRow) -> None:
    """Raise SerializationError for the name of a node or a step that no database takes (NUL, lone surrogates)."""
    for name in (row.node, row.name):
        if not name.isprintable() and plain_text(name) != name:
            path = f"the {row.kind} {row.name!r} of node {row.node!r}"
            raise SerializationError(f"{path} cannot be stored: give {name!r} a name of printable characters", path=path)


def check_task(limits: Limits, row: TaskRow, value: str) -> None:
    """Raise SerializationError when what a task left is too large."""
    if len(value) * 4 > limits.value_bytes:
        _check(value, limits.value_bytes, "value_bytes", lambda: f"{row.kind} {row.name or row.nth!r} of node {row.node!r}")


def _check(text: str, most: int, limit: str, where: Callable[[], str], more: int = 0) -> None:
    size = (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))) + more
    if size > most:
        path = where()
        raise SerializationError(
            f"{path} takes {size:,} bytes, and this database's limit ({limit}) is {most:,}: keep large things elsewhere and "
            f"their place in the state, or give the database limits=Limits({limit}=…)",
            path=path,
        )


def _heaviest(new: NewCheckpoint, parts: Mapping[str, Any]) -> str:
    """The path of the field that takes the most room."""
    channels = new.schema.channels
    names = [name for name in parts if name in channels and channels[name].stored and channels[name].lifetime != "logged"]
    delta = {name: parts[name] if parts is new.delta else {"set": parts[name]} for name in names}
    sizes = {name: len(encode_delta(new.schema, {name: op})) for name, op in delta.items()}
    return f"state.{max(sizes, key=lambda name: sizes[name])}" if sizes else "state"
