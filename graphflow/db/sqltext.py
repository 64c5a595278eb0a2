"""The SQL of the store, as text.

It is written in SQLAlchemy Core, in ``graphflow.db.statements``. Compiling it takes longer than all that a short program does
with its database, and so does importing SQLAlchemy; therefore the texts are kept beside it, in ``graphflow/db/texts``, and
SQLAlchemy is asked only for statements that depend on what somebody looks for. ``python -m graphflow.db.statements`` writes the
texts anew; a test compares them with what they are made from.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

PLACE: Final = "gf_place"
"""Stands in the texts of PostgreSQL for the schema that the tables are in."""


class _Texts:
    """Every statement that takes no arguments is an attribute, from the beginning; the others are those of SQLAlchemy."""

    def __init__(self, dialect: str, schema: str | None) -> None:
        self._dialect = dialect
        self._schema = schema
        texts = import_module(f"graphflow.db.texts.{dialect}").TEXTS
        self.__dict__.update(_placed(texts, schema) if dialect == "postgresql" else texts)

    @cached_property
    def _made(self) -> Statements:
        from graphflow.db.statements import Statements  # noqa: PLC0415 - imports SQLAlchemy

        return Statements(self._dialect, self._schema)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._made, name)


def _placed(texts: dict[str, Any], schema: str | None) -> dict[str, Any]:
    """The texts for tables in a schema; None: where the connection looks for them."""
    old, new = (f"{PLACE}.", "") if schema is None else (PLACE, f'"{schema}"')
    return {name: _replaced(value, old, new) for name, value in texts.items()}


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {name: _replaced(part, old, new) for name, part in value.items()}
    return type(value)(_replaced(part, old, new) for part in value)


_known: dict[tuple[str, str | None], Statements] = {}


def statements_for(dialect: str, schema: str | None = None) -> Statements:
    """The statements of a dialect ("sqlite" or "postgresql"), on tables in a schema."""
    if (dialect, schema) not in _known:
        _known[dialect, schema] = cast("Statements", _Texts(dialect, schema))
    return _known[dialect, schema]
