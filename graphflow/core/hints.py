"""What errors say of a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint(name: object, known: Iterable[object], otherwise: str) -> str:
    """Asks whether the nearest of the names there are was meant; ``otherwise`` where none is near."""
    near = difflib.get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
