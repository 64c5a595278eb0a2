"""``graphflow chat``: talk to an agent, line by line, in a session that is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from graphflow.agent import Agent
from graphflow.cli.failure import Failure, in_one_line, is_expected
from graphflow.cli.place import DEFAULT_DB, Schema, database_at
from graphflow.cli.reference import load_agent
from graphflow.db import Db, InMemoryDb, PostgresDb, SqliteDb
from graphflow.models.resolve import resolve_model
from graphflow.printing import Talk
from graphflow.run import Runner


def chat(
    agent: Annotated[
        str | None, typer.Argument(metavar="[MODULE:AGENT]", help="Your agent; without it, one with the default model.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="The session to begin or to continue.", metavar="ID")] = None,
    user: Annotated[str | None, typer.Option(help="Who talks.", metavar="ID")] = None,
    db: Annotated[
        str | None,
        typer.Option(help="What keeps the sessions: a SQLite file or a URL.", metavar="FILE|URL"),
    ] = None,
    schema: Schema = None,
) -> None:
    """Talk to an agent. Reads lines from the terminal, where a run that fails ends nothing, or from stdin until its end or a
    run that fails.
    """
    talker = _agent(agent, db, schema)
    try:
        Talk(talker, talker.session_id if session is None else session, {"user_id": user}).run()
    except Exception as error:
        raise error if is_expected(error) else Failure(in_one_line(error)) from error


def _agent(reference: str | None, db: str | None, schema: str | None) -> Runner:
    """The agent to talk to, with a database: its own, unless another is named."""
    if reference is None:
        return Agent(resolve_model(None), db=_reached(DEFAULT_DB if db is None else db, schema))
    loaded = load_agent(reference)
    if db is not None or schema is not None:
        store: Db = _reached(DEFAULT_DB if db is None else db, schema)
    elif loaded.db is None:
        store = InMemoryDb()
    else:
        return loaded
    loaded.db = store  # type: ignore[misc]  # the slot is in the classes below Runner
    return loaded


def _reached(place: str, schema: str | None) -> SqliteDb | PostgresDb:
    """The database at a place. A server that cannot be reached is told at once, and not when the first line is said."""
    store = database_at(place, schema)
    if isinstance(store, PostgresDb):
        store.schema_status()
    return store
