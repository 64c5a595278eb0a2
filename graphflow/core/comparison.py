"""Values compared: whether two are the same, and what changed in a dict; with MISSING, which stands where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
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


_LOOSE: Final = frozenset({float, complex, Decimal, datetime, time})
"""Types with values that are equal and not the same: 0.0 and -0.0, 1.0 and 1.00, noon here and noon there."""


def same(old: Any, new: Any) -> bool:
    """Whether two values are equal in value and type; those that do not want to be compared are not."""
    if old is new:
        return True
    if (kind := type(old)) is not type(new):
        return False
    try:
        if kind is dict:
            return len(old) == len(new) and all(map(same, old.items(), new.items()))
        if kind is list or kind is tuple:
            return len(old) == len(new) and all(map(same, old, new))
        if kind is set or kind is frozenset:
            return {(type(item), item) for item in old} == {(type(item), item) for item in new}
        return bool(old == new) and (kind not in _LOOSE or repr(old) == repr(new))
    except Exception:  # values of users' classes may not want to be compared
        return False


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What changed in a dict, as a ``merge_keys`` channel takes it: ``MISSING`` for the keys that are gone."""
    changed = {key: value for key, value in after.items() if key not in before or not same(before[key], value)}
    return {**changed, **{key: MISSING for key in before if key not in after}}
