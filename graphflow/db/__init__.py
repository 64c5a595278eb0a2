"""Databases that keep sessions: ``SqliteDb``, ``InMemoryDb``. Names are loaded when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.db.memory import InMemoryDb
    from graphflow.db.records import Session, SessionType
    from graphflow.db.sqlite import SqliteDb

__all__ = ["InMemoryDb", "Session", "SessionType", "SqliteDb"]

_HOMES = {
    "InMemoryDb": "graphflow.db.memory",
    "Session": "graphflow.db.records",
    "SessionType": "graphflow.db.records",
    "SqliteDb": "graphflow.db.sqlite",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
