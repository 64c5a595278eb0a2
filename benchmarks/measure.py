"""Measures one part in this process: ``python -m benchmarks.measure machine.loop FOLDER [quick]``. Prints a line of JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

from benchmarks.catalogue import case_of
from benchmarks.figure import Measured, Place


def measure(name: str, shared: Path, quick: bool) -> Measured:
    """What the part measures, in a folder of its own that is deleted afterwards."""
    case, part = name.split(".")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        return case_of(case).parts[part](Place(Path(folder), shared, quick))


if __name__ == "__main__":
    measured = measure(sys.argv[1], Path(sys.argv[2]), "quick" in sys.argv[3:])
    print(json.dumps({name: astuple(pair) for name, pair in measured.items()}))
