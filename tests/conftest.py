"""What all tests share: the two ways to drive a graph, and the databases everything has to hold on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphflow.db import InMemoryDb, PostgresDb, SqliteDb
from tests import postgres

LONGEST = ("tests/faults/", "tests/packaging/", "tests/examples/")
"""Folders whose tests take longest, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: towards the end, all workers then still find something small to do."""

    def place(item: pytest.Item) -> int:
        return next((n for n, folder in enumerate(LONGEST) if item.nodeid.startswith(folder)), len(LONGEST))

    items.sort(key=place)


class Way:
    """Calls a method of a graph or an agent, or its asyncio twin, so that one test checks both."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if self.name == "sync":
            return lambda target, *args, **kwargs: getattr(target, method)(*args, **kwargs)
        return lambda target, *args, **kwargs: asyncio.run(_awaited(getattr(target, f"a{method}"), args, kwargs))

    def stream(self, graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All parts of a stream."""
        if self.name == "sync":
            return list(graph.stream(*args, **kwargs))
        return asyncio.run(_collected(graph.astream(*args, **kwargs)))

    def stream_resume(self, graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All parts of a stream that goes on with a run."""
        if self.name == "sync":
            return list(graph.stream_resume(*args, **kwargs))
        return asyncio.run(_collected(graph.astream_resume(*args, **kwargs)))

    def events(self, agent: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All events of an agent's streamed run."""
        if self.name == "sync":
            return list(agent.run(*args, stream=True, **kwargs))
        return asyncio.run(_collected(agent.arun(*args, stream=True, **kwargs)))

    def resumed(self, agent: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All events of an agent's resumed run."""
        if self.name == "sync":
            return list(agent.resume(*args, stream=True, **kwargs))
        return asyncio.run(_collected(agent.aresume(*args, stream=True, **kwargs)))


async def _awaited(method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return await method(*args, **kwargs)


async def _collected(parts: Any) -> list[Any]:
    return [part async for part in parts]


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> Way:
    """Both drivers."""
    return Way(request.param)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL; without one, tests that need it are skipped, except in CI."""
    try:
        server = postgres.start()
    except postgres.Unavailable as reason:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"no PostgreSQL to test with: {reason}")
        pytest.skip(f"no PostgreSQL to test with: {reason}")
    yield server
    server.close()


@pytest.fixture
def postgres_db(postgres_server: postgres.Server) -> Iterator[PostgresDb]:
    """A database with a schema of its own."""
    with postgres_server.schema() as name:
        made = PostgresDb(postgres_server.url_within(name))
        yield made
        made.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Every database, empty."""
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_db")
        return
    database = InMemoryDb() if request.param == "memory" else SqliteDb(tmp_path / "sessions.db")
    yield database
    database.close()
