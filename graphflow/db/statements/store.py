"""Statements of the store: the schema, loading, committing, the message log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from sqlalchemy import BigInteger, and_, bindparam, delete, func, not_, null, or_, select, true, update
from sqlalchemy.schema import CreateTable

from graphflow.db.rows import CLOSING, NEW_RUN, NEW_SESSION
from graphflow.db.seals import SESSION_SEALED
from graphflow.db.statements.compiled import (
    ABANDONED,
    CANCELLED,
    CHECKPOINT,
    CLOSED,
    COMPLETED,
    EMPTY,
    ERROR,
    FREE_FOR,
    HERE,
    MESSAGE,
    MINE,
    ONE,
    ORDINAL,
    OWN,
    RUN,
    RUNNING,
    SESSION,
    USED,
    ZERO,
    Compiled,
    matches,
)
from graphflow.db.tables import checkpoints, media, media_uses, messages, runs, schema_versions, sessions, tasks

OF_RUN: Final = (RUN.run_id, RUN.status, RUN.first_message, RUN.fingerprint, RUN.component_id, RUN.metrics)
"""What is told of a run beside its checkpoint."""
STANDS = ("session", "expected_head", "expected_epoch")
"""What a compare-and-set compares by place, in this order."""


def told(head: Any) -> tuple[Any, ...]:
    """With ``OF_RUN``, the lease, and seq and base of the checkpoint, the columns of ``loading._Found``."""
    c = SESSION
    who = (c.ordinal, c.session_type, c.user_id, c.component_id.label("made_by"), c.name, c.metadata, c.created_at, c.seal)
    return *who, c.status, head.label("head"), c.epoch


def chained(c: Any) -> tuple[Any, ...]:
    """The columns of ``loading.ChainRow``."""
    return (c.seq, c.base, c.log_head, c.epoch, c.frontier, c.delta, c.snapshot, c.created_at, c.sha256, c.run)


class StoreStatements(Compiled):
    """What machines need of a store."""

    # --- the schema ----------------------------------------------------------------------------------------------------

    @cached_property
    def create_schema_table(self) -> str:
        return self.ddl(CreateTable(schema_versions, if_not_exists=True))[0]

    @cached_property
    def schema_version(self) -> str:
        return self.text(select(func.max(schema_versions.c.version)))

    @cached_property
    def insert_schema_version(self) -> str:
        return self.text(self.insert(schema_versions), ["version", "applied_at"])

    # --- loading -------------------------------------------------------------------------------------------------------

    def _load(self, seq: Any) -> str:
        at = and_(CHECKPOINT.session == SESSION.ordinal, matches(CHECKPOINT.ns, "ns"), CHECKPOINT.seq == seq)
        return self.text(
            select(*told(self.head), *OF_RUN, *self.lease, CHECKPOINT.seq, CHECKPOINT.base)
            .select_from(sessions.outerjoin(checkpoints, at).outerjoin(runs, RUN.ordinal == CHECKPOINT.run))
            .where(HERE, FREE_FOR)
        )

    @cached_property
    def load_head(self) -> str:
        return self._load(self.head)

    @cached_property
    def load_at(self) -> str:
        return self._load(bindparam("at"))

    @cached_property
    def load_nested(self) -> str:
        newest = checkpoints.alias("newest")
        last = select(func.max(newest.c.seq)).where(newest.c.session == SESSION.ordinal, newest.c.ns == bindparam("ns"))
        return self._load(last.correlate(sessions).scalar_subquery())

    @cached_property
    def chain(self) -> str:
        c = CHECKPOINT
        return self.text(
            select(*chained(c))
            .where(matches(c.session, "session"), matches(c.ns, "ns"), c.seq.between(bindparam("low"), bindparam("high")))
            .order_by(c.seq)
        )

    @cached_property
    def runs_of_session(self) -> str:
        columns = (RUN.ordinal, RUN.run_id, RUN.status, RUN.first_message, RUN.fingerprint, RUN.component_id)
        return self.text(select(*columns).where(matches(RUN.session, "session")))

    @cached_property
    def base_of(self) -> str:
        c = CHECKPOINT
        return self.text(select(c.base).where(matches(c.session, "session"), matches(c.ns, "ns"), matches(c.seq, "seq")))

    def _tasks(self, *where: Any) -> str:
        t = tasks.c
        return self.text(
            select(t.ns, t.task_id, t.node, t.kind, t.name, t.nth, t.origin, t.value, t.sha256)
            .where(matches(t.session, "session"), *where)
            .order_by(t.ns, t.task_id, t.kind, t.name, t.nth)
        )

    @cached_property
    def load_tasks(self) -> str:
        """The rows of one graph. Which of them are of its unfinished superstep is seen once they are known to be sound."""
        return self._tasks(matches(tasks.c.ns, "ns"))

    @cached_property
    def load_all_tasks(self) -> str:
        """Those of the outermost graph and of the graphs inside it."""
        return self._tasks()

    # --- committing ----------------------------------------------------------------------------------------------------

    @cached_property
    def insert_session(self) -> str:
        """Values: ``rows.NEW_SESSION``."""
        values: dict[str, Any] = {name: bindparam(name) for name in NEW_SESSION if name != "lease_ttl"}
        values["lease_until"] = self.now + bindparam("lease_ttl", type_=BigInteger)
        return self._numbered(self.insert(sessions).values(**values), SESSION.ordinal, NEW_SESSION)

    @cached_property
    def step(self) -> str:
        """The next checkpoint of a run that goes on; where the session does not stand as seen, nothing is inserted.

        Values: every column of the checkpoint but session and seq, in the order of the table; expected head, session and
        expected epoch. On SQLite (see ``head``) the session does not stand there when its epoch is another, or when the
        checkpoint after the expected head is there already.
        """
        names = [name for name in checkpoints.columns.keys() if name not in ("session", "seq")]  # noqa: SIM118 - not a dict
        values: list[Any] = [bindparam(name, type_=checkpoints.c[name].type).label(name) for name in names]
        here, epoch = SESSION.ordinal == bindparam("session"), matches(SESSION.epoch, "expected_epoch")
        insert = self.insert(checkpoints)
        if self.dialect.name == "sqlite":
            next_seq = (bindparam("expected_head", type_=BigInteger) + ONE).label("seq")
            row = select(*values, next_seq, SESSION.ordinal).where(here, epoch)
            insert = insert.from_select([*names, "seq", "session"], row).on_conflict_do_nothing()
        else:
            new = select(*values).cte("new")
            moved = update(sessions).where(matches(SESSION.head, "expected_head"), here, epoch).values(head=SESSION.head + ONE)
            turn = moved.returning(SESSION.head, SESSION.ordinal).cte("turn")
            insert = insert.from_select([*names, "seq", "session"], select(new, turn)).add_cte(new, turn)
        return self.positional(insert, [*names, "expected_head", "session", "expected_epoch"])

    @cached_property
    def find_session(self) -> str:
        return self.text(select(SESSION.ordinal).where(HERE))

    @cached_property
    def find_run(self) -> str:
        return self.text(select(RUN.ordinal).where(matches(RUN.run_id, "run_id")))

    @cached_property
    def take(self) -> str:
        """The compare-and-set of a run that takes a session which nobody else holds. ``dead`` names a holder that is gone."""
        return self.text(
            update(sessions)
            .where(HERE, *self.as_seen, self.free_for("me", "dead"))
            .values(
                head=bindparam("new_head"),
                epoch=SESSION.epoch + ONE,
                status=func.coalesce(bindparam("new_status"), SESSION.status),
                user_id=func.coalesce(SESSION.user_id, bindparam("owner")),
                **USED,
                lease_owner=bindparam("lease_owner"),
                lease_until=self.now + bindparam("lease_ttl", type_=BigInteger),
            )
            .returning(SESSION.ordinal, *(SESSION[name] for name in SESSION_SEALED), SESSION.seal)
        )

    @cached_property
    def take_own(self) -> str:
        """The short way of ``take``, to a session whose ordinal is known: it is its user's, sealed, and nobody else holds it.

        Values: new status, new head, lease owner and ttl, now and its seal; session, expected head and epoch, user, me.
        """
        return self.positional(
            self.compare_and_set(*OWN, self.free_for("me")).values(
                head=bindparam("new_head"),
                epoch=SESSION.epoch + ONE,
                status=func.coalesce(bindparam("new_status"), SESSION.status),
                **USED,
                lease_owner=bindparam("lease_owner"),
                lease_until=self.now + bindparam("lease_ttl", type_=BigInteger),
            ),
            ["new_status", "new_head", "lease_owner", "lease_ttl", "now", "time_seal", *STANDS, "user_id", "me"],
        )

    @cached_property
    def give_up(self) -> str:
        """The compare-and-set of a run that ends, for now or for good: its lease ends with it.

        Values: new status, new head, now and its seal; session, expected head and epoch.
        """
        return self.positional(
            self.compare_and_set().values(
                head=bindparam("new_head"), status=bindparam("new_status"), **USED, lease_owner=null(), lease_until=null()
            ),
            ["new_status", "new_head", "now", "time_seal", *STANDS],
        )

    @cached_property
    def end_lease(self) -> str:
        """Give back the lease of a run that could not do it itself."""
        return self.text(
            update(sessions)
            .where(HERE, matches(SESSION.lease_owner, "me"), matches(SESSION.epoch, "taken_under"))
            .values(lease_owner=null(), lease_until=null())
        )

    @cached_property
    def fenced(self) -> str:
        """The check of a commit that leaves the session row alone."""
        return self.text(self._fenced().with_for_update(read=True))

    @cached_property
    def fenced_alone(self) -> str:
        """As ``fenced``; other graphs inside the same one wait until the transaction ends."""
        return self.text(self._fenced().with_for_update())

    def _fenced(self) -> Any:
        return select(SESSION.ordinal).where(HERE, matches(SESSION.epoch, "expected_epoch"))

    @cached_property
    def standing(self) -> str:
        return self.text(self._standing())

    @cached_property
    def hold(self) -> str:
        """As ``standing``; nobody else writes the session until the transaction ends."""
        return self.text(self._standing().with_for_update())

    def _standing(self) -> Any:
        return select(SESSION.ordinal, self.head, SESSION.epoch, SESSION.user_id, *self.lease).where(HERE)

    @cached_property
    def insert_checkpoint(self) -> str:
        """Values: every column, in the order of the table."""
        return self._insert_whole(checkpoints)

    @cached_property
    def insert_message(self) -> str:
        """Values: every column, in the order of the table."""
        return self._insert_whole(messages)

    def _insert_whole(self, table: Any) -> str:
        names = [column.name for column in table.columns]
        return self.positional(self.insert(table).values({name: bindparam(name) for name in names}), names)

    @cached_property
    def insert_media(self) -> str:
        insert = self.insert(media)
        if self.dialect.name == "sqlite":
            return self.text(insert.on_conflict_do_nothing(), ["sha256", "media_type", "data"])
        # A row that is there is locked by writing it, so that nobody who deletes its last session takes it away meanwhile.
        locking = insert.on_conflict_do_update(index_elements=["sha256"], set_={"media_type": insert.excluded.media_type})
        return self.text(locking, ["sha256", "media_type", "data"])

    @cached_property
    def insert_media_use(self) -> str:
        return self.text(self.insert(media_uses).on_conflict_do_nothing(), ["sha256", "session"])

    @cached_property
    def put_task(self) -> str:
        """Values: every column, in the order of the table."""
        names = [column.name for column in tasks.columns]
        insert = self.insert(tasks).values({name: bindparam(name) for name in names})
        changed = {name: insert.excluded[name] for name in ("origin", "node", "value", "sha256")}
        return self.positional(insert.on_conflict_do_update(index_elements=list(tasks.primary_key), set_=changed), names)

    @cached_property
    def drop_tasks(self) -> str:
        return self.text(delete(tasks).where(matches(tasks.c.session, "session"), matches(tasks.c.ns, "ns")))

    @cached_property
    def drop_all_tasks(self) -> str:
        """Those of graphs inside the outermost one, too."""
        return self.text(delete(tasks).where(matches(tasks.c.session, "session")))

    @cached_property
    def insert_run(self) -> str:
        """Values: ``rows.NEW_RUN``."""
        others = runs.alias("others")
        last = select(func.max(others.c.number)).where(others.c.session == bindparam("session"), others.c.ns == bindparam("ns"))
        number = func.coalesce(last.scalar_subquery(), ZERO) + ONE
        values: dict[str, Any] = {name: bindparam(name) for name in NEW_RUN}
        return self._numbered(self.insert(runs).values(**values, number=number), RUN.ordinal, NEW_RUN)

    def _numbered(self, insert: Any, ordinal: Any, columns: Sequence[str]) -> str:
        """An insert that tells the ordinal of its row (see ``Transaction.inserted``), or does nothing when there is one."""
        insert = insert.on_conflict_do_nothing()
        return self.positional(insert if self.dialect.name == "sqlite" else insert.returning(ordinal), list(columns))

    @cached_property
    def close_run(self) -> str:
        """Values: those of ``rows.closing``, then the session."""
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in CLOSED}
        here = (matches(RUN.run_id, "run_id"), matches(RUN.session, "session"))
        return self.positional(update(runs).where(*here).values(**values), [*CLOSING, "session"])

    @cached_property
    def reopen_run(self) -> str:
        return self.text(
            update(runs)
            .where(matches(RUN.run_id, "run_id"), matches(RUN.session, "session"))
            .values(status=RUNNING, ended_at=null(), error=null(), sha256=null(), cancel_requested=null())
        )

    # --- the message log -----------------------------------------------------------------------------------------------

    @cached_property
    def log_range(self) -> str:
        """The log from ``low`` to ``high``: of each row seq, role, body, checksum, and its run's id and ordinal."""
        # Joined, the runs would all be read, as long as there are not many.
        run_id = select(RUN.run_id).where(RUN.ordinal == MESSAGE.run).correlate(messages).scalar_subquery()
        here = (matches(MESSAGE.session, "session"), matches(MESSAGE.ns, "ns"))
        wanted = MESSAGE.seq.between(bindparam("low"), bindparam("high"))
        columns = (MESSAGE.seq, MESSAGE.role, MESSAGE.body, MESSAGE.sha256, run_id, MESSAGE.run)
        return self.text(select(*columns).where(*here, wanted).order_by(MESSAGE.seq))

    @cached_property
    def log_since(self) -> str:
        """The log from ``low`` on: what ``log_range`` gives of each row, and whether its run counts."""
        run_id: Any = RUN.run_id
        counts: Any = self._counts()
        its: Any = runs
        on: Any = RUN.ordinal == MESSAGE.run
        if self.dialect.name != "sqlite":
            # A planner with statistics would rather read all runs than find some by their keys, if it were free to.
            its = select(run_id, counts.label("counts")).where(on).offset(ZERO).correlate(messages).lateral("its")
            run_id, counts, on = its.c.run_id, its.c.counts, true()
        return self.text(
            select(MESSAGE.seq, MESSAGE.role, MESSAGE.body, MESSAGE.sha256, run_id, MESSAGE.run, counts)
            .select_from(messages.outerjoin(its, on))
            .where(MESSAGE.session == ORDINAL, matches(MESSAGE.ns, "ns"))
            .where(MESSAGE.seq >= bindparam("low"), MESSAGE.seq < bindparam("before"))
            .order_by(MESSAGE.seq)
        )

    @cached_property
    def log_of_runs(self) -> str:
        """A session, where the newest ``count`` runs of a namespace begin that are no member's, and what ``log_head`` tells."""
        newest = (
            select(RUN.first_message)
            .where(RUN.session == SESSION.ordinal, matches(RUN.ns, "ns"), or_(RUN.ns != EMPTY, RUN.parent_run_id.is_(None)))
            .order_by(RUN.number.desc())
            .limit(bindparam("count", type_=BigInteger))
            .offset(ZERO)
            .correlate(sessions)
            .subquery()
        )
        begin = select(func.min(newest.c.first_message)).scalar_subquery()
        return self.text(select(SESSION.ordinal, begin, *self._log_heads()).where(HERE, MINE))

    def _counts(self, *, outermost: bool = False) -> Any:
        """Whether a run counts as history. That of a nested graph is stored when it has come to its end; what becomes of the
        run that it belongs to says whether it counts. Of the ``outermost`` graph alone the same takes much less planning.
        """
        over = or_(RUN.status == COMPLETED, RUN.status == ABANDONED)
        if outermost:
            return and_(over, RUN.parent_run_id.is_(None), RUN.first_message < bindparam("before"))
        around = runs.alias("around")
        ended_badly = (
            select(ONE)
            .where(around.c.run_id == RUN.parent_run_id, around.c.session == RUN.session)
            .where(or_(around.c.status == ERROR, around.c.status == CANCELLED))
            .correlate(runs)
            .exists()
        )
        ours = or_(RUN.parent_run_id.is_(None), and_(RUN.ns != EMPTY, not_(ended_badly)))
        return and_(over, ours, RUN.first_message < bindparam("before"))

    def _last_runs(self, *, outermost: bool) -> str:
        ns = RUN.ns == EMPTY if outermost else matches(RUN.ns, "ns")
        return self.text(
            select(RUN.session, RUN.ordinal, RUN.first_message)
            .where(RUN.session == ORDINAL, ns, self._counts(outermost=outermost))
            .order_by(RUN.number.desc())
            .limit(bindparam("count", type_=BigInteger))
            .offset(ZERO)
        )

    @cached_property
    def last_runs(self) -> str:
        """The newest runs of the outermost graph that count as history: session, ordinal, and where their messages begin."""
        return self._last_runs(outermost=True)

    @cached_property
    def last_runs_inside(self) -> str:
        """The same of any namespace."""
        return self._last_runs(outermost=False)

    @cached_property
    def get_media(self) -> str:
        return self.text(select(media.c.data).where(matches(media.c.sha256, "sha256")))

    @cached_property
    def log_head(self) -> str:
        """The last row of a log: as the checkpoints of its namespace know it, and as the rows have it."""
        return self.text(select(*self._log_heads()).select_from(sessions).where(HERE))

    def _log_heads(self) -> tuple[Any, Any]:
        known, last = (
            select(column)
            .where(table.c.session == SESSION.ordinal, matches(table.c.ns, "ns"))
            .order_by(table.c.seq.desc())
            .limit(ONE)
            .offset(ZERO)
            .correlate(sessions)
            .scalar_subquery()
            for table, column in ((checkpoints, CHECKPOINT.log_head), (messages, MESSAGE.seq))
        )
        return known.label("known"), last.label("last")

    @cached_property
    def last_message(self) -> str:
        rows = select(func.max(MESSAGE.seq)).where(matches(MESSAGE.session, "session"), matches(MESSAGE.ns, "ns"))
        return self.text(rows)

    @cached_property
    def log_spaces(self) -> str:
        return self.text(select(MESSAGE.ns).where(matches(MESSAGE.session, "session")).distinct().order_by(MESSAGE.ns))
