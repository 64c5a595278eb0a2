"""Numbers of rows, and of one row among them, as a statement can be given them."""

from __future__ import annotations

from typing import Final

ALL: Final = 2**61
"""More than there can be. Two of them added are still an integer of every database."""


def bounded(number: int | None) -> int:
    """So many, however many they are, or all for None; no database takes all integers of Python's."""
    return ALL if number is None else min(number, ALL)
