"""Ready-made nodes for any graph: factories with keyword settings, e.g. ``add_node("history", history(last_runs=3))``.

Each factory documents the channels its node reads and writes. The names below are resolved when they are first used
(PEP 562). No module in this package bears the name of a function it exports: the import system would put the module in
the function's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.lazy import exports

if TYPE_CHECKING:
    from graphflow.core.control import Update
    from graphflow.core.stored import MemoryWrite, SummaryWrite
    from graphflow_nodes.conversation import history
    from graphflow_nodes.memory import recall, remember
    from graphflow_nodes.model import call_tools, respond, wanted_calls
    from graphflow_nodes.summaries import summarize, when_due
    from graphflow_nodes.team import delegate, delegation_tool, delegations, unless_answered

_HOME = {
    "Update": "graphflow.core.control",
    "MemoryWrite": "graphflow.core.stored",
    "SummaryWrite": "graphflow.core.stored",
    "history": "graphflow_nodes.conversation",
    "summarize": "graphflow_nodes.summaries",
    "when_due": "graphflow_nodes.summaries",
    "recall": "graphflow_nodes.memory",
    "remember": "graphflow_nodes.memory",
    "respond": "graphflow_nodes.model",
    "call_tools": "graphflow_nodes.model",
    "wanted_calls": "graphflow_nodes.model",
    "delegate": "graphflow_nodes.team",
    "delegation_tool": "graphflow_nodes.team",
    "delegations": "graphflow_nodes.team",
    "unless_answered": "graphflow_nodes.team",
}

__all__ = [
    # what a node of one's own returns to store a summary or memories with its step
    "Update",
    "SummaryWrite",
    "MemoryWrite",
    # the conversation so far
    "history",
    "summarize",
    "when_due",
    # what is known of the user
    "recall",
    "remember",
    # the model and its tools
    "respond",
    "call_tools",
    "wanted_calls",
    # members
    "delegate",
    "delegation_tool",
    "delegations",
    "unless_answered",
]

if not TYPE_CHECKING:  # a type checker sees only the names above, so that it reports a misspelt one
    __getattr__, __dir__ = exports(__name__, _HOME)
