"""What options may be: one check for each kind of value. Each gives the value back, or raises a ValueError that names the
option, the value and the repair.

``none`` says what None stands for, in words; without it None is refused, too. ``of`` says whose option it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NewType, TypeVar, get_origin

from graphflow.core.excerpts import excerpt
from graphflow.core.hints import hint


def refused(name: str, value: object, repair: str, none: str | None = None, of: str = "") -> ValueError:
    """The error for a value that an option cannot have."""
    shown = excerpt(value, 200)
    return ValueError(f"{name}={shown}{of and f' of {of}'}: give {repair}{f', or None for {none}' if none else ''}")


def names(given: Collection[str], known: Sequence[str], what: str = "argument", of: str = "") -> None:
    """Refuse names that are not among those there are, with a TypeError that asks whether the nearest was meant."""
    for name in given:
        if name not in known:
            listed = f"it takes {', '.join(known)}"
            raise TypeError(f"{of or 'there is no'}{of and ' has no'} {what} {name!r}; {hint(name, known, listed)}")


def whole(name: str, value: Any, least: int = 0, most: int | None = None, *, none: str | None = None, of: str = "") -> Any:
    """A whole number within bounds."""
    if type(value) is int and value >= least and (most is None or value <= most):
        return value
    if value is None and none:
        return None
    upto = "on" if most is None else f"to {most:,}"
    raise refused(name, value, f"a whole number from {least} {upto}", none, of)


def seconds(name: str, value: Any, *, above_zero: bool = True, none: str | None = None, of: str = "") -> Any:
    """A finite time, as int or float."""
    if _is_number(value) and (value > 0 if above_zero else value >= 0) and value < float("inf"):
        return value
    if value is None and none:
        return None
    raise refused(name, value, f"a number of seconds {'above 0' if above_zero else 'from 0 on'}", none, of)


def number(name: str, value: Any, least: float = 0.0, *, none: str | None = None, of: str = "") -> Any:
    """A finite number."""
    if _is_number(value) and least <= value < float("inf"):
        return value
    if value is None and none:
        return None
    raise refused(name, value, f"a number from {least:g} on", none, of)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_of(name: str, value: Any, choices: Collection[str], *, none: str | None = None, of: str = "") -> Any:
    """One of a few texts."""
    if isinstance(value, str) and value in choices:
        return value
    if value is None and none:
        return None
    *most, last = map(repr, choices)
    raise refused(name, value, f"{', '.join(most)} or {last}", none, of)


def flag(name: str, value: Any, *, none: str | None = None, of: str = "") -> Any:
    """True or False."""
    if value is True or value is False:
        return value
    if value is None and none:
        return None
    raise refused(name, value, "True or False", none, of)


def text(name: str, value: Any, *, none: str | None = None, of: str = "") -> Any:
    """A text, perhaps an empty one."""
    if isinstance(value, str):
        return value
    if value is None and none:
        return None
    raise refused(name, value, "a text", none, of)


def texts(name: str, value: Any, *, none: str | None = None, of: str = "") -> Any:
    """A list of texts; a lone text is none, because its letters would be taken for them."""
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        if all(isinstance(each, str) for each in value):
            return value
    elif value is None and none:
        return None
    raise refused(name, value, "a list of texts", none, of)


def keyed(name: str, value: Any, *, none: str | None = None, of: str = "") -> Any:
    """A dict whose keys are texts."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    if value is None and none:
        return None
    raise refused(name, value, "a dict whose keys are texts", none, of)


def function(name: str, value: Any, repair: str = "a function", *, none: str | None = None, of: str = "") -> Any:
    """Something that can be called."""
    if callable(value):
        return value
    if value is None and none:
        return None
    raise refused(name, value, repair, none, of)


def plain_function(name: str, value: Any, repair: str = "a function", *, none: str | None = None, of: str = "") -> Any:
    """Something that can be called and gives its result at once: no async def, which nobody would await."""
    if is_async(function(name, value, repair, none=none, of=of)):
        raise refused(name, value, f"{repair} that is a plain def; nobody would await what an async def gives", none, of)
    return value


def is_async(value: Any) -> bool:
    """Whether it is an async def, a partial of one, or an object that is called by one."""
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(type(value), "__call__", None))  # noqa: B004


def instance(name: str, value: Any, kind: type[Any] | tuple[type[Any], ...], repair: str, *, none: str | None = None) -> Any:
    """An object of a class."""
    if isinstance(value, kind):
        return value
    if value is None and none:
        return None
    raise refused(name, value, repair, none)


def type_of_values(name: str, value: Any, *, none: str | None = None, of: str = "") -> Any:
    """A class, or a type as annotations have it: ``list[int]``, ``str | None``, an alias."""
    if isinstance(value, type | NewType | TypeVar) or get_origin(value) is not None or hasattr(value, "__value__"):
        return value
    if value is None and none:
        return None
    raise refused(name, value, "a pydantic model or another type", none, of)


def database(name: str, value: Any) -> Any:
    """A database, or None."""
    if value is None or (hasattr(value, "read_history") and not isinstance(value, type)):
        return value
    raise refused(name, value, "a database, such as SqliteDb('sessions.db') or InMemoryDb()")
