"""A session knows what made it: an agent, a team or a workflow.

    python examples/sessions/session_types.py

Without a key the offline model answers.
"""

from typing import Any

from graphflow.agent import Agent
from graphflow.db import SqliteDb
from graphflow.team import Team
from graphflow.workflow import Workflow


def talk(db: Any, model: Any = "offline") -> None:
    """One session of each type. The workflow has no steps, so it gives back its input."""
    Agent(model, db=db, session_id="agent_session").print_response("Hello")

    agent1, agent2 = Agent(model), Agent(model)
    Team(members=[agent1, agent2], model=model, db=db, session_id="team_session").print_response("Solve this problem")

    input_data = {"topic": "tea"}
    output = Workflow(db=db, session_id="workflow_session").run(input_data)
    print(output.status, output.content)

    for session in db.get_sessions(sort_order="asc"):
        print(session.session_id, "is a session of type", session.session_type)


if __name__ == "__main__":
    talk(SqliteDb("sessions.db"))
