"""The SQL of the store, written in SQLAlchemy Core and compiled once per dialect to text for the driver's own cursor.

Each property is one statement with named parameters. They are grouped by table; nothing else in the package writes SQL.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from sqlalchemy import Executable, Integer, and_, bindparam, delete, func, literal_column, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from graphflow.db.tables import checkpoints, media, media_uses, memories, messages, metadata, runs, schema_versions, sessions, summaries, tasks

_session = sessions.c
_run = runs.c
_checkpoint = checkpoints.c
_message = messages.c


# Constants stand in the text itself: whoever executes a statement gives values for its named parameters only.
_EMPTY = literal_column("''")
_ZERO = literal_column("0")
_ONE = literal_column("1")
_COMPLETED = literal_column("'completed'")
_ABANDONED = literal_column("'abandoned'")
_RUNNING = literal_column("'running'")


def _is(column: Any, name: str) -> Any:
    return column == bindparam(name)


_here = and_(_is(_session.session_id, "session_id"))
_ordinal_of_run = select(_run.ordinal).where(_is(_run.run_id, "run_id")).scalar_subquery()


class Statements:
    """Every statement as text, for one dialect ("sqlite" or "postgresql")."""

    def __init__(self, dialect: str) -> None:
        self._dialect: Any = (
            sqlite.dialect(paramstyle="named") if dialect == "sqlite" else postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
        )
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def text(self, statement: Executable | Any, columns: list[str] | None = None) -> str:
        """The text of a statement; ``columns`` are those an insert gives values for."""
        compiled = statement.compile(dialect=self._dialect, column_keys=columns)
        constants = [name for name, bind in compiled.binds.items() if not bind.required]
        assert not constants, f"write {constants} as literals"
        return str(compiled)

    # --- the schema ----------------------------------------------------------------------------------------------------

    def _ddl(self, *elements: Any) -> list[str]:
        return [str(element.compile(dialect=self._dialect)) for element in elements]

    @cached_property
    def create_schema_table(self) -> str:
        return self._ddl(CreateTable(schema_versions, if_not_exists=True))[0]

    @cached_property
    def create_all(self) -> list[str]:
        """Statements that make every table and index that is not there."""
        tables = metadata.sorted_tables
        indexes = [index for table in tables for index in sorted(table.indexes, key=lambda index: str(index.name))]
        return self._ddl(
            *(CreateTable(table, if_not_exists=True) for table in tables),
            *(CreateIndex(index, if_not_exists=True) for index in indexes),
        )

    @cached_property
    def schema_version(self) -> str:
        return self.text(select(func.max(schema_versions.c.version)))

    @cached_property
    def insert_schema_version(self) -> str:
        return self.text(self._insert(schema_versions), ["version", "applied_at"])

    # --- loading -------------------------------------------------------------------------------------------------------

    def _load(self, seq: Any) -> str:
        at = and_(_checkpoint.session == _session.ordinal, _is(_checkpoint.ns, "ns"), _checkpoint.seq == seq)
        columns = (_session.ordinal, _session.session_type, _session.user_id, _session.status, _session.head, _session.epoch)
        run = (_run.run_id, _run.status, _run.first_message, _run.fingerprint, _run.component_id)
        return self.text(
            select(*columns, _checkpoint.seq, _checkpoint.base, *run)
            .select_from(sessions.outerjoin(checkpoints, at).outerjoin(runs, _run.ordinal == _checkpoint.run))
            .where(_here, or_(_session.user_id.is_(None), _is(_session.user_id, "user_id")))
        )

    @cached_property
    def load_head(self) -> str:
        return self._load(_session.head)

    @cached_property
    def load_at(self) -> str:
        return self._load(bindparam("at"))

    @cached_property
    def load_nested(self) -> str:
        newest = checkpoints.alias("newest")
        last = select(func.max(newest.c.seq)).where(newest.c.session == _session.ordinal, newest.c.ns == bindparam("ns"))
        return self._load(last.correlate(sessions).scalar_subquery())

    @cached_property
    def chain(self) -> str:
        c = _checkpoint
        return self.text(
            select(c.seq, c.base, c.log_head, c.epoch, c.frontier, c.delta, c.snapshot, c.created_at, c.sha256, c.run)
            .where(_is(c.session, "session"), _is(c.ns, "ns"), c.seq.between(bindparam("low"), bindparam("high")))
            .order_by(c.seq)
        )

    @cached_property
    def base_of(self) -> str:
        c = _checkpoint
        return self.text(select(c.base).where(_is(c.session, "session"), _is(c.ns, "ns"), _is(c.seq, "seq")))

    @cached_property
    def load_tasks(self) -> str:
        t = tasks.c
        return self.text(
            select(t.task_id, t.node, t.kind, t.name, t.nth, t.origin, t.value, t.sha256)
            .where(_is(t.session, "session"), _is(t.ns, "ns"), _is(t.origin, "origin"))
            .order_by(t.task_id, t.kind, t.name, t.nth)
        )

    # --- committing ----------------------------------------------------------------------------------------------------

    @cached_property
    def insert_session(self) -> str:
        columns = ["session_id", "session_type", "user_id", "component_id", "status", "head", "epoch", "created_at", "updated_at"]
        return self.text(self._insert(sessions).on_conflict_do_nothing().returning(_session.ordinal), columns)

    @cached_property
    def advance(self) -> str:
        """The compare-and-set of a plain step."""
        return self.text(
            update(sessions)
            .where(_here, _is(_session.head, "expected_head"), _is(_session.epoch, "expected_epoch"))
            .values(head=bindparam("new_head"))
            .returning(_session.ordinal)
        )

    @cached_property
    def move(self) -> str:
        """The compare-and-set of everything else a root graph commits."""
        return self.text(
            update(sessions)
            .where(_here, _is(_session.head, "expected_head"), _is(_session.epoch, "expected_epoch"))
            .values(
                head=bindparam("new_head"),
                epoch=bindparam("new_epoch"),
                status=func.coalesce(bindparam("new_status"), _session.status),
                user_id=func.coalesce(_session.user_id, bindparam("owner")),
                updated_at=bindparam("now"),
            )
            .returning(_session.ordinal)
        )

    @cached_property
    def fenced(self) -> str:
        """The check of a commit that leaves the session row alone."""
        statement = select(_session.ordinal).where(_here, _is(_session.epoch, "expected_epoch"))
        return self.text(statement.with_for_update(read=True, key_share=True))

    @cached_property
    def standing(self) -> str:
        return self.text(select(_session.ordinal, _session.head, _session.epoch, _session.user_id).where(_here))

    @cached_property
    def insert_checkpoint(self) -> str:
        columns = ["session", "ns", "seq", "base", "log_head", "epoch", "frontier", "delta", "snapshot", "sha256", "created_at"]
        return self.text(self._insert(checkpoints).values(run=_ordinal_of_run, **{name: bindparam(name) for name in columns}))

    @cached_property
    def insert_message(self) -> str:
        columns = ["session", "ns", "seq", "role", "body", "sha256"]
        return self.text(self._insert(messages).values(run=_ordinal_of_run, **{name: bindparam(name) for name in columns}))

    @cached_property
    def insert_media(self) -> str:
        return self.text(self._insert(media).on_conflict_do_nothing(), ["sha256", "media_type", "data"])

    @cached_property
    def insert_media_use(self) -> str:
        return self.text(self._insert(media_uses).on_conflict_do_nothing(), ["sha256", "session"])

    @cached_property
    def put_task(self) -> str:
        columns = ["session", "ns", "task_id", "kind", "name", "nth", "origin", "node", "value", "sha256"]
        insert = self._insert(tasks)
        changed = {name: insert.excluded[name] for name in ("origin", "node", "value", "sha256")}
        return self.text(insert.on_conflict_do_update(index_elements=columns[:6], set_=changed), columns)

    @cached_property
    def drop_tasks(self) -> str:
        return self.text(delete(tasks).where(_is(tasks.c.session, "session"), _is(tasks.c.ns, "ns")))

    @cached_property
    def insert_run(self) -> str:
        columns = ["run_id", "session", "ns", "status", "parent_run_id", "component_id", "user_id", "first_message"]
        columns += ["first_seq", "fingerprint", "idempotency_key", "created_at"]
        others = runs.alias("others")
        last = select(func.max(others.c.number)).where(others.c.session == bindparam("session"), others.c.ns == bindparam("ns"))
        number = func.coalesce(last.scalar_subquery(), _ZERO) + _ONE
        insert = self._insert(runs).values(number=number, **{name: bindparam(name) for name in columns})
        return self.text(insert.on_conflict_do_nothing().returning(_run.ordinal))

    @cached_property
    def run_of_key(self) -> str:
        return self.text(
            select(_run.run_id).where(
                func.coalesce(_run.component_id, _EMPTY) == func.coalesce(bindparam("component_id"), _EMPTY),
                func.coalesce(_run.user_id, _EMPTY) == func.coalesce(bindparam("user_id"), _EMPTY),
                _is(_run.idempotency_key, "idempotency_key"),
            )
        )

    @cached_property
    def close_run(self) -> str:
        names = ("status", "last_message", "last_seq", "ended_at", "error", "metrics", "sha256")
        values = {name: bindparam(f"new_{name}") for name in names}
        return self.text(update(runs).where(_is(_run.run_id, "run_id"), _is(_run.session, "session")).values(**values))

    @cached_property
    def reopen_run(self) -> str:
        return self.text(
            update(runs)
            .where(_is(_run.run_id, "run_id"), _is(_run.session, "session"))
            .values(status=_RUNNING, ended_at=null(), error=null(), sha256=null(), cancel_requested=null())
        )

    # --- the message log -----------------------------------------------------------------------------------------------

    def _log(self) -> Any:
        owned = messages.join(sessions, _message.session == _session.ordinal).outerjoin(runs, _run.ordinal == _message.run)
        columns = (_message.seq, _message.role, _message.body, _message.sha256, _run.run_id, _message.run)
        return select(*columns).select_from(owned).where(_here, _is(_message.ns, "ns")).order_by(_message.seq)

    @cached_property
    def log_range(self) -> str:
        return self.text(self._log().where(_message.seq.between(bindparam("low"), bindparam("high"))))

    @cached_property
    def last_runs(self) -> str:
        """The message ranges of the newest runs that count as history."""
        return self.text(
            select(_run.ordinal, _run.first_message, _run.last_message)
            .select_from(sessions.join(runs, _run.session == _session.ordinal))
            .where(
                _here,
                _is(_run.ns, "ns"),
                or_(_run.status == _COMPLETED, _run.status == _ABANDONED),
                or_(_run.ns != _EMPTY, _run.parent_run_id.is_(None)),
                _run.first_message < bindparam("before"),
            )
            .order_by(_run.number.desc())
            .limit(bindparam("count", type_=Integer))
            .offset(_ZERO)
        )

    @cached_property
    def get_media(self) -> str:
        return self.text(select(media.c.data).where(_is(media.c.sha256, "sha256")))

    @cached_property
    def log_head(self) -> str:
        return self.text(select(func.max(_message.seq)).where(_is(_message.session, "session"), _is(_message.ns, "ns")))

    @cached_property
    def log_spaces(self) -> str:
        return self.text(select(_message.ns).where(_is(_message.session, "session")).distinct().order_by(_message.ns))

    # --- sessions for users --------------------------------------------------------------------------------------------

    @cache  # noqa: B019 - there is one object per dialect, and it lives as long as the process
    def select_sessions(self, filters: tuple[str, ...], sort_by: str, descending: bool) -> str:
        """Sessions whose columns ``filters`` equal the parameters of the same names; from ``skip`` on, at most ``count``."""
        s = _session
        order = func.coalesce(s.name, _EMPTY) if sort_by == "name" else s[sort_by]
        newest_first = descending or sort_by == "name"
        columns = (s.session_id, s.session_type, s.user_id, s.component_id, s.name, s.metadata, s.status, s.created_at, s.updated_at)
        return self.text(
            select(*columns)
            .where(*(_is(s[name], name) for name in filters))
            .order_by(order.desc() if descending else order.asc(), s.ordinal.desc() if newest_first else s.ordinal.asc())
            .limit(bindparam("count", type_=Integer))
            .offset(bindparam("skip", type_=Integer))
        )

    @cache  # noqa: B019
    def count_sessions(self, filters: tuple[str, ...]) -> str:
        return self.text(select(func.count()).select_from(sessions).where(*(_is(_session[name], name) for name in filters)))

    @cached_property
    def rename(self) -> str:
        return self.text(
            update(sessions).where(_is(_session.ordinal, "of")).values(name=bindparam("new_name"), updated_at=bindparam("now"))
        )

    @cached_property
    def ordinals_of_user(self) -> str:
        return self.text(select(_session.ordinal).where(_is(_session.user_id, "user_id")))

    @cached_property
    def delete_memories(self) -> str:
        return self.text(delete(memories).where(_is(memories.c.user_id, "user_id")))

    @cached_property
    def delete_session(self) -> list[str]:
        """What deletes a session by its ordinal, with the contents that no other session holds."""
        other = media_uses.alias("other")
        ours = select(media_uses.c.sha256).where(_is(media_uses.c.session, "session"))
        used = select(other.c.sha256).where(other.c.sha256 == media.c.sha256, other.c.session != bindparam("session"))
        unused = delete(media).where(media.c.sha256.in_(ours), ~used.correlate(media).exists())
        tables = (media_uses, tasks, checkpoints, messages, summaries, runs)
        statements = [unused, *(delete(table).where(_is(table.c.session, "session")) for table in tables)]
        return [self.text(statement) for statement in (*statements, delete(sessions).where(_is(_session.ordinal, "session")))]

    @cached_property
    def load_head_as_admin(self) -> str:
        at = and_(_checkpoint.session == _session.ordinal, _is(_checkpoint.ns, "ns"), _checkpoint.seq == _session.head)
        return self.text(
            select(_session.ordinal, _checkpoint.seq, _checkpoint.base).select_from(sessions.outerjoin(checkpoints, at)).where(_here)
        )

    @cached_property
    def latest_summary(self) -> str:
        c = summaries.c
        return self.text(
            select(c.upto_seq, c.body, c.sha256)
            .select_from(sessions.join(summaries, c.session == _session.ordinal))
            .where(_here, _is(c.ns, "ns"))
            .order_by(c.upto_seq.desc())
            .limit(_ONE)
            .offset(_ZERO)
        )

    # --- runs for users --------------------------------------------------------------------------------------------------

    def _runs(self) -> Any:
        r = _run
        ended = (r.last_message, r.error, r.metrics, r.sha256, r.created_at, r.ended_at)
        return select(
            r.run_id, _session.session_id, r.ns, r.number, r.status, r.parent_run_id, r.user_id, r.component_id, *ended
        ).select_from(sessions.join(runs, r.session == _session.ordinal))

    @cached_property
    def root_runs(self) -> str:
        newest = self._runs().where(_here, _run.ns == _EMPTY, _run.parent_run_id.is_(None)).order_by(_run.number.desc())
        return self.text(newest.limit(bindparam("count", type_=Integer)).offset(_ZERO))

    @cached_property
    def runs_with_members(self) -> str:
        newest = self._runs().where(_here).order_by(_run.created_at.desc(), _run.ordinal.desc())
        return self.text(newest.limit(bindparam("count", type_=Integer)).offset(_ZERO))

    @cached_property
    def run_by_id(self) -> str:
        return self.text(self._runs().where(_is(_run.run_id, "run_id")))

    @cached_property
    def run_range(self) -> str:
        return self.text(
            select(_session.session_id, _run.ns, _run.first_message, _run.last_message, _session.ordinal, _run.ordinal)
            .select_from(sessions.join(runs, _run.session == _session.ordinal))
            .where(_is(_run.run_id, "run_id"))
        )

    @cached_property
    def first_of_last_runs(self) -> str:
        newest = (
            select(_run.first_message)
            .where(_is(_run.session, "session"), _is(_run.ns, "ns"), or_(_run.ns != _EMPTY, _run.parent_run_id.is_(None)))
            .order_by(_run.number.desc())
            .limit(bindparam("count", type_=Integer))
            .offset(_ZERO)
            .subquery()
        )
        return self.text(select(func.min(newest.c.first_message)))
