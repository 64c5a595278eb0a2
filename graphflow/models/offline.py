"""OfflineModel: a stand-in for a language model that needs no key and no network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from graphflow.core.control import MISSING
from graphflow.errors import ModelError
from graphflow.messages import Message, ToolCall
from graphflow.models.base import AsyncModel, Piece, Reply, Request, Token, ToolSpec, Usage
from graphflow.models.offline_text import (
    Fact,
    as_sentence,
    best,
    digest,
    facts,
    is_question,
    sentences,
    shorten,
    stem,
    terms_of,
    to_second_person,
    word_set,
    words_of,
)
from graphflow.models.offline_values import Values

_TALK = r"(?:conversation|messages?|session|dialog(?:ue)?|chat|exchange|transcript|discussion)"
_SUMMARISE = re.compile(
    rf"\bsummari[sz](?:e|ing)\b[^.\n]*\b{_TALK}\b"
    rf"|\b(?:write|update|extend|give|make|produce|create|fold|return|maintain)\b(?=[^.\n]*\b{_TALK}\b)[^.\n]*\bsummary\b",
    re.I,
)
_COLLECT = re.compile(r"\b(?:extract|collect|list|note|write down)\b[^.\n]*\b(?:facts?|memor(?:y|ies)|preferences?)\b", re.I)
_SUMMARY_LENGTH = 600
_PLAIN_VERBS = {
    stem(word) for word in word_set("get fetch find look lookup do run make call calculate compute the of for by to")
}
_SAME = {"plus": "add", "sum": "add", "times": "multiply", "minus": "subtract", "product": "multiply"}


class OfflineModel(AsyncModel):
    """Answers from the messages it is given, by comparing words. For quickstarts, examples and tests; it needs no key.

    It is no language model. It knows nothing that is not in the request, draws no conclusions, and has no words of its own but
    a few set phrases. The same request always gets the same reply. What it does:

    - a question is answered with the earlier sentence of the user, or the line of the system message (memories, summary), that
      shares most with it, turned to the second person; with none that fits, it says that it cannot answer;
    - anything else is acknowledged by repeating it;
    - a tool is called when the words of its name are in the user's message and its required parameters can be found there;
      results of tools are reported;
    - as the leader of a team it gives the message to the members that it names, else to the one whose description shares most
      words with it, and reports what they say;
    - asked to summarise the conversation, or to extract facts about the user, it returns the user's own statements, bounded;
    - with an ``output_schema`` it fills the fields with what it finds, and with defaults and blanks where it finds nothing.
      Raises ModelError when that does not pass the schema's own validators.

    Usage counts words.
    """

    id = "offline"

    def __repr__(self) -> str:
        return "OfflineModel()"

    def respond(self, request: Request) -> Reply:
        """The whole answer to one request."""
        calls = () if _told_to(_SUMMARISE, request) else _tool_calls(request)
        content = "" if calls else _filled(request) if request.output_schema else _said(request)
        heard = sum(len(message.text.split()) for message in request.messages)
        return Reply(content, calls, Usage(heard, len(content.split())))

    def stream(self, request: Request) -> Iterator[Piece]:
        """The answer word by word, the Reply last."""
        yield from in_words(self.respond(request))


def in_words(reply: Reply) -> Iterator[Piece]:
    """A whole reply as a stream: tokens of a word each, which joined are the content, and the Reply."""
    for word in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", reply.content):
        yield Token(word)
    yield reply


# --- answers in text


def _said(request: Request) -> str:
    messages = request.messages
    if not messages:
        return "There is nothing to answer."
    if messages[-1].role == "tool":
        return _results(messages)
    if _told_to(_SUMMARISE, request):
        return digest(_conversation(messages), _SUMMARY_LENGTH)
    if _told_to(_COLLECT, request):
        return "\n".join(f"- {fact.text}" for fact in _conversation(messages) if fact.own)
    return _answer(messages)


def _told_to(instruction: re.Pattern[str], request: Request) -> bool:
    """Whether a system message, or the user's last one, gives this instruction. Whoever brings tools wants another job done."""
    last = request.messages[-1:]
    told = [message for message in request.messages if message.role in ("system", "developer")]
    return not request.tools and any(instruction.search(message.text) for message in (*told, *last))


