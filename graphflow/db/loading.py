"""Loading: the session row, then one range of checkpoints whose deltas are folded into the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.control import MISSING
from graphflow.core.effects import Load, LoadMany
from graphflow.core.reducers import Delta, Op, apply_op
from graphflow.core.state import StateSchema, Values
from graphflow.core.stored import OWN_ORIGINS, Frontier, Range, Run, Stored, TaskRow, Weight
from graphflow.db.checkpoints import ROW_WEIGHT, SHORT_SNAPSHOT
from graphflow.db.codec import channel_codecs
from graphflow.db.counts import bounded
from graphflow.db.jsontext import loads
from graphflow.db.leases import in_words, is_dead, process_name
from graphflow.db.media import media_of
from graphflow.db.messagelog import fill_logged
from graphflow.db.rows import decode_frontier, decode_task, matches
from graphflow.db.seals import check_seal
from graphflow.db.tags import Fetch
from graphflow.errors import CorruptCheckpoint, GraphChanged, NotOwner, SerializationError, SessionNotFound

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction


IsRun = Callable[[str, str | None, int | None], bool]
"""Whether somebody runs a session, given its id, the lease's owner, and the microseconds it has left."""


def load(tx: Transaction, effect: Load, is_run: IsRun) -> Stored | None:
    """A session at its head, or at checkpoint ``at``; None when there is none. See ``effects.Load`` for what it raises."""
    sql = tx.sql
    statement = sql.load_at if effect.at is not None else sql.load_nested if effect.ns else sql.load_head
    at = None if effect.at is None else bounded(effect.at)
    params = {"session_id": effect.session_id, "ns": effect.ns, "user_id": effect.user_id, "at": at}
    row = tx.one(statement, params)
    if row is None:
        check_not_foreign(tx, effect.session_id)
        return None
    found = _Found.of(effect.session_id, row)
    if found.seq is None:
        if effect.at is not None:
            raise no_checkpoint(tx, effect.session_id, effect.at, found.head)
        if effect.ns:
            return None
        if found.head >= 0:
            raise CorruptCheckpoint(f"checkpoint {found.head} of session {effect.session_id!r}, its head, is missing")
    fetch = media_of(tx)
    state = Folded.initial(effect.schema)
    rows = [] if found.seq is None else read_chain(tx, effect.session_id, found.ordinal, effect.ns, found.base, found.seq)
    for chained in rows:
        state.add(chained, fetch)
    head = found.head if not effect.ns else found.seq if effect.at is None else _last_of(tx, params)
    stored = _stored(effect.session_id, found, state, rows[-1] if rows else None, fetch, effect.ns, head)
    if effect.with_log:
        fill_logged(tx, effect.session_id, found.ordinal, effect.ns, effect.schema, [stored], fetch)
    stored.status = found.shown(stored, is_run)
    if found.status != "completed" and stored.seq == head:
        read_tasks(tx, stored, found.ordinal, effect.schema, fetch)
    if found.status == "running" and not effect.ns and stored.seq == head:
        _check_said(tx, stored, found.ordinal)
    return stored


def _check_said(tx: Transaction, stored: Stored, session: int) -> None:
    """Raise CorruptCheckpoint when more was said than the last checkpoint of a running session knows: later ones were lost."""
    row = tx.one(tx.sql.last_message, {"session": session, "ns": ""})
    if row is not None and row[0] is not None and row[0] > stored.log_head:
        raise _later_are_missing(stored, f"message {row[0]}")


def _later_are_missing(stored: Stored, what: str) -> CorruptCheckpoint:
    where = f"checkpoint {stored.seq} of session {stored.session_id!r}"
    return CorruptCheckpoint(f"{where} is its last one, but {what} came after it: later ones are missing")


def _last_of(tx: Transaction, params: Mapping[str, Any]) -> int | None:
    """The last checkpoint of a nested graph."""
    row = tx.one(tx.sql.load_nested, params)
    return None if row is None else _Found(*row).seq


class Unfinished(Exception):
    """The session is another user's, is held, or has something unfinished: that takes more statements."""


