"""``graphflow db``: the schema of a database, and whether what is stored is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from graphflow.cli.failure import Failure
from graphflow.cli.place import DEFAULT_DB, Place, Schema, opened, with_sessions
from graphflow.cli.terminal import as_json, console, plain
from graphflow.db import PostgresDb, SqliteDb
from graphflow.errors import CorruptCheckpoint

database = typer.Typer(help="Look after a database of sessions.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


@database.command()
def status(db: Place = DEFAULT_DB, schema: Schema = None, json: AsJson = False) -> None:
    """Say which version of the schema the database has. Changes nothing; exits with 1 when this graphflow cannot use it."""
    with opened(db, schema) as store:
        found = store.schema_status()
    if json:
        typer.echo(as_json({"version": found.version, "latest": found.latest, "state": found.state}))
    else:
        typer.echo(f"schema version {found.version or 'none'}, this graphflow knows up to {found.latest}: {found.state}")
    if not found.usable:
        raise typer.Exit(1)


@database.command()
def upgrade(db: Place = DEFAULT_DB, schema: Schema = None) -> None:
    """Bring the schema to the version of this graphflow, as the first use would, and make it if it is missing."""
    with opened(db, schema, make=True) as store:
        before = store.schema_status()
        after = store.upgrade()
    typer.echo(
        f"schema version {after}: nothing to do"
        if before.version == after
        else f"schema version {before.version or 'none'} → {after}"
    )


@database.command()
def check(db: Place = DEFAULT_DB, schema: Schema = None, json: AsJson = False) -> None:
    """Verify everything that is stored. Exits with 1 when something is damaged or missing."""
    with with_sessions(db, schema) as store:
        report = store.check()
    if json:
        typer.echo(as_json({"ok": report.ok, "checked": report.checked, "problems": report.problems}))
    else:
        out = console()
        for problem in report.problems:
            out.print(plain(f"✗ {problem}", "red"))
        rows = f"{report.checked} row{'' if report.checked == 1 else 's'} checked"
        out.print(plain(f"{rows}, {len(report.problems) or 'no'} problem{'' if len(report.problems) == 1 else 's'}"))
    if not report.ok:
        raise typer.Exit(1)


@database.command()
def repair(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")],
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a damaged session back to its last sound checkpoint. What came after it is lost, so make a backup first."""
    with with_sessions(db, schema) as store:
        if not yes and not _is_there(store, session):
            raise Failure(f"there is no session {session!r} in the database; 'graphflow sessions list' shows what there is")
        if not yes and not typer.confirm(f"Take session {session!r} back to its last sound checkpoint?", err=True):
            raise Failure("nothing was changed")
        done = store.repair_session(session)
    for part in done.lost:
        typer.echo(f"lost: {part}")
    typer.echo(f"session {session}: " + (f"stands at checkpoint {done.head} now" if done.lost else "nothing is damaged"))


def _is_there(store: SqliteDb | PostgresDb, session_id: str) -> bool:
    try:
        return store.get_session(session_id) is not None
    except CorruptCheckpoint:
        return True
