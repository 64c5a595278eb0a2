"""What has to hold between the rows of a session: what a checksum of one row alone cannot tell."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from graphflow.db.archive import Fields, describe, left_behind
from graphflow.db.records import SessionType
from graphflow.db.seals import session_seal, time_seal

Finding = str | None
"""What is wrong with a row; None when it is as it should be."""

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
    elif session["time_seal"] not in (None, time_seal(session["session_id"], session["updated_at"])):
        wrong = f"when {where} was last used does not match its checksum"
    elif session["updated_at"] < session["created_at"]:
        wrong = f"{where} was updated before it was made"
    yield wrong


def of_rows(session: Fields, tables: dict[str, list[Fields]], uses: list[bytes]) -> Iterator[Finding]:
    """What does not go together in a session's rows."""
    where = f"session {session['session_id']!r}"
    yield from _of_runs(tables["gf_runs"], where)
    begun = [run for run in tables["gf_runs"] if not run["ns"] and not run["parent_run_id"] and run["first_seq"] is not None]
    begun.sort(key=lambda run: int(run["first_seq"]))
    firsts = [run["first_seq"] for run in begun]
    known = {run["ordinal"] for run in begun}
    for row in tables["gf_checkpoints"]:
        if row["ns"] == "" and row["run"] in known:
            at = bisect_right(firsts, row["seq"]) - 1
            if at < 0 or begun[at]["ordinal"] != row["run"]:
                yield f"checkpoint {row['seq']} of {where} stands beside another run than the one it was written in"
    last = max((row for row in tables["gf_checkpoints"] if row["ns"] == ""), key=lambda row: int(row["seq"]), default=None)
    if last is not None:
        for table, row in left_behind(last, tables["gf_messages"], tables["gf_tasks"]):
            yield f"{describe(table, row)} of {where} came after checkpoint {last['seq']}, its last one"
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