def load_finished(tx: Transaction, effect: Load) -> Stored | None:
    """A session at its head, None when there is none: one statement where it stands at a snapshot, one more for its messages if
    they are asked for. Raises Unfinished.
    """
    row = tx.one(tx.sql.load_finished, {"session_id": effect.session_id, "user_id": effect.user_id})
    if row is None:
        if tx.one(tx.sql.find_session, {"session_id": effect.session_id}) is None:
            return None
        raise Unfinished
    session = _Found.of(effect.session_id, row[:_FOUND])
    if session.status != "completed":  # whoever holds it runs it
        raise Unfinished
    last = ChainRow(*row[_FOUND - 2 :])
    earlier = _chain(tx, session.ordinal, "", last.base, last.seq - 1) if last.base < last.seq else []
    chain = [*earlier, last]
    fetch = media_of(tx)
    state = Folded.initial(effect.schema)
    check_chain(chain, effect.session_id, "", last.base, last.seq)
    for chained in chain:
        state.add(chained, fetch)
    stored = _stored(effect.session_id, session, state, last, fetch)
    if effect.with_log:
        fill_logged(tx, effect.session_id, session.ordinal, "", effect.schema, [stored], fetch)
    return stored


def load_many(tx: Transaction, effect: LoadMany, is_run: IsRun) -> list[Stored]:
    """The session at each of its newest ``limit`` checkpoints, newest first, with messages."""
    ns = effect.ns
    params = {"session_id": effect.session_id, "ns": ns, "user_id": effect.user_id}
    row = tx.one(tx.sql.load_nested if ns else tx.sql.load_head, params)
    if row is None:
        check_not_foreign(tx, effect.session_id)
        raise SessionNotFound(f"there is no session {effect.session_id!r} in this database")
    found = _Found.of(effect.session_id, row)
    if found.seq is None or effect.limit == 0:
        return []
    first = first_kept(tx, effect.session_id, found.ordinal, ns)
    low = first if effect.limit is None else max(first, found.seq - effect.limit + 1)
    base = found.base if low >= found.base else base_of(tx, effect.session_id, found.ordinal, ns, low)
    fetch = media_of(tx)
    state = Folded.initial(effect.schema)
    history: list[Stored] = []
    runs = {ordinal: Run(*run) for ordinal, *run in tx.all(tx.sql.runs_of_session, {"session": found.ordinal})}
    for chained in read_chain(tx, effect.session_id, found.ordinal, ns, base, found.seq):
        state.add(chained, fetch)
        if chained.seq >= low:
            stored = _stored(effect.session_id, found, state.copy(), chained, fetch, ns)
            stored.run = runs.get(chained.run or 0)
            history.append(stored)
    if found.status != "completed":
        history[-1].status = found.shown(history[-1], is_run)
        read_tasks(tx, history[-1], found.ordinal, effect.schema, fetch)
    fill_logged(tx, effect.session_id, found.ordinal, ns, effect.schema, history, fetch)
    return history[::-1]


@dataclass(slots=True)
class _Found:
    """What the first statement of a load tells."""

    ordinal: int
    session_type: str
    user_id: str | None
    made_by: str | None
    name: str | None
    metadata: str | None
    created_at: int
    seal: bytes | None
    status: str
    head: int
    epoch: int
    run_id: str | None
    run_status: str
    first_message: int
    fingerprint: str
    component_id: str | None
    metrics: str | None
    lease_owner: str | None
    lease_left: int | None
    seq: int | None
    base: int

    @classmethod
    def of(cls, session_id: str, row: Sequence[Any]) -> _Found:
        """What a row tells. Raises CorruptCheckpoint when what the session is, and whose, was changed."""
        found = cls(*row)
        check_seal(
            found.seal,
            session_id=session_id,
            session_type=found.session_type,
            user_id=found.user_id,
            component_id=found.made_by,
            name=found.name,
            metadata=found.metadata,
            created_at=found.created_at,
        )
        return found

    def shown(self, stored: Stored, is_run: IsRun) -> str:
        """The status, where a run that nobody runs any more is a crashed one."""
        at_head = stored.seq == self.head and stored.status == "running"
        return "crashed" if at_head and not is_run(stored.session_id, self.lease_owner, self.lease_left) else stored.status

    @property
    def holder(self) -> str | None:
        """The live process, other than this one, that runs the session."""
        owner, left = self.lease_owner, self.lease_left
        if owner is None or left is None or left <= 0 or owner == process_name() or is_dead(owner):
            return None
        return in_words(owner, left / 1e6)


