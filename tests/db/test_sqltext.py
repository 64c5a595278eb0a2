"""The texts of the statements are those that SQLAlchemy makes of them, on every schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphflow.db.sqltext import statements_for
from graphflow.db.statements import Statements
from graphflow.db.statements.__main__ import DIALECTS, source, texts

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_stored_texts_are_what_the_statements_are_now(dialect: str) -> None:
    written = REPOSITORY / "graphflow" / "db" / "texts" / f"{dialect}.py"
    assert written.read_text("utf-8") == source(dialect), "run: python -m graphflow.db.statements"


def unquoted(value: Any) -> str:
    return repr(value).translate(dict.fromkeys(map(ord, "\"'\\")))


@pytest.mark.parametrize("schema", [None, "app", "My-App", "user", "gf_place"])
def test_the_texts_for_a_schema_are_those_that_would_be_compiled_for_it(schema: str | None) -> None:
    made, kept = Statements("postgresql", schema), statements_for("postgresql", schema)
    names = set(texts("postgresql")) - ({"has_schema", "create_schema"} if schema is None else set())
    different = [name for name in names if unquoted(getattr(made, name)) != unquoted(getattr(kept, name))]
    assert different == []


def test_statements_that_depend_on_what_is_looked_for_are_compiled_when_they_are_needed() -> None:
    kept = statements_for("sqlite")
    assert kept.count_sessions(("user_id",)) == Statements("sqlite").count_sessions(("user_id",))
    with pytest.raises(AttributeError, match="no_such_statement"):
        _ = kept.no_such_statement  # type: ignore[attr-defined]


def test_a_conversation_on_sqlite_needs_no_sqlalchemy(tmp_path: Path) -> None:
    code = """
import sys
from graphflow import Agent
from graphflow.db import SqliteDb
from graphflow.models import OfflineModel
for _ in range(2):
    agent = Agent(OfflineModel(), db=SqliteDb(sys.argv[1]), session_id="s")
    agent.run("My name is Ann")
    assert "Ann" in agent.run("What is my name?").content
print([name for name in sys.modules if name.split(".")[0] == "sqlalchemy"])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "s.db")]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout == "[]\n"
