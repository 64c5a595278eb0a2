"""The messages of a session as users read them: of the conversation alone, or of its members too, in the order they came."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.db.media import media_of
from graphflow.db.messagelog import LogRow, folded, log_head, read_log
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


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
    found = tx.one(tx.sql.mine, {"session_id": session_id, "user_id": user_id})
    if found is None:
        return []
    spaces = [row[0] for row in tx.all(tx.sql.log_spaces, {"session": found[0]})] if include_members else [""]
    if spaces == [""]:
        return [message for _, message in _messages_of(tx, session_id, found[0], "", last_runs, limit)]
    moments = _Moments(tx, found[0])
    placed = [
        (moments.of(ns, row), message)
        for ns in spaces
        for row, message in _messages_of(tx, session_id, found[0], ns, last_runs, None)
    ]
    placed.sort(key=lambda place: place[0])
    wanted = [message for _, message in placed]
    return wanted if limit is None else wanted[max(0, len(wanted) - limit) :]


def _messages_of(
    tx: Transaction, session_id: str, session: int, ns: str, last_runs: int | None, limit: int | None
) -> list[tuple[LogRow, Message]]:
    """Messages of one namespace, each with the row that it came with; the newest ``limit`` of them."""
    head = log_head(tx, session_id, ns)
    low = 1
    if last_runs is not None:
        first = tx.one(tx.sql.first_of_last_runs, {"session": session, "ns": ns, "count": last_runs})
        low = head + 1 if first is None or first[0] is None else first[0]
    span = head if limit is None else 2 * limit + 8
    while True:
        start = max(low, head - span + 1)
        rows = read_log(tx, session_id, ns, start, head, media_of(tx))
        kept = folded(rows)
        if start <= low or (limit is not None and len(kept) >= limit):
            places = {row.entry.id: row for row in reversed(rows)}
            found = [(places[message.id], message) for message in kept]
            return found if limit is None else found[max(0, len(found) - limit) :]
        span *= 2


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