def _answer(messages: Sequence[Message]) -> str:
    asked = next((message.text for message in reversed(messages) if message.role == "user"), messages[-1].text)
    if not (questions := [sentence for sentence in sentences(asked) if is_question(sentence)]):
        return f"Thank you. You said: {shorten(asked, 200)}"
    known = facts(messages)
    question = " ".join(questions)
    if not terms_of(question) and re.search(r"\b(?:about (?:me|myself)|know|remember)\b", question, re.I):
        found = [fact for fact in known if fact.own][-5:]
    else:
        found = [fact for fact in (best(each, known) for each in questions) if fact]
    told = dict.fromkeys(_told(fact) for fact in found)
    return " ".join(told) or f"I cannot answer that from our conversation: {shorten(asked, 200)}"


def _told(fact: Fact) -> str:
    text = to_second_person(fact.text)
    return as_sentence(text if re.match(r"you", text, re.I) else f"From what I know: {text}")


def _results(messages: Sequence[Message]) -> str:
    """The results at the end of the messages, a sentence each."""
    calls = {call.id: call for message in messages for call in message.tool_calls}
    said = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        call = calls.get(message.tool_call_id or "")
        name = message.name or (call.name if call is not None else "the tool")
        member = call.arguments.get("member_id") if call is not None else None
        said.append(as_sentence(f"{member} says: {message.text}" if member else f"The result of {name} is: {message.text}"))
    return " ".join(reversed(said))


def _conversation(messages: Sequence[Message]) -> list[Fact]:
    """What users said in the messages to summarise, after the summary so far where the instruction brings one."""
    told = []
    for message in messages:
        text = message.text
        if message.role in ("system", "developer"):
            # Of the instruction itself only what it quotes counts: what follows a heading such as "Summary so far:".
            heading = re.search(
                r"^[^\n:]*\b(?:summary|memor(?:y|ies)|conversation|messages|transcript)\b[^\n:]*:", text, re.I | re.M
            )
            text = text[heading.end() :] if heading else ""
        kept = [sentence for sentence in sentences(text) if not _SUMMARISE.search(sentence) and not _COLLECT.search(sentence)]
        told.append(Message("user" if message.role != "assistant" else "assistant", "\n".join(kept)))
    return facts(told, roles=("user",))


# --- tools


def _tool_calls(request: Request) -> tuple[ToolCall, ...]:
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "user":
        return ()
    wanted: dict[str, tuple[str, dict[str, Any]]] = {}
    for tool in request.tools:
        if {"member_id", "task"} == tool.parameters.get("properties", {}).keys():
            for arguments in _delegated(tool, request.messages, last.text):
                wanted[f"{tool.name} {json.dumps(arguments, sort_keys=True)}"] = tool.name, arguments
    for tool, before, after in _mentions(request.tools, last.text):
        for arguments in _arguments(tool, before, after):
            wanted[f"{tool.name} {json.dumps(arguments, sort_keys=True)}"] = tool.name, arguments
    told = "\n".join(message.text for message in request.messages)
    return tuple(
        ToolCall(f"call_{hashlib.sha256(f'{told}{key}'.encode()).hexdigest()[:16]}", name, arguments)
        for key, (name, arguments) in wanted.items()
    )


def _delegated(tool: ToolSpec, messages: Sequence[Message], text: str) -> list[dict[str, Any]]:
    """Whom the leader of a team gives a message to, each with what is said after the name."""
    ids: Sequence[str] = tool.parameters["properties"]["member_id"].get("enum", ())
    named: dict[str, str] = {}
    for member, _, after in _mentions([ToolSpec(id, "", {}) for id in ids], text):
        task = re.sub(r"(?:\s|\b(?:and|or|the|a|an)\b|[,;])+$", "", after.strip(" ,:;"), flags=re.I)
        named.setdefault(member.name, task if len(task.split()) > 1 else text)
    if named:
        return [{"member_id": id, "task": task} for id, task in named.items()]
    told = "\n".join(message.text for message in messages if message.role == "system")
    asked, described = terms_of(text), dict(re.findall(r"^- ([\w-]+): (.*)$", told, re.M))
    shared = {id: len(asked & terms_of(f"{id} {described.get(id, '')}")) for id in ids}
    chosen = max(ids, key=lambda id: shared[id], default=None)
    return [{"member_id": chosen, "task": text}] if chosen is not None and shared[chosen] else []


