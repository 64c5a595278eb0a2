"""What stands in the columns of a row besides the state: frontiers, tasks, messages of the log, checksums."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final

from graphflow.core.control import Overwrite, Send
from graphflow.core.hints import one
from graphflow.core.ids import exact
from graphflow.core.state import StateSchema
from graphflow.core.stored import Frontier, LogEntry, MemoryWrite, RunWrite, SideWrite, SummaryWrite, TaskResult, TaskRow
from graphflow.db.codec import ChannelCodec, channel_codecs, write, write_value
from graphflow.db.jsontext import dumps, loads, loads_packed
from graphflow.db.packing import Packer
from graphflow.db.tags import TAG, Fetch, Media, Refused, pack_message, unpack_message
from graphflow.errors import GraphChangedWarning, SerializationError
from graphflow.messages import Message, RemoveMessage

_TEXT: Final = frozenset({str})
REMOVED: Final = "removed"
"""The role of a log row that removes a message."""


def digest(*parts: object) -> bytes:
    """The sha256 of texts, and of what else has one."""
    texts = [part if type(part) is str else "" if part is None else str(part) for part in parts]
    return _digest("\x1f".join(texts))


def _digest(joined: str) -> bytes:
    return sha256(joined.encode("utf-8", "surrogatepass")).digest()


CHECKSUM: Final = 16
"""Bytes of a row's checksum. No two rows that anybody will ever see have those in common, and every row has them."""


def checksum(*parts: object) -> bytes:
    """The checksum of a row: the begin of the sha256 of what kind of row it is, its keys and its body."""
    return digest(*parts)[:CHECKSUM]


def checkpoint_checksum(
    session_id: str,
    ns: str,
    seq: int,
    base: int,
    log_head: int,
    epoch: int,
    created_at: int,
    frontier: str | None,
    delta: str | None,
    snapshot: str | None,
) -> bytes:
    """``checksum`` of a row of checkpoints, its parts joined beforehand, which takes half of the time: each step makes one."""
    keys = f"checkpoint\x1f{session_id}\x1f{ns}\x1f{seq}\x1f{base}\x1f{log_head}\x1f{epoch}\x1f{created_at}"
    return _digest(f"{keys}\x1f{frontier or ''}\x1f{delta or ''}\x1f{snapshot or ''}")[:CHECKSUM]


def message_checksum(session_id: str, ns: str, seq: int, run_id: str, role: str, body: str) -> bytes:
    """The same of a row of messages."""
    return _digest(f"message\x1f{session_id}\x1f{ns}\x1f{seq}\x1f{run_id}\x1f{role}\x1f{body}")[:CHECKSUM]


def matches(stored: bytes | None, *parts: object) -> bool:
    """Whether a row's checksum is that of these parts. In rows of the first schemas it is the whole sha256."""
    whole = digest(*parts)
    return stored == whole[:CHECKSUM] or stored == whole


COVERED: Final = {
    "checkpoint": ("ns", "seq", "base", "log_head", "epoch", "created_at", "frontier", "delta", "snapshot"),
    "task": ("ns", "task_id", "kind", "name", "nth", "origin", "node", "value"),
    "message": ("ns", "seq", "run_id", "role", "body"),
    "summary": ("ns", "upto_seq", "body"),
}
"""The columns that the checksum of a row covers, after its session's id, in this order."""


ENDED: Final = ("run_id", "status", "last_message", "last_seq", "ended_at", "error", "metrics")
"""The columns that the checksum of a run covers."""


def run_checksum(run: Mapping[str, Any]) -> bytes | None:
    """The checksum of what a run with these columns ended with; none before it has ended."""
    return None if run["ended_at"] is None else checksum("ended", *(run[name] for name in ENDED))


NEW_SESSION: Final = (
    *("session_id", "session_type", "user_id", "component_id", "status", "head", "epoch", "lease_owner", "lease_ttl"),
    *("created_at", "updated_at", "seal", "time_seal"),
)
"""What a new session's row is made of, in the order that it is inserted in."""
new_session: Final = itemgetter(*NEW_SESSION)
"""The values of these."""

NEW_RUN: Final = (
    *("run_id", "session", "ns", "session", "ns", "status", "parent_run_id", "component_id", "user_id", "input"),
    *("first_message", "first_seq", "fingerprint", "idempotency_key", "created_at", "seal"),
)
"""What a new run's row is made of, in the order that it is inserted in; its place is asked for twice, to number it."""
new_run: Final = itemgetter(*NEW_RUN)
"""The values of these."""

CLOSING: Final = (
    *("new_status", "new_last_message", "new_last_seq", "new_error", "new_metrics", "new_sha256", "new_ended_at"),
    "run_id",
)
"""What the values of ``closing`` are of."""


def closing(
    run_id: str,
    status: str,
    last_message: int | None,
    last_seq: int | None,
    ended_at: int,
    error: str | None = None,
    metrics: str | None = None,
) -> tuple[Any, ...]:
    """The values that close a run which ended with these columns."""
    sealed = checksum("ended", run_id, status, last_message, last_seq, ended_at, error, metrics)
    return status, last_message, last_seq, error, metrics, sealed, ended_at, run_id


