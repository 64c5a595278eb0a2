"""Models: what graphflow asks of one, and the ones that come with it. Names are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.models.base import AsyncModel, Model, Reply, Request, Token, ToolSpec, Usage
    from graphflow.models.offline import OfflineModel
    from graphflow.models.openai import OpenAIChat
    from graphflow.models.resolve import resolve_model

_MODULES = {
    "AsyncModel": "base",
    "Model": "base",
    "OfflineModel": "offline",
    "OpenAIChat": "openai",
    "Reply": "base",
    "Request": "base",
    "Token": "base",
    "ToolSpec": "base",
    "Usage": "base",
    "resolve_model": "resolve",
}

__all__ = [
    "AsyncModel",
    "Model",
    "OfflineModel",
    "OpenAIChat",
    "Reply",
    "Request",
    "Token",
    "ToolSpec",
    "Usage",
    "resolve_model",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
