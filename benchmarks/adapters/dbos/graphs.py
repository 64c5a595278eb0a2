"""dbos's durable loop: a workflow of steps."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dbos import DBOS, DBOSConfig

from benchmarks.store import Store
from benchmarks.work import Mode


@DBOS.step()
def bump(count: int, payload: str) -> int:
    """A step."""
    return count + 1


@DBOS.workflow()
def loop(steps: int, payload: str) -> int:
    """The loop."""
    count = 0
    while count < steps:
        count = bump(count, payload)
    return count


def durable(store: Store, mode: Mode, payload: str) -> Callable[[int], None]:
    """Runs of the workflow."""
    url = f"sqlite:///{store.file}" if store.kind == "sqlite" else store.url
    DBOS(config=DBOSConfig(name="bench", system_database_url=url, log_level="ERROR", run_admin_server=False))
    DBOS.launch()
    logging.disable(logging.ERROR)

    def run(steps: int) -> None:
        assert loop(steps, payload) == steps

    return run
