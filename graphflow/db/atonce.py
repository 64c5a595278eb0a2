"""Commits that are one statement, where each statement is a journey (PostgreSQL).

Most turns of a conversation begin, go on and end alike. Such a commit is a statement that compares and sets the row of the
session, or inserts it, and, if it stood where it should, writes everything else. Where it did not, nothing is written: the many
statements of ``ReadyCommit.write`` find out why, and whether it can be mended (a holder that died, a session without an owner).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from graphflow.db.commits import ReadyCommit
from graphflow.db.rows import CLOSING

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction

Kind = Literal["say", "found", "begin", "end"]
CHECKPOINT = ("cp_base", "cp_log_head", "cp_epoch", "cp_frontier", "cp_delta", "cp_snapshot", "cp_sha256", "cp_created_at")
"""What ``ReadyCheckpoint.values`` are called in the statements."""


def kind_of(ready: ReadyCommit) -> Kind | None:
    """Which statement does this commit, if there is one."""
    effect = ready.effect
    if effect.checkpoint is None or effect.ns:
        return None
    if effect.reopened or effect.drop_tasks or ready.outline or ready.tasks or ready.side or ready.media:
        return None
    opens = effect.opened is not None and effect.opened.idempotency_key is None
    begins = opens and effect.status == "running" and not ready.closed
    if not effect.epoch:
        return "found" if begins and effect.session is None else None
    if ready.session is None:
        return None
    if effect.take_over:
        return "begin" if begins else None
    if effect.opened is not None or ready.run is None:
        return None
    if effect.status is not None:
        return "end" if len(ready.closed) == 1 else None
    return "say" if ready.messages and not ready.closed else None


def write(tx: Transaction, ready: ReadyCommit, kind: Kind) -> bool:
    """Do it; False when nothing was written."""
    effect, new = ready.effect, ready.effect.checkpoint
    assert new is not None and ready.checkpoint is not None
    params: dict[str, Any] = dict(zip(CHECKPOINT, ready.checkpoint.values, strict=True))
    params |= {"new_head": new.seq, "expected_head": effect.head, "expected_epoch": effect.epoch, "cp_seq": new.seq}
    params |= _log(ready)
    if kind != "say":
        params["now"], params["time_seal"] = ready.times
    if kind in ("found", "begin"):
        return _begin(tx, ready, params, kind)
    params |= {"run": ready.run, "session": ready.session}
    if kind == "end":
        params |= zip(CLOSING, ready.closed[0], strict=True)
        params["session_status"] = effect.status
    return tx.one(tx.sql.end if kind == "end" else tx.sql.say, params) is not None


def _begin(tx: Transaction, ready: ReadyCommit, params: dict[str, Any], kind: Kind) -> bool:
    opened, lease = ready.effect.opened, ready.lease
    assert opened is not None
    ready.run = None  # if the answer is lost, the next commit looks for it
    params |= ready.opened_row(opened, ready.session)
    if kind == "found":
        params |= {f"of_{name}": value for name, value in ready.new_session().items()}
    else:
        params |= {"me": lease.me, "lease_ttl": lease.microseconds}
    row: Row | None = tx.one(tx.sql.found if kind == "found" else tx.sql.begin, params)
    if row is None:
        return False
    ready.session, ready.run = row
    return True


def _log(ready: ReadyCommit) -> dict[str, Any]:
    """The rows of the log, as arrays of what their columns hold."""
    seqs, roles, bodies, checksums = zip(*ready.messages, strict=True) if ready.messages else ((), (), (), ())
    return {
        "seqs": Array(map(str, seqs)),
        "roles": Array(map(quoted, roles)),
        "bodies": Array(map(quoted, bodies)),
        "checksums": Array(rf'"\\x{checksum.hex()}"' for checksum in checksums),
    }


class Array(tuple[str, ...]):
    """Elements of an array as PostgreSQL writes them; its type is that of the place it stands in. To make an array of a list, a
    driver looks at each element to find out what it is, which took longer than the rest of the statement.
    """

    __slots__ = ()

    def literal(self) -> str:
        """The array."""
        return f"{{{','.join(self)}}}"


def quoted(text: str) -> str:
    """An element that is a text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
