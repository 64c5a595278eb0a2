"""Models: what graphflow asks of one, and the ones that come with it. Names are loaded when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.lazy import exports

if TYPE_CHECKING:
    from graphflow.messages import ToolCall
    from graphflow.models.base import AsyncModel, Model, Reply, Request, Restart, Token, ToolSpec, Usage
    from graphflow.models.offline import OfflineModel
    from graphflow.models.openai import OpenAIChat
    from graphflow.models.resolve import resolve_model

_HOME = {
    "AsyncModel": "graphflow.models.base",
    "Model": "graphflow.models.base",
    "OfflineModel": "graphflow.models.offline",
    "OpenAIChat": "graphflow.models.openai",
    "Reply": "graphflow.models.base",
    "Request": "graphflow.models.base",
    "Restart": "graphflow.models.base",
    "Token": "graphflow.models.base",
    "ToolCall": "graphflow.messages",
    "ToolSpec": "graphflow.models.base",
    "Usage": "graphflow.models.base",
    "resolve_model": "graphflow.models.resolve",
}

__all__ = [
    "AsyncModel",
    "Model",
    "OfflineModel",
    "OpenAIChat",
    "Reply",
    "Request",
    "Restart",
    "Token",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "resolve_model",
]


if not TYPE_CHECKING:  # a type checker sees only the names above, so that it reports a misspelt one
    __getattr__, __dir__ = exports(__name__, _HOME)
