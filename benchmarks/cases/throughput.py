"""Case H: 200 sessions of one asyncio process talk at once, on a pool of 20 connections to PostgreSQL."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.adapters import adapter, options
from benchmarks.amounts import POOL, SESSIONS, TURNS
from benchmarks.conversation import answers, text
from benchmarks.figure import AtLeast, AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.gauge import Gauge
from benchmarks.weight import peak_mib
from benchmarks.work import wait

Turn = Callable[[str, str], Awaitable[Any]]


def measure(subject: str, part: Part, place: Place) -> Measured:
    """Each session's turns come one after the other; a turn's time is what its session waits for it."""
    sessions = SESSIONS // (5 if place.size == "quick" else 1)
    service = adapter(subject, "chat").service(place.store("postgres"), POOL, answers(), **options(subject))
    return wait(drive(service, sessions, place.gauge))


async def drive(service: Awaitable[Turn], sessions: int, gauge: Gauge) -> Measured:
    """All sessions, after one turn that sets things up, from a quiet moment on."""
    turn, waits = await service, []
    said = {f"session-{number}": [text(f"{number} {round}") for round in range(TURNS)] for number in range(sessions)}

    async def talk(session: str) -> None:
        for question in said[session]:
            began = time.perf_counter()
            await turn(session, question)
            waits.append((time.perf_counter() - began) * 1e3)

    await turn("warm-up", text("warm-up"))
    gauge.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(talk, said))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    percentiles = statistics.quantiles(waits, n=100)
    return {
        "rate": len(waits) / wall,
        "cpu": cpu * 1e3 / len(waits),
        "p50": percentiles[49],
        "p99": percentiles[98],
        "mib": peak_mib(),
    }


CASE = Case(
    "H",
    "throughput",
    "200 sessions of 10 turns at once, PostgreSQL, 20 connections, async",
    "reading the last 6 messages and inserting 2, on a pool of psycopg",
    (
        Part(
            "postgres",
            (
                Figure("rate", "turns", "1/s", AtLeast(1_000, Beside("agno", 170)), more_is_better=True),
                Figure("cpu", "processor time of a turn", "ms"),
                Figure("p50", "a turn, median", "ms"),
                Figure("p99", "a turn, 99 of 100 within", "ms", AtMost(300)),
                Figure("mib", "peak of memory", "MiB"),
            ),
            ("langgraph", "langgraph exit", "agno"),
        ),
    ),
    measure,
)
