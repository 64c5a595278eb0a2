"""Moving sessions: fork within a database, export to and import from a dict that JSON can hold."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.ids import check_id
from graphflow.db.archive import Archive, Fields, read_archive, write_archive
from graphflow.db.loading import no_checkpoint
from graphflow.db.records import SessionType
from graphflow.db.rows import frontier_parts, no_contents, plain_text
from graphflow.errors import CorruptCheckpoint, SchemaTooNew

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

FORMAT: Final = "graphflow-session"
VERSION: Final = 2
"""1: before frontiers of names were lists."""

STOPPED: Final = ("paused", "cancelled")
"""Sessions with an unfinished superstep that a copy goes on with. One that failed begins it anew: an answer may be why."""

# --- fork --------------------------------------------------------------------------------------------------------------------


def fork(tx: Transaction, session: int, at: int | None, session_id: str, now: int) -> None:
    """Copy a session up to checkpoint ``at`` (its head) under a new id. The copy of an unfinished run can be resumed.

    That of a paused one is paused, too: its questions, and what finished or was answered beside them, are in the copy. The same
    holds for one that was cancelled. In the middle of a run nothing has failed or been asked yet: the copy is paused there,
    before what is next.
    """
    archive = read_archive(tx, session)
    source = archive.session
    head = source["head"] if at is None else at
    last = next((row for row in archive.checkpoints if row["ns"] == "" and row["seq"] == head), None)
    if last is None:
        raise no_checkpoint(tx, source["session_id"], head, source["head"])
    tasks, epoch = archive.tasks, source["epoch"]
    status = _status_at(source, last)
    cut_off(archive, last, status)
    if source["status"] in STOPPED and head == source["head"]:
        archive.tasks = tasks
    else:
        epoch = max(row["epoch"] for row in archive.checkpoints)  # no row is of a later one
    archive.session |= {"head": head, "epoch": epoch, "status": status, "lease_owner": None, "lease_until": None}
    archive.session |= {"created_at": now, "updated_at": now}
    write_archive(tx, archive, session_id, as_copy=True)


def _status_at(source: Fields, last: Fields) -> str:
    """The status of a copy that ends with checkpoint ``last``: a failure or a cancellation is one only where it happened."""
    if not is_unfinished(last["frontier"]):
        return "completed"
    ended = last["seq"] == source["head"] and source["status"] in ("error", "cancelled")
    return str(source["status"]) if ended else "paused"


def is_unfinished(frontier: str | None) -> bool:
    """Whether anything is left to run after a checkpoint with this frontier."""
    parts = frontier_parts(frontier, no_contents)
    return bool(parts.get("next") or parts.get("deferred"))


def cut_off(archive: Archive, last: Fields, status: str) -> None:
    """Leave out what came after checkpoint ``last``, and finished tasks of a superstep that is not finished.

    How far nested graphs have come since the head stays: they go on inside.
    """
    time = last["created_at"]
    at_head = last["seq"] == archive.session["head"]
    archive.tasks = []
    archive.checkpoints = [
        row for row in archive.checkpoints if (at_head or row["created_at"] <= time if row["ns"] else row["seq"] <= last["seq"])
    ]
    archive.runs = [run for run in archive.runs if _began(run, last)]
    for run in archive.runs:
        if run["run_id"] == last["run_id"]:
            whole = run["last_seq"] == last["seq"] and run["status"] == status
            run |= {
                "status": status,
                "last_message": last["log_head"],
                "last_seq": last["seq"],
                "ended_at": run["ended_at"] or time,
            }
            if not whole:
                run |= {"error": None, "metrics": None, "ended_at": time}
        elif run["ended_at"] is None or run["ended_at"] > time:
            run |= {"status": "error", "error": None, "metrics": None, "ended_at": time}
    kept = {run["run_id"] for run in archive.runs}
    ends = _log_ends(archive, last["log_head"], kept)
    archive.messages = [row for row in archive.messages if row["seq"] <= ends[row["ns"]]]
    archive.summaries = [
        row for row in archive.summaries if row["upto_seq"] <= ends.get(row["ns"], 0) and (at_head or row["created_at"] <= time)
    ]


def _log_ends(archive: Archive, head: int, kept: set[str]) -> dict[str, int]:
    """The last message of each log that stays: the session's own up to ``head``, others up to the first of a run that goes.

    Checkpoints do not tell how far the other logs are: a nested graph that keeps its state has the name of its log, but counts
    no rows.
    """
    ends: dict[str, int] = {}
    whole: dict[str, bool] = {}
    for row in sorted(archive.messages, key=lambda row: (row["ns"], row["seq"])):
        ns = row["ns"]
        whole[ns] = whole.get(ns, True) and (row["seq"] <= head if ns == "" else row["run_id"] in kept)
        ends[ns] = row["seq"] if whole[ns] else ends.get(ns, 0)
    return ends


def _began(run: Fields, last: Fields) -> bool:
    if run["ns"] == "" and run["parent_run_id"] is None:
        return run["first_seq"] is not None and run["first_seq"] <= last["seq"]
    return bool(run["created_at"] <= last["created_at"])


# --- export and import -----------------------------------------------------------------------------------------------------

_INTEGER: Final = (int,)
_TEXT: Final = (str,)
_MAYBE_INTEGER: Final = (int, type(None))
_MAYBE_TEXT: Final = (str, type(None))

_FIELDS: Final[dict[str, dict[str, tuple[type[Any], ...]]]] = {
    "session": {
        **dict.fromkeys(("session_id", "session_type", "status"), _TEXT),
        **dict.fromkeys(("user_id", "component_id", "name", "metadata"), _MAYBE_TEXT),
        **dict.fromkeys(("head", "epoch", "created_at", "updated_at"), _INTEGER),
    },
    "runs": {
        **dict.fromkeys(("run_id", "ns", "status"), _TEXT),
        **dict.fromkeys(("parent_run_id", "component_id", "user_id", "input", "output"), _MAYBE_TEXT),
        **dict.fromkeys(("fingerprint", "idempotency_key", "error", "metrics"), _MAYBE_TEXT),
        **dict.fromkeys(("number", "first_message", "created_at"), _INTEGER),
        **dict.fromkeys(("last_message", "first_seq", "last_seq", "cancel_requested", "ended_at"), _MAYBE_INTEGER),
    },
    "checkpoints": {
        "ns": _TEXT,
        **dict.fromkeys(("run_id", "frontier", "delta", "snapshot"), _MAYBE_TEXT),
        **dict.fromkeys(("seq", "base", "log_head", "epoch", "created_at"), _INTEGER),
    },
    "tasks": {
        **dict.fromkeys(("ns", "task_id", "kind", "name", "node", "value"), _TEXT),
        **dict.fromkeys(("nth", "origin"), _INTEGER),
    },
    "messages": {"ns": _TEXT, "seq": _INTEGER, "run_id": _MAYBE_TEXT, "role": _TEXT, "body": _TEXT},
    "summaries": {"ns": _TEXT, "upto_seq": _INTEGER, "run_id": _MAYBE_TEXT, "body": _TEXT, "created_at": _INTEGER},
    "media": {"sha256": _TEXT, "media_type": _TEXT, "data": _TEXT},
}


def export(tx: Transaction, session: int) -> dict[str, Any]:
    """A session as a dict that JSON can hold, with a checksum over all of it."""
    archive = read_archive(tx, session)
    for contents in archive.media:
        contents["sha256"] = contents["sha256"].hex()
        contents["data"] = b64encode(contents["data"]).decode("ascii")
    exported: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for part, fields in _FIELDS.items():
        rows = getattr(archive, part)
        exported[part] = _only(rows, fields) if part == "session" else [_only(row, fields) for row in rows]
    exported["sha256"] = _checksum(exported)
    return exported


def _only(row: Fields, fields: dict[str, Any]) -> Fields:
    return {name: row[name] for name in fields}


def _checksum(exported: dict[str, Any]) -> str:
    rest = {key: value for key, value in exported.items() if key != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_export(exported: Any) -> Archive:
    """An exported session, verified. Raises ValueError for anything else and CorruptCheckpoint when it was changed."""
    if not isinstance(exported, dict) or exported.get("format") != FORMAT:
        raise ValueError(
            f"this is not an exported session: a dict with format {FORMAT!r} is needed, as export_session() gives it"
        )
    version = exported.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise SchemaTooNew(
            f"the session was exported with version {version!r}, this graphflow knows up to {VERSION}: install a newer one"
        )
    try:
        matches = _checksum(exported) == exported.get("sha256")
    except (TypeError, ValueError) as error:
        raise ValueError(f"the exported session holds what JSON cannot: {error}") from None
    if not matches:
        raise CorruptCheckpoint(
            "the exported session does not match its checksum: it was changed or cut off since it was exported"
        )
    session = _parsed("session", exported.get("session"))
    archive = Archive({**session, "lease_owner": None, "lease_until": None})
    for part in _FIELDS:
        if part != "session":
            rows = exported.get(part)
            if not isinstance(rows, list):
                raise ValueError(f"the exported session has no list of {part}")
            setattr(archive, part, [_parsed(part, row) for row in rows])
    check_id(session["session_id"], "session_id")
    SessionType(session["session_type"])
    for contents in archive.media:
        contents["data"] = b64decode(contents["data"])
        contents["sha256"] = sha256(contents["data"]).digest()
    return archive


def copy_of(archive: Archive) -> None:
    """Leave out what a copy under another id does not have: finished tasks of a superstep that is under way.

    Nobody runs the copy of a run that goes on: it is paused.
    """
    if archive.session["status"] not in ("completed", *STOPPED):
        archive.tasks = []
    for row in (archive.session, *archive.runs):
        if row["status"] == "running":
            row["status"] = "paused"


def _parsed(part: str, row: Any) -> Fields:
    fields = _FIELDS[part]
    if not isinstance(row, dict) or set(row) != set(fields):
        raise ValueError(f"the exported session has an entry in {part} with other fields than {', '.join(fields)}")
    for name, types in fields.items():
        if type(row[name]) not in types:
            raise ValueError(f"the exported session has {row[name]!r} as {name} in {part}")
        if type(row[name]) is str and plain_text(row[name]) != row[name]:
            raise ValueError(f"the exported session has {row[name]!r} as {name} in {part}: no text of a database")
    return dict(row)