def run_matches(run: Mapping[str, Any], stored: bytes | None) -> bool:
    """Whether a run ended with what these columns say.

    In rows of the first schemas the checksum does not cover when and where the run ended, and is missing when there was neither
    an error nor anything measured.
    """
    if stored is None:
        return run["ended_at"] is None or not (run["error"] or run["metrics"])
    early = ("run_id", "status", "last_message", "error", "metrics")
    return run["ended_at"] is not None and (
        matches(stored, "ended", *(run[name] for name in ENDED)) or stored == digest("run", *(run[name] for name in early))
    )


def plain_text(text: str | None) -> str | None:
    """Text that every database takes: NUL and lone surrogates are written out as escapes."""
    if text is None:
        return None
    if text.isprintable():
        return exact(text)
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


# --- frontiers -----------------------------------------------------------------------------------------------------------


def encode_frontier(frontier: Frontier, seq: int, schema: StateSchema, media: Media | None = None) -> str | None:
    """The JSON text of what is next, without its empty parts; None when nothing is and the origin is ``seq`` itself. Names of
    nodes and nothing else are a list.
    """
    targets = frontier.next
    if not _TEXT.issuperset(map(type, targets)):
        targets = [_without_untracked(target, schema) for target in targets]
    elif frontier.origin == seq and not (
        frontier.joins or frontier.deferred or frontier.refresh or frontier.caller or frontier.added
        or frontier.start is not None
    ):
        return _names_text(*targets) if targets else None
    parts: dict[str, Any] = {}
    if frontier.origin != seq:
        parts["origin"] = frontier.origin
    if targets:
        parts["next"] = targets
    if frontier.joins:
        parts["joins"] = frontier.joins
    if frontier.deferred:
        parts["deferred"] = frontier.deferred
    if frontier.refresh:
        parts["refresh"] = frontier.refresh
    if frontier.caller:
        parts["caller"] = frontier.caller
    if frontier.start is not None:
        parts["start"] = frontier.start
    if frontier.added:
        return write(lambda packer: _with_added(parts, frontier, schema, packer), "state", media)
    if targets is not frontier.next:
        return write(lambda packer: packer.pack(parts), "frontier", media)
    return dumps(parts)


@lru_cache(maxsize=1024)
def _names_text(*names: str) -> str:
    """The text of a frontier that is nodes and nothing else: most are, and a graph comes by each again and again."""
    return dumps(names)


def no_contents(checksum: bytes) -> bytes:
    """For who reads a text and does not look at the images and files in it: arguments of Sends may hold some."""
    return b""


def frontier_parts(text: str | None, fetch: Fetch | None = None) -> dict[str, Any]:
    """What a frontier's text says, as parsed JSON."""
    parts: Any = {} if text is None else loads(text, fetch)
    return {"next": parts} if type(parts) is list else parts


def _with_added(parts: dict[str, Any], frontier: Frontier, schema: StateSchema, packer: Packer) -> dict[str, Any]:
    codecs = channel_codecs(schema)
    added = {
        name: [_packed_write(codecs[name], name, value, packer) for value in values]
        for name, values in frontier.added.items()
        if name in codecs  # else it is never stored
    }
    return {**packer.pack(parts), **({"added": added} if added else {})}


def _without_untracked(target: str | Send, schema: StateSchema) -> str | Send:
    """A Send whose argument is a part of the state may hold what must never be stored."""
    if isinstance(target, str) or type(target.arg) is not dict:
        return target
    kept = {key: value for key, value in target.arg.items() if key not in schema.channels or schema.channels[key].stored}
    return Send(target.node, kept) if len(kept) < len(target.arg) else target


def decode_frontier(text: str | None, seq: int, schema: StateSchema, fetch: Fetch | None = None) -> Frontier:
    """What ``encode_frontier`` wrote."""
    if text is None:
        return Frontier(seq)
    frontier = Frontier(**{"origin": seq, **frontier_parts(text, fetch)})
    if frontier.added:
        codecs = channel_codecs(schema)
        frontier.added = {
            name: [_unpacked_write(codecs[name], *packed)[1] for packed in values]
            for name, values in frontier.added.items()
            if name in codecs
        }
    return frontier


# --- tasks -----------------------------------------------------------------------------------------------------------------

_TYPED_AS_UPDATE, _OVERWRITE, _TYPED_AS_VALUE = 0, 1, 2


def encode_task(row: TaskRow, schema: StateSchema | None, media: Media | None = None) -> str:
    """The JSON text of a task row's value; a result's writes are typed by the channels of ``schema``."""
    if row.kind != "result":
        return write_value(row.value, f"{row.kind} {row.name or row.nth!r} of node {row.node!r}", media)
    codecs = {} if schema is None else channel_codecs(schema)
    result: TaskResult = row.value

    def pack(packer: Packer) -> dict[str, Any]:
        packed: dict[str, Any] = {}
        writes = [
            _packed_write(codecs.get(name), name, value, packer)
            for name, value in result.writes
            if schema is None or name in codecs
        ]
        if writes:
            packed["writes"] = writes
        if result.goto:
            packed["goto"] = packer.items(result.goto, 2)
        if result.side:
            packed["side"] = [_packed_side_write(write, packer) for write in result.side]
        return packed

    return write(pack, "state", media)


