"""graphflow: agents, teams and workflows as directed graphs whose state is checkpointed per session id.

The names below are resolved when they are first used (PEP 562), so that ``import graphflow`` loads nothing else
and every order of importing its modules works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.lazy import exports

if TYPE_CHECKING:
    from graphflow.agent import Agent
    from graphflow.builder import StateGraph
    from graphflow.contextpolicies import HistoryPolicy, MemoryPolicy, SummaryPolicy
    from graphflow.core.control import END, START, Command, Context, Interrupt, Overwrite, Send, Update, interrupt
    from graphflow.core.policies import CachePolicy, RetryPolicy
    from graphflow.core.reducers import add_messages, append, keyed, merge
    from graphflow.core.state import logged, per_run, untracked
    from graphflow.errors import GraphChangedWarning, GraphflowError
    from graphflow.graph import Graph
    from graphflow.messages import Message, RemoveMessage, ToolCall
    from graphflow.models.base import Reply
    from graphflow.run import RunOutput, RunStatus
    from graphflow.snapshots import Snapshot
    from graphflow.team import Team
    from graphflow.tools import tool
    from graphflow.workflow import Workflow

__version__ = "0.1.0"
"""The version of the installed library."""

_NAMES_OF = {
    "graphflow.builder": ["StateGraph"],
    "graphflow.graph": ["Graph"],
    "graphflow.snapshots": ["Snapshot"],
    "graphflow.core.control": ["START", "END", "Send", "Command", "Update", "Overwrite", "Context", "interrupt", "Interrupt"],
    "graphflow.core.policies": ["RetryPolicy", "CachePolicy"],
    "graphflow.core.reducers": ["append", "merge", "add_messages", "keyed"],
    "graphflow.core.state": ["per_run", "untracked", "logged"],
    "graphflow.messages": ["Message", "RemoveMessage", "ToolCall"],
    "graphflow.contextpolicies": ["HistoryPolicy", "SummaryPolicy", "MemoryPolicy"],
    "graphflow.agent": ["Agent"],
    "graphflow.team": ["Team"],
    "graphflow.tools": ["tool"],
    "graphflow.workflow": ["Workflow"],
    "graphflow.run": ["RunOutput", "RunStatus"],
    "graphflow.models.base": ["Reply"],
    "graphflow.errors": ["GraphflowError", "GraphChangedWarning"],
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = [
    # graphs
    "StateGraph",
    "Graph",
    "Snapshot",
    "START",
    "END",
    "Send",
    "Command",
    "Update",
    "Overwrite",
    "Context",
    # what a node may be told about failing and repeating itself
    "RetryPolicy",
    "CachePolicy",
    # questions to a human
    "interrupt",
    "Interrupt",
    # channels: reducers and lifetimes
    "append",
    "merge",
    "add_messages",
    "keyed",
    "per_run",
    "untracked",
    "logged",
    # messages
    "Message",
    "RemoveMessage",
    "ToolCall",
    "Reply",
    # agents, teams and workflows
    "Agent",
    "HistoryPolicy",
    "SummaryPolicy",
    "MemoryPolicy",
    "Team",
    "Workflow",
    "tool",
    "RunOutput",
    "RunStatus",
    # errors
    "GraphflowError",
    "GraphChangedWarning",
    "__version__",
]

if not TYPE_CHECKING:  # a type checker sees only the names above, so that it reports a misspelt one
    __getattr__, __dir__ = exports(__name__, _HOME)
