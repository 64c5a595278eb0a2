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
    if "://" in place:
        try:
            return PostgresDb(place, schema)
        except ValueError as error:
            raise Failure(str(error), exit_code=2) from None
    if schema is not None:
        raise Failure("--schema is for PostgreSQL: name a URL with --db", exit_code=2)
    return SqliteDb(Path(place))


@contextmanager
def opened(place: str, schema: str | None = None, *, make: bool = False) -> Iterator[SqliteDb | PostgresDb]:
    """The database at a place; a file has to be one already, unless it may be made."""
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
    """The database at a place that holds sessions already: looking makes no tables. A server that cannot be reached is told
    at once.
    """
    with opened(place, schema) as store:
        if isinstance(store, PostgresDb) and not store.schema_status().version:
            raise Failure("the database holds no sessions; is it the right one, and the right --schema?")
        yield store


def complaint(path: Path) -> str | None:
    """Why there can be no sessions in the file."""
    if not path.exists():
        return f"there is no database {path}"
    if not path.is_file():
        return f"{path} is not a file"
    with path.open("rb") as file:
        header = file.read(len(_SQLITE_HEADER))
    if header != _SQLITE_HEADER:
        return f"{path} is {'not a SQLite database' if header else 'empty'}"
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
