"""``graphflow sessions``: list, show, export, delete and prune what is stored in a database."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from graphflow.cli.failure import Failure
from graphflow.cli.place import DEFAULT_DB, Place, Schema, with_sessions
from graphflow.cli.terminal import as_json, console, local_time, plain, said
from graphflow.db import PostgresDb, Session, SessionType, SqliteDb
from graphflow.db.retention import TOO_LONG
from graphflow.errors import CorruptCheckpoint

sessions = typer.Typer(help="Look after stored sessions.", no_args_is_help=True, rich_markup_mode=None)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]
Owner = Annotated[str | None, typer.Option("--user", help="Only sessions of this user.", metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]


LONGEST_ID = 36
"""Characters of a session's id that a list keeps in one line, where there is room for twice as many: those of a UUID."""


class SortBy(StrEnum):
    """What a list can be sorted by."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    NAME = "name"


class Order(StrEnum):
    """Which way a list is sorted."""

    ASC = "asc"
    DESC = "desc"


@sessions.command("list")
def list_sessions(
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    user: Owner = None,
    type: Annotated[SessionType | None, typer.Option(help="Only sessions made by these.")] = None,
    component: Annotated[str | None, typer.Option(help="Only sessions of this agent or graph.", metavar="NAME")] = None,
    name: Annotated[str | None, typer.Option(help="Only sessions of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Sessions on a page.")] = 20,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    sort: Annotated[SortBy, typer.Option(help="What to sort by.")] = SortBy.CREATED_AT,
    order: Annotated[Order, typer.Option(help="Which way to sort.")] = Order.DESC,
    json: AsJson = False,
) -> None:
    """List sessions, the newest first."""
    filters: dict[str, Any] = {"session_type": type, "user_id": user, "component_id": component, "name": name}
    with with_sessions(db, schema) as opened:
        found = opened.get_sessions(**filters, limit=limit, page=page, sort_by=sort.value, sort_order=order.value)
        total = opened.count_sessions(**filters)
    if json:
        typer.echo(as_json([_facts(session) for session in found]))
        return
    out = console()
    whole = out.width >= 2 * LONGEST_ID and all(len(session.session_id) <= LONGEST_ID for session in found)
    headers = ("type", "user", "component", "name", "status", "created", "updated")
    table = Table(Column("session", overflow="fold", no_wrap=whole), *(Column(header, overflow="fold") for header in headers))
    for session in found:
        table.add_row(*(plain(str(value)) for value in _row(session)))
    out.print(table)
    out.print(f"{len(found)} of {total} sessions" + (f", page {page}" if page > 1 else ""))


@sessions.command()
def show(
    session: SessionId,
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    user: Owner = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of the last messages.")] = 20,
    json: AsJson = False,
) -> None:
    """Show a session: its owner, its state, its last messages."""
    with with_sessions(db, schema) as opened:
        found = _found(opened, session, user, db)
        messages = opened.get_messages(session, limit=limit)
        runs = opened.get_runs(session, limit=1)
        details = {"runs": runs[0].number if runs else 0, "summary": found.summary, "session_state": found.session_state}
    if json:
        typer.echo(as_json({**_facts(found), **details, "messages": [message.model_dump(mode="json") for message in messages]}))
        return
    table = Table(Column(), Column(overflow="fold"), show_header=False, box=None)
    for key, value in {**_facts(found), **details}.items():
        if value not in (None, "", {}):
            table.add_row(plain(key, "bold"), plain(local_time(value) if hasattr(value, "astimezone") else str(value)))
    out = console()
    out.print(table)
    out.print()
    for message in messages:
        out.print(said(message))


@sessions.command()
def export(
    session: SessionId,
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    user: Owner = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; stdout without it.", metavar="FILE")
    ] = None,
) -> None:
    """Write a whole session as JSON, which db.import_session() reads."""
    with with_sessions(db, schema) as opened:
        _found(opened, session, user, db)
        text = as_json(opened.export_session(session))
    if output is None:
        typer.echo(text)
    else:
        output.write_text(f"{text}\n", encoding="utf-8")
        typer.echo(f"wrote {output}", err=True)


@sessions.command()
def delete(
    session: SessionId,
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    user: Owner = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a session with everything in it."""
    with with_sessions(db, schema) as opened:
        try:
            what = f"session {session!r} of {local_time(_found(opened, session, user, db).created_at)}"
        except CorruptCheckpoint:
            what = f"the damaged session {session!r}"
        if not yes and not typer.confirm(f"Delete {what} for good?", err=True):
            raise Failure("nothing was deleted")
        opened.delete_session(session, user_id=user)
    typer.echo(f"deleted {session}")


