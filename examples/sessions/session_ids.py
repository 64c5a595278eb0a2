"""The id of a session is given with each call: an agent that serves many conversations keeps none of them.

    python examples/sessions/session_ids.py

Without a key the offline model answers.
"""

from typing import Any
from uuid import uuid4

from graphflow.agent import Agent
from graphflow.db import SqliteDb


def talk(db: Any, model: Any = "offline") -> None:
    """Two messages of a session that the caller names, and one of another."""
    agent = Agent(model, db=db)
    session_id, other_session_id = str(uuid4()), str(uuid4())
    agent.print_response("Tell me about space. I like Saturn best.", session_id=session_id)
    agent.print_response("Which planet do I like best?", session_id=session_id)
    agent.print_response("Which planet do I like best?", session_id=other_session_id)
    print("the agent's own session:", agent.session_id)
    for session in db.get_sessions():
        print(f"{session.session_id}: {len(session.messages)} messages")


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
