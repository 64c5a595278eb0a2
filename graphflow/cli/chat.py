"""``graphflow chat``: talk to an agent, line by line, in a session that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphflow.agent import Agent
from graphflow.cli.failure import Failure, in_one_line, is_expected
from graphflow.cli.reference import load_agent
from graphflow.cli.sessions import DEFAULT_DB, sqlite_file
from graphflow.db import InMemoryDb, SqliteDb
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
        Path | None, typer.Option(help="The SQLite file that keeps the sessions.", metavar="FILE", parser=sqlite_file)
    ] = None,
) -> None:
    """Talk to an agent. Reads lines from the terminal, or from stdin until its end."""
    talker = _agent(agent, db)
    try:
        Talk(talker, session or talker.session_id or "", {"user_id": user or talker.user_id}).run()
    except Exception as error:
        raise error if is_expected(error) else Failure(in_one_line(error)) from error


def _agent(reference: str | None, db: Path | None) -> Runner:
    """The agent to talk to, with a database: its own, unless another file is named."""
    if reference is None:
        return Agent(resolve_model(None), db=SqliteDb(DEFAULT_DB if db is None else db))
    loaded = load_agent(reference)
    if db is None and loaded.db is not None:
        return loaded
    loaded.db = InMemoryDb() if db is None else SqliteDb(db)  # type: ignore[misc]  # the slot is in the classes below Runner
    return loaded
