"""What has to hold between the rows of a session: what a checksum of one row alone cannot tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from graphflow.db.records import SessionType
from graphflow.db.seals import session_seal

Fields = dict[str, Any]
Finding = str | None

STATUSES: Final = frozenset({"running", "completed", "paused", "error", "cancelled", "abandoned"})
_REFERENCE: Final = re.compile(r'"sha256":"([0-9a-f]{64})"')


def of_session(session: Fields) -> Iterator[Finding]:
    """What is wrong with the row of a session; None when nothing is."""
    where = f"session {session['session_id']!r}"
    wrong = None
    if session["seal"] not in (None, session_seal(session)):
        wrong = f"what {where} is, and whose, does not match its checksum"
    elif session["status"] not in STATUSES:
        wrong = f"{where} has the unknown status {session['status']!r}"
    elif session["session_type"] not in list(SessionType):
        wrong = f"{where} has the unknown type {session['session_type']!r}"
    elif session["updated_at"] < session["created_at"]:
        wrong = f"{where} was updated before it was made"
    yield wrong


def of_rows(session: Fields, tables: dict[str, list[Fields]], uses: list[bytes]) -> Iterator[Finding]:
    """What does not go together in a session's rows."""
    where = f"session {session['session_id']!r}"
    runs = {run["ordinal"]: run for run in tables["gf_runs"]}
    beyond = _beyond(tables["gf_runs"])
    yield from _of_runs(tables["gf_runs"], where)
    for row in tables["gf_checkpoints"]:
        run = runs.get(row["run"])
        if run is None or row["ns"]:
            continue
        if not (run["first_seq"] or 0) <= row["seq"] < beyond.get(row["run"], row["seq"] + 1):
            yield f"checkpoint {row['seq']} of {where} stands beside run {run['run_id']!r}, which has others"
    used = {checksum.hex() for checksum in uses}
    texts = ("delta", "snapshot", "frontier", "value", "body")
    named = {
        checksum
        for rows in tables.values()
        for row in rows
        for column in texts
        for checksum in _REFERENCE.findall(row.get(column) or "")
    }
    for checksum in sorted(named - used):
        yield f"{where} holds the contents with sha256 {checksum}, which are not counted as its own"


def _of_runs(rows: list[Fields], where: str) -> Iterator[Finding]:
    """Runs of a namespace are numbered in the order in which they began."""
    before: dict[str, Fields] = {}
    for run in sorted(rows, key=lambda run: (run["ns"], run["number"])):
        name = f"run {run['run_id']!r} of {where}"
        earlier = before.get(run["ns"])
        if run["status"] not in STATUSES:
            yield f"{name} has the unknown status {run['status']!r}"
        if run["number"] != (0 if earlier is None else earlier["number"]) + 1:
            yield f"{name} has number {run['number']} in the namespace {run['ns']!r}, which leaves a gap"
        if earlier is not None and (run["first_seq"] or 0) < (earlier["first_seq"] or 0):
            yield f"{name} has number {run['number']}, but began before run {earlier['run_id']!r}"
        if run["ended_at"] is not None and run["ended_at"] < run["created_at"]:
            yield f"{name} ended before it began"
        if run["last_seq"] is not None and run["first_seq"] is not None and run["last_seq"] < run["first_seq"]:
            yield f"{name} has checkpoints {run['first_seq']} to {run['last_seq']}"
        if run["last_message"] is not None and run["last_message"] < run["first_message"] - 1:
            yield f"{name} has messages {run['first_message']} to {run['last_message']}"
        before[run["ns"]] = run


def _beyond(runs: list[Fields]) -> dict[int, int]:
    """For each run of the outermost graph that another follows: the first checkpoint of that one.

    What comes before it belongs to the run: its own checkpoints, and edits by hand after its end.
    """
    outermost = sorted((run for run in runs if run["ns"] == "" and run["first_seq"] is not None), key=lambda run: run["number"])
    return {run["ordinal"]: later["first_seq"] for run, later in pairwise(outermost)}
