"""Where sessions are kept: a SQLite file or a URL, as every command takes it with ``--db``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from graphflow.cli.failure import Failure
from graphflow.db import PostgresDb, SqliteDb

DEFAULT_DB = "graphflow.db"
Place = Annotated[str, typer.Option("--db", help="A SQLite file, or a URL like postgresql://…", metavar="FILE|URL")]
Schema = Annotated[str | None, typer.Option("--schema", help="The schema of the tables in PostgreSQL.", metavar="NAME")]

_SQLITE_HEADER = b"SQLite format 3\0"
_CHUNK = 1 << 20


def database_at(place: str, schema: str | None = None) -> SqliteDb | PostgresDb:
    """The database at a place, whatever is there. Raises Failure for a URL that is none, without showing it: it may hold a
    password.
    """
    is_url = "://" in place
    if schema is not None and not is_url:
        raise Failure("--schema is for PostgreSQL: name a URL with --db", exit_code=2)
    try:
        return PostgresDb(place, schema) if is_url else SqliteDb(Path(place))
    except ValueError as error:
        raise Failure(str(error), exit_code=2) from None


@contextmanager
def opened(place: str, schema: str | None = None, *, make: bool = False) -> Iterator[SqliteDb | PostgresDb]:
    """The database at a place, with or without our tables; a file has to be there already, unless it may be made."""
    store = database_at(place, schema)
    if isinstance(store, SqliteDb):
        path = Path(place)
        why_not = None if make and not path.exists() else complaint(path)
        if why_not:
            raise Failure(f"{why_not}; name the database with --db")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def with_sessions(place: str, schema: str | None = None) -> Iterator[SqliteDb | PostgresDb]:
    """The database at a place that holds sessions already: looking makes no tables, and brings none up to another version. A
    server that cannot be reached is told at once.
    """
    with opened(place, schema) as store:
        if isinstance(store, SqliteDb) and (why_not := emptiness(Path(place))):
            raise Failure(f"{why_not}; name the database with --db")
        found = store.schema_status()
        if not found.version:
            raise Failure("the database holds no sessions; is it the right one, and the right --schema?")
        if found.version < found.latest:
            raise Failure(
                f"the tables are those of schema version {found.version}, and this graphflow uses {found.latest}: end the "
                "programs that use them, make a backup, and bring them up with 'graphflow db upgrade'"
            )
        yield store


def complaint(path: Path) -> str | None:
    """Why the file can be no database."""
    if not path.exists():
        return f"there is no database {path}"
    if not path.is_file():
        return f"{path} is not a file"
    with path.open("rb") as file:
        header = file.read(len(_SQLITE_HEADER))
    return None if header in (_SQLITE_HEADER, b"") else f"{path} is not a SQLite database"


def emptiness(path: Path) -> str | None:
    """Why there are no sessions in a database that is a file."""
    if not path.stat().st_size:
        return f"{path} is empty"
    # New tables may still be in the write-ahead log. SQLite keeps their names as plain text, near the beginning.
    files = (path, path.with_name(f"{path.name}-wal"))
    return None if any(_holds(file, b"gf_sessions") for file in files) else f"{path} is a database without sessions"


def _holds(path: Path, text: bytes) -> bool:
    if not path.exists():
        return False
    before = b""
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            if text in before + part:
                return True
            before = part[-len(text) :]
    return False
