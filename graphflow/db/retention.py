"""Retention: old checkpoints are taken away, a session at a time and in short transactions; what they led to stays.

A checkpoint holds what its superstep changed, on top of a snapshot some rows before it. So the checkpoints of a session can
only begin at one that holds a snapshot: the oldest that is kept is given one. While a run is under way the rows it builds on
are left as they are, and its session keeps as much more as its last snapshot needs.

A row of ``gf_pruned`` says where the checkpoints begin. What is missing without it was lost, not pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphflow.core import options
from graphflow.core.tasks import PER_CALL
from graphflow.db.counts import bounded
from graphflow.db.folding import snapshot_of
from graphflow.db.rows import checksum, matches
from graphflow.db.seals import check_time
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

T = TypeVar("T")
Write = Callable[[Callable[["Transaction"], T]], T]

PAGE: Final = 100
"""Sessions that are looked up at once."""
BATCH: Final = 500
"""About as many checkpoints are taken away in one transaction."""
LONGEST_CHAIN: Final = 1_000
"""Checkpoints that start from a snapshot that goes are written again, with another start; not more of them than this."""
NEVER: Final = 2**62
TOO_LONG: Final = 1e11
"""Seconds, about 3,000 years: no age of a checkpoint, and soon no number of microseconds that a database knows."""


@dataclass(frozen=True)
class PruneReport:
    """What ``db.prune()`` took away."""

    sessions: int = 0
    """Sessions that lost checkpoints."""
    checkpoints: int = 0
    deleted_sessions: int = 0
    """Sessions that were deleted whole, because that was asked for."""
    rows: int = 0
    """Rows of all tables."""
    bytes: int = 0
    """Bytes of the bodies of these rows. Their room is used again; the file of a SQLite database does not shrink by itself."""

    def __add__(self, other: PruneReport) -> PruneReport:
        return PruneReport(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Wanted:
    """What is to go: checkpoints that are not among the newest ``keep`` and were written before ``before``."""

    keep: int
    before: int
    user_id: str | None


def wanted(keep_last: int | None, older_than: Any, user_id: str | None, now: int) -> Wanted:
    """The arguments of ``db.prune()``, checked. ``now`` and what comes of it are microseconds since 1970."""
    if keep_last is None and older_than is None:
        raise ValueError("prune what? give keep_last= (checkpoints of each session), older_than= (their age), or both")
    options.whole("keep_last", keep_last, 1, none="those that older_than leaves")
    keep = 1 if keep_last is None else bounded(keep_last)
    return Wanted(keep, NEVER if older_than is None else _moment(older_than, now), user_id)


def _moment(older_than: Any, now: int) -> int:
    """What is older than this is old."""
    if isinstance(older_than, datetime):
        if older_than.tzinfo is None:
            raise ValueError(f"older_than={older_than!r}: give a datetime with a time zone, such as datetime.now(UTC)")
        return int(older_than.timestamp() * 1_000_000)
    if isinstance(older_than, timedelta):
        older_than = older_than.total_seconds()
    if type(older_than) not in (int, float) or not 0 <= older_than < TOO_LONG:
        raise ValueError(f"older_than={older_than!r}: give a timedelta, seconds, or a datetime")
    return now - int(older_than * 1_000_000)


# --- all sessions ----------------------------------------------------------------------------------------------------------


def prune(read: Write[Any], write: Write[Any], asked: Wanted) -> tuple[PruneReport, CorruptCheckpoint | None]:
    """Take away the checkpoints that are to go; with what was done comes the error of the first session that is damaged."""
    report, damage = PruneReport(), None
    found = {"user_id": asked.user_id, "keep": asked.keep, "before": asked.before, "count": PAGE}
    for ordinal in _each(read, lambda tx, after: tx.all(tx.sql.prunable, {**found, "after": after})):
        of_session = PruneReport()
        more = True
        try:
            while more:
                part, more = write(partial(_prune_session, session=ordinal, asked=asked))
                of_session += part
        except CorruptCheckpoint as error:
            damage = damage or error
        report += of_session + PruneReport(sessions=1 if of_session.checkpoints else 0)
    return report, damage


def delete_disused(
    read: Write[Any], write: Write[Any], asked: Wanted, delete: Callable[[Transaction, int], int]
) -> tuple[PruneReport, CorruptCheckpoint | None]:
    """Delete the sessions that nobody has used since ``asked.before``, unless something in them waits to be resumed; gives what
    ``prune`` does.
    """
    report, damage = PruneReport(), None
    found = {"user_id": asked.user_id, "before": asked.before, "count": PAGE}

    def work(tx: Transaction, ordinal: int) -> PruneReport:
        row = tx.one(tx.sql.still_disused, {"session": ordinal, "before": asked.before})
        if row is None:
            return PruneReport()
        session_id, updated_at, seal = row
        check_time(seal, session_id, updated_at)
        size = sum(row[1] for size in tx.sql.session_sizes for row in tx.all(size, {"session": ordinal}))
        return PruneReport(deleted_sessions=1, rows=delete(tx, ordinal), bytes=size)

    for ordinal in _each(read, lambda tx, after: tx.all(tx.sql.disused, {**found, "after": after})):
        try:
            report += write(partial(work, ordinal=ordinal))
        except CorruptCheckpoint as error:
            damage = damage or error
    return report, damage


def _each(read: Write[Any], look_up: Callable[..., list[Any]]) -> Iterator[int]:
    """The ordinals that are found, a page at a time."""
    after = -1
    while rows := read(partial(look_up, after=after)):
        for (after,) in rows:
            yield after


# --- one session -----------------------------------------------------------------------------------------------------------


class _Space:
    """The checkpoints of one namespace of a session that nobody else writes at the moment."""

    def __init__(self, tx: Transaction, session: int, session_id: str, ns: str) -> None:
        self.tx, self.session_id = tx, session_id
        self.keys: dict[str, Any] = {"session": session, "ns": ns}

    def one(self, statement: str, **parameters: Any) -> Any:
        """The first row of a statement about this namespace, or None."""
        return self.tx.one(statement, {**self.keys, **parameters})

    def cut(self, asked: Wanted, head: int) -> int:
        """The first checkpoint to keep."""
        young = head
        if asked.before != NEVER:
            row = self.one(self.tx.sql.first_young, before=asked.before)
            young = head if row is None else row[0]
        return max(0, min(head, head - asked.keep + 1, young))

    def needed(self, oldest: int) -> int:
        """The checkpoint that the namespace stood at when ``oldest``, the root's first one to keep, was written."""
        row = self.one(self.tx.sql.last_old, at=oldest)
        return 0 if row is None else int(row[0])

    def first(self) -> int:
        """Where they begin. Raises CorruptCheckpoint when some are missing that nobody pruned."""
        known, there = self.one(self.tx.sql.first_kept)
        if there is None or there > known:
            raise CorruptCheckpoint(f"checkpoint {known} of session {self.session_id!r} is missing; check() tells more")
        return int(known)

    def facts(self, seq: int) -> tuple[int, int, int | None]:
        """The start of the chain of a checkpoint, when it was written, and its run."""
        row = self.one(self.tx.sql.checkpoint_facts, seq=seq)
        if row is None:
            raise CorruptCheckpoint(f"checkpoint {seq} of session {self.session_id!r} is missing; check() tells more")
        return row  # type: ignore[no-any-return]

    def drop_below(self, low: int) -> tuple[PruneReport, bool]:
        """Take away about a batch of what stands before ``low``; whether there is more."""
        tx, first = self.tx, self.first()
        if low <= first:
            return PruneReport(), False
        row = self.one(tx.sql.next_snapshot, low=first + BATCH)
        until = low if row is None else min(low, row[0])
        count, size = self.one(tx.sql.checkpoints_below, low=until)
        tx.execute(tx.sql.put_first, {**self.keys, "first": until})
        tx.execute(tx.sql.delete_checkpoints_below, {**self.keys, "low": until})
        return PruneReport(checkpoints=count, rows=count, bytes=size), until < low


