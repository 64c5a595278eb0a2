"""Earlier messages of a session: the window that is needed, by primary key, however long the log has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.effects import ReadHistory
from graphflow.db.counts import ALL
from graphflow.db.media import media_of
from graphflow.db.messagelog import LogRow, folded, folded_rows, log_head, read_log, verified, without_replacements
from graphflow.errors import CorruptCheckpoint
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

MARGIN: Final = 8
"""Rows read beyond the number of messages asked for, because some rows replace or remove others."""


def read_history(tx: Transaction, effect: ReadHistory) -> Any:
    """What ``effects.ReadHistory`` describes."""
    low = 1 if effect.after is None else effect.after + 1
    if effect.numbered:
        return _numbered(tx, effect, low)
    if effect.last_runs is None and effect.last_messages is not None and effect.after is None:
        return _last_messages(tx, effect, low, effect.last_messages)
    messages = keep_pairs(_of_last_runs(tx, effect, low))
    if effect.last_messages is not None:
        messages = keep_pairs(messages[max(0, len(messages) - effect.last_messages) :])
    return messages


def _since(tx: Transaction, effect: ReadHistory, low: int, rows: list[LogRow]) -> list[LogRow]:
    """``rows``, which were read from ``low`` on, without those that replace what came earlier; none may be missing."""
    last = rows[-1].seq if rows else low - 1
    if last < effect.before - 1 and last < log_head(tx, effect.session_id, effect.ns):
        raise CorruptCheckpoint(f"message {last + 1} of session {effect.session_id!r} is missing")
    return without_replacements(tx, rows, low)


def _of_last_runs(tx: Transaction, effect: ReadHistory, low: int) -> list[Message]:
    rows, counted = _log(tx, effect, low)
    ids = {row.entry.id for row in rows if row.run in counted and row.entry.id == f"{row.run_id}-{row.seq}"}
    # Rows of other runs count only where they replace or remove a message of these.
    return folded(row for row in rows if row.run in counted or row.entry.id in ids)


def _numbered(tx: Transaction, effect: ReadHistory, low: int) -> list[tuple[int, Message]]:
    """The messages from ``low`` on, each with the seq of the row that brought it."""
    effect = replace(effect, before=min(effect.before, log_head(tx, effect.session_id, effect.ns) + 1))
    found, counted = _log(tx, effect, low)
    rows = [row for row in found if row.run in counted or row.run_id == effect.run_id]
    said = folded_rows(rows)
    return [(said[at][0].seq, message) for at, message in _kept([message for _, message in said])]


def _log(tx: Transaction, effect: ReadHistory, low: int) -> tuple[list[LogRow], set[int | None]]:
    """The rows from ``low``, or where the last runs that are asked for begin, and the runs among theirs that count."""
    session_id, ns, before, fetch = effect.session_id, effect.ns, effect.before, media_of(tx)
    which = {"session_id": session_id, "ns": ns, "before": before}
    if effect.last_runs is None:
        found = tx.all(tx.sql.log_since, {**which, "low": low})
        rows = verified([row[:-1] for row in found], session_id, ns, low, fetch)
        counted = {row.run for row, (*_, counts) in zip(rows, found, strict=True) if counts}
    else:
        newest = tx.sql.last_runs_inside if ns else tx.sql.last_runs
        runs = tx.all(newest, {**which, "count": min(effect.last_runs, ALL)})
        low = max(low, min([first for *_, first in runs], default=before))
        if low >= before:
            return [], set()
        rows = read_log(tx, session_id, runs[0][0], ns, low, before - 1, fetch)
        counted = {ordinal for _, ordinal, _ in runs}
    return _since(tx, effect, low, rows), counted


def _last_messages(tx: Transaction, effect: ReadHistory, low: int, count: int) -> list[Message]:
    span = count + MARGIN
    while True:
        start = max(low, effect.before - span)
        messages = keep_pairs(_of_last_runs(tx, replace(effect, after=start - 1), start))
        if len(messages) >= count or start <= low:
            return keep_pairs(messages[max(0, len(messages) - count) :])
        span *= 2


def keep_pairs(messages: Sequence[Message]) -> list[Message]:
    """The messages without tool messages whose call is missing and without calls that nobody answered.

    Models refuse both. A message that holds nothing but unanswered calls is left out whole. An answer belongs to the last calls
    before it: some models call their calls alike again and again.
    """
    if not any(message.tool_calls or message.role == "tool" for message in messages):
        return list(messages)
    return [message for _, message in _kept(messages)]


def _kept(messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """Those, each with its place."""
    kept: list[tuple[int, Message]] = []
    called: set[str | None] = set()
    for at, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in called:
                continue
        elif message.role == "assistant":
            answered = _answered(messages, at) if message.tool_calls else ()
            calls = tuple(call for call in message.tool_calls if call.id in answered)
            called = {call.id for call in calls}
            if len(calls) < len(message.tool_calls):
                if not calls and not message.content:
                    continue
                message = message.model_copy(update={"tool_calls": calls})
        kept.append((at, message))
    return kept


def _answered(messages: Sequence[Message], at: int) -> set[str | None]:
    """The calls that are answered before the next word of the model."""
    answered = set()
    for after in range(at + 1, len(messages)):
        if messages[after].role == "assistant":
            break
        answered.add(messages[after].tool_call_id)
    return answered
