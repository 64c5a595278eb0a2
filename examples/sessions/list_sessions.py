"""Which sessions a user has, newest first.

    python examples/sessions/list_sessions.py

Without a key the offline model answers.
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SessionType, SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """Two sessions of one user and one of another; then those of the first."""
    agent = Agent(model, db=db)
    for user_id, session_id in (("mark@example.com", "first"), ("mark@example.com", "second"), ("john@example.com", "third")):
        agent.print_response("Hello", user_id=user_id, session_id=session_id)

    sessions = db.get_sessions(
        session_type=SessionType.AGENT,
        user_id="mark@example.com",
        limit=10,
        sort_by="created_at",
        sort_order="desc",
    )
    for s in sessions:
        print(f"{s.session_id}: {len(s.messages)} messages")


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
