"""How often faults are made to happen: a few times in every test run, many times when asked for."""

from __future__ import annotations

import os


def rounds(quick: int, full: int) -> int:
    """``full`` with GRAPHFLOW_FAULTS=full in the environment, else ``quick``."""
    return full if os.environ.get("GRAPHFLOW_FAULTS") == "full" else quick
