"""Repair, only when it is asked for: a damaged session goes back to the last checkpoint up to which everything is sound."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from graphflow.db.archive import Archive, Fields, describe, is_sound, left_behind, unreadable, write_archive
from graphflow.db.records import Repair
from graphflow.db.seals import broken, run_seal, session_seal, time_seal
from graphflow.db.sessions import delete_rows
from graphflow.db.transfer import cut_off, is_unfinished
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def repair(tx: Transaction, session: int, now: int) -> Repair:
    """Write the session anew without what is damaged, and without what rests on that. Whoever runs it is fenced off."""
    row = tx.one(tx.sql.session_row, {"session": session})
    assert row is not None
    fields = dict(zip(tx.sql.columns["gf_sessions"], row, strict=True))
    session_id, head = fields["session_id"], fields["head"]
    if fields.pop("seal") not in (None, session_seal(fields)):
        raise broken(session_id)
    lost: list[str] = []
    if fields.pop("time_seal") not in (None, time_seal(session_id, fields["updated_at"])):
        lost.append("when the session was last used")
    archive = _read_sound(tx, session, fields, lost)
    firsts: dict[str, int] = dict(tx.all(tx.sql.firsts_of_session, {"session": session}))
    logs = _whole_logs(archive, lost)
    low, last = _sound_range(archive, logs.get("", 0), session_id)
    _keep(archive, low, last, firsts, lost)
    later = [describe(table, row) for table, row in left_behind(last, archive.messages, archive.tasks)]
    if last["seq"] < head or later:
        status = "error" if is_unfinished(last["frontier"]) else "completed"
        cut_off(archive, last, status)
        archive.session["status"] = status
        after = f"the last was {head}" if last["seq"] < head else ", ".join(later)
        lost.append(f"everything after checkpoint {last['seq']} ({after})")
    if lost:
        archive.session |= {"head": last["seq"], "epoch": fields["epoch"] + 1, "updated_at": now}
        archive.session |= {"lease_owner": None, "lease_until": None}
        delete_rows(tx, session)
        write_archive(tx, archive, session_id, as_copy=False)
    return Repair(session_id, last["seq"], tuple(lost))


# --- reading what is sound -------------------------------------------------------------------------------------------------


def _read_sound(tx: Transaction, session: int, fields: Fields, lost: list[str]) -> Archive:
    """The rows of a session that match their checksums and can be read, and whose images and files match theirs."""
    archive = Archive(fields)
    session_id = fields["session_id"]
    run_ids: dict[int, str] = {}
    spoilt = _read_media(tx, session, archive, lost)
    tables: dict[str, list[Fields]] = {}
    in_doubt: list[Fields] = []
    for table in tx.sql.all_rows:
        tables[table] = []
        for row in _readable(tx, table, session, lost):
            if table == "gf_runs":
                run_ids[row["ordinal"]] = row["run_id"]
                if row["seal"] not in (None, run_seal(row)):
                    lost.append(f"what {describe(table, row)} began with")
            elif "run" in row:
                row["run_id"] = run_ids.get(row.pop("run"))
            sound = is_sound(table, session_id, row) and unreadable(row) is None
            for name in ("session", "seal", "sha256"):
                row.pop(name, None)
            texts = [value for value in row.values() if isinstance(value, str)] if spoilt else []
            if any(checksum in text for checksum in spoilt for text in texts):
                lost.append(f"{describe(table, row)}, whose image or file is damaged")
            elif sound:
                tables[table].append(row)
            elif table == "gf_runs":
                lost.append(f"the error and the metrics of {describe(table, row)}")
                doubtful = {**row, "error": None, "metrics": None}
                in_doubt.append(doubtful)
                tables[table].append(doubtful)
            else:
                lost.append(describe(table, row))
    archive.runs, archive.checkpoints, archive.tasks = tables["gf_runs"], tables["gf_checkpoints"], tables["gf_tasks"]
    archive.messages, archive.summaries = tables["gf_messages"], tables["gf_summaries"]
    for run in in_doubt:
        _end_with_checkpoints(run, archive)
    return archive


def _end_with_checkpoints(run: Fields, archive: Archive) -> None:
    """Have a run end when and where its last checkpoint was written: what its own row says of that may be the damage."""
    seq, time = None, run["created_at"]
    for row in archive.checkpoints:
        if row["run_id"] == run["run_id"] and row["ns"] == run["ns"]:
            seq, time = row["seq"], row["created_at"]
    run |= {"last_seq": seq, "ended_at": time}


def _readable(tx: Transaction, table: str, session: int, lost: list[str]) -> list[Fields]:
    """The rows that the driver can read: one by one, because a text that is none spoils a whole result."""
    columns, keys = tx.sql.columns[table], tx.sql.key_columns[table]
    rows = []
    for key in tx.all(tx.sql.row_keys[table], {"session": session}):
        named = dict(zip(keys, key, strict=True))
        try:
            row = tx.one(tx.sql.row_at[table], named)
        except Exception as error:
            if not (isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error)):
                raise
            lost.append(describe(table, {"kind": "row", "node": "?", **named}))
            continue
        assert row is not None
        rows.append(dict(zip(columns, row, strict=True)))
    return rows


def _read_media(tx: Transaction, session: int, archive: Archive, lost: list[str]) -> list[str]:
    """Read the contents that are as they were stored; returns the checksums of the others."""
    spoilt = []
    for checksum, media_type, data in tx.all(tx.sql.media_used, {"session": session}):
        if data is not None and sha256(bytes(data)).digest() == bytes(checksum):
            archive.media.append({"sha256": bytes(checksum), "media_type": media_type, "data": bytes(data)})
        else:
            spoilt.append(bytes(checksum).hex())
            lost.append(f"the contents with sha256 {bytes(checksum).hex()}")
    return spoilt


# --- choosing --------------------------------------------------------------------------------------------------------------


def _whole_logs(archive: Archive, lost: list[str]) -> dict[str, int]:
    """Keep of each message log what comes before the first message that is missing; returns its last."""
    last: dict[str, int] = {}
    kept = []
    for row in sorted(archive.messages, key=lambda row: (row["ns"], row["seq"])):
        if row["seq"] == last.get(row["ns"], 0) + 1:
            last[row["ns"]] = row["seq"]
            kept.append(row)
        else:
            lost.append(f"{describe('gf_messages', row)}, which came after one that is missing")
    archive.messages = kept
    return last


def _sound_range(archive: Archive, log: int, session_id: str) -> tuple[int, Fields]:
    """The last sound checkpoint, and the first from which all up to it are sound."""
    rows = {row["seq"]: row for row in archive.checkpoints if row["ns"] == ""}
    run_ids = {run["run_id"] for run in archive.runs}
    for seq in sorted(rows, reverse=True):
        row = rows[seq]
        chain = [rows.get(at) for at in range(row["base"], seq + 1)]
        starts = chain and chain[0] is not None and (chain[0]["snapshot"] is not None or row["base"] == 0)
        if not starts or None in chain or row["log_head"] > log or row["run_id"] not in run_ids:
            continue
        low = row["base"]
        while (before := rows.get(low - 1)) is not None and all(at in rows for at in range(before["base"], low)):
            low = before["base"]
        return low, row
    raise CorruptCheckpoint(f"no checkpoint of session {session_id!r} is sound; bring the session back from a backup")


def _keep(archive: Archive, low: int, last: Fields, firsts: dict[str, int], lost: list[str]) -> None:
    """Of the root's checkpoints keep these, of each nested graph's all or none."""
    if low > firsts.get("", 0):
        lost.append(f"the checkpoints before {low}")
    kept = [row for row in archive.checkpoints if row["ns"] == "" and low <= row["seq"] <= last["seq"]]
    spaces: dict[str, list[Fields]] = {}
    for row in archive.checkpoints:
        if row["ns"]:
            spaces.setdefault(row["ns"], []).append(row)
    logs: dict[str, int] = {}
    for row in archive.messages:
        logs[row["ns"]] = max(row["seq"], logs.get(row["ns"], 0))
    for ns, rows in spaces.items():
        first = firsts.get(ns, 0)
        whole = [row["seq"] for row in rows] == list(range(first, first + len(rows)))
        if whole and all(row["base"] >= first and row["log_head"] <= logs.get(ns, 0) for row in rows):
            kept += rows
        else:
            lost.append(f"the checkpoints of the nested graph {ns!r}")
    archive.checkpoints = kept
