"""Measures one thing in this process: ``python -m benchmarks.measure REQUEST`` (JSON). Prints a line of JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.catalogue import case_of
from benchmarks.figure import Measured, Place
from benchmarks.gauge import Gauge


def main(request: dict[str, Any]) -> Measured:
    """A part for a subject, or a point of a curve, in a folder of its own that is deleted afterwards."""
    shared = Path(request["shared"])
    with tempfile.TemporaryDirectory(dir=shared, ignore_cleanup_errors=True) as folder:
        gauge = Gauge(request["quiet"])
        place = Place(Path(folder), shared, request["size"], request["server"], gauge)
        if "curve" in request:
            from benchmarks.curves import CURVES  # noqa: PLC0415 - loads graphflow, which must not be loaded beside a peer

            return {"cost": CURVES[request["curve"]].cost(request["at"], place)}
        case = case_of(request["case"])
        measured = case.measure(request["subject"], case.part(request["part"]), place)
        return {**measured, "samples": gauge.samples, "disturbed": gauge.disturbed}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # some peers keep threads that nobody joins
