"""The messages of a session as users read them: of the conversation alone, or of its members too, in the order they came."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from graphflow.db.media import media_of
from graphflow.db.messagelog import LogRow, checked_head, folded, log_head, read_log, verified
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
    if last_runs is not None and not include_members:
        return _newest([message for _, message in _lately(tx, session_id, "", last_runs, user_id)], limit)
    found = tx.one(tx.sql.mine, {"session_id": session_id, "user_id": user_id})
    if found is None:
        return []
    [session] = found
    if not include_members:
        return [message for _, message in _all(tx, session_id, session, "", limit)]
    moments = _Moments(tx, session)
    placed = []
    for [ns] in tx.all(tx.sql.log_spaces, {"session": session}):
        said = _all(tx, session_id, session, ns) if last_runs is None else _lately(tx, session_id, ns, last_runs, user_id)
        placed += [(moments.of(ns, row), message) for row, message in said]
    placed.sort(key=lambda place: place[0])
    return _newest([message for _, message in placed], limit)


def _newest(items: list[T], limit: int | None) -> list[T]:
    return items if limit is None else items[max(0, len(items) - limit) :]


def _lately(tx: Transaction, session_id: str, ns: str, last_runs: int, user_id: str | None) -> list[tuple[LogRow, Message]]:
    """Messages of the last runs of one namespace, each with the row that it came with."""
    wanted = {"session_id": session_id, "user_id": user_id, "ns": ns, "count": last_runs}
    found = tx.all(tx.sql.said_lately, wanted)
    if not found:
        return []
    seq, *_, first, known, last = found[0]
    checked_head(session_id, known, last)
    if seq is None:
        return []
    return _placed(verified((row[:6] for row in found), session_id, ns, first, media_of(tx)))


def _all(tx: Transaction, session_id: str, session: int, ns: str, limit: int | None = None) -> list[tuple[LogRow, Message]]:
    """Messages of one namespace, each with the row that it came with; the newest ``limit`` of them."""
    head = log_head(tx, session_id, ns)
    span = head if limit is None else 2 * limit + 8
    while True:
        start = max(1, head - span + 1)
        found = _placed(read_log(tx, session_id, session, ns, start, head, media_of(tx)))
        if start == 1 or (limit is not None and len(found) >= limit):
            return _newest(found, limit)
        span *= 2


def _placed(rows: list[LogRow]) -> list[tuple[LogRow, Message]]:
    """The messages that rows amount to, each with the first row that has its id."""
    places = {row.entry.id: row for row in reversed(rows)}
    return [(places[message.id], message) for message in folded(rows)]


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
