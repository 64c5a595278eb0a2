"""The messages of a session as users read them: of the conversation alone, or of its members too, in the order they came."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from graphflow.db.counts import bounded
from graphflow.db.media import media_of
from graphflow.db.messagelog import LogRow, checked_head, folded_rows, read_log, without_replacements
from graphflow.errors import CorruptCheckpoint
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

T = TypeVar("T")


def messages(
    tx: Transaction,
    session_id: str,
    *,
    last_runs: int | None = None,
    limit: int | None = None,
    include_members: bool = False,
    user_id: str | None = None,
) -> list[Message]:
    """Messages of a session, oldest first: those of its last runs, the newest ``limit``, or all. With ``user_id`` the session
    has to be that user's; else there are none.
    """
    space = _Space.find(tx, session_id, "", last_runs, user_id)
    if space is None:
        return []
    if not include_members:
        return [message for _, message in space.read(tx, limit)]
    moments = _Moments(tx, space.session)
    placed = []
    for [ns] in tx.all(tx.sql.log_spaces, {"session": space.session}):
        inside = _Space.find(tx, session_id, ns, last_runs, user_id)
        placed += [(moments.of(ns, row), message) for row, message in inside.read(tx)] if inside is not None else []
    placed.sort(key=lambda place: place[0])
    return _newest([message for _, message in placed], limit)


@dataclass(slots=True)
class _Space:
    """The log of one namespace, from the first row that is asked for to the last that there is."""

    session_id: str
    session: int
    ns: str
    first: int
    last: int

    @classmethod
    def find(cls, tx: Transaction, session_id: str, ns: str, last_runs: int | None, user_id: str | None) -> _Space | None:
        """That of the last runs, or of all; None when the session is not there for this user."""
        asked = {"session_id": session_id, "user_id": user_id, "ns": ns, "count": bounded(last_runs or 0)}
        row = tx.one(tx.sql.log_of_runs, asked)
        if row is None:
            return None
        session, begin, known, found = row
        last = checked_head(session_id, known, found)
        first = 1 if last_runs is None else last + 1 if begin is None else begin
        return cls(session_id, session, ns, first, last)

    def read(self, tx: Transaction, limit: int | None = None) -> list[tuple[LogRow, Message]]:
        """The messages, each with the first row that has its id; the newest ``limit`` of them."""
        span = self.last if limit is None else 2 * limit + 8
        while True:
            start = max(self.first, self.last - span + 1)
            rows = read_log(tx, self.session_id, self.session, self.ns, start, self.last, media_of(tx))
            if len(rows) <= self.last - start:
                raise CorruptCheckpoint(f"message {start + len(rows)} of session {self.session_id!r} is missing")
            kept = folded_rows(without_replacements(tx, rows, start))
            if start <= self.first or (limit is not None and len(kept) >= limit):
                return _newest(kept, limit)
            span *= 2


def _newest(items: list[T], limit: int | None) -> list[T]:
    return items if limit is None else items[max(0, len(items) - limit) :]


class _Moment(NamedTuple):
    """When a message was stored. At one time: what a run began with, what its members said, what came of that."""

    time: int
    after: int
    run: int
    seq: int


class _Moments:
    """When the messages of a session were stored: a member's when it was done, the others with their superstep.

    Rows of the log tell no time, but checkpoints do, and which row was the last then. Where they were pruned, all that a run
    itself said counts as said at its start.
    """

    def __init__(self, tx: Transaction, session: int) -> None:
        self.began: dict[int | None, int] = dict(tx.all(tx.sql.run_times, {"session": session}))
        self.checkpoints: list[tuple[Any, ...]] = tx.all(tx.sql.log_times, {"session": session})
        self.heads = [head for _, head, _, _ in self.checkpoints]

    def of(self, ns: str, row: LogRow) -> _Moment:
        run, began = row.run or 0, self.began.get(row.run, 0)
        if ns:
            return _Moment(began, 1, run, row.seq)
        at = bisect_left(self.heads, row.seq)
        if 0 < at < len(self.heads):
            seq, _, time, by = self.checkpoints[at]
            before, _, _, by_before = self.checkpoints[at - 1]
            if seq == before + 1 and by == by_before == row.run:
                return _Moment(time, 2, run, row.seq)
        return _Moment(began, 0, run, row.seq)
