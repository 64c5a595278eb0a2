"""Tools by which a model reads further back, keeps memories of its user, and writes the session's state.

They belong to the user and the session of the run; what they keep is stored with the step that called them.
"""

from __future__ import annotations

from typing import Any

from graphflow.core.control import Context, Update
from graphflow.core.stored import MemoryWrite
from graphflow.messages import Message

_NOBODY = "There is no user to remember anything about: the run has no user_id."
_NOWHERE = "Nothing is stored here, so there is nothing to look at."


def get_chat_history(ctx: Context, last_messages: int = 20) -> str:
    """Read earlier messages of this conversation, oldest first.

    Args:
        last_messages: How many messages to read, counted from the end.
    """
    if not ctx.stored:
        return _NOWHERE
    count = max(1, min(last_messages, 200))
    now = {message.id for message in ctx.values.get("messages") or ()}
    said = ctx.db.get_messages(ctx.session_id, limit=count + len(now))
    return _lines([message for message in said if message.id not in now][-count:]) or "Nothing was said earlier."


def search_past_sessions(query: str, ctx: Context, limit: int = 5) -> str:
    """Search earlier conversations with this user for what was said about something.

    Args:
        query: What to look for, in a few words.
        limit: How many messages to return at most.
    """
    if not ctx.stored:
        return _NOWHERE
    if ctx.user_id is None:
        return "Past conversations are found for a known user only: the run has no user_id."
    found = ctx.db.search_user_messages(ctx.user_id, query, limit=max(1, min(limit, 20)), without=ctx.session_id)
    return (
        "\n".join(f"({when:%Y-%m-%d}, session {session}) {_lines([said])}" for session, when, said in found) or "Nothing found."
    )


def add_memory(memory: str, ctx: Context) -> Any:
    """Remember a fact about the user for later conversations.

    Args:
        memory: The fact, as a short sentence.
    """
    if not ctx.stored or ctx.user_id is None:
        return _NOBODY
    if not memory.strip():
        return "Give the fact as a sentence."
    return Update("Remembered.", (MemoryWrite("add", memory),))


def change_memory(memory_id: str, memory: str, ctx: Context) -> Any:
    """Change a fact about the user that is no longer right.

    Args:
        memory_id: The id in brackets in front of the memory.
        memory: The new fact, as a short sentence.
    """
    version = _version(memory_id, ctx)
    if version is None:
        return f"There is no memory {memory_id!r}."
    if not memory.strip():
        return "Give the fact as a sentence."
    return Update("Changed.", (MemoryWrite("change", memory, memory_id=memory_id.strip("[]"), version=version),))


def drop_memory(memory_id: str, ctx: Context) -> Any:
    """Forget a fact about the user.

    Args:
        memory_id: The id in brackets in front of the memory.
    """
    version = _version(memory_id, ctx)
    if version is None:
        return f"There is no memory {memory_id!r}."
    return Update("Forgotten.", (MemoryWrite("drop", memory_id=memory_id.strip("[]"), version=version),))


def update_session_state(changes: dict[str, Any], ctx: Context) -> str:
    """Write to the state of this session: each key is set to its value, a key with the value null is removed.

    Args:
        changes: The keys and their new values.
    """
    state = ctx.session_state
    for key, value in changes.items():
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
    return f"The session's state has the keys: {', '.join(state) or 'none'}."


def _version(memory_id: str, ctx: Context) -> int | None:
    """The version of a memory of the run's user; None when that one has no such memory."""
    if not ctx.stored or ctx.user_id is None:
        return None
    wanted = memory_id.strip("[]")
    return next((each.version for each in ctx.db.get_user_memories(ctx.user_id) if each.memory_id == wanted), None)


def _lines(messages: list[Message]) -> str:
    return "\n".join(f"{message.role}: {message.text}" for message in messages if message.text)
