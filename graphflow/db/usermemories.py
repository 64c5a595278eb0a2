"""What users ask of a database about memories, and what flows read of summaries and memories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from graphflow.core import options
from graphflow.core.ids import check_id, new_id
from graphflow.core.memories import ReadMemories, ReadSummary, Summary, UserMemory
from graphflow.core.stored import MemoryWrite
from graphflow.db import memories, pastsessions, sessions, summaries
from graphflow.db.retries import at_least
from graphflow.db.transactions import Transaction, Transactional
from graphflow.messages import Message


class UserMemories(Transactional):
    """The part of a database that keeps facts about users. Each method is one transaction."""

    def read_summary(self, effect: ReadSummary) -> Summary | None:
        """The latest summary of a session."""

        def work(tx: Transaction) -> Summary | None:
            if effect.check:
                sessions.usable(tx, effect.session_id, effect.user_id)
            return summaries.latest(tx, effect.session_id, effect.ns)

        return self._read(work)

    def read_memories(self, effect: ReadMemories) -> list[UserMemory]:
        """Memories that belong into a context."""
        return self._read(partial(memories.recall, effect=effect))

    def get_user_memories(self, user_id: str, *, limit: int | None = None) -> list[UserMemory]:
        """What is known about a user, in the order it was last changed; with ``limit``, the newest."""
        user_id = check_id(user_id, "user_id")
        options.whole("limit", limit, none="all")
        return self._read(lambda tx: memories.newest(tx, user_id, limit))

    def search_user_memories(
        self, user_id: str, query: str, limit: int = 10, *, topics: Sequence[str] | None = None
    ) -> list[UserMemory]:
        """At most ``limit`` memories of a user that share words with ``query``, best first (see ``db.ranking``).

        ``topics``: only memories that are about at least one of them, in whatever case it is written (None: all memories).

        Memories that begin with a name ("Ann: …") are turns of a conversation, and are also found by what was said around
        them. What it costs grows with what this user has, to a bound; not with how many others there are.
        """
        user_id = check_id(user_id, "user_id")
        options.text("query", query)
        count = options.whole("limit", limit)
        options.texts("topics", topics, none="all memories")
        return self._read(lambda tx: memories.search(tx, user_id, query, count, topics))

    def search_user_messages(
        self, user_id: str, query: str, *, limit: int = 10, without: str | None = None
    ) -> list[tuple[str, datetime, Message]]:
        """What was said in the last sessions of a user (but ``without``) that shares words with ``query``, best first, each
        with its session's id and the time that began.
        """
        user_id = check_id(user_id, "user_id")
        options.text("query", query)
        count = options.whole("limit", limit)
        return self._read(lambda tx: pastsessions.search(tx, user_id, query, count, without))

    def add_user_memory(self, user_id: str, memory: str, topics: Sequence[str] = ()) -> str:
        """Note a fact about a user and return its memory_id: that of the memory which is there, if the user has the very text
        already. Raises ValueError for a blank text.
        """
        user_id = check_id(user_id, "user_id")
        if type(memory) is not str or not memory.strip():
            raise ValueError(f"memory={memory!r}: give a text")
        options.texts("topics", topics)
        write = MemoryWrite("add", memory, tuple(topics), key=new_id())
        now = self._stamp()

        def work(tx: Transaction) -> str:
            memories.hold(tx, user_id)
            return memories.apply(tx, write, user_id, None, now) or write.key

        return self._write(work)

    def delete_user_memory(self, memory_id: str, *, user_id: str) -> bool:
        """Delete one memory of a user; returns whether that user had it."""
        user_id, memory_id = check_id(user_id, "user_id"), check_id(memory_id, "memory_id")

        def work(tx: Transaction) -> bool:
            return memories.delete(tx, user_id, memory_id)

        return self._write(work, at_least(work))

    def clear_user_memories(self, user_id: str) -> int:
        """Delete all memories of a user; returns how many there were."""
        user_id = check_id(user_id, "user_id")

        def work(tx: Transaction) -> int:
            return memories.clear(tx, user_id)

        return self._write(work, at_least(work))
