"""Many users at once: each has sessions and memories of their own, and nobody sees another's.

    python examples/sessions/many_users.py

Without a key the offline model answers, and keeps what users say about themselves.
"""

import asyncio
from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb


async def talk(db: Any, model: Any = "offline") -> None:
    """Two users, three sessions; the last answer may use what Mark said in both of his."""
    mark, john = "mark@example.com", "john@example.com"
    agent = Agent(model, db=db, update_memory_on_run=True, add_history_to_context=True)
    await agent.aprint_response("My name is Mark and I like anime", user_id=mark, session_id="mark_session_1")
    await agent.aprint_response("I'm going to the movies tonight", user_id=mark, session_id="mark_session_2")
    await agent.aprint_response("Hi, my name is John", user_id=john, session_id="john_session_1")
    await agent.aprint_response("What do you suggest I do this weekend?", user_id=mark, session_id="mark_session_1")
    for user in (mark, john):
        print(user, [memory.memory for memory in agent.get_user_memories(user)])


if __name__ == "__main__":
    asyncio.run(talk(SqliteDb("sessions.db")))
