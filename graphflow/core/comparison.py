"""Values compared: whether two are the same, and what changed in a dict; with MISSING, which stands where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


class _Missing:
    """The one value that stands for "nothing was given" where None is a value."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"  # copies are the one value, too


MISSING: Final = _Missing()


def same(old: Any, new: Any) -> bool:
    """Whether two values are equal in value and type; those that do not want to be compared are not."""
    if old is new:
        return True
    try:
        return type(old) is type(new) and bool(old == new)
    except Exception:  # values of users' classes may not want to be compared
        return False


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What changed in a dict, as a ``merge_keys`` channel takes it: ``MISSING`` for the keys that are gone."""
    changed = {key: value for key, value in after.items() if key not in before or not same(before[key], value)}
    return {**changed, **{key: MISSING for key in before if key not in after}}
