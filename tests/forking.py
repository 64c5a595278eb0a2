"""Children that a test forks: each has its time to end in, says where it hangs if it does not, and runs nothing of the test."""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

MAY_TAKE: Final = 60.0
"""Seconds after which a child writes down where each of its threads is, and ends with status 1."""


class Child:
    """A forked child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def join(self) -> int:
        """Wait for its end; the status it ended with, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fork(work: Callable[[], Any]) -> Child:
    """A copy of this process that does ``work`` and ends: with status 0, or 1 when the work raised something."""
    pid = os.fork()
    if pid:
        return Child(pid)
    status = 1
    try:
        faulthandler.dump_traceback_later(MAY_TAKE, exit=True, file=sys.__stderr__)
        work()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        sys.__stderr__.flush()  # type: ignore[union-attr]
    finally:
        os._exit(status)
