"""Results of nodes, kept in this process to be used again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import deepcopy
from time import monotonic
from typing import Any

from graphflow.core.control import MISSING


class ResultCache:
    """The results of one node by key: at most ``size``, those used last; each for ``ttl`` seconds (None: no end).

    Safe to use from any thread. What goes in and what comes out are copies, so nobody's later change spoils a result.
    """

    def __init__(self, size: int, ttl: float | None, clock: Callable[[], float] = monotonic) -> None:
        self.size = size
        self.ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """A copy of the result, or MISSING."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return MISSING
            made, result = found
            if self.ttl is not None and self._clock() - made >= self.ttl:
                del self._kept[key]
                return MISSING
            self._kept.move_to_end(key)
        return deepcopy(result)

    def put(self, key: Hashable, result: Any) -> None:
        """Keep a copy of a result; the one that was not used for longest makes room."""
        copied = deepcopy(result)
        with self._lock:
            self._kept[key] = self._clock(), copied
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