def _mentions(tools: Sequence[ToolSpec], text: str) -> list[tuple[ToolSpec, str, str]]:
    """Each place where all words of a tool's name are said, with the text of its sentence before and after them."""
    spans = [(match.start(), match.end(), _tool_stem(match[0])) for match in re.finditer(r"[^\W_]+|\+", text)]
    said = {word for _, _, word in spans}
    named = [(tool, words) for tool in tools if (words := _name_words(tool.name)) <= said]
    found: list[tuple[int, int, ToolSpec]] = []
    for tool, words in named:
        places = [(start, end) for start, end, word in spans if word in words]
        if len(words) > 1:
            places = [(places[0][0], max(next(end for _, end, word in spans if word == each) for each in words))]
        if not any(words < others for _, others in named):  # else the more exact name is meant
            found += [(start, end, tool) for start, end in places]
    found.sort(key=lambda each: each[0])
    borders = [0, *(end for _, end, _ in found)], [*(start for start, _, _ in found), len(text)]
    sentence_end = re.compile(r"[?!]|\.(?:\s|$)")
    return [
        (
            tool,
            "" if position else sentence_end.split(text[borders[0][position] : start])[-1],
            sentence_end.split(text[end : borders[1][position + 1]])[0],
        )
        for position, (start, end, tool) in enumerate(found)
    ]


def _name_words(name: str) -> set[str]:
    words = {_tool_stem(word) for word in words_of(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))}
    return words - _PLAIN_VERBS or words


def _tool_stem(word: str) -> str:
    return stem(_SAME.get(word.lower(), "add" if word == "+" else word))


def _arguments(tool: ToolSpec, before: str, after: str) -> list[dict[str, Any]]:
    """Arguments for the calls that a mention asks for: none when something required is not said."""
    properties: Mapping[str, Mapping[str, Any]] = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())
    # Of what is said first only a value can be meant ("In Paris, …", "2 plus …"), not the sentence around it.
    first = re.search(r"\b(?:in|at|for|of|to|from|on|about|with|\d)\b.*", before, re.I)
    calls: list[dict[str, Any]] = []
    for said in (after, f"{first[0]} {after}") if first else (after,):
        values = Values(tool.parameters, said)
        found = {
            name: values.find(name, properties[name]) for name in sorted(properties, key=lambda name: name not in required)
        }
        arguments = {name: found[name] for name in properties if found[name] is not MISSING}
        if set(required) <= arguments.keys():
            calls = [arguments]
            if arguments:
                break
    if calls and len(properties) == 1 and str(next(iter(calls[0].values()), ""))[:1].isupper():
        # "the weather in Paris and London": one call for each name
        calls += [{name: phrase} for name in properties for phrase in values.phrases if phrase[:1].isupper()]
    return calls


# --- structured answers


def _filled(request: Request) -> str:
    assert request.output_schema is not None
    adapter: TypeAdapter[Any] = TypeAdapter(request.output_schema)
    schema = adapter.json_schema()
    messages = request.messages
    summing_up = _told_to(_SUMMARISE, request) or _told_to(_COLLECT, request)
    known = _conversation(messages) if summing_up else facts(messages, roles=("system", "developer", "user", "tool"))
    last = next((message.text for message in reversed(messages) if message.role in ("user", "tool")), "")
    otherwise = digest(known, _SUMMARY_LENGTH) if summing_up else shorten(last, _SUMMARY_LENGTH)
    value = Values(schema, " ".join(fact.text for fact in known) if summing_up else last, known, otherwise).fill("", schema)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise ModelError(
            f"OfflineModel found nothing that fits {getattr(request.output_schema, '__name__', 'the schema')}: {error}. "
            "Give its fields defaults, or use a language model"
        ) from error
    return json.dumps(value, ensure_ascii=False)
