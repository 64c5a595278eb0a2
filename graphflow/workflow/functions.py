"""Functions that a workflow calls, as its nodes call them: with what they are about, and the Context or the session's dict."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graphflow.core.plan import Function, Usage, lower_function


def lowered(fn: Any, what: str, about: str = "step_input") -> Function:
    """A user's function ``(about)``, ``(about, ctx)`` or ``(about, session_state)``. Raises GraphError for any other.

    A second parameter that is called ``session_state`` is given ``ctx.session_state``: keys changed in it are kept.
    """
    usage = Usage(f"it is called with ({about}), ({about}, ctx) or ({about}, session_state)", gives="result")
    function = lower_function(fn, what, usage)
    if function.kind == "flow" or _second(fn) != "session_state":
        return function
    return replace(function, call=_with_session_state(fn), wants_context=True)


def _with_session_state(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda about, ctx: fn(about, ctx.session_state)


def _second(fn: Any) -> str | None:
    """The name of the second parameter that can be given by its place."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return names[1] if len(names) > 1 else None