def _packed_write(codec: ChannelCodec | None, name: str, value: Any, packer: Packer) -> list[Any]:
    try:
        if isinstance(value, Overwrite):
            return [name, packer.pack(value.value) if codec is None else codec.pack(value.value, packer), _OVERWRITE]
        if codec is None:
            return [name, packer.pack(value)]
        packed, as_value = codec.pack_write(value, packer)
        return [name, packed, _TYPED_AS_VALUE] if as_value else [name, packed]
    except Refused as refused:
        refused.parts.append(name)
        raise


def decode_task(kind: str, text: str, schema: StateSchema, fetch: Fetch | None = None) -> Any:
    """What ``encode_task`` wrote."""
    value = loads(text, fetch)
    if kind != "result":
        return value
    codecs = channel_codecs(schema)
    writes: list[tuple[str, Any]] = []
    for stored_name, packed, *how in value.get("writes", ()):
        name = schema.aliases.get(stored_name, stored_name)
        codec = codecs.get(name)
        if codec is None:
            warnings.warn(
                f"a stored task wrote {name!r}, which the state no longer has; the write is left out",
                GraphChangedWarning,
                stacklevel=2,
            )
        else:
            writes.append(_unpacked_write(codec, name, packed, *how))
    side = tuple(_unpacked_side_write(*packed) for packed in value.get("side", ()))
    return TaskResult(writes, tuple(value.get("goto", ())), side)


_SIDE_WRITES: Final[dict[str, Any]] = {"summary": SummaryWrite, "memory": MemoryWrite, "run": RunWrite}
"""The records a task row may hold, by their names in it."""


def _packed_side_write(write: SideWrite, packer: Packer) -> list[Any]:
    kind = next(name for name, record in _SIDE_WRITES.items() if type(write) is record)
    return [kind, {name: packer.pack(value, 3) for name in write.__slots__ if (value := getattr(write, name))}]


def _unpacked_side_write(kind: str, fields: dict[str, Any]) -> SideWrite:
    made: SideWrite = _SIDE_WRITES[kind](**fields)
    return made


def _unpacked_write(codec: ChannelCodec, name: str, packed: Any, how: int = _TYPED_AS_UPDATE) -> tuple[str, Any]:
    if how == _OVERWRITE:
        return name, Overwrite(codec.unpack(packed, f"state.{name}"))
    return name, codec.unpack_write(packed, how == _TYPED_AS_VALUE, f"state.{name}")


def input_digest(input: TaskResult, schema: StateSchema | None) -> str:
    """What a run's input is compared by: equal inputs have equal digests, in whatever order their keys came."""
    sorted_writes = TaskResult(sorted(input.writes, key=lambda write: write[0]))
    text = encode_task(TaskRow("", "", "result", sorted_writes), schema, Media())
    return "sha256:" + sha256(json.dumps(_in_order(loads_packed(text)), sort_keys=True).encode()).hexdigest()


def _in_order(packed: Any) -> Any:
    """The same, whatever the order in which sets, and dicts with keys that are no texts, told what is in them."""
    if type(packed) is list:
        return [_in_order(item) for item in packed]
    if type(packed) is not dict:
        return packed
    made = {key: _in_order(item) for key, item in packed.items()}
    match made.get(TAG):
        case ["set" | "frozenset" | "dict", [*_] as items]:
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
    return made


# --- messages of the log -----------------------------------------------------------------------------------------------------


def encode_entry(entry: LogEntry, seq: int, run_id: str, media: Media) -> tuple[str, str]:
    """Role and body of a log row. An id made of run and seq is left out, contents of images and files go to ``media``."""
    if isinstance(entry, RemoveMessage):
        return REMOVED, dumps(entry.id)
    if type(entry) is not Message:
        raise SerializationError(f"message {seq} is {one(type(entry).__qualname__)}; write a Message", path=f"messages[{seq}]")
    own_id = entry.id == f"{run_id}-{seq}"
    plain = entry.name is None and entry.tool_call_id is None and entry.provider_details is None
    if own_id and plain and type(entry.content) is str and not entry.tool_calls:
        return entry.role, dumps(entry.content)

    def pack(packer: Packer) -> Any:
        fields = pack_message(packer, entry)
        if not own_id:
            fields["id"] = entry.id
        return fields

    return entry.role, write(pack, f"messages[{seq}]", media)


def decode_entry(role: str, body: str, seq: int, run_id: str | None, fetch: Fetch | None = None) -> LogEntry:
    """What ``encode_entry`` wrote."""
    fields = loads(body, fetch)
    if role == REMOVED:
        return RemoveMessage(id=fields)
    if type(fields) is str:
        return Message(role, fields, id=f"{run_id}-{seq}")
    id = fields.get("id", f"{run_id}-{seq}")
    return unpack_message(role, id, fields) if fetch is None else unpack_message(role, id, fields, fetch)
