"""The only place that performs effects: one driver of plain calls, one of asyncio.

The asyncio driver is loaded on first use, so that programs which never await do not pay for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.drive import aio, sync

__all__ = ["aio", "sync"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"graphflow.drive.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
