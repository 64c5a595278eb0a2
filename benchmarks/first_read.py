"""What a fresh process reads: ``python -m benchmarks.first_read [SUBJECT, KIND, FILE, URL, TURNS]``. Prints figures as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.cases.fresh import read
from benchmarks.store import Store

if __name__ == "__main__":
    subject, kind, file, url, turns = json.loads(sys.argv[1])
    print(json.dumps(read(subject, Store(kind, Path(file) if file else None, url), turns)), flush=True)
    os._exit(0)  # some peers keep threads that nobody joins
