"""The quickstart of the README: an agent that remembers a conversation, in this process and in the next one.

    python examples/quickstart.py

Runs without a key and without a network: the "offline" model answers from the conversation alone. Run it twice: the session is
in the file quickstart.db, so the second time the agent knows everything from the start.
"""

from graphflow import Agent
from graphflow.db import SqliteDb

agent = Agent("offline", db=SqliteDb("quickstart.db"))

agent.print_response("Hi, my name is Alice and I love pizza.", session_id="alice-1")
agent.print_response("What is my name?", session_id="alice-1")
agent.print_response("What food do I love?", session_id="alice-1")

print(len(agent.get_chat_history("alice-1")), "messages are stored in this session")
