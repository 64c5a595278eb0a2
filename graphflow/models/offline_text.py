"""What the offline model knows about English: tables, and small functions of text. Words are compared, not understood."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from graphflow.messages import Message


def word_set(text: str) -> frozenset[str]:
    """The words of a table, written as one text."""
    return frozenset(text.split())


_STOP = word_set(
    """a about again all also am an and any are as at be been but by can could did do does for from had has have he her him his
    how i i'd i'll i'm i've if in is it it's its just know may me mine more most my myself now of okay on one or our please
    remember remind say said she should so some such tell that that's the their them then there they this to today too us user
    very was we were what what's when where which who who's whose why will with would yes you your"""
)

_RELATIONS = {  # concept: (the words that stand for it, what else shows it)
    "name": ("name call", r"\b(?:I'm|I am|[Tt]his is) (?-i:[A-Z])|\bwho am i\b"),
    "food": (
        "food eat ate dish meal cuisine diet cook",
        r"\b(?:pizza|pasta|sushi|burger|taco|curry|salad|soup|bread|cheese|rice|noodle|steak|fish|fruit|vegetable|vegan|vegetarian"
        r"|chocolate|cake|sandwich|breakfast|lunch|dinner|restaurant)(?:e?s)?\b",
    ),
    "liking": ("like love enjoy prefer favourite favorite adore fan hobby interest suggest recommend", ""),
    "home": ("live home reside city town country address", r"\bfrom (?-i:[A-Z])|\bwhere\b.*\bfrom\b|\bmoved to\b"),
    "work": ("work job profession occupation employ career", r"\b(?:I'm|I am) an? \w+(?:er|or|ist|ian|ant)\b"),
    "age": ("age old birthday born", r"\b\d+ years\b"),
}

_SECOND_PERSON = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "we": "you", "our": "your",
    "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll",
}  # fmt: skip
_PLURAL = {"is": "are", "was": "were", "has": "have", "does": "do", "goes": "go"}

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|well|so|also|and|but|oh|ok|okay|thanks|thank you|actually|please)\b[\s,.!]*)+", re.I
)
_QUESTION = re.compile(
    r"^(?:what|who|whom|whose|when|where|which|why|how|tell|remind|list|show|name|give|explain|describe|suggest|recommend"
    r"|summari[sz]e)\b|^(?:do|does|did|is|are|am|was|were|can|could|will|would|should|have|has)\b(?!.*[.!]$)|\?\W*$",
    re.I | re.S,
)
_INSTRUCTION = re.compile(
    r"^(?:you(?:'re| are| must| should| can| may| have)|always|never|do|don't|be|use|answer|reply|respond|if|write|keep)\b",
    re.I,
)
_OWN = re.compile(r"\b(?:i|i'm|i've|my|me|mine|we|our|user|user's)\b", re.I)
_POSSESSED = re.compile(r"\b(?:my|our|user's) (\w+)", re.I)
_ASIDE = re.compile(r"^(?:[-*•]|\d+[.)]|<[^>]*>|user:|human:)\s*", re.I)
_NOT_THE_USER = re.compile(r"^(?:assistant|ai|tool|system)\s*:", re.I)
_HEADING = re.compile(r"^[^.?!:]*\b(?:summary|memor(?:y|ies)|facts?|conversation|messages|transcript)\b[^.?!:]*:\s*", re.I)


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence that was said or noted earlier."""

    text: str
    terms: frozenset[str]

    @property
    def own(self) -> bool:
        """Whether it speaks of the user."""
        return _OWN.search(self.text) is not None


