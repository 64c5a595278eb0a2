"""The same functions, called, awaited, and their results inserted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import count
from typing import Any

from benchmarks.adapters.limit.stores import create, execute_on
from benchmarks.store import Store
from benchmarks.work import Mode, abranch, abump, branch, bump, wait


def counting(shape: str, mode: Mode, steps: int) -> Callable[[], None]:
    """The steps, called or awaited in a loop that merges what they return."""

    def calls() -> None:
        state = {"count": 0}
        for node in [bump] * steps:
            state.update(node(state))
        assert state["count"] == steps

    async def awaits() -> None:
        state = {"count": 0}
        for node in [abump] * steps:
            state.update(await node(state))
        assert state["count"] == steps

    return (lambda: wait(awaits())) if mode == "async" else calls


def durable(store: Store, mode: Mode, payload: str) -> Callable[[int], None]:
    """A transaction per step, which inserts one row of (thread, step, state)."""
    table = "step (thread TEXT, step INTEGER, state TEXT, PRIMARY KEY (thread, step))"
    numbers = count()
    if mode == "async" and store.kind == "postgres":
        return _awaited_rows(store, table, payload)
    execute, mark = execute_on(store)
    create(execute, store, table)
    insert = f"INSERT INTO step VALUES ({mark}, {mark}, {mark})"
    # PostgreSQL's own transaction around a statement saves two ways to the server; to SQLite there is none.
    begin, commit = ("BEGIN", "COMMIT") if store.kind == "sqlite" else ("", "")

    def loop(steps: int) -> None:
        thread = f"session-{next(numbers)}"
        for step in range(steps):
            row = thread, step, json.dumps({"count": step, "payload": payload})
            if begin:
                execute(begin)
            execute(insert, row)
            if commit:
                execute(commit)

    return loop


def _awaited_rows(store: Store, table: str, payload: str) -> Callable[[int], None]:
    import psycopg  # noqa: PLC0415 - see stores

    numbers = count()
    connection = wait(psycopg.AsyncConnection.connect(store.conninfo, autocommit=True))
    wait(connection.execute(f"CREATE TABLE {table}".encode()))

    async def drive(steps: int) -> None:
        thread = f"session-{next(numbers)}"
        async with connection.cursor() as cursor:
            for step in range(steps):
                body = json.dumps({"count": step, "payload": payload})
                await cursor.execute("INSERT INTO step VALUES (%s, %s, %s)", (thread, step, body), prepare=True)

    return lambda steps: wait(drive(steps))


def fan_out(store: Store, mode: Mode, branches: int) -> Callable[[], None]:
    """The branches, called or gathered; on a store a row of each, committed together."""
    numbers = count()
    execute, mark = (None, "") if store.kind == "none" else execute_on(store)
    if execute is not None:
        create(execute, store, "result (thread INTEGER, branch INTEGER, value TEXT, PRIMARY KEY (thread, branch))")

    async def gathered() -> list[Any]:
        return await asyncio.gather(*(abranch({"value": number}) for number in range(branches)))

    def once() -> None:
        outputs = wait(gathered()) if mode == "async" else [branch({"value": number}) for number in range(branches)]
        assert len([result for output in outputs for result in output["results"]]) == branches
        if execute is not None:
            thread = next(numbers)
            execute("BEGIN")
            for number, output in enumerate(outputs):
                execute(f"INSERT INTO result VALUES ({mark}, {mark}, {mark})", (thread, number, json.dumps(output)))
            execute("COMMIT")

    return once
