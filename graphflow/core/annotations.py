"""What a single annotation of a function says."""

from __future__ import annotations

import builtins
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any


def annotation(function: Callable[..., Any], name: str) -> Any:
    """The annotation of a parameter, or of the ``return``; None where there is none or it cannot be looked up.

    Only this one is looked up, so a type that is known to type checkers alone may stand beside it. An annotation that is
    still a text, as under ``from __future__ import annotations``, takes 50 µs to evaluate; those that most nodes have, a name
    or a ``dict[…]``, are read without that (the latter as the bare class).
    """
    function = inspect.unwrap(function)
    hint = getattr(function, "__annotations__", {}).get(name)
    home = getattr(function, "__globals__", {})
    if isinstance(hint, str) and (found := re.fullmatch(r"(\w+)(\[[^|]*\])?", hint)):
        named = home.get(found[1], getattr(builtins, found[1], None))
        if isinstance(named, type) and (found[2] is None or named in (dict, set, frozenset)):
            return named
    if hint is None or hint == "None" or isinstance(hint, type):
        return None if hint == "None" else hint
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={name: hint}), globalns=home)[name]
    except (TypeError, NameError, AttributeError, SyntaxError):
        return None
