"""A long conversation in a bounded context: a rolling summary takes the place of its beginning.

    python examples/sessions/summaries.py

Without a key the offline model answers and summarises (it picks sentences; it writes none).
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """Fifty messages, and what is left of the first ones."""
    agent = Agent(
        model,
        db=db,
        session_id="long_conversation",
        enable_session_summaries=True,
        add_session_summary_to_context=True,
    )
    for i in range(50):
        agent.print_response(f"Message {i}")
    print("Summary:", agent.get_session_summary())


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
