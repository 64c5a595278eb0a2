"""langgraph, with its own checkpointers."""

SESSION = """
import sqlite3
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.prebuilt import create_react_agent
saver = SqliteSaver(sqlite3.connect(sys.argv[1], check_same_thread=False))
agent = create_react_agent(FakeListChatModel(responses=["Hello"]), [], checkpointer=saver)
agent.invoke({"messages": [("user", "Hi")]}, {"configurable": {"thread_id": "first"}})
"""
IMPORTS = {
    "library": "import langgraph.graph",
    "agent": "from langgraph.prebuilt import create_react_agent",
    "session": SESSION,
}
