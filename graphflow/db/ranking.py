"""Which memories answer a question: BM25 over stemmed words, aware of who speaks and of what was said around it.

A memory that begins with a name ("Ann: I did!") is a turn of a conversation: what it means stands in the turns around it, so
their words count for it too, with less weight. Any other memory is a fact that stands for itself. A question that names a
speaker looks for what that one said, and one that asks for a time for texts that tell one.

BM25 is Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009); words of the surroundings are
added to a text's own before they saturate, as their BM25F does with fields. An embedder would score the same ``Candidate``s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

SATURATION: Final = 0.9
"""BM25's k1: how soon saying a word again stops to count."""
LENGTH: Final = 0.2
"""BM25's b: how much a long text has to say a word more often."""
AROUND: Final = ((-1, 0.45), (1, 0.45), (-2, 0.3), (2, 0.3))
"""How much the words of a turn count for those around it."""
SPOKEN_BY: Final = 2.0
"""What a turn's score is multiplied by when the question names its speaker."""
NAME: Final = 0.3
"""The weight of a speaker's name among the words of a question: most turns in which it occurs only address that one."""
TIMELY: Final = 1.4
"""What the score of a text that tells a time is multiplied by, for a question that asks when."""


@dataclass(slots=True)
class Candidate:
    """A memory that may be an answer. ``place`` numbers a user's memories in the order they came."""

    place: int
    memory: int
    speaker: str | None
    timely: bool
    terms: list[str]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: its words, and in how many of ``total`` memories each occurs."""

    terms: Sequence[str]
    frequencies: Mapping[str, int]
    total: int
    asks_for_time: bool = False

    def weight(self, term: str) -> float:
        """How much it says that a text has the term: more, the rarer it is."""
        known = self.frequencies.get(term, 0)
        return log(1 + (self.total - known + 0.5) / (known + 0.5))


def rank(question: Question, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that have any of the question's words, or stand beside one that does; best first, of equals the newest."""
    by_place = {each.place: each for each in candidates}
    asked = set(question.terms)
    named = {name for each in candidates if (name := each.speaker) is not None and not asked.isdisjoint(name.split(" "))}
    names = {part for name in named for part in name.split(" ")}
    mean = sum(len(each.terms) for each in candidates) / (len(candidates) or 1) or 1.0
    ceilings = {place: SATURATION * (1 - LENGTH + LENGTH * len(each.terms) / mean) for place, each in by_place.items()}
    scores: dict[int, float] = {}
    for term, counts in _said(question, by_place).items():
        weight = question.weight(term) * (NAME if term in names else 1.0) * (SATURATION + 1)
        for place, count in counts.items():
            scores[place] = scores.get(place, 0.0) + weight * count / (count + ceilings[place])
    for place in scores:
        each = by_place[place]
        if each.speaker in named:
            scores[place] *= SPOKEN_BY
        if question.asks_for_time and each.timely:
            scores[place] *= TIMELY
    return [by_place[place] for place in sorted(scores, key=lambda place: (scores[place], place), reverse=True)]


def _said(question: Question, by_place: Mapping[int, Candidate]) -> dict[str, dict[int, float]]:
    """For each term of the question: how often it is said at a place, what is said around a turn counting in part."""
    said: dict[str, dict[int, float]] = {term: {} for term in question.terms}
    asked = frozenset(question.terms)
    for place, each in by_place.items():
        for term in asked.intersection(each.terms):
            counts = said[term]
            count = each.terms.count(term)
            counts[place] = counts.get(place, 0.0) + count
            if each.speaker is None:
                continue
            for step, share in AROUND:
                near = by_place.get(place + step)
                if near is not None and near.speaker is not None:
                    counts[place + step] = counts.get(place + step, 0.0) + share * count
    return said
