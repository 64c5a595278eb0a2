"""Writes ``graphflow/db/texts``: what the statements are on each dialect, so that nobody has to compile them."""

from __future__ import annotations

from functools import cached_property
from inspect import getmembers_static
from pathlib import Path
from pprint import pformat
from typing import Any, Final

from graphflow.db.sqltext import PLACE
from graphflow.db.statements import Statements
from graphflow.db.statements.postgres import PostgresStatements

DIALECTS: Final = {"sqlite": None, "postgresql": PLACE}
"""The schema that each dialect's tables are in."""


def texts(dialect: str) -> dict[str, Any]:
    """Every statement of a dialect that takes no arguments, by name."""
    made = Statements(dialect, DIALECTS[dialect])
    of_postgres = PostgresStatements.__dict__ if dialect != "postgresql" else {}
    names = [name for name, member in getmembers_static(Statements) if isinstance(member, cached_property)]
    return {name: getattr(made, name) for name in names if name not in of_postgres}


def source(dialect: str) -> str:
    """The module that holds them."""
    shown = pformat(texts(dialect), width=120, sort_dicts=False)
    says = f"Written by ``python -m graphflow.db.statements``: the SQL of the store for {dialect}."
    return f'"""{says}"""\n\nTEXTS = (\n{shown}\n)\n'


if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[1] / "texts"
    for name in DIALECTS:
        (folder / f"{name}.py").write_text(source(name), encoding="utf-8")