_FOUND: Final = len(fields(_Found))
"""The columns of it; its last two are the first of a ChainRow."""


def check_not_foreign(tx: Transaction, session_id: str) -> None:
    """Raise NotOwner when the session that was not found for this user is there for another."""
    if tx.one(tx.sql.standing, {"session_id": session_id}) is not None:
        raise NotOwner(f"session {session_id!r} belongs to another user; give its owner's user_id, or use another session_id")


def first_kept(tx: Transaction, session_id: str, session: int, ns: str) -> int:
    """Where the checkpoints of a namespace begin: at 0, or where pruning left off."""
    known, there = tx.one(tx.sql.first_kept, {"session": session, "ns": ns}) or (0, None)
    if there != known:
        raise CorruptCheckpoint(f"the checkpoints of session {session_id!r} begin at {there} instead of {known}")
    return int(known)


def no_checkpoint(tx: Transaction, session_id: str, at: int, head: int) -> SessionNotFound:
    """The error for a checkpoint that is not there."""
    row = tx.one(tx.sql.pruned_here, {"session_id": session_id})
    first = 0 if row is None else row[0]
    if 0 <= at < first:
        return SessionNotFound(f"checkpoint {at} of session {session_id!r} was pruned; kept are {first} to {head}")
    return SessionNotFound(f"session {session_id!r} has no checkpoint {at}; its checkpoints are {first} to {head}")


def _stored(
    session_id: str, found: _Found, state: Folded, row: ChainRow | None, fetch: Fetch, ns: str = "", head: int | None = None
) -> Stored:
    run = None
    if found.run_id is not None:
        run = Run(found.run_id, found.run_status, found.first_message, found.fingerprint, found.component_id)
        run.metrics = _measured(found.metrics)
    state.weight.session, state.weight.run = found.ordinal, None if row is None else row.run
    if head is None:
        head = (found.seq or 0) if ns else found.head
    frontier = Frontier(-1) if row is None else decode_frontier(row.frontier, row.seq, state.schema, fetch)
    status = found.status
    if row is not None and row.seq != head:
        # How the session stood then: nobody had stopped there, or the head would be there.
        status = "running" if frontier.next or frontier.deferred else "completed"
    return Stored(
        session_id=session_id,
        session_type=found.session_type,
        user_id=found.user_id,
        status=status,
        head=head,
        epoch=found.epoch,
        seq=-1 if row is None else row.seq,
        frontier=frontier,
        values=state.values,
        ranges=state.ranges,
        log_head=0 if row is None else row.log_head,
        weight=state.weight,
        run=run,
        tasks=[],
        created_at=0.0 if row is None else row.created_at / 1e6,
        holder=found.holder,
        ns=ns,
    )


def _measured(metrics: str | None) -> Mapping[str, Any]:
    """The metrics of a run. Damaged ones are left to ``db.check``: a session is not lost for them."""
    try:
        found = {} if metrics is None else loads(metrics)
    except (ValueError, SerializationError, CorruptCheckpoint):
        return {}
    return found if isinstance(found, dict) else {}


# --- checkpoints -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ChainRow:
    """A verified row of the checkpoints table."""

    seq: int
    base: int
    log_head: int
    epoch: int
    frontier: str | None
    delta: str | None
    snapshot: str | None
    created_at: int
    sha256: bytes
    run: int | None


