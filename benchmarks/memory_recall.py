"""How well memories are found again: real conversations, a memory for each turn, and questions whose evidence is known.

    python benchmarks/memory_recall.py --data locomo [--db sqlite|memory|URL] [--files 26 30] [--no-speed]

The conversations are those of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024), which are not
part of this project. *Evidence recall at k* is the share of a question's evidence turns among the first k that
``db.search_user_memories`` gives, averaged over the questions of categories 1 to 4. No model, no network.

The second part measures a search among 100,000 memories, of one user and of many.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from graphflow.db import InMemoryDb, PostgresDb, SqliteDb

CUTS = (5, 10, 20)
MANY = 100_000


def database(name: str, folder: str) -> Any:
    """The database to measure on."""
    if name == "memory":
        return InMemoryDb()
    return SqliteDb(Path(folder) / "memories.db", synchronous="normal") if name == "sqlite" else PostgresDb(name)


def turns_of(conversation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The id of each turn, and the memory it is stored as."""
    for session in conversation["sessions"]:
        for turn in session["turns"]:
            yield turn["id"], f"{turn['speaker']}: {turn['text']} ({session['when']})"


def questions_of(conversation: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The questions that have an answer, each with the ids of its evidence."""
    for question in conversation["questions"]:
        evidence = {id for ids in question["evidence"] for id in re.split(r"[;\s]+", ids) if id}
        if question["category"] != 5 and evidence:
            yield question["question"], evidence


def recall(db: Any, conversation: dict[str, Any], user_id: str) -> list[list[float]]:
    """For each question, the share of its evidence within each cut."""
    ids = {db.add_user_memory(user_id, memory): id for id, memory in turns_of(conversation)}
    shares = []
    for question, evidence in questions_of(conversation):
        found = [ids[memory.memory_id] for memory in db.search_user_memories(user_id, question, limit=max(CUTS))]
        shares.append([len(evidence.intersection(found[:cut])) / len(evidence) for cut in CUTS])
    return shares


def mean(shares: list[list[float]]) -> str:
    """The averages at all cuts, for a line of the table."""
    return "  ".join(f"{statistics.mean(column):.3f}" for column in zip(*shares, strict=True))


def measure_recall(db: Any, conversations: dict[str, dict[str, Any]]) -> None:
    """Print a line for each conversation and one for all."""
    print("conversation  memories  questions  " + "  ".join(f"at {cut:<2}" for cut in CUTS))
    everything: list[list[float]] = []
    for name, conversation in conversations.items():
        shares = recall(db, conversation, name)
        print(f"{name:12}  {len(list(turns_of(conversation))):8}  {len(shares):9}  {mean(shares)}")
        everything += shares
    print(f"{'all':12}  {'':8}  {len(everything):9}  {mean(everything)}")


def fill(db: Any, memories: list[str], users: int) -> None:
    """Store many memories; in few transactions, because storing is not what is measured."""
    from graphflow.core.stored import MemoryWrite  # noqa: PLC0415
    from graphflow.db import memories as store  # noqa: PLC0415

    for first in range(0, MANY, 5_000):
        writes = [
            (
                f"user-{number % users}",
                MemoryWrite("add", f"{memories[number % len(memories)]} #{number}", key=f"m{users}-{number}"),
            )
            for number in range(first, min(first + 5_000, MANY))
        ]
        now = db._stamp()
        db._write(lambda tx, writes=writes, now=now: [store.apply(tx, write, user, None, now) for user, write in writes])


def measure_speed(make: Any, conversations: dict[str, dict[str, Any]]) -> None:
    """Print how long a search takes."""
    memories = [memory for conversation in conversations.values() for _, memory in turns_of(conversation)]
    questions = [question for conversation in conversations.values() for question, _ in questions_of(conversation)]
    for users in (1, 200):
        db = make()
        fill(db, memories, users)
        db.search_user_memories("user-0", questions[0])
        seconds, busy = [], []
        for question in questions[:: max(1, len(questions) // 200)]:
            started, worked = perf_counter(), process_time()
            db.search_user_memories("user-0", question, limit=10)
            seconds.append(perf_counter() - started)
            busy.append(process_time() - worked)
        seconds.sort()
        print(
            f"{MANY:,} memories of {users} user{'s' * (users > 1)}: "
            f"median {seconds[len(seconds) // 2] * 1e3:.1f} ms, 95 % within {seconds[int(len(seconds) * 0.95)] * 1e3:.1f} ms; "
            f"of this process's own time {statistics.median(busy) * 1e3:.1f} ms"
        )
        db.close()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the conversations")
    parser.add_argument("--db", default="sqlite", help="sqlite (default), memory, or the URL of a PostgreSQL")
    parser.add_argument("--files", nargs="*", help="names of conversations; default: all")
    parser.add_argument("--no-speed", action="store_true", help="leave out the second part")
    asked = parser.parse_args()
    paths = sorted(path for path in asked.data.glob("*.json") if not asked.files or path.stem in asked.files)
    conversations = {path.stem: json.loads(path.read_text()) for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        measure_recall(database(asked.db, folder), conversations)
        if not asked.no_speed:
            made = iter(range(100))
            measure_speed(lambda: database(asked.db, tempfile.mkdtemp(dir=folder, prefix=str(next(made)))), conversations)


if __name__ == "__main__":
    main()
