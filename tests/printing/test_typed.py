"""What a person types at a question: read as what is asked for, and asked for again until it fits."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from graphflow import tool
from graphflow.core.control import Interrupt
from graphflow.printing.questions import ask


class Person:
    """Types lines, and keeps the prompts that it was shown."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self.lines.pop(0)


class Address(BaseModel):
    city: str
    number: int | None = None


class Order(BaseModel):
    item: str = Field(description="what to buy")
    count: int = 1
    address: Address


def answered(person: Person, value: Any, type: Any = None) -> Any:
    schema = None if type is None else TypeAdapter(type).json_schema()
    answer = ask(Interrupt("q", value, "node", schema=schema), person)
    assert person.lines == [], "all of it was read"
    return answer


CONFIRMATION = {"asks": "confirmation", "tool": "pay", "arguments": {"amount": 5}}
REVIEW = {"asks": "review", "step": "draft", "content": "about tea"}


@pytest.mark.parametrize("question", [CONFIRMATION, REVIEW])
@pytest.mark.parametrize(
    ("line", "answer"),
    [(word, True) for word in ("y", "Yes", "true", "True")]
    + [(word, False) for word in ("n", "NO", "false", "False")]
    + [("far too much", "far too much")],
)
def test_a_confirmation_and_a_review_take_yes_no_and_notes(question: Any, line: str, answer: Any) -> None:
    assert answered(Person(line), question) == answer


def test_enter_alone_does_not_decline() -> None:
    person = Person("", "n")
    assert answered(person, CONFIRMATION) is False
    assert person.prompts == ["May pay(amount=5) be called? [y/n or a note]", "Type y, n or a note"]


@pytest.mark.parametrize(
    ("type", "line", "answer"),
    [
        (bool, "yes", True),
        (bool, "True", True),
        (bool, "n", False),
        (int, "3", 3),
        (int | None, "null", None),
        (float, "2.5", 2.5),
        (str, "5", "5"),
        (str, "yes", "yes"),
        (str, '"quoted"', '"quoted"'),
        (str | bool, "yes", True),
        (Literal["tea", "coffee"], "tea", "tea"),
        (list[str], '["a", "b"]', ["a", "b"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Address, '{"city": "Oslo"}', {"city": "Oslo"}),
        (None, "True", "True"),
    ],
)
def test_an_answer_is_of_the_type_that_is_asked_for(type: Any, line: str, answer: Any) -> None:
    made = answered(Person(line), "?", type)
    assert made == answer and isinstance(made, bool) == isinstance(answer, bool)


@pytest.mark.parametrize(
    ("type", "wrong", "problem", "right"),
    [
        (bool, "maybe", "answer is 'maybe', but has to be of type boolean [y/n]", "y"),
        (int, "three", "answer is 'three', but has to be of type integer [integer]", "3"),
        (Literal["tea", "coffee"], "milk", "answer is 'milk', which is none of 'tea', 'coffee' [tea, coffee]", "tea"),
        (date, "tomorrow", "answer is 'tomorrow', which breaks format 'date' [date]", "2026-01-01"),
        (list[int], "1, 2", "answer is '1, 2', but has to be of type array [JSON list]", "[1, 2]"),
        (Address, '{"town": "Oslo"}', "answer has no 'city' [city: text, number: integer or null; as JSON", '{"city": "Oslo"}'),
    ],
)
def test_what_does_not_fit_is_asked_for_again(type: Any, wrong: str, problem: str, right: str) -> None:
    person = Person(wrong, right)
    answered(person, "Well?", type)
    assert person.prompts[0].startswith("Well? [") and person.prompts[1].startswith(problem)


def test_the_result_of_an_execution_outside_is_of_the_type_that_the_tool_returns() -> None:
    asked = {"asks": "result", "tool": "weigh", "arguments": {}}
    person = Person("heavy", "5")
    assert answered(person, {**asked, "schema": {"type": "integer"}}) == 5
    assert "type integer" in person.prompts[1]
    assert answered(Person("heavy"), asked) == "heavy"


def test_the_fields_of_an_object_are_asked_for_one_by_one() -> None:
    person = Person("", "tea", "many", "", "", "Oslo", "")
    assert answered(person, "Your order?", Order) == {"item": "tea", "count": 1, "address": {"city": "Oslo", "number": None}}
    assert person.prompts[1:5] == [
        "item (what to buy)",
        "count [integer; Enter for 1]",
        "answer is 'many', but has to be of type integer [integer; Enter for 1]",
        "address [city: text, number: integer or null; as JSON, or Enter for one after the other]",
    ]


def test_a_form_says_what_it_is_for_and_what_was_wrong_with_it() -> None:
    form = {"asks": "input", "tool": "visit", "arguments": {"city": "Rome"}, "fields": ["day"], "problem": "no such day"}
    person = Person("Monday")
    assert answered(person, form) == {"day": "Monday"}
    assert person.prompts == ["visit(city='Rome') needs: day\n(no such day)\nvisit: day"]


def test_a_form_of_a_tool_tells_the_types_of_its_fields() -> None:
    @tool(user_input=["days", "when"])
    def visit(city: str, days: list[int], when: date) -> str:
        """Visit a city."""
        return ""

    asked = {"asks": "input", "tool": "visit", "arguments": {}, "fields": ["days", "when"], "schema": visit.form}
    person = Person("two", "[2, 3]", "2026-01-01")
    assert answered(person, asked) == {"days": [2, 3], "when": "2026-01-01"}
    assert person.prompts[1] == "visit: answer is 'two', but has to be of type array [JSON list]"
