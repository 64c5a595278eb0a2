"""Many users of one agent at the same time: each has sessions and memories of their own, and nobody hears of another's.

    python examples/many_users.py

Four users talk at once, in two sessions each, with one agent and one database object. What somebody says in the first session
is known in the second, because it is kept as a memory of that user; what others say is not. Runs without a key (the "offline"
model); with OPENAI_API_KEY or GRAPHFLOW_MODEL set, a language model answers.
Ends with 1 if anybody is told, or remembered with, what somebody else said.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from graphflow import Agent
from graphflow.db import InMemoryDb, SessionType
from graphflow.errors import NotOwner

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
LIKES = {"mark": "anime", "john": "jazz", "lena": "climbing", "mina": "chess"}
"""Who likes what."""

agent = Agent(MODEL, name="host", db=InMemoryDb(), update_memory_on_run=True)


async def visit(user: str) -> str:
    """One user's two sessions; gives the last answer."""
    first, second = f"{user}-monday", f"{user}-friday"
    await agent.arun(f"My name is {user.capitalize()} and I like {LIKES[user]}", user_id=user, session_id=first)
    await agent.arun("I have the whole weekend off", user_id=user, session_id=first)
    answer = await agent.arun("What do I like?", user_id=user, session_id=second)
    return str(answer.content)


async def main() -> int:
    """All of them at once; then a look at what is stored."""
    started = time.perf_counter()
    answers = dict(zip(LIKES, await asyncio.gather(*map(visit, LIKES)), strict=True))
    print(f"{3 * len(LIKES)} runs of {len(LIKES)} users took {time.perf_counter() - started:.1f} seconds\n")
    mixed = []
    for user, like in LIKES.items():
        memories = [memory.memory for memory in agent.get_user_memories(user)]
        print(f"{user}, asked in a new session what they like: {answers[user]}")
        print(f"   remembered: {'; '.join(memories)}")
        others = [other for name, other in LIKES.items() if name != user]
        told = f"{answers[user]} {' '.join(memories)}".lower()
        mixed += [user] if like not in told or any(other in told for other in others) else []

    db = agent.db
    print("\nsessions of mark, newest first:")
    for session in db.get_sessions(session_type=SessionType.AGENT, user_id="mark", sort_by="created_at", sort_order="desc"):
        print(f"   {session.session_id}: {len(session.messages)} messages")
    try:
        await agent.arun("What did they say?", user_id="john", session_id="mark-monday")
    except NotOwner as error:
        print(f"john in mark's session: {error}")
    else:
        mixed.append("john")
    db.delete_user("mark")
    print(f"mark is deleted: {db.count_sessions(user_id='mark')} sessions, {len(db.get_user_memories('mark'))} memories of his")
    print("nobody heard of anybody else" if not mixed else f"WRONG: {', '.join(mixed)} got what is not theirs")
    return 1 if mixed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
