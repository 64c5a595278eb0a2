"""PostgresDb: sessions in a PostgreSQL database, which processes on many machines share."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from graphflow.core import options
from graphflow.core.effects import Load
from graphflow.core.stored import Stored
from graphflow.db import atonce, loading, migrations
from graphflow.db.checkpoints import ReadyAdvance
from graphflow.db.commits import Ready, ReadyCommit
from graphflow.db.forks import databases
from graphflow.db.limits import Limits
from graphflow.db.records import SchemaStatus
from graphflow.db.retries import patiently
from graphflow.db.sql import SqlDb, system_clock
from graphflow.db.sqltext import statements_for
from graphflow.db.transactions import Transaction
from graphflow.errors import CorruptCheckpoint, DatabaseFailed

if TYPE_CHECKING:
    from graphflow.db.pool import Pool
    from graphflow.db.statements import Statements

T = TypeVar("T")

WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Whoever writes a session has its row to himself; a rival who waited for it then sees what was written."""
READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""All that is read is of one moment."""

_DRIVERS: Final = ("postgresql", "postgresql+psycopg", "postgres")
_SCHEMA: Final = re.compile(r"(?!pg_)[^\W\d][\w-]*")

_abandoned: list[Any] = []
"""Pools of a parent process, whose locks may be held by threads that the child does not have."""


class PostgresDb(SqlDb):
    """Sessions in a PostgreSQL database.

    ``db_url`` begins with postgresql://, postgresql+psycopg:// or postgres://; what stands behind its ``?`` goes to libpq
    (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS). The tables are in ``schema``, which is
    made when it is missing; without one, where the server's search_path says.

    A process opens at most ``pool_size`` connections, and one is used for the milliseconds of a transaction and never while a
    node runs, so that few serve many threads. A statement may take ``statement_timeout`` seconds (None: any time). A process
    that stalls in a transaction is cut off after ``lease_ttl``, so that others can take its session over. Poolers between this
    and the server have to be in session mode. A commit survives what the server's ``synchronous_commit`` says: by default a
    power cut. ``busy_timeout`` (seconds): how long a run waits for its turn on a session, then SessionBusy; and a transaction
    for a connection. ``lease_ttl`` (seconds): how long a run on another machine, or frozen, may show no sign of life before its
    session is taken over. ``limits``: how large things may be. ``clock``: gives seconds since 1970.

    What fails for a reason that passes (a lost connection, a server that restarts, a deadlock) is done again on a new
    connection for ``retry_timeout`` seconds (0: never); a commit whose connection was lost is looked up before it is repeated.
    Then, and at once for other reasons, DatabaseFailed is raised.
    """

    dialect: Literal["postgresql"] = "postgresql"
    _light = True  # whoever goes on from there asks the server for one row, and not for those before it in a second journey
    _pool: Pool | None
    _at_exit: Any

    def __init__(
        self,
        db_url: str | URL = "postgresql+psycopg://ai:ai@localhost:5532/ai",
        schema: str | None = None,
        *,
        pool_size: int = 5,
        statement_timeout: float | None = 60.0,
        lease_ttl: float = 30.0,
        busy_timeout: float = 60.0,
        retry_timeout: float = 30.0,
        clock: Callable[[], float] = system_clock,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            lease_ttl=lease_ttl, busy_timeout=busy_timeout, retry_timeout=retry_timeout, clock=clock, limits=limits
        )
        options.whole("pool_size", pool_size, 1)
        options.seconds("statement_timeout", statement_timeout, none="no end")
        self.schema = options.text("schema", schema, none="that of the connection")
        if schema is not None and (_SCHEMA.fullmatch(schema) is None or len(schema.encode()) > 63):
            raise options.refused("schema", schema, "letters, digits, _ and -, at most 63 bytes, and not pg_ in front")
        self.pool_size = pool_size
        self.statement_timeout = statement_timeout
        self._arguments = _arguments_of(db_url)
        self._where = _place_of(self._arguments)
        self.identity = f"{self._where}?schema={schema or ''}&options={self._arguments.get('options', '')}"
        self._begin_anew()
        databases.add(self)

    def __repr__(self) -> str:
        return f"PostgresDb({self._where!r}, schema={self.schema!r})"

    def _statements(self) -> Statements:
        return statements_for(self.dialect, self.schema)

    # --- transactions ------------------------------------------------------------------------------------------------------

    def _read_once(self, work: Callable[[Transaction], T]) -> T:
        return self._ready().transact(READING, work)

    def _write_once(self, work: Callable[[Transaction], T]) -> T:
        return self._ready().transact(WRITING, work)

    def _commit_once(self, ready: Ready) -> None:
        if ready.is_statement:
            self._ready().transact(None, ready.write)
        elif type(ready) is ReadyAdvance or not self._commit_at_once(ready):
            self._write_once(ready.write)

    def _commit_at_once(self, ready: ReadyCommit) -> bool:
        kind = atonce.kind_of(ready)
        return kind is not None and self._ready().transact(None, partial(atonce.write, ready=ready, kind=kind))

    def _load(self, effect: Load) -> Stored | None:
        # Most sessions have nothing unfinished, and are one statement.
        if effect.at is None and not effect.ns:
            with suppress(loading.Unfinished):
                return self._read_alone(partial(loading.load_finished, effect=effect))
        return super()._load(effect)

    def _read_alone(self, work: Callable[[Transaction], T]) -> T:
        try:
            return patiently(lambda: self._ready().transact(None, work, reads=True), self.retry_timeout)
        except CorruptCheckpoint:
            # What was deleted between two statements looks like damage; a transaction sees one moment.
            return self._read(work)

    # --- connections -------------------------------------------------------------------------------------------------------

    def _ready(self) -> Pool:
        """The connections to a database that has its tables."""
        pool = self._pool
        if pool is not None and pool.migrated:
            return pool
        with self._opening:
            pool = self._pool or self._open()
            if not pool.migrated:
                if pool.transact(READING, _version) < migrations.VERSION:
                    pool.transact(WRITING, self._migrate)
                pool.migrated = True
        return pool

    def schema_status(self) -> SchemaStatus:
        """Which version of the schema the database has. Makes no tables."""
        with self._opening:
            pool = self._pool or self._open()
        return SchemaStatus(pool.transact(READING, _found_version), migrations.VERSION)

    def _open(self) -> Pool:
        # psycopg looks for libpq when it is imported, and not every machine has one.
        try:
            from graphflow.db.pool import Pool, Settings  # noqa: PLC0415
        except ImportError as error:
            raise DatabaseFailed(
                f"PostgreSQL cannot be spoken to: {' '.join(str(error).split())}; install graphflow-agents[postgres], which "
                "brings what psycopg needs"
            ) from error

        settings = Settings(
            self._arguments, self._where, self.pool_size, self.busy_timeout, self.statement_timeout, self.lease_ttl
        )
        pool = Pool(settings, self._statements())
        self._at_exit = weakref.finalize(self, pool.close)
        self._pool = pool
        return pool

    def _migrate(self, tx: Transaction) -> None:
        """Make the schema and the tables; processes that do so at the same time come one after the other."""
        tx.execute(tx.sql.lock_schema)
        if self.schema is not None and not _is_true(tx.one(tx.sql.has_schema, {})):
            tx.execute(tx.sql.create_schema)
        migrations.migrate(tx, self._stamp())

    def _begin_anew(self) -> None:
        self._opening = threading.Lock()
        self._pool = self._at_exit = None

    def close(self) -> None:
        """Close all connections. Using the object again opens new ones."""
        self._forget()
        with self._opening:
            if self._pool is not None:
                self._at_exit()
                self._pool = None

    def _before_fork(self) -> None:
        """Nothing has to be waited for: what the child copies is left alone there."""

    def _after_fork(self, in_child: bool) -> None:
        super()._after_fork(in_child)
        if in_child and self._pool is not None:
            self._at_exit.detach()
            self._pool.leave_to_parent()
            _abandoned.append(self._pool)
        if in_child:
            self._begin_anew()


def _version(tx: Transaction) -> int:
    return migrations.current_version(tx) if _is_true(tx.one(tx.sql.has_tables, {})) else 0


def _found_version(tx: Transaction) -> int:
    return migrations.found_version(tx) if _is_true(tx.one(tx.sql.has_tables, {})) else 0


def _is_true(row: tuple[Any, ...] | None) -> bool:
    return row is not None and bool(row[0])


# --- URLs ------------------------------------------------------------------------------------------------------------------


def _arguments_of(db_url: str | URL) -> dict[str, Any]:
    """What libpq is told. Errors do not show the URL, because it may hold a password."""
    try:
        url = make_url(db_url)
    except (ArgumentError, ValueError):
        raise ValueError("db_url= cannot be read; write it as postgresql://user:password@host:5432/database") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(
            f"db_url= begins with {url.drivername}://, but {', '.join(f'{name}://' for name in _DRIVERS)} are known"
        )
    dialect = url.set(drivername="postgresql+psycopg").get_dialect()
    _, arguments = dialect().create_connect_args(url)
    return dict(arguments)


def _place_of(arguments: dict[str, Any]) -> str:
    """The database, as it is named in errors: without user and password."""
    host, port = arguments.get("host", "localhost"), arguments.get("port", 5432)
    return f"postgresql://{host}:{port}/{arguments.get('dbname') or arguments.get('user') or ''}"
