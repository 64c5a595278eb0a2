"""Committing: everything one transaction writes is made ready first, so that what cannot be stored raises before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphflow.core.calls import KeyTaken, busy
from graphflow.core.control import MEASURED
from graphflow.core.effects import CloseRun, Commit, OpenRun
from graphflow.core.stored import LogEntry
from graphflow.db import outlines
from graphflow.db.checkpoints import ReadyAdvance, ReadyCheckpoint, lost
from graphflow.db.codec import write_value
from graphflow.db.jsontext import dumps
from graphflow.db.leases import in_words, is_dead
from graphflow.db.limits import Limits, check_message, check_names, check_task
from graphflow.db.media import store_media
from graphflow.db.rows import (
    checksum,
    closing,
    encode_entry,
    encode_task,
    input_digest,
    message_checksum,
    new_run,
    new_session,
    plain_text,
)
from graphflow.db.seals import run_seal, seal_taken, session_seal, time_seal
from graphflow.db.sidewrites import ReadySideWrites
from graphflow.db.tags import MAX_DEPTH, TAG, Media
from graphflow.errors import LeaseLost

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction

Params = dict[str, Any]
Values = tuple[Any, ...]


class Lease(NamedTuple):
    """What a store writes as the holder of a session; no name where other processes cannot see the sessions."""

    me: str | None
    microseconds: int


NO_LEASE: Final = Lease(None, 0)


class ReadyCommit:
    """The parameters of one commit's statements. ``write`` may be called again when a transaction has to be repeated."""

    is_statement: Final = False
    """Whether one statement is all there is to do, on every database."""
    outline: str | None = None
    """What the graph of the opened run looks like, when that is not known to be stored."""
    checkpoint: ReadyCheckpoint | None = None
    messages: Sequence[Values] = ()
    last_words: Sequence[tuple[str, Sequence[Values]]] = ()
    """What runs say that are closed because of another one: their run_id and rows."""
    tasks: Sequence[Values] = ()
    closed: Sequence[Values] = ()
    side: ReadySideWrites | None = None
    times: tuple[int, bytes] = (0, b"")
    """When the session is being used, and the seal of that, where this commit says so."""

    def __init__(self, effect: Commit, now: int, lease: Lease, limits: Limits, *, light: bool = False) -> None:
        """Encode everything. Raises SerializationError, also for what is larger than ``limits`` allow.

        With ``light``, a run that is completed leaves a snapshot, unless the last one was long.
        """
        self.effect = effect
        self.now = now
        self.lease = lease
        self.limits = limits
        self.media = Media()
        if limits.depth != MAX_DEPTH:
            self.media.depth = limits.depth
        new = effect.checkpoint
        self.seq = effect.head if new is None else new.seq
        """Where the session's head stands after this commit."""
        self.takes_lease = lease.me is not None and effect.status == "running" and (effect.take_over or effect.epoch == 0)
        """Whether a run goes on after this commit that did not before."""
        # The ordinals of session and run, as far as they are known.
        self.session = effect.session if new is None else new.weight.session
        self.run = None if new is None else new.weight.run
        self.goes_on = new is not None and not (effect.take_over or effect.status or effect.ns) and effect.epoch > 0
        """Whether the checkpoint is that of a run which has the session and keeps it: one statement compares and inserts."""
        if effect.take_over or effect.status or effect.epoch == 0:
            self.times = now, time_seal(effect.session_id, now)
        if new is not None:
            epoch, completes = effect.epoch + (effect.take_over or effect.epoch == 0), effect.status == "completed"
            place = effect.session_id, effect.ns, epoch
            self.checkpoint = ReadyCheckpoint(new, *place, now, limits, self.media, light, completes)
        if effect.messages:
            if new is None:
                raise ValueError("messages are committed with the checkpoint that knows their log_head")
            self.messages = self._message_rows(effect.run_id, effect.messages, new.log_head)
        if effect.tasks:
            self.tasks = [self._task_row(row) for row in effect.tasks]
        if effect.closed:
            self.closed = [self._closed_row(closed) for closed in effect.closed]
            self.last_words = [
                (closed.run_id, self._message_rows(closed.run_id, closed.said, closed.last_message))
                for closed in effect.closed
                if closed.said
            ]
        if effect.side:
            self.side = ReadySideWrites(effect, now, self.media)

    # --- making rows ready -----------------------------------------------------------------------------------------------

    def _message_rows(self, run_id: str, entries: Sequence[LogEntry], last: int) -> list[Values]:
        """The values of the row of each, which end with seq ``last``: seq, then those from ``role`` on."""
        session_id, ns, rows = self.effect.session_id, self.effect.ns, []
        for seq, entry in enumerate(entries, last - len(entries) + 1):
            role, body = encode_entry(entry, seq, run_id, self.media)
            check_message(self.limits, seq, entry, body)
            rows.append((seq, role, body, message_checksum(session_id, ns, seq, run_id, role, body)))
        return rows

    def _task_row(self, row: Any) -> Values:
        """The values of the row, but for the session."""
        effect = self.effect
        check_names(row)
        value = encode_task(row, effect.schema, self.media)
        check_task(self.limits, row, value)
        ns = effect.ns if row.ns is None else row.ns
        origin = effect.origin if row.origin is None else row.origin
        values = (ns, row.task_id, row.kind, row.name, row.nth, origin, row.node, value)
        return *values, checksum("task", effect.session_id, *values)

    def _closed_row(self, closed: CloseRun) -> Values:
        """The values of the row, but for the session."""
        error, metrics = plain_text(closed.error), _metrics(closed.metrics)
        return closing(closed.run_id, closed.status, closed.last_message, self.seq, self.now, error, metrics)

    def opened_row(self, opened: OpenRun, session: int | None) -> Params:
        """What a run begins with."""
        effect = self.effect
        params: Params = {
            "run_id": opened.run_id,
            "session": session,
            "ns": effect.ns,
            "status": "running",
            "parent_run_id": opened.parent_run_id,
            "component_id": plain_text(opened.component_id),
            "user_id": effect.user_id,
            "first_message": opened.first_message,
            "first_seq": None if self.checkpoint is None else self.seq,
            "fingerprint": opened.fingerprint,
            "idempotency_key": opened.idempotency_key,
            "input": None if opened.input is None else input_digest(opened.input, effect.schema),
            "created_at": self.now,
        }
        params["seal"] = run_seal(params)
        return params

    # --- writing ---------------------------------------------------------------------------------------------------------

    def write(self, tx: Transaction) -> None:
        """Do it, in the transaction. Raises LeaseLost when the session does not stand where the effect says."""
        execute, sql, effect = tx.execute, tx.sql, self.effect
        session = self.session = self._claim(tx)
        run = self.run = self._run(tx, session)
        if self.checkpoint is not None:
            if self.goes_on:
                self.checkpoint.insert_next(tx, effect.session_id, effect.head, effect.epoch, session, run)
            else:
                execute(sql.insert_checkpoint, (session, effect.ns, self.seq, run, *self.checkpoint.values))
        if self.outline is not None and effect.opened is not None:
            outlines.write(tx, effect.opened.fingerprint, self.outline, self.now)
        if effect.reopened is not None:
            execute(sql.reopen_run, {"run_id": effect.reopened, "session": session})
        if effect.drop_tasks:
            execute(sql.drop_tasks if effect.ns else sql.drop_all_tasks, {"session": session, "ns": effect.ns})
        for seq, *values in self.messages:
            execute(sql.insert_message, (session, effect.ns, seq, run, *values))
        if self.last_words:
            self._write_last_words(tx, session)
        for task in self.tasks:
            execute(sql.put_task, (session, *task))
        for ended in self.closed:
            execute(sql.close_run, (*ended, session))
        if self.side is not None:
            self.side.write(tx, session, run)
        if self.media:
            store_media(tx, self.media, session)

    def _write_last_words(self, tx: Transaction, session: int) -> None:
        for run_id, rows in self.last_words:
            run = self._ordinal_of(tx, run_id)
            for seq, *values in rows:
                tx.execute(tx.sql.insert_message, (session, self.effect.ns, seq, run, *values))

    def landed(self, tx: Transaction) -> bool:
        """Whether this very commit is in the database: asked when it may have been written, and nobody said so.

        A checkpoint is known by its checksum, the end of a run and a take-over by their times, which are never given twice.
        Rows of tasks need not be known: writing them again changes nothing.
        """
        effect, sql = self.effect, tx.sql
        if self.checkpoint is not None:
            return self.checkpoint.landed(tx, effect.session_id, effect.ns)
        if self.closed:
            status, *_, run_id = self.closed[-1]
            row = tx.one(sql.landed_end, {"run_id": run_id})
            return row is not None and tuple(row) == (status, self.now)
        if effect.take_over:
            row = tx.one(sql.landed_take, {"session_id": effect.session_id})
            return row is not None and tuple(row) == (effect.epoch + 1, self.now)
        return False

    def _claim(self, tx: Transaction) -> int:
        """The ordinal of the session: one that is made or taken over, whose run ends, or that is this run's."""
        effect, sql = self.effect, tx.sql
        if self.goes_on:
            return self._find(tx) if effect.session is None else effect.session
        if effect.epoch == 0:
            return self._make(tx)
        if effect.ns or not (effect.take_over or effect.status):
            # What is written beside the session's own checkpoints is written under its fencing number alone.
            fence = sql.fenced if self.side is None else sql.fenced_alone
            row = tx.one(fence, {"session_id": effect.session_id, "expected_epoch": effect.epoch})
        elif not effect.take_over:
            return self._give_up(tx)
        elif effect.session is not None and self._take_own(tx, effect.session):
            return effect.session
        else:
            row = self._take(tx)
        if row is None or effect.session not in (None, row[0]):
            raise self._lost(tx)
        ordinal: int = row[0]
        return ordinal

    def _make(self, tx: Transaction) -> int:
        """A new session."""
        session = tx.inserted(tx.sql.insert_session, new_session(self.new_session()))
        if session is None:
            raise self._lost(tx)
        return session

    def _find(self, tx: Transaction) -> int:
        """The ordinal of a session that is there, looked up."""
        row = tx.one(tx.sql.find_session, {"session_id": self.effect.session_id})
        if row is None:
            raise self._lost(tx)
        ordinal: int = row[0]
        return ordinal

    def _give_up(self, tx: Transaction) -> int:
        """The ordinal of a session whose run ends, for now or for good."""
        effect = self.effect
        session = self._find(tx) if effect.session is None else effect.session
        values = (effect.status, self.seq, *self.times, session, effect.head, effect.epoch)
        if tx.execute(tx.sql.give_up, values).rowcount != 1:
            raise self._lost(tx)
        return session

    def _run(self, tx: Transaction, session: int) -> int | None:
        """The ordinal of the run that this commit belongs to."""
        effect = self.effect
        if effect.opened is not None:
            return self._open_run(tx, session)
        if effect.checkpoint is None:
            return None
        if effect.checkpoint.weight.run is None:
            return self._ordinal_of(tx, effect.run_id)
        return effect.checkpoint.weight.run

    def _ordinal_of(self, tx: Transaction, run_id: str) -> int | None:
        row = tx.one(tx.sql.find_run, {"run_id": run_id})
        return None if row is None else row[0]

    def _take_own(self, tx: Transaction, session: int) -> bool:
        """Take over a session whose seal was checked when it was loaded; False when it is held, unsealed or not the user's."""
        effect = self.effect
        stands = (session, effect.head, effect.epoch, effect.user_id, self.lease.me)
        done = tx.execute(tx.sql.take_own, (effect.status, self.seq, *self._held(), *self.times, *stands))
        taken: bool = done.rowcount == 1
        return taken

    def _take(self, tx: Transaction) -> Row | None:
        """Take the session over: when nobody holds it, when the lease has run out, or when the holder is known to be dead."""
        effect = self.effect
        owner, ttl = self._held()
        now, time_seal = self.times
        params: Params = {
            "session_id": effect.session_id,
            "expected_head": effect.head,
            "expected_epoch": effect.epoch,
            "new_head": self.seq,
            "new_status": effect.status,
            "now": now,
            "time_seal": time_seal,
            "lease_owner": owner,
            "lease_ttl": ttl,
            "owner": effect.user_id,
            "me": self.lease.me,
            "dead": None,
        }
        row = tx.one(tx.sql.take, params)
        if row is None:
            found = tx.one(tx.sql.standing, {"session_id": effect.session_id})
            if found is not None and found[1:3] == (effect.head, effect.epoch) and found[4] is not None:
                if not is_dead(found[4]):
                    raise busy(effect.session_id, in_words(found[4], found[5] / 1e6))
                row = tx.one(tx.sql.take, {**params, "dead": found[4]})
        if row is not None:
            seal_taken(tx, row, effect.user_id)
        return row

    def _held(self) -> tuple[str | None, int | None]:
        """Who holds the session after this commit, and for how long."""
        return self.lease if self.takes_lease else (None, None)

    def new_session(self) -> Params:
        """What a session begins with."""
        effect = self.effect
        owner, ttl = self._held()
        fields = {
            "lease_owner": owner,
            "lease_ttl": ttl,
            "session_id": effect.session_id,
            "session_type": effect.session_type,
            "user_id": effect.user_id,
            "component_id": plain_text(effect.component_id),
            "status": effect.status or "running",
            "head": -1 if self.checkpoint is None or effect.ns else self.seq,
            "epoch": 1,
            "created_at": self.now,
            "updated_at": self.now,
        }
        return {**fields, "seal": session_seal(fields), "time_seal": self.times[1]}

    def _lost(self, tx: Transaction) -> LeaseLost:
        effect = self.effect
        return lost(tx, effect.session_id, effect.head, effect.epoch, effect.session)

    def _open_run(self, tx: Transaction, session: int) -> int:
        opened = self.effect.opened
        assert opened is not None
        params = self.opened_row(opened, session)
        run = tx.inserted(tx.sql.insert_run, new_run(params))
        if run is None:
            raise self._taken(tx, params)
        return run

    def _taken(self, tx: Transaction, params: Params) -> Exception:
        key = params["idempotency_key"]
        other = None if key is None else tx.execute(tx.sql.run_of_key, params).fetchone()
        if other is not None:
            return KeyTaken(f"run {other[0]!r} has begun with the idempotency key {key!r}; wait for its result")
        return ValueError(f"there is a run {params['run_id']!r} already; give each run its own id")


Ready = ReadyAdvance | ReadyCommit
"""What a store is asked to commit, made ready."""


def _metrics(metrics: Mapping[str, Any] | None) -> str | None:
    """What was measured, without what is nothing, times to the microsecond."""
    kept = _rounded(metrics) if metrics else None
    if not kept:
        return None
    if _is_plain(kept):
        with suppress(ValueError):  # a number that JSON does not have: it is written with its tag
            return dumps(kept)
    return write_value(kept, "metrics")


def _is_plain(measured: Mapping[str, Any]) -> bool:
    """Whether JSON takes it as it is: nothing was noted beside what is always measured, and no node is called like a tag."""
    nodes: Mapping[str, Any] = measured.get("nodes", {})
    numbers = [*nodes.values(), *[value for name, value in measured.items() if name != "nodes"]]
    return MEASURED.issuperset(measured) and TAG not in nodes and _NUMBERS.issuperset(map(type, numbers))


_NUMBERS: Final = frozenset({int, float})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if type(value) is dict or isinstance(value, Mapping):
        return {key: round(item, 6) if type(item) is float else _rounded(item) for key, item in value.items() if item}
    return value
