"""Words of memories and of questions, as they are compared: without case, endings, and words that say nothing."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_WORD: Final = re.compile(r"[぀-ヿ㐀-鿿]|[^\W_぀-ヿ㐀-鿿]+")
"""A word; of scripts that do not separate words, each character."""
LONGEST_WORD: Final = 64
"""Letters of a word that are compared: keys and other long "words" are in an index, and PostgreSQL's have an end."""
_POSSESSIVE: Final = re.compile(r"['\N{RIGHT SINGLE QUOTATION MARK}]s\b")
_SPEAKER: Final = re.compile(r"^\W*+(?:[^\n]{0,60}?[\W\d]\s*+)??([^\W\d_][\w'-]*(?: [^\W\d_][\w.'-]*){0,2}):\s")
_STOP: Final = frozenset(
    re.findall(
        r"\w+",
        """a about also am an and any are as at be been being but by can could d did do does doing for from had has have he her
        hers him his how i if in into is it its just ll m many me more most much my no not of on or our ours over re s she so
        some t than that the their them then there these they this those to too us ve very was we were what when where which
        who whom why will with would you your yours""",
    )
)
_TIME: Final = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|last|ago|next|week|weekend|month|year|recently|soon|since|first|started|morning"
    r"|evening)s?\b",
    re.I,
)
_ASKS_FOR_TIME: Final = re.compile(r"\b(?:when|how long|what (?:time|date|day|month|year))\b", re.I)


def terms_of(text: str) -> list[str]:
    """The stems of the words that say something, in order, each as often as it is there."""
    words = _WORD.findall(_POSSESSIVE.sub("", text.casefold()))
    return [_stem(word[:LONGEST_WORD]) for word in words if word not in _STOP]


def speaker_of(text: str) -> str | None:
    """The name that a text begins with, as a turn of a conversation does: "Ann: hello". None for any other text."""
    found = _SPEAKER.match(text)
    return found[1].casefold() if found is not None and found[1][:1].isupper() else None


def tells_time(text: str) -> bool:
    """Whether a text says when something is or was."""
    return _TIME.search(text) is not None


def asks_for_time(question: str) -> bool:
    """Whether a question wants to know when."""
    return _ASKS_FOR_TIME.search(question) is not None


_ENDINGS: Final = (
    *(("ations", "at"), ("ation", "at"), ("ated", "at"), ("ating", "at"), ("ate", "at"), ("ions", ""), ("ion", "")),
    *(("ments", ""), ("ment", ""), ("ively", ""), ("ive", ""), ("fully", ""), ("ful", ""), ("ness", ""), ("ly", "")),
    *(("ies", "y"), ("ied", "y"), ("ings", ""), ("ing", ""), ("ed", "")),
)
"""English endings and what they become; the first that fits is taken off."""


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    """A light stem: "adopt", "adopted" and "adoption" meet, as do "run" and "running". After Porter (1980), much shortened."""
    if len(word) < 4 or not word.isascii():
        return word
    for ending, short in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 2:
            word = word[: len(word) - len(ending)] + short
            if ending in ("ing", "ings", "ed") and len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    else:
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    if len(word) > 3:
        word = word.removesuffix("e")
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word