@sessions.command()
def prune(
    db: Place = DEFAULT_DB,
    schema: Schema = None,
    user: Owner = None,
    keep_last: Annotated[int | None, typer.Option(min=1, help="Keep so many checkpoints of each session.", metavar="N")] = None,
    older_than: Annotated[str | None, typer.Option(help="Only what is older, such as 30d, 12h, 90m.", metavar="AGE")] = None,
    delete_sessions: Annotated[
        bool, typer.Option("--delete-sessions", help="Also delete sessions unused since --older-than, with their messages.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take away old checkpoints, which only looking back and forking need. Messages stay."""
    age = None if older_than is None else _seconds(older_than)
    if keep_last is None and age is None:
        raise Failure("prune what? give --keep-last, --older-than, or both", exit_code=2)
    if delete_sessions and age is None:
        raise Failure("--delete-sessions needs --older-than", exit_code=2)
    with with_sessions(db, schema) as opened:
        if delete_sessions and not yes and not typer.confirm("Delete unused sessions with their messages for good?", err=True):
            raise Failure("nothing was deleted")
        try:
            report = opened.prune(keep_last=keep_last, older_than=age, user_id=user, delete_sessions=delete_sessions)
        except CorruptCheckpoint as damage:
            raise Failure("; ".join([str(damage), *getattr(damage, "__notes__", ())])) from None
    deleted = f", {report.deleted_sessions} sessions deleted" if delete_sessions else ""
    typer.echo(f"{report.checkpoints} checkpoints of {report.sessions} sessions pruned{deleted}: {report.bytes:,} bytes")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(age: str) -> float:
    number, unit = age[:-1], age[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise Failure(f"--older-than {age!r} is no age: write a number and one of s, m, h, d, w, such as 30d", exit_code=2)
    seconds = float(number) * _UNITS[unit]
    if seconds >= TOO_LONG:
        raise Failure(f"--older-than {age[:40]!r} is longer than anything was kept: give less than 3,000 years", exit_code=2)
    return seconds


def _found(db: SqliteDb | PostgresDb, session_id: str, user_id: str | None, place: str) -> Session:
    session = db.get_session(session_id, user_id=user_id)
    if session is None:
        owner = f" of user {user_id!r}" if user_id is not None else ""
        # An address may hold a password.
        where, to_look = ("the database", "") if "://" in place else (place, f" --db {place}")
        raise Failure(
            f"there is no session {session_id!r}{owner} in {where}; 'graphflow sessions list{to_look}' shows what there is"
        )
    return session


def _facts(session: Session) -> Mapping[str, Any]:
    """What is known of a session without reading what was said in it."""
    return {
        "session_id": session.session_id,
        "session_type": session.session_type.value,
        "user_id": session.user_id,
        "component_id": session.component_id,
        "name": session.name,
        "metadata": session.metadata,
        "status": session.status,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def _row(session: Session) -> tuple[str, ...]:
    texts = (session.user_id, session.component_id, session.name)
    times = (local_time(session.created_at), local_time(session.updated_at))
    return (session.session_id, session.session_type.value, *(text or "" for text in texts), session.status, *times)