def read_chain(tx: Transaction, session_id: str, session: int, ns: str, low: int, high: int) -> list[ChainRow]:
    """The checkpoints from ``low`` to ``high``, verified and without gaps."""
    rows = _chain(tx, session, ns, low, high)
    check_chain(rows, session_id, ns, low, high)
    return rows


def _chain(tx: Transaction, session: int, ns: str, low: int, high: int) -> list[ChainRow]:
    return [ChainRow(*row) for row in tx.all(tx.sql.chain, {"session": session, "ns": ns, "low": low, "high": high})]


def check_chain(rows: list[ChainRow], session_id: str, ns: str, low: int, high: int) -> None:
    """Raise CorruptCheckpoint when one of the checkpoints from ``low`` to ``high`` is missing or was changed."""
    where = f"session {session_id!r}" + (f" (namespace {ns!r})" if ns else "")
    for expected, row in enumerate(rows, low):
        if row.seq != expected:
            raise CorruptCheckpoint(f"checkpoint {expected} of {where} is missing")
        if not _sound(session_id, ns, row):
            raise CorruptCheckpoint(
                f"checkpoint {row.seq} of {where} does not match its checksum; bring the row back from a backup, "
                f"or db.repair_session({session_id!r}) takes the session back to its last sound checkpoint"
            )
    if len(rows) != high - low + 1:
        raise CorruptCheckpoint(f"checkpoint {low + len(rows)} of {where} is missing")


def _sound(session_id: str, ns: str, row: ChainRow) -> bool:
    keys = (row.seq, row.base, row.log_head, row.epoch, row.created_at)
    return matches(row.sha256, "checkpoint", session_id, ns, *keys, row.frontier, row.delta, row.snapshot)


def base_of(tx: Transaction, session_id: str, session: int, ns: str, seq: int) -> int:
    """The seq of the snapshot that the chain of checkpoint ``seq`` starts at."""
    row = tx.one(tx.sql.base_of, {"session": session, "ns": ns, "seq": seq})
    if row is None:
        raise CorruptCheckpoint(f"checkpoint {seq} of session {session_id!r} is missing")
    base: int = row[0]
    return base


@dataclass(slots=True)
class Folded:
    """The state while deltas are applied to it."""

    schema: StateSchema
    values: Values
    ranges: dict[str, list[Range]] = field(default_factory=dict)
    weight: Weight = field(default_factory=Weight)
    empty: bool = True

    @classmethod
    def initial(cls, schema: StateSchema) -> Folded:
        """The state before anything was stored."""
        return cls(schema, schema.initial())

    def copy(self) -> Folded:
        """A copy that later deltas leave alone; they change lists and dicts of channels in place."""
        values = {name: value.copy() if type(value) in (list, dict) else value for name, value in self.values.items()}
        return Folded(self.schema, values, {name: list(ranges) for name, ranges in self.ranges.items()}, Weight(), False)

    def add(self, row: ChainRow, fetch: Fetch) -> None:
        """Go on to the state of ``row``."""
        weight = self.weight
        if self.empty or row.snapshot is not None:
            text = row.snapshot or row.delta
            if row.snapshot is not None and not self.empty:
                self.values, self.ranges, weight.foreign = self.schema.initial(), {}, {}
            weight.snapshot_seq, weight.snapshot_bytes, weight.delta_bytes = row.seq, len(text or "{}"), 0
            weight.texts = (text or "{}",) if weight.snapshot_bytes < SHORT_SNAPSHOT else ()
            self.empty = False
        else:
            text = row.delta
            weight.delta_bytes += len(text or "") + ROW_WEIGHT
            if weight.texts:
                weight.texts = (*weight.texts, text or "{}")
        if text is not None:
            self._apply(loads(text, fetch))

    def _apply(self, delta: Delta) -> None:
        channels, codecs = self.schema.channels, channel_codecs(self.schema)
        aliases = self.schema.aliases
        for stored_name, op in delta.items():
            name = aliases.get(stored_name, stored_name)
            channel = channels.get(name)
            if channel is None:
                self._keep_foreign(name, op)
            elif not channel.stored:
                continue
            elif channel.lifetime == "logged":
                self._apply_log(name, op)
            else:
                codec = codecs[name]
                value = self.values.get(name, MISSING)
                for part in op.get("ops", (op,)):
                    if not codec.exact:
                        part = {
                            verb: codec.unpack(item, f"state.{name}") if verb != "unset" else item
                            for verb, item in part.items()
                        }
                    if "unset" in part:
                        value = MISSING if channel.default is None else channel.default()
                        part = {verb: item for verb, item in part.items() if verb != "unset"}
                    if part:
                        try:
                            value = apply_op(value, part)
                        except (KeyError, TypeError, ValueError, AttributeError) as error:
                            raise _declared_otherwise(name) from error
                if value is MISSING:
                    self.values.pop(name, None)
                else:
                    self.values[name] = value

    def _keep_foreign(self, name: str, op: Op) -> None:
        """A channel that the code no longer knows: its ops are kept as they were stored, from where they begin anew."""
        ops = op.get("ops", [op])
        kept = self.weight.foreign
        if "set" in ops[0] or "unset" in ops[0]:
            kept[name] = []
        kept[name] = [*kept.get(name, ()), *ops]

    def _apply_log(self, name: str, op: Op) -> None:
        for part in op.get("ops", (op,)):
            if part.get("set") or not part.keys() <= {"unset", "log", "set"}:
                raise _declared_otherwise(name)
            ranges = [] if "unset" in part or "set" in part else self.ranges.get(name, [])
            for first, last in part.get("log", ()):
                if ranges and ranges[-1][1] + 1 == first:
                    ranges = [*ranges[:-1], (ranges[-1][0], last)]
                else:
                    ranges = [*ranges, (first, last)]
            if ranges:
                self.ranges[name] = ranges
            else:
                self.ranges.pop(name, None)