def _prune_session(tx: Transaction, session: int, asked: Wanted) -> tuple[PruneReport, bool]:
    """One transaction's worth; whether there is more to do."""
    row = tx.one(tx.sql.hold_to_prune, {"session": session})
    if row is None or row[0] < 0:
        return PruneReport(), False
    head, status, owner, session_id = row
    finished = status == "completed"
    root = _Space(tx, session, session_id, "")
    cut = root.cut(asked, head)
    if not finished:
        # What a run did that is still to be gone on with stays whole.
        row = root.one(tx.sql.last_of_other_run, run=root.facts(head)[2])
        cut = min(cut, 0 if row is None else row[0] + 1)
    cut = _with_snapshot(root, cut, untouched=status == "running" or owner is not None)
    report, more = root.drop_below(cut)
    if more or not finished:
        return report, more
    return _prune_nested(tx, session, session_id, asked, root.facts(cut)[1], report)


def _prune_nested(
    tx: Transaction, session: int, session_id: str, asked: Wanted, oldest: int, report: PruneReport
) -> tuple[PruneReport, bool]:
    """Nested graphs of runs that are over: a call's checkpoints go with those around it, a lasting graph's like the root's.

    A fork at the oldest of the root's checkpoints, written at ``oldest``, still has what a lasting graph had come to by then.
    """
    for ns, last, written in tx.all(tx.sql.spaces_of_checkpoints, {"session": session}):
        space = _Space(tx, session, session_id, ns)
        if PER_CALL.search(ns) is None:
            cut = min(space.cut(asked, last), space.needed(oldest))
            part, more = space.drop_below(_with_snapshot(space, cut, untouched=False))
        elif written < min(oldest, asked.before):
            part, more = space.drop_below(last + 1)
            if not more:
                tx.execute(tx.sql.drop_first, space.keys)
        else:
            continue
        report += part
        if more or report.rows > BATCH:
            return report, True
    return report, False


# --- beginning at another checkpoint -----------------------------------------------------------------------------------------


def _with_snapshot(space: _Space, cut: int, *, untouched: bool) -> int:
    """``cut``, once its row holds a snapshot; or, where rows must be left as they are, the one before it that does."""
    cut = max(cut, space.first())
    base, *_ = space.facts(cut)
    if base == cut:
        return cut
    tx, keys = space.tx, space.keys
    rows = [] if untouched else tx.all(tx.sql.chain_above, {**keys, "low": base, "base": base})
    if not rows or len(rows) > LONGEST_CHAIN:
        return base
    texts: list[str] = []
    for seq, log_head, epoch, frontier, delta, snapshot, created_at, stored in rows:
        facts = (seq, base, log_head, epoch, created_at)
        if not matches(stored, "checkpoint", space.session_id, keys["ns"], *facts, frontier, delta, snapshot):
            raise CorruptCheckpoint(f"checkpoint {seq} of session {space.session_id!r} does not match its checksum")
        if seq <= cut:
            texts.append(snapshot or delta or "{}")
        if seq >= cut:
            text = snapshot if seq > cut else snapshot_of(texts)
            facts = (seq, cut, log_head, epoch, created_at)
            again = checksum("checkpoint", space.session_id, keys["ns"], *facts, frontier, delta, text)
            tx.execute(tx.sql.rebase, {**keys, "of": seq, "new_base": cut, "new_snapshot": text, "new_sha256": again})
    tx.execute(tx.sql.fence, {"session": keys["session"]})
    return cut
