"""Writes the sessions that a process is to serve: ``python -m benchmarks.open_sessions REQUEST``, a list in JSON.

A process of its own does so: what it takes in memory is not that of the one that serves them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.cases.memory import write
from benchmarks.store import Store

if __name__ == "__main__":
    subject, kind, file, url, sessions, turns = json.loads(sys.argv[1])
    write(subject, Store(kind, Path(file) if file else None, url, "normal"), sessions, turns)
    os._exit(0)
