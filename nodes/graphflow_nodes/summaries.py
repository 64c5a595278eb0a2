"""The node that keeps a rolling summary of a session, which takes the place of the beginning of a long conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from graphflow.core import options
from graphflow.core.control import END, Context, Update
from graphflow.core.effects import Ask, Emit, Flow, ReadHistory
from graphflow.core.excerpts import error_text, excerpt
from graphflow.core.memories import ReadSummary, Summary
from graphflow.core.plan import flow
from graphflow.core.stored import SummaryWrite
from graphflow.messages import FilePart, Message, TextPart
from graphflow.models.base import Model, Reply, Request, check_source
from graphflow_nodes.channels import reader
from graphflow_nodes.conversation import message_tokens, tokens_of
from graphflow_nodes.replies import parsed_json, spoken, texts_of

INSTRUCTIONS: Final = (
    "Summarise the conversation between a user and an assistant. Return one new summary that holds what the summary so far "
    "says and what the new messages add, above all facts, names, numbers, dates, decisions and open questions. Leave out "
    "greetings. At most {words} words.\n"
    'Answer with a JSON object with the keys "summary" (a text) and "topics" (a list of texts).'
)
CHUNK: Final = 6_000
"""Tokens that are summarised at once. A session that got its first summary late is caught up with piece by piece."""
CHUNKS: Final = 8
"""Pieces in one run; the next one goes on."""
EVER: Final = 2**62


def is_due(
    messages: Sequence[Message],
    after_messages: int,
    after_tokens: int | None,
    max_tokens: int | None = None,
    summary: str = "",
) -> bool:
    """Whether so much was said since the last ``summary`` that there should be a new one, or more than fits with it into
    ``max_tokens``.
    """
    if len(messages) > after_messages:
        return True
    if after_tokens is None and max_tokens is None:
        return False
    tokens = sum(map(message_tokens, messages))
    if after_tokens is not None and tokens > after_tokens:
        return True
    return max_tokens is not None and tokens + tokens_of(summary) > max_tokens


def when_due(
    answered: Callable[[Any], Any],
    *,
    after_messages: int = 20,
    after_tokens: int | None = None,
    max_tokens: int | None = None,
    messages: str = "messages",
    history: str = "history",
    summary: str = "summary",
    incomplete: str = "history_incomplete",
    node: str = "summarize",
) -> Callable[[Any], Any]:
    """A router around another one (such as ``wanted_calls()``): where that one ends, it goes to ``node`` when a summary is due,
    so that a turn without one costs nothing more.

    Give it the bounds of ``summarize``. What was said since the last summary is what the channels ``history`` and ``messages``
    hold; where ``incomplete`` says that they do not hold all of it (see ``history``), the node has to look.
    """

    def route(state: Any) -> Any:
        targets = answered(state)
        if targets != [END]:
            return targets
        held = reader(state)
        if held(incomplete):
            return [node]
        said = [*(held(history) or ()), *(held(messages) or ())]
        return [node] if is_due(said, after_messages, after_tokens, max_tokens, held(summary) or "") else [END]

    return route


def summarize(
    model: Model | Callable[[], Model],
    *,
    after_messages: int = 20,
    keep_last: int = 6,
    after_tokens: int | None = None,
    max_tokens: int | None = None,
    max_words: int = 200,
    instructions: str | None = None,
) -> Callable[..., Flow[Any]]:
    """A node that keeps a rolling summary of the session: of the previous summary and what was said since, without the
    ``keep_last`` newest messages, as soon as that is more than ``after_messages`` messages (or ``after_tokens`` tokens,
    estimated; or, together with the previous summary, ``max_tokens``, which is what ``history`` was given as its cap).

    The summary is a side write of the node. Each message is summarised once, so what it costs in all grows with the
    conversation and no faster. When the model fails, the run goes on; that is told by an event ``summary_failed``, noted in the
    run's metrics as ``summary_error``, and tried again in the next run. Give the node an edge from the node that answers.
    Without a stored session it does nothing. ``instructions`` are added to those that the model gets.
    """
    check_source(model)
    options.whole("after_messages", after_messages, 1)
    options.whole("keep_last", keep_last, 0, after_messages - 1)
    options.whole("after_tokens", after_tokens, 1, none="no bound")
    options.whole("max_tokens", max_tokens, none="no cap")
    options.whole("max_words", max_words, 1)

    @flow
    def summarise(state: Any, ctx: Context) -> Flow[Any]:
        if not ctx.stored:
            return None
        try:
            write = yield from folded(
                model,
                ctx.session_id or "",
                ctx.log_ns,
                ctx.run_id,
                due=lambda said, summary: is_due(said, after_messages, after_tokens, max_tokens, summary),
                keep_last=keep_last,
                max_words=max_words,
                instructions=instructions,
            )
        except Exception as error:
            problem = error_text(error)
            ctx.note("summary_error", problem)
            if ctx.listening:
                yield Emit("summary_failed", ctx.node, {"error": error}, ctx.ns)
            return None
        return None if write is None else Update(writes=(write,))

    return summarise


# --- what a model is asked, and what its answer means ------------------------------------------------------------------------


def folded(
    model: Model | Callable[[], Model],
    session_id: str,
    ns: str,
    run_id: str | None,
    *,
    due: Callable[[Sequence[Message], str], bool],
    keep_last: int,
    max_words: int,
    instructions: str | None = None,
) -> Flow[SummaryWrite | None]:
    """The next summary of a session, as a side write; None when nothing is new, or none is ``due`` by what was said since the
    last one and that one's text.
    """
    previous: Summary | None = yield ReadSummary(session_id, ns)
    after = 0 if previous is None else previous.upto_seq
    said: list[tuple[int, Message]] = yield ReadHistory(session_id, EVER, ns=ns, after=after, numbered=True, run_id=run_id)
    text, topics = ("", ()) if previous is None else (previous.text, previous.topics)
    if not due([message for _, message in said], text):
        return None
    old = _whole_exchanges(said, keep_last)
    written: SummaryWrite | None = None
    for piece in _pieces(old)[:CHUNKS]:
        asked = _request(text, [message for _, message in piece], max_words, instructions)
        reply: Reply = yield Ask(model if isinstance(model, Model) else model(), asked, quiet=True)
        text, topics = _read(reply.content, max_words)
        written = SummaryWrite(text, piece[-1][0], topics)
    return written


def _whole_exchanges(said: list[tuple[int, Message]], keep_last: int) -> list[tuple[int, Message]]:
    """What is summarised: all but the newest messages; calls of tools and their answers are not parted."""
    end = len(said) - keep_last
    while 0 < end < len(said) and said[end][1].role == "tool":
        end -= 1
    return said[: max(0, end)]


def _pieces(said: list[tuple[int, Message]]) -> list[list[tuple[int, Message]]]:
    pieces: list[list[tuple[int, Message]]] = []
    size = 0
    for numbered in said:
        tokens = tokens_of(_line(numbered[1]))
        if not pieces or size + tokens > CHUNK:
            pieces.append([])
            size = 0
        pieces[-1].append(numbered)
        size += tokens
    return pieces


def _request(summary: str, messages: Sequence[Message], words: int, instructions: str | None) -> Request:
    system = INSTRUCTIONS.format(words=words) + (f"\n{instructions}" if instructions else "")
    system += f"\n\nSummary so far:\n{summary}" if summary else ""
    return Request([Message("system", system), Message("user", "\n".join(map(_line, messages)))])


def _line(message: Message) -> str:
    """A message as a line of the conversation; what is longer than a whole piece is cut."""
    called = "".join(f" [calls {call.name}]" for call in message.tool_calls)
    text = message.text
    most = 4 * CHUNK
    shown = "" if type(message.content) is str else "".join(map(_shown_part, message.content))
    return f"{message.role}: {text if len(text) <= most else text[:most] + '…'}{shown}{called}"


def _shown_part(part: Any) -> str:
    """That there was an image or a file, whose contents are not summarised."""
    if isinstance(part, TextPart):
        return ""
    name = part.name if isinstance(part, FilePart) else None
    return f" [{part.type}{f' {name}' if name else ''}]"


def _read(content: str, words: int) -> tuple[str, tuple[str, ...]]:
    """The summary that a model answered, as the JSON it was asked for or as plain text; never longer than allowed."""
    answer: Any = parsed_json(content)
    text = spoken(content)
    topics: tuple[str, ...] = ()
    if isinstance(answer, dict) and isinstance(answer.get("summary"), str):
        text, topics = answer["summary"], tuple(texts_of(answer.get("topics")))
    elif text.startswith(("{", "```")):
        raise ValueError(f"the model's answer is neither the JSON it was asked for nor plain text: {excerpt(text, 200)}")
    most = words * 12
    text = text.strip()
    if not text:
        raise ValueError("the model answered with an empty summary")
    return (text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + "…"), topics[:20]
