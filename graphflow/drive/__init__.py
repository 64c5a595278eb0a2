"""The only place that performs effects: one driver of plain calls, one of asyncio.

What a program does not use (asyncio, the cache of results) is not loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.drive import aio, cache, collecting, loop, selfwaits, sync

__all__ = ["aio", "cache", "collecting", "loop", "selfwaits", "sync"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"graphflow.drive.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
