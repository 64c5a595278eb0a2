"""How the offline model finds values for a JSON schema in a text: arguments of tools, fields of structured answers."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphflow.core.control import MISSING
from graphflow.models.offline_text import Fact, best, stem, word_set, words_of

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_LIMITS = {"minimum": operator.ge, "exclusiveMinimum": operator.gt, "maximum": operator.le, "exclusiveMaximum": operator.lt}
_DIGITS = "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"
_SPELLED = {word: number for number, word in enumerate(_DIGITS)}
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)")
_BREAK = re.compile(r"[,:;?!]|\.(?:\s|$)|\b(?:and|then|in|at|for|of|to|from|on|about|with|by|into|called|named)\b", re.I)
_FILLER = r"(?:the|a|an|my|me|is|it|like|now|today|right|please|currently|that|what|what's|how|thanks)"
_EDGES = re.compile(rf"^(?:{_FILLER}\b\s*)+|(?:\s*\b{_FILLER})+$", re.I)
_LEAD = re.compile(r"^(?:\s|[,:]|\b(?:for|to|that|about|of|on|me|and|please)\b)+", re.I)
_FORMATS = {  # format: (how it looks in a text, what stands in for it)
    "date": (r"\d{4}-\d\d-\d\d", "1970-01-01"),
    "date-time": (r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?", "1970-01-01T00:00:00Z"),
    "time": (r"\d\d:\d\d(?::\d\d)?", "00:00:00"),
    "duration": (r"P(?:\d|T)\w+", "PT0S"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.-]*\w", "nobody@example.com"),
    "uri": (r"https?://\S+", "https://example.com/"),
    "uuid": (r"[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}", "00000000-0000-0000-0000-000000000000"),
}
_VALUE = r"[\w.+-]+@[\w.-]+\w|(?-i:[A-Z])[\w'-]*(?: (?-i:[A-Z])[\w'-]*)*|\"[^\"]+\"|(?<!\w)'[^']+'"
_WHOLE_TEXT = word_set("query question text message task content fact memory note body prompt description")
_STATEMENTS = {stem(word) for word in word_set("memories facts notes add new remember statements")}


class Values:
    """Gives out the values that ``text`` offers, each number and phrase once, in the order of the text.

    ``text`` is what the values are for, ``known`` the facts that may be asked for the rest, ``otherwise`` the text for strings
    that nothing fits. ``schema`` is the whole schema, for its definitions.
    """

    def __init__(self, schema: Mapping[str, Any], text: str, known: Sequence[Fact] = (), otherwise: str = "") -> None:
        self._definitions = schema.get("$defs", {})
        self._text, self._known, self._otherwise = text, known, otherwise
        words = (_SPELLED.get(word.lower(), word) for word in re.split(r"\s+", text))
        self._numbers = _NUMBER.findall(" ".join(map(str, words)))
        self.phrases = _phrases(text)
        self._used = False
        self._open: list[int] = []

    def find(self, name: str, node: Mapping[str, Any]) -> Any:
        """The value for the property ``name``; MISSING when nothing in the text fits."""
        node = self._resolved(node)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            said = {stem(word) for word in words_of(self._text)}
            return next((each for each in node["enum"] if {stem(word) for word in words_of(str(each))} <= said), MISSING)
        finders: dict[str, Callable[[str, Mapping[str, Any]], Any]] = {
            "integer": self._number,
            "number": self._number,
            "boolean": self._boolean,
            "string": self._string,
            "array": self._array,
            "object": self._object,
        }
        return finders.get(node.get("type", "string"), self._string)(name, node)

    def fill(self, name: str, node: Mapping[str, Any]) -> Any:
        """``find``, or what the schema allows when nothing fits: its default, null, or the emptiest value of its type."""
        found = self.find(name, node)
        if found is not MISSING:
            return found
        if "default" in node:
            return node["default"]
        if any(choice.get("type") == "null" for choice in node.get("anyOf", ())):
            return None
        node = self._resolved(node)
        if "enum" in node:
            return node["enum"][0]
        text = _FORMATS.get(node.get("format", ""), ("", self._otherwise))[1]
        blanks = {"integer": 0, "number": 0.0, "boolean": False, "array": [], "object": {}, "null": None}
        return self._fitted(blanks.get(node.get("type", "string"), text), name, node)

    def _fitted(self, value: Any, name: str, node: Mapping[str, Any]) -> Any:
        """``value`` within the limits that the schema sets."""
        if isinstance(value, str):
            return value[: node.get("maxLength")].ljust(node.get("minLength", 0), ".")
        if isinstance(value, list):
            short = node.get("minItems", 0) - len(value)
            return [*value, *(self.fill(name, node.get("items", {})) for _ in range(short))][: node.get("maxItems")]
        limits = {key: limit for key in _LIMITS if (limit := node.get(key)) is not None}
        if limits and isinstance(value, int | float) and not isinstance(value, bool):
            near = [*limits.values(), *(limit + step for limit in limits.values() for step in (1, -1))]
            tried = [value, *near, sum(limits.values()) / len(limits)]
            return next((each for each in tried if all(_LIMITS[key](each, limit) for key, limit in limits.items())), value)
        return value

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while True:
            if "$ref" in node:
                node = self._definitions[node["$ref"].rsplit("/", 1)[-1]]
            elif choices := node.get("anyOf") or node.get("oneOf") or node.get("allOf"):
                node = next((choice for choice in choices if choice.get("type") != "null"), choices[0])
            else:
                return node

    def _named(self, name: str, value: str) -> str | None:
        """What stands behind the name of the property, as in ``city: Paris`` or ``the city is Paris``."""
        spoken = r"[\s_-]".join(map(re.escape, words_of(name)))
        for text in (self._text, *(fact.text for fact in reversed(self._known))):
            if found := re.search(rf"\b{spoken}\b\s*(?:is|are|of|=|:)?\s*({value})", text, re.I):
                return found[1]
        return None

    def _number(self, name: str, node: Mapping[str, Any]) -> Any:
        whole = node.get("type") == "integer"
        wanted = self._named(name, r"-?\d+(?!\.\d)\b" if whole else r"-?\d+(?:\.\d+)?") if name else None
        fact = best(name.replace("_", " "), self._known)
        offered = [*self._numbers, *(_NUMBER.findall(fact.text) if fact else ())]
        wanted = wanted or next((number for number in offered if not (whole and "." in number)), None)
        if wanted is None:
            return MISSING
        if wanted in self._numbers:
            self._numbers.remove(wanted)
        return self._fitted(int(wanted) if "." not in wanted else float(wanted), name, node)

    def _boolean(self, name: str, node: Mapping[str, Any]) -> Any:
        spoken = [stem(word) for word in words_of(name) if word not in ("is", "has")]
        said = [stem(word) for word in words_of(self._text)]
        if not spoken or not set(spoken) <= set(said):
            return MISSING
        before = said[max(0, said.index(spoken[0]) - 3) : said.index(spoken[0])]
        return not {"no", "not", "without", "never"} & set(before)

    def _string(self, name: str, node: Mapping[str, Any]) -> Any:
        look = _FORMATS.get(node.get("format", ""), (None,))[0]
        if look:
            found = re.search(look, self._text) or next((re.search(look, fact.text) for fact in self._known), None)
            return found[0] if found else MISSING
        value = self._named(name, _VALUE) if name else None
        if value is None and not self._known:
            whole = name in _WHOLE_TEXT and not self._used
            value = _LEAD.sub("", self._text) if whole else self.phrases[0] if self.phrases else None
        if value is not None:
            self._used = True
            self.phrases = [phrase for phrase in self.phrases if value not in phrase]
        if value is None and (fact := best(name.replace("_", " "), self._known)):
            proper = re.findall(r"(?<=[a-z,] )[A-Z][\w'-]*(?: [A-Z][\w'-]*)*", fact.text)
            value = proper[-1] if proper else fact.text
        return MISSING if not value else self._fitted(value.strip("\"' "), name, node)

    def _array(self, name: str, node: Mapping[str, Any]) -> Any:
        items = self._resolved(node.get("items", {}))
        if items.get("type") in ("integer", "number"):
            values = [self.find("", items) for _ in list(self._numbers)]
            values = [value for value in values if value is not MISSING]
        elif {stem(word) for word in words_of(name)} & _STATEMENTS:
            values = [self._about(fact, items) for fact in self._known if fact.own]
        elif items.get("type") == "string" and not self._known:
            values, self.phrases = self.phrases, []
        elif items.get("type") == "string" and (fact := best(name.replace("_", " "), self._known)):
            listed = re.split(r"\b(?:are|is|like|love|enjoy|prefer|need|want|eat|have|know)\b|:", fact.text, maxsplit=1)[-1]
            values = [each.strip(" .") for each in re.split(r",|\band\b", listed) if each.strip(" .")]
        else:
            values = []
        return self._fitted(values, name, node) if values else MISSING

    def _about(self, fact: Fact, items: Mapping[str, Any]) -> Any:
        if items.get("type") != "object":
            return fact.text
        return Values({"$defs": self._definitions}, fact.text, [fact], fact.text).find("", items)

    def _object(self, name: str, node: Mapping[str, Any]) -> Any:
        properties = node.get("properties", {})
        if not properties or id(node) in self._open:  # of a class that contains itself
            return MISSING
        self._open.append(id(node))
        found = {key: self.fill(key, field) for key, field in properties.items()}
        self._open.pop()
        return found


def _phrases(text: str) -> list[str]:
    """What the text could mean as the value of a parameter: quoted texts, else the pieces between prepositions."""
    if quoted := ["".join(found) for found in _QUOTED.findall(text)]:
        return quoted
    pieces = (_EDGES.sub("", piece.strip()) for piece in _BREAK.split(text))
    return [piece for piece in pieces if piece and not _NUMBER.fullmatch(piece) and piece.lower() not in _SPELLED]
