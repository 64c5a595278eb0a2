"""Programs to be killed, on every database that outlives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.killing import Programs


@pytest.fixture(params=["sqlite", "postgres"])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Programs]:
    """Makes programs, each with a new database of its own."""
    server = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    with ExitStack() as stack:
        yield Programs(tmp_path, server, stack)