def _declared_otherwise(name: str) -> GraphChanged:
    return GraphChanged(
        f"field {name!r} was declared otherwise when it was stored, and what is stored does not go with what it is now; "
        "declare it as it was, or give the new field another name"
    )


# --- tasks -----------------------------------------------------------------------------------------------------------------


def read_tasks(tx: Transaction, stored: Stored, session: int, schema: StateSchema, fetch: Fetch) -> None:
    """Fill in the rows of the unfinished superstep and, for the outermost graph, the open questions of those inside it."""
    place = {"session": session, "ns": stored.ns}
    found: list[Row] = tx.all(tx.sql.load_tasks if stored.ns else tx.sql.load_all_tasks, place)
    for row in found:
        _check_task(stored.session_id, row)
        if row[0] == stored.ns and row[6] == stored.frontier.origin:
            stored.tasks.append(_task(row, schema, fetch))
        elif row[0] == "" == stored.ns and stored.seq < row[6] < OWN_ORIGINS:
            raise _later_are_missing(stored, f"the {row[3]} of node {row[2]!r}")
    inside = [row for row in found if row[0] != stored.ns]
    if inside:
        stored.inner_rows = True
        answered = {(ns, task_id, nth) for ns, task_id, _, kind, _, nth, *_ in inside if kind == "answer"}
        for row in inside:
            if row[3] == "interrupt" and (row[0], row[1], row[5]) not in answered:
                question = _task(row, schema, fetch)
                stored.questions.append(replace(question, ns=row[0], origin=row[6]))


def _check_task(session_id: str, row: Row) -> None:
    ns, task_id, node, kind, name, nth, at, text, checksum = row
    if not matches(checksum, "task", session_id, ns, task_id, kind, name, nth, at, node, text):
        where = f" ({ns})" if ns else ""
        raise CorruptCheckpoint(f"the {kind} of node {node!r}{where} in session {session_id!r} does not match its checksum")


def _task(row: Row, schema: StateSchema, fetch: Fetch) -> TaskRow:
    ns, task_id, node, kind, name, nth, _, text, _ = row
    value = decode_task(kind, text, schema, fetch)
    return TaskRow(task_id, node, kind, replace(value, ns=ns) if ns and kind == "interrupt" else value, name, nth)
