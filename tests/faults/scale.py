"""How much is tried: a little in every run of the tests, all of it with GRAPHFLOW_FAULTS=full (``make faults``)."""

from __future__ import annotations

import os
import random

FULL = os.environ.get("GRAPHFLOW_FAULTS") == "full"
SEED = int(os.environ.get("GRAPHFLOW_SEED", str(random.randrange(10**6))))


def rounds(quick: int, full: int) -> int:
    """How often, or with how many."""
    return full if FULL else quick
