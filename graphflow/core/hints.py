"""What errors say of names: which one was meant, and a noun with its article."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

_VOWEL: Final = re.compile(r"(?!one|eu)[aeio]|u[np](?!i)", re.IGNORECASE)


def one(noun: str) -> str:
    """The noun with its article, which its sound decides: an Item, an Update, but a One, a User."""
    return f"{'an' if _VOWEL.match(noun) else 'a'} {noun}"


def hint(name: object, known: Iterable[object], otherwise: str) -> str:
    """Asks whether the nearest of the names there are was meant; ``otherwise`` where none is near."""
    near = difflib.get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
