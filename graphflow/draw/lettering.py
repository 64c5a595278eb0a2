"""How names are written in pictures: in lines of bounded length, without what breaks a line or a file."""

from __future__ import annotations

import textwrap
import unicodedata


def lines_of(text: str, width: int, most: int = 3, rest: str = "…") -> list[str]:
    """The text in at most ``most`` lines of ``width`` columns, made printable; ``rest`` stands for what has no room."""
    clean = printable(text)
    narrow = max(1, width // 2) if columns(clean) > len(clean) else width
    lines = textwrap.wrap(clean, narrow, max_lines=most, placeholder=rest, break_on_hyphens=False)
    return lines or [" "]


def printable(text: str) -> str:
    """The text with spaces for line breaks and tabs, and a question mark for what no reader could see or no file may hold."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(_width(letter) for letter in text)


def _width(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def pixels(text: str, size: float) -> float:
    """About how wide the text is in a sans-serif face of ``size`` pixels; rather too much than too little."""
    return size * sum(_share(letter) for letter in text)


def _share(letter: str) -> float:
    if letter in "iljtfrI.,:;'|!()[]{} ":
        return 0.38
    if letter in "mwMW@%—…":
        return 0.95
    if letter.isascii():
        return 0.72 if letter.isupper() else 0.61
    return 0.62 * _width(letter) if _width(letter) < 2 else 1.05
