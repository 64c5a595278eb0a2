"""What a copy of a session calls its runs, and what is named after them or after the session: messages, tasks, questions.

Ids of tasks are hashes that begin with the session's id, so a copy's task rows have to be called by its own. Namespaces tell
where a task stands without the session, and stay.
"""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.ids import new_id
from graphflow.core.sidewrites import memory_key
from graphflow.core.tasks import task_id
from graphflow.db.jsontext import dumps, loads
from graphflow.db.rows import REMOVED, frontier_parts, no_contents
from graphflow.db.tags import TAG

if TYPE_CHECKING:
    from graphflow.db.archive import Archive, Fields

Names = dict[str, str]
"""New ids by old ones."""

_OF_THE_NAMESPACE: Final = ""
"""The task id of rows that are about a whole namespace: whether it is held, or was gone past."""


def renamed(archive: Archive, session_id: str) -> None:
    """Give everything in the archive the ids it has in the session that it is copied into."""
    last = _last(archive)
    runs = {run["run_id"]: new_id() for run in archive.runs}
    tasks = _task_ids(archive, last, session_id)
    current = runs.get(last[""]["run_id"], "") if "" in last else ""
    for run in archive.runs:
        run["run_id"] = runs[run["run_id"]]
        run["parent_run_id"] = runs.get(run["parent_run_id"], run["parent_run_id"])
        run["idempotency_key"] = None
    for row in archive.tasks:
        _rename_task(row, tasks, runs, current)
    for rows in (archive.checkpoints, archive.messages, archive.summaries):
        for row in rows:
            row["run_id"] = runs.get(row["run_id"])
    for row in archive.messages:
        row["body"] = _renamed_body(row["role"], row["body"], runs)
    archive.session["session_id"] = session_id


def _last(archive: Archive) -> dict[str, Fields]:
    """The last checkpoint of each namespace."""
    last: dict[str, Fields] = {}
    for row in archive.checkpoints:
        if row["ns"] not in last or last[row["ns"]]["seq"] < row["seq"]:
            last[row["ns"]] = row
    return last


# --- messages ----------------------------------------------------------------------------------------------------------------


def _renamed_body(role: str, body: str, runs: Names) -> str:
    if role == REMOVED:
        return dumps(_renamed_message(loads(body), runs))
    if body.startswith('"') or type(json.loads(body).get("id")) is not str:
        return body
    fields = json.loads(body)
    fields["id"] = _renamed_message(fields["id"], runs)
    return dumps(fields)


def _renamed_message(id: str, runs: Names) -> str:
    run_id, dash, seq = id.rpartition("-")
    return f"{runs[run_id]}-{seq}" if dash and seq.isdecimal() and run_id in runs else id


# --- tasks -------------------------------------------------------------------------------------------------------------------


def _task_ids(archive: Archive, last: dict[str, Fields], session_id: str) -> Names:
    """The new ids of the tasks that have rows. Rows that belong to no task of their frontier are left out of the archive."""
    places: dict[tuple[str, int], set[str]] = {}
    for row in archive.tasks:
        places.setdefault((row["ns"], row["origin"]), set()).add(row["node"])
    source, names = archive.session["session_id"], {_OF_THE_NAMESPACE: _OF_THE_NAMESPACE}
    for (ns, origin), nodes in places.items():
        for node, position in product(nodes, range(_width(last.get(ns)))):
            old, new = (task_id(session, ns, origin, node, position) for session in (source, session_id))
            names[old] = new
    archive.tasks = [row for row in archive.tasks if row["task_id"] in names]
    return names


def _width(checkpoint: Fields | None) -> int:
    """How many tasks come after a checkpoint."""
    parts = {} if checkpoint is None else frontier_parts(checkpoint["frontier"], no_contents)
    return len(parts.get("next") or parts.get("deferred") or ())


def _rename_task(row: Fields, tasks: Names, runs: Names, run_id: str) -> None:
    old, new = row["task_id"], tasks[row["task_id"]]
    row["task_id"] = new
    if row["kind"] == "interrupt":
        value = json.loads(row["value"])
        value[TAG][1][0] = f"{new}{value[TAG][1][0].removeprefix(old)}"
        row["value"] = dumps(value)
    elif row["kind"] == "result":
        value = json.loads(row["value"])
        for index, (kind, fields) in enumerate(value.get("side", ())):
            _rename_side_write(kind, fields, old, new, runs, memory_key(run_id, new, index))
        row["value"] = dumps(value)


def _rename_side_write(kind: str, fields: dict[str, Any], old: str, new: str, runs: Names, key: str) -> None:
    if kind == "run":
        fields["run_id"] = f"{new}{fields['run_id'].removeprefix(old)}"
        fields["parent_run_id"] = runs.get(fields["parent_run_id"], fields["parent_run_id"])
    elif kind == "memory":
        fields["key"] = key
