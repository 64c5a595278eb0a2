"""Processes: fresh interpreters that print one line of JSON."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scratch import ROOT

QUIET = {
    "AGNO_TELEMETRY": "false",
    "BURR_TELEMETRY": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OPENAI_API_KEY": "unused",
}
"""No peer may call home while it is measured."""


class Failed(Exception):
    """A process ended with an error, or without its line. Carries the end of what it said."""


def environment() -> dict[str, str]:
    """The checkout can be imported, and bytecode is cached as it is for an installed package."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    return {**kept, **QUIET, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nodes")])}


def text_of(arguments: Sequence[str], python: str = sys.executable, timeout: float = 3600.0) -> str:
    """What ``python *arguments`` prints. Raises Failed."""
    try:
        done = subprocess.run(
            [python, *arguments], env=environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode:
        raise Failed(done.stderr.strip()[-1500:] or f"ended with status {done.returncode} and said nothing")
    return done.stdout


def json_of(arguments: Sequence[str], python: str = sys.executable) -> Any:
    """The last line of JSON that ``python *arguments`` prints. Raises Failed."""
    lines = [line for line in text_of(arguments, python).splitlines() if line.startswith(("{", "["))]
    if not lines:
        raise Failed("ended well, and printed no figures")
    return json.loads(lines[-1])


# Nothing is imported before the clock starts, or before the peak is read, but what every interpreter has loaded anyway.
_COLD = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
{statements}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
try:
    with open("/proc/self/status") as status:
        mib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
except OSError:
    import resource
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
import json
print(json.dumps({{"wall": wall * 1e3, "cpu": cpu * 1e3, "mib": mib}}))
"""
"""On Linux ru_maxrss outlives exec: it would tell the peak of whoever started the process."""


def cold(statements: str, *arguments: str, python: str = sys.executable) -> dict[str, float]:
    """What statements cost in a fresh interpreter (``wall`` and ``cpu`` milliseconds), and its peak of memory (``mib``).

    They find the arguments in ``sys.argv[1:]``.
    """
    measured: dict[str, float] = json_of(["-c", _COLD.format(statements=statements), *arguments], python)
    return measured


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(measured[name] for measured in rounds) for name in rounds[0]}
