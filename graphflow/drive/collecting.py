"""The garbage collector at work: it closes what nobody has any longer in whatever thread allocates just then, with whatever
locks that thread holds. What is closed by it waits for nobody.

Importing this has the collector tell from then on.
"""

from __future__ import annotations

import gc
from threading import get_ident
from typing import Any

_collector = 0
"""The thread in which it works."""


def _note(phase: str, info: Any) -> None:
    global _collector
    _collector = get_ident() if phase == "start" else 0


gc.callbacks.append(_note)


def is_collecting() -> bool:
    """Whether this is done by the garbage collector."""
    return _collector == get_ident()
