"""The questions of a paused run: what they ask, how they are answered, and putting them to a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from graphflow.core.control import Interrupt
from graphflow.printing.text import call_text, clean, shown


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
        "result": "what it gave",
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


def ask(question: Interrupt, read: Callable[[str], str]) -> Any:
    """A person's answer: yes or no (or a note) to a confirmation, a dict to a form, else what was typed.

    ``read`` shows a prompt and gives the line. An answer that has to be of another type than text is typed as JSON.
    """
    asked = _asked(question)
    kind = asked.get("asks")
    if kind in ("confirmation", "review"):
        line = read(f"{asked_text(question)} [y/n or a note]")
        return {"y": True, "yes": True, "n": False, "no": False, "": False}.get(line.lower(), line)
    if kind == "input":
        return {field: read(f"{asked['tool']}: {field}") for field in asked["fields"]}
    wanted = _type(question)
    line = read(asked_text(question) if wanted in ("", "string") else f"{asked_text(question)} [{wanted}]")
    return line if question.schema is None or wanted == "string" else _typed(line, wanted)


def _typed(line: str, wanted: str) -> Any:
    if wanted == "boolean" and line.lower() in ("y", "yes", "n", "no"):
        return line.lower().startswith("y")
    try:
        return json.loads(line)
    except ValueError:
        return line


def _type(question: Interrupt) -> str:
    schema = question.schema or {}
    return str(schema.get("type") or schema.get("title") or ("" if not schema else "JSON"))


def _asked(question: Interrupt) -> dict[str, Any]:
    return question.value if isinstance(question.value, dict) else {}


def _call(asked: dict[str, Any]) -> str:
    return call_text(asked.get("tool", ""), asked.get("arguments", {}))