def stem(word: str) -> str:
    """A crude stem: ``loves``, ``loved`` and ``loving`` meet."""
    word = word.lower().removesuffix("'s")
    for suffix, replacement in (("ies", "y"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(suffix) and not word.endswith("ss") and len(word) - len(suffix) > 2:
            word = word.removesuffix(suffix) + replacement
            break
    return word.removesuffix("e") if len(word) > 3 else word


_CONCEPTS = {
    f"#{concept}": (frozenset(map(stem, word_set(words))), re.compile(pattern or r"(?!)", re.I))
    for concept, (words, pattern) in _RELATIONS.items()
}


def straight(text: str) -> str:
    """With typewriter apostrophes, as the tables have them."""
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def words_of(text: str) -> list[str]:
    """The words of a text; an apostrophe is part of its word, an underscore separates."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", straight(text))


def terms_of(text: str) -> frozenset[str]:
    """Stems of the words that carry meaning; words of a relation are replaced by the relation."""
    stems = {stem(word) for word in words_of(text) if word.lower() not in _STOP}
    concepts = {name for name, (words, shown) in _CONCEPTS.items() if stems & words or shown.search(text)}
    return frozenset(stems.difference(*(words for words, _ in _CONCEPTS.values())) | concepts)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text that come from the user, without bullets, tags, headings and greetings."""
    found = []
    for line in text.splitlines():
        if _NOT_THE_USER.match(line.strip()):
            continue
        for piece in re.split(r"(?<=[.!?])\s+", _HEADING.sub("", _ASIDE.sub("", line.strip()))):
            if (plain := _GREETING.sub("", piece).strip()) and not plain.endswith(":"):
                found.append(plain)
    return found


def is_question(sentence: str) -> bool:
    """Whether a sentence asks for something."""
    return _QUESTION.search(_GREETING.sub("", sentence)) is not None


def facts(messages: Sequence[Message], *, roles: Collection[str] = ("system", "developer", "user")) -> list[Fact]:
    """What the messages state, oldest first; what the system message notes counts as oldest."""
    ordered = sorted((message for message in messages if message.role in roles), key=lambda message: message.role == "user")
    stated: dict[str, None] = {}
    for message in ordered:
        for sentence in sentences(message.text):
            if not is_question(sentence) and (message.role == "user" or not _INSTRUCTION.match(sentence)):
                stated.pop(sentence, None)  # said again, it is as new as its last time
                stated[sentence] = None
    return [Fact(sentence, terms_of(sentence)) for sentence in stated]


def best(question: str, known: Sequence[Fact]) -> Fact | None:
    """The fact that shares most with the question, rare terms weighing more, the newest of equals. None: too little fits."""
    asked = sorted(terms_of(question))
    about_me = re.search(r"\byour?\b", question, re.I) and not _OWN.search(question)
    chosen, most = None, 0.0
    for fact in known:
        shared = [term for term in asked if term in fact.terms]
        if len(shared) < 0.4 * len(asked) or (about_me and fact.own):
            continue
        score = sum(math.log(1 + len(known) / sum(term in other.terms for other in known)) for term in shared)
        if terms_of(" ".join(_POSSESSED.findall(fact.text))).difference(asked):
            score *= 0.9  # "my sister lives in Oslo" is less about me
        if score >= most and shared:
            chosen, most = fact, score
    return chosen


def to_second_person(text: str) -> str:
    """``I love my dog`` as ``You love your dog``; also when it was noted about ``the user``."""
    text = re.sub(r"\bI was\b", "you were", straight(text))
    text = re.sub(r"\b(?:the )?user's\b", "your", text, flags=re.I)
    text = re.sub(r"\b(?:the )?user (\w+)", lambda found: f"you {_base(found[1])}", text, flags=re.I)
    return re.sub(r"[A-Za-z']+", lambda found: _SECOND_PERSON.get(found[0].lower(), found[0]), text)


def _base(verb: str) -> str:
    return _PLURAL.get(verb) or (verb.removesuffix("s") if not verb.endswith("ss") else verb)


def as_sentence(text: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def shorten(text: str, length: int) -> str:
    """At most ``length`` characters, on one line, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rsplit(" ", 1)[0] + "…"


def digest(known: Iterable[Fact], length: int) -> str:
    """As many facts as fit into ``length`` characters: those about the user first, then the newest; in their own order."""
    ordered = list(enumerate(known))
    kept: dict[int, str] = {}
    for position, fact in sorted(ordered, key=lambda each: (each[1].own, each[0]), reverse=True):
        text = as_sentence(shorten(fact.text, 200))
        if len(" ".join((*kept.values(), text))) <= length:
            kept[position] = text
    return " ".join(kept[position] for position in sorted(kept))
