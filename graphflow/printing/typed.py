"""What a person types, read as the value that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from graphflow.core.answers import Schema, problems
from graphflow.core.control import MISSING

Read = Callable[[str], str]
"""Shows a prompt and gives the line that is typed."""

_WORDS: Final = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
_KINDS: Final = {"boolean": "y/n", "string": "text", "array": "JSON list", "object": "JSON object"}


def word_or_note(prompt: str, read: Read) -> bool | str:
    """True, False or a note. An empty line is none of these: Enter is pressed too easily to mean no."""
    line = read(f"{prompt} [y/n or a note]")
    while not line:
        line = read("Type y, n or a note")
    return _WORDS.get(line.lower(), line)


def typed(prompt: str, schema: Schema, read: Read, *, defs: Schema | None = None, required: bool = True) -> Any:
    """A value that fits a JSON schema; asked for until it does, each time with what was wrong.

    Text is typed as it is, yes and no as words, anything else as JSON. After an empty line the fields of an object are asked
    for one by one. Where the value is not ``required``, an empty line stands for its default, or for MISSING without one.
    """
    defs = schema.get("$defs", {}) if defs is None else defs
    schema = _resolved(schema, defs)
    hint = _hint(schema, defs, required)
    asked = f"{prompt} [{hint}]" if hint else prompt
    while True:
        line = read(asked)
        if not line and not required:
            return schema.get("default", MISSING)
        if not line and schema.get("properties"):
            return typed_fields(schema, read, defs)
        try:
            return _meant(line, schema, defs)
        except ValueError as error:
            asked = f"{error} [{hint or 'text'}]"


def typed_fields(schema: Schema, read: Read, defs: Schema | None = None) -> dict[str, Any]:
    """An object of a JSON schema, its fields typed one after the other."""
    defs = schema.get("$defs", {}) if defs is None else defs
    required = schema.get("required", ())
    given = {
        name: typed(_field(name, field), field, read, defs=defs, required=name in required)
        for name, field in schema["properties"].items()
    }
    return {name: value for name, value in given.items() if value is not MISSING}


def _field(name: str, schema: Schema) -> str:
    note = schema.get("description")
    return f"{name} ({note})" if note else name


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """The schema with what its reference stands for."""
    while "$ref" in schema:
        schema = {**defs.get(str(schema["$ref"]).rpartition("/")[2], {}), **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def _hint(schema: Schema, defs: Schema, required: bool) -> str:
    """What may be typed; nothing where it is any text."""
    form = _form(schema, defs)
    if schema.get("properties"):
        fields = ", ".join(f"{name}: {_form(field, defs)}" for name, field in schema["properties"].items())
        form = f"{fields}; as JSON{', or Enter for one after the other' if required else ''}"
    if not required:
        return f"{form}; Enter for {json.dumps(schema['default']) if 'default' in schema else 'none'}"
    return "" if form == "text" else form


def _form(schema: Schema, defs: Schema) -> str:
    schema = _resolved(schema, defs)
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", (schema.get("const"),))))
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_form(choice, defs) for choice in choices))
    kind = str(schema.get("format") or schema.get("type", "text"))
    return _KINDS.get(kind, kind)


def _meant(line: str, schema: Schema, defs: Schema) -> Any:
    """The first thing that the line may mean and that fits. Raises ValueError with what is wrong when nothing does."""
    wrong: list[str] = []
    for value in _meanings(line):
        found = list(problems(value, schema, defs))
        if not found:
            return value
        wrong += found
    raise ValueError(wrong[0])


def _meanings(line: str) -> Iterator[Any]:
    """JSON, yes or no, and the text that it is. Text in quotes is text with its quotes."""
    with suppress(ValueError):
        value = json.loads(line)
        if not isinstance(value, str):
            yield value
    if line.lower() in _WORDS:
        yield _WORDS[line.lower()]
    yield line
