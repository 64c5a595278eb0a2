"""Messages made of texts are checked without pydantic: they are, and refuse, what pydantic's own check makes and refuses."""

from __future__ import annotations

import copy
import pickle
from itertools import product
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from graphflow.messages import Message, TextPart, ToolCall, as_message, as_messages


class Word(str):
    """A kind of text."""


class Checked(Message):
    """A message that pydantic checks, because it is of a class of its own."""


ROLES: tuple[Any, ...] = ("user", "assistant", Word("user"), "nobody", "", None, 3, ["user"])
CONTENTS: tuple[Any, ...] = ("", "hello", "\ud800\0", Word("hello"), b"hello", None, 3, [], [TextPart(text="t")], ["t"])
TEXTS: tuple[Any, ...] = (None, "", "x", Word("x"), b"x", 3)
CALLS: tuple[Any, ...] = ((), [], (ToolCall("1", "f"),), [{"id": "1", "name": "f"}], None, "f")


def made(cls: type[Message], *arguments: Any) -> dict[str, Any] | list[tuple[Any, ...]]:
    """The fields with their exact types, or where and why it was refused."""
    try:
        message = cls(*arguments)
    except ValidationError as error:
        return [(found["loc"], found["type"]) for found in error.errors()]
    return {name: (type(value), value) for name, value in message.__dict__.items()}


def test_a_lone_text_is_no_list_of_messages_and_the_error_says_what_is() -> None:
    with pytest.raises(ValueError, match=r"^'hi' is not a list of messages; what a user says is \[\('user', text\)\]"):
        as_messages("hi")


def test_a_dict_with_other_fields_is_no_message_and_the_error_names_them() -> None:
    with pytest.raises(ValueError, match=r"it has 'text', 'when', and the fields of one are role, content, id, name, "):
        as_message({"role": "user", "text": "hi", "when": "now"})
    assert as_message({"role": "user", "content": "hi"}) == Message("user", "hi")


@pytest.mark.parametrize("role", ROLES, ids=repr)
def test_a_message_is_what_pydantic_makes_of_it(role: Any) -> None:
    for content, calls in product(CONTENTS, CALLS):
        assert made(Message, role, content, None, None, calls) == made(Checked, role, content, None, None, calls)
    for id, name, call in product(TEXTS, repeat=3):
        assert made(Message, role, "hello", id, name, (), call) == made(Checked, role, "hello", id, name, (), call)


def test_pydantic_does_with_it_what_it_does_with_others() -> None:
    message, given = Message("user", "hello", name="Ada"), {"role": "user", "content": "hello", "name": "Ada"}
    assert message == Message.model_validate(given) == TypeAdapter(Message).validate_python(given)
    assert message.model_dump() == {**given, "id": None, "tool_calls": (), "tool_call_id": None, "provider_details": None}
    assert Message.model_validate_json(message.model_dump_json()) == message
    assert message.model_dump(exclude_unset=True) == message.model_dump()
    for other in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message)), message.model_copy()):
        assert other == message
        assert hash(other) == hash(message)
    assert message.model_copy(update={"content": "bye"}) == Message("user", "bye", name="Ada")
    assert message.content == "hello"
    with pytest.raises(ValidationError, match="frozen"):
        message.content = "bye"  # type: ignore[misc]


def test_it_is_a_field_of_models() -> None:
    class Note(BaseModel):
        about: Message

    note = Note(about=Message("user", "hello"))
    assert Note.model_validate_json(note.model_dump_json()) == note


def test_another_id_changes_nothing_else() -> None:
    for message in (Message("user", "hello"), Message("user", [TextPart(text="t")]), Message.model_construct(role="user")):
        named = message.with_id("m-1")
        assert (named.id, message.id if "id" in message.__dict__ else None) == ("m-1", None)
        assert named.model_dump(exclude={"id"}) == message.model_dump(exclude={"id"})
        assert "id" in named.model_fields_set
        assert named == pickle.loads(pickle.dumps(named))


def test_what_was_set_of_one_is_not_what_was_set_of_others() -> None:
    message, named = Message("user", "hello"), Message("user", "hello").with_id("m-1")
    message.model_fields_set.discard("id")
    named.model_fields_set.clear()
    assert Message("user", "bye").model_fields_set == set(Message.model_fields)
    assert "id" in Message("user", "bye").model_dump(exclude_unset=True)
