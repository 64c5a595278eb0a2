"""Processes: fresh interpreters that print one line of JSON."""

from __future__ import annotations

import json
import os
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


def json_of(arguments: Sequence[str], python: str = sys.executable, timeout: float = 1800.0) -> Any:
    """The last line of JSON that ``python *arguments`` prints. Raises Failed."""
    try:
        done = subprocess.run(
            [python, *arguments], env=environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    if done.returncode or not lines:
        raise Failed(done.stderr.strip()[-1500:] or f"ended with status {done.returncode} and said nothing")
    return json.loads(lines[-1])


_COLD = """
import json, sys, time
sys.argv[:1] = []
wall, cpu = time.perf_counter(), time.process_time()
{statements}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
from benchmarks.clock import peak_mib
print(json.dumps({{"ms": wall * 1e3, "cpu_ms": cpu * 1e3, "mib": peak_mib()}}))
"""


def cold(statements: str, *arguments: str, python: str = sys.executable) -> Mapping[str, float]:
    """What statements cost in a fresh interpreter (``ms``, ``cpu_ms``), and its peak of memory (``mib``).

    ``sys.argv`` is what follows, from 0.
    """
    measured: Mapping[str, float] = json_of(["-c", _COLD.format(statements=statements), *arguments], python)
    return measured
