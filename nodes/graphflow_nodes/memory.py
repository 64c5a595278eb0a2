"""Nodes about what is known of the user: ``recall`` brings it into the context, ``remember`` keeps what the user says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from graphflow.core import options
from graphflow.core.control import Context, Update
from graphflow.core.effects import Ask, Emit, Flow
from graphflow.core.excerpts import error_text, excerpt
from graphflow.core.memories import ReadMemories, UserMemory
from graphflow.core.plan import flow
from graphflow.core.stored import MemoryWrite
from graphflow.messages import Message
from graphflow.models.base import Model, Reply, Request, check_source
from graphflow_nodes.channels import held_in
from graphflow_nodes.replies import list_of, parsed_json, spoken, texts_of

INSTRUCTIONS: Final = (
    "Extract facts about the user that will matter in later conversations, from the user's own words only: name, preferences, "
    "plans, people, circumstances. Add what is new, change what is no longer right, drop what the user takes back or wants "
    "forgotten. Keep each fact a short sentence. Answer with JSON: "
    '{"add": [{"memory": "...", "topics": ["..."]}], "change": [{"id": "...", "memory": "..."}], "drop": ["id"]}; '
    "leave out what does not apply, and answer {} when there is nothing."
)
_NOTHING: Final = re.compile(
    r"""\W*(?:
        (?:none|nothing|null|no|n/?a)\b (?:\W+(?:
            new|more|other|further|relevant|useful|facts?|memor(?:y|ies)|information|changes?|updates?|here|yet|at|all|found
            |was|were|so|far|this|time|about|the|user|to|add|keep|note|remember|report|extract
        ))*
      | (?:(?:i|there)\b .{0,30})? \b(?:no|any)\b .{0,20} \b(?:facts?|information)\b .*
      | there\b .{0,10} \bnothing\b .{0,10} \bto\ (?:remember|add|keep)\b .*
    )\W*""",
    re.I | re.X,
)
_BROKEN: Final = re.compile(r"[{}]|```|\A\[\s*[\"\[]")
"""What says that an answer is no plain text but JSON that cannot be read."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def recall(
    *, limit: int = 20, all_upto: int = 50, into: str = "memories", messages: str = "messages", with_ids: bool = False
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that reads what is known of the run's user into the channel ``into`` (``Annotated[list[str], untracked]``).

    All memories when there are at most ``all_upto``; else the ``limit`` that fit the user's words best. ``with_ids`` puts the
    id in front, for a model that has tools to change them. Add the node with ``rerunnable=True``. Without a user_id there are
    no memories, and a warning says so; there is no pool that anonymous users share.
    """
    options.whole("limit", limit)
    options.whole("all_upto", all_upto)

    @flow
    def read_memories(state: Any, ctx: Context) -> Flow[dict[str, Any]]:
        if not ctx.stored or _nobody(ctx):
            return {into: []}
        asked = " ".join(message.text for message in _said_by_user(state, messages))
        known: list[UserMemory] = yield ReadMemories(ctx.user_id or "", asked, limit, all_upto)
        return {into: [f"[{each.memory_id}] {each.memory}" if with_ids else each.memory for each in known]}

    return read_memories


def remember(
    model: Model | Callable[[], Model],
    *,
    limit: int = 20,
    instructions: str | None = None,
    messages: str = "messages",
) -> Callable[..., Flow[Any]]:
    """A node that looks at what the user said in this run and adds, changes and drops memories of that user, as side writes.

    It needs nothing but the input, so it can run beside the node that answers. The model sees at most ``limit`` memories that
    fit. Each memory notes the run and the message it comes from; running again after a crash doubles nothing. When the model
    fails, or its JSON cannot be read, the run goes on; that is told by an event ``memory_failed`` and noted in the run's
    metrics as ``memory_error``. It is not tried again: the next run looks at what is said then. Without a user_id nothing is
    kept, and a warning says so; in a member of a team neither: what it is told are the leader's words. ``instructions`` are
    added to those that the model gets.
    """
    check_source(model)
    options.whole("limit", limit)

    @flow
    def keep(state: Any, ctx: Context) -> Flow[Any]:
        said = [message for message in _said_by_user(state, messages) if message.text.strip()]
        if not ctx.stored or not said or ctx.is_member or _nobody(ctx):
            return None
        words = "\n".join(message.text for message in said)
        try:
            known: list[UserMemory] = yield ReadMemories(ctx.user_id or "", words, limit, limit)
            reply: Reply = yield Ask(
                model if isinstance(model, Model) else model(), _request(known, words, instructions), quiet=True
            )
            writes = changes_of(reply.content, known, said[-1].id)
        except Exception as error:
            ctx.note("memory_error", error_text(error))
            if ctx.listening:
                yield Emit("memory_failed", ctx.node, {"error": error}, ctx.ns)
            return None
        return Update(writes=writes) if writes else None

    return keep


def _request(known: Sequence[UserMemory], words: str, instructions: str | None) -> Request:
    system = INSTRUCTIONS + (f"\n{instructions}" if instructions else "")
    if known:
        system += "\n\nMemories so far:\n" + "\n".join(f"- [{each.memory_id}] {each.memory}" for each in known)
    return Request([Message("system", system), Message("user", words)])


def changes_of(content: str, known: Sequence[UserMemory], message_id: str | None) -> list[MemoryWrite]:
    """What a model's answer changes: the JSON it was asked for, or plain text with a fact on each line. What is of another kind
    than asked for changes nothing. Raises ValueError for JSON that cannot be read.
    """
    answer = parsed_json(content)
    versions = {each.memory_id: each.version for each in known}
    writes: list[MemoryWrite] = []
    if answer is None:
        answer = _facts(spoken(content))
    if isinstance(answer, list):
        answer = {"add": answer}
    for item in _items(answer.get("add") or answer.get("memories")):
        writes.append(MemoryWrite("add", item[0], item[1], message_id=message_id))
    for change in list_of(answer.get("change")):
        id = str(change.get("id")).strip("[]") if isinstance(change, dict) else ""
        for memory, topics in _items([change]) if id in versions else ():
            writes.append(MemoryWrite("change", memory, topics, id, versions[id], message_id))
    for id in (text.strip("[]") for text in texts_of(answer.get("drop"))):
        if id in versions:
            writes.append(MemoryWrite("drop", memory_id=id, version=versions[id], message_id=message_id))
    told = {each.memory.casefold() for each in known}
    return [write for write in writes if write.action != "add" or _fact(write.memory, versions).casefold() not in told]


def _facts(text: str) -> list[str]:
    """The facts of plain text, which has one on each line."""
    if _BROKEN.search(text):
        raise ValueError(f"the model's answer is neither JSON nor plain text: {excerpt(text, 200)}")
    lines = (_BULLET.sub("", line).strip() for line in text.splitlines())
    return [line for line in lines if _LETTER.search(line) and not line.endswith(":") and not _NOTHING.fullmatch(line)]


def _fact(memory: str, versions: dict[str, int]) -> str:
    """A memory without the id that it was shown with."""
    id, bracket, fact = memory.removeprefix("[").partition("] ")
    return fact if bracket and id in versions else memory


def _items(value: Any) -> list[tuple[str, tuple[str, ...]]]:
    """The facts in a list of texts, or of objects with ``memory`` and ``topics``."""
    found = []
    for item in list_of(value):
        memory = item.get("memory") if isinstance(item, dict) else item
        if isinstance(memory, str) and memory.strip():
            found.append((memory.strip(), tuple(texts_of(item.get("topics"))) if isinstance(item, dict) else ()))
    return found


def _said_by_user(state: Any, messages: str) -> list[Message]:
    return [message for message in held_in(state, messages) or () if message.role == "user"]


def _nobody(ctx: Context) -> bool:
    """Whether the run has no user, which is told: what is said is not remembered."""
    if ctx.user_id is not None:
        return False
    with suppress(Warning):  # where warnings are errors, this one is not to break the run
        warnings.warn(
            f"node {ctx.node!r} knows nobody and remembers nothing: give the run a user_id=", UserWarning, stacklevel=2
        )
    return True
