"""The questions of a paused run: what they ask, how they are answered, and putting them to a person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from graphflow.core.answers import Schema
from graphflow.core.control import Interrupt
from graphflow.printing.text import call_text, clean, shown
from graphflow.printing.typed import Read, typed, typed_fields, word_or_note


def asked_text(question: Interrupt) -> str:
    """What a question wants to know."""
    asked = _asked(question)
    kind = asked.get("asks")
    if kind == "confirmation":
        text = f"May {_call(asked)} be called?"
    elif kind == "input":
        text = f"{_call(asked)} needs: {', '.join(asked['fields'])}"
    elif kind == "result":
        text = f"What is the result of {_call(asked)}?"
    elif kind == "review":
        text = f"{asked.get('question') or 'Is this good?'} (step {asked.get('step')})\n{shown(asked.get('content'))}"
    else:
        text = shown(question.value)
    return clean(f"{text}\n({asked['problem']})" if asked.get("problem") else text)


def answer_form(question: Interrupt) -> str:
    """The form that an answer has in a program."""
    asked = _asked(question)
    forms = {
        "confirmation": 'True, False, or "a text that says why not"',
        "input": "{" + ", ".join(f'"{field}": …' for field in asked.get("fields", ())) + "}",
        "result": "what it gave" if "schema" not in asked else f"what it gave, of type {_type(question)}",
        "review": 'True, False, "what to change", or {"content": …}',
    }
    if asked.get("asks") in forms:
        return forms[asked["asks"]]
    return "any value" if question.schema is None else f"of type {_type(question)}"


def how_to_answer(questions: Sequence[Interrupt], session_id: str | None) -> str:
    """The calls that answer the questions."""
    session = repr(session_id) if session_id else "session_id"
    if len(questions) == 1:
        return f"resume({session}, answer), the answer being {answer_form(questions[0])}"
    forms = list(dict.fromkeys(map(answer_form, questions)))
    listed = ", ".join(f'"{question.id}": …' for question in questions)
    told = f", each {forms[0]}" if len(forms) == 1 else ""
    return f"resume({session}, answers={{{listed}}}), all of them or some{told}"


def ask(question: Interrupt, read: Read) -> Any:
    """A person's answer: yes or no (or a note) to a confirmation or a review, a dict to a form, a value of the type that is
    wanted, else what was typed. What does not fit is asked for again.
    """
    asked, text = _asked(question), asked_text(question)
    kind = asked.get("asks")
    if kind in ("confirmation", "review"):
        return word_or_note(text, read)
    if kind == "input":
        return _filled_in(text, asked, read)
    schema = _wanted(question)
    return read(text) if schema is None else typed(text, schema, read)


def _filled_in(text: str, asked: dict[str, Any], read: Read) -> dict[str, Any]:
    """The fields of a form; the first one is asked for below what the form is."""
    of_any_value = {"properties": {field: {} for field in asked["fields"]}, "required": asked["fields"]}
    headings = chain([f"{text}\n"], repeat(""))
    return typed_fields(asked.get("schema") or of_any_value, lambda prompt: read(f"{next(headings)}{asked['tool']}: {prompt}"))


def _type(question: Interrupt) -> str:
    schema = _wanted(question) or {}
    return str(schema.get("type") or schema.get("title") or ("" if not schema else "JSON"))


def _wanted(question: Interrupt) -> Schema | None:
    """The JSON schema of the answer: the node's own, or that of a tool's result."""
    return question.schema or (_asked(question).get("schema") if _asked(question).get("asks") == "result" else None)


def _asked(question: Interrupt) -> dict[str, Any]:
    return question.value if isinstance(question.value, dict) else {}


def _call(asked: dict[str, Any]) -> str:
    return call_text(asked.get("tool", ""), asked.get("arguments", {}))
