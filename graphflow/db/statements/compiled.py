"""What all statements are made with: the compiler of a dialect, and the pieces that many of them share."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Text, bindparam, cast, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.types import UserDefinedType

from graphflow.db.tables import checkpoints, messages, runs, sessions

SESSION: Final = sessions.c
RUN: Final = runs.c
CHECKPOINT: Final = checkpoints.c
MESSAGE: Final = messages.c

CLOSED: Final = ("status", "last_message", "last_seq", "ended_at", "error", "metrics", "sha256")
"""The columns that a run ends with."""
USED: Final[dict[str, Any]] = {"updated_at": bindparam("now"), "time_seal": bindparam("time_seal")}
"""What is written of a session that is used."""

# Constants stand in the text itself: whoever executes a statement gives values for its named parameters only.
EMPTY: Final[Any] = literal_column("''")
ZERO: Final[Any] = literal_column("0")
ONE: Final[Any] = literal_column("1")
COMPLETED: Final[Any] = literal_column("'completed'")
ABANDONED: Final[Any] = literal_column("'abandoned'")
RUNNING: Final[Any] = literal_column("'running'")
ERROR: Final[Any] = literal_column("'error'")
CANCELLED: Final[Any] = literal_column("'cancelled'")


class _AsCompared(UserDefinedType[str]):
    """A text, of the type that it is compared with: to say which would be two casts, and time for whoever reads them."""

    cache_ok = True


def matches(column: Any, name: str) -> Any:
    """The column equals the parameter ``name``."""
    return column == bindparam(name, type_=_AsCompared() if isinstance(column.type, Text) else None)


HERE: Final[Any] = matches(SESSION.session_id, "session_id")
"""The row of the session that the statement is about."""

ORDINAL: Final[Any] = select(SESSION.ordinal).where(HERE).scalar_subquery()
"""The ordinal of that session, found before anything else: no statistics make a planner begin with the other tables."""

OWN: Final[tuple[Any, ...]] = (
    SESSION.user_id.is_not_distinct_from(bindparam("user_id", type_=Text)),
    SESSION.seal.is_not(None),
)
"""The session is sealed, and the parameter ``user_id`` is its owner (none, when it has none)."""

MINE: Final[Any] = or_(func.coalesce(bindparam("user_id"), EMPTY) == EMPTY, matches(SESSION.user_id, "user_id"))
"""The session belongs to the parameter ``user_id``; no user (NULL) is the administrator, whose all are."""

FREE_FOR: Final[Any] = or_(SESSION.user_id.is_(None), matches(SESSION.user_id, "user_id"))
"""The session belongs to the parameter ``user_id`` or to nobody: what runs, graphs and agents may use."""


class Compiled:
    """Compiles statements to text, for one dialect ("sqlite" or "postgresql") and, on PostgreSQL, a schema of the tables."""

    def __init__(self, dialect: str, schema: str | None = None) -> None:
        self.dialect: Any = (
            sqlite.dialect(paramstyle="named") if dialect == "sqlite" else psycopg.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
        )
        self.by_place: Any = (
            sqlite.dialect(paramstyle="qmark") if dialect == "sqlite" else psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
        )
        self.schema = schema
        self._options: dict[str, Any] = {}
        if schema is not None:
            self._options = {"schema_translate_map": {None: schema}, "render_schema_translate": True}
        self.insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    @property
    def now(self) -> Any:
        """The database's own clock, in microseconds since 1970: leases are measured by it, whatever the processes'
        clocks say.
        """
        if self.dialect.name == "sqlite":
            return literal_column("CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)", BigInteger)
        return literal_column("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger)

    @property
    def head(self) -> Any:
        """Where a session stands: the seq of its last checkpoint, -1 when it has none.

        PostgreSQL's row of the session says so. On SQLite a run that goes on leaves the row alone: one process writes at a
        time, so that epoch and key of a checkpoint tell whether it is the next, and a step writes one page instead of two. The
        row says where the session was taken, or given back, last; it still counts where rows after that were lost.
        """
        if self.dialect.name != "sqlite":
            return SESSION.head
        of_root = (CHECKPOINT.session == SESSION.ordinal, CHECKPOINT.ns == EMPTY)
        last = select(func.max(CHECKPOINT.seq)).where(*of_root).correlate(sessions).scalar_subquery()
        return func.max(func.coalesce(last, literal_column("-1")), SESSION.head)

    @property
    def as_seen(self) -> tuple[Any, ...]:
        """The session stands where whoever writes to it has seen it."""
        return matches(self.head, "expected_head"), matches(SESSION.epoch, "expected_epoch")

    def compare_and_set(self, *more: Any) -> Any:
        """An update of the session at the place ``session``, if it stands as seen."""
        return update(sessions).where(SESSION.ordinal == bindparam("session"), *self.as_seen, *more)

    @property
    def lease(self) -> tuple[Any, Any]:
        """Who holds a session, and the microseconds that the lease has left."""
        return SESSION.lease_owner, (SESSION.lease_until - self.now).label("lease_left")

    def free_for(self, *names: str) -> Any:
        """Nobody holds the session but one of the parameters ``names``, or whoever did has let the lease run out."""
        holder = SESSION.lease_owner
        return or_(holder.is_(None), SESSION.lease_until < self.now, *(matches(holder, name) for name in names))

    def texts(self, name: str) -> Any:
        """The texts of a parameter that is a JSON list."""
        if self.dialect.name == "sqlite":
            return func.json_each(bindparam(name)).table_valued("value").c.value
        return func.json_array_elements_text(cast(bindparam(name), JSON)).column_valued("value")

    def positional(self, statement: Any, columns: list[str]) -> str:
        """The text of a statement that takes its values by place, in this order: drivers bind tuples faster than names."""
        compiled = statement.compile(dialect=self.by_place, **self._options)
        assert compiled.positiontup == columns, f"the statement takes {compiled.positiontup}"
        return str(compiled)

    def text(self, statement: Any, columns: list[str] | None = None) -> str:
        """The text of a statement; ``columns`` are those an insert gives values for."""
        compiled = statement.compile(dialect=self.dialect, column_keys=columns, **self._options)
        constants = [name for name, bind in compiled.binds.items() if not bind.required]
        assert not constants, f"write {constants} as literals"
        return str(compiled)

    def ddl(self, *elements: Any) -> list[str]:
        """The texts of statements that make tables and indexes."""
        return [str(element.compile(dialect=self.dialect, **self._options)) for element in elements]
