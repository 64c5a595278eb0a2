"""A session knows what made it: here a workflow.

python examples/sessions/workflow_type.py
"""

from graphflow.db import SessionType, SqliteDb
from graphflow.workflow import Workflow

db = SqliteDb("sessions.db")
input_data = {"topic": "tea"}

workflow = Workflow(db=db, session_id="workflow_session")
output = workflow.run(input_data)
print(output.status, output.content)

session = db.get_session("workflow_session")
assert session is not None and session.session_type is SessionType.WORKFLOW
print(session.session_id, "is a session of type", session.session_type)
