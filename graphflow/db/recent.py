"""What this process left in its sessions a moment ago, so that their next turn need not ask the database where they stand.

A run that ends here knows how its session stands and what was said; the next one begins on that. Nothing rests on it being
true: the first commit of a run compares the session's row (its number, head, epoch and owner) before it writes. Where another
process has been there meanwhile it fails, what was kept is dropped, and the database is asked; until then no model and no node
has been given anything. The idea is optimistic concurrency control (Kung and Robinson, 1981). A file tells for next to nothing
whether somebody else has written to it, and is asked that as well.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, deque
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from graphflow.core.effects import Commit, Load, NewCheckpoint, OpenRun, ReadHistory
from graphflow.core.state import StateSchema, Values
from graphflow.core.stored import Frontier, LogEntry, Run, Stored, Weight
from graphflow.db.codec import channel_codecs
from graphflow.db.history import keep_pairs
from graphflow.messages import Message

SESSIONS: Final = 512
"""How many sessions are kept in mind: those that were used last."""
LARGEST: Final = 16_384
"""Bytes of a stored state above which a session is not kept in mind: copying it would cost more than reading it."""
LONGEST: Final = 32_768
"""Characters of earlier messages kept in mind for each session."""


class Recent:
    """Sessions as this process left them. Every method may be called from any thread; the runs of one session take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def knows(self, session_id: str) -> bool:
        """Whether the session's last run ended here."""
        kept = self._kept.get(session_id)
        return kept is not None and kept.left is not None

    def load(self, effect: Load) -> Stored | None:
        """The session at its head, when its last run ended here, for this user and on this graph. It is handed over: whoever
        comes after a run that does not begin then asks the database.
        """
        kept = self._kept.get(effect.session_id)
        if kept is None or kept.user_id != effect.user_id or kept.schema is not effect.schema:
            return None
        if kept.run.fingerprint != effect.recent:
            return None
        left, kept.left = kept.left, None
        return left

    def history(self, effect: ReadHistory) -> list[Message] | None:
        """What a run that has begun here is told of earlier ones; None when that is not all in mind."""
        kept = self._running(effect)
        return None if kept is None else kept.history(effect.last_runs or 0)

    def read(self, effect: ReadHistory, messages: list[Message]) -> None:
        """Keep in mind what the database told of earlier runs."""
        kept = self._running(effect)
        if kept is not None:
            runs = _by_run(messages)
            kept.earlier = deque(map(_Turn, runs))
            kept.reaches_back = bool(runs) and (messages[0].id or "").endswith("-1")
            kept.bound()

    def committed(self, effect: Commit) -> None:
        """A commit of this process was acknowledged. An Advance need not be told: nothing of it is kept."""
        if effect.ns:
            return
        kept = self._kept.get(effect.session_id)
        if effect.opened is not None and effect.take_over:
            self._opened(effect, kept if kept is not None and kept.stood(effect) else None)
        elif kept is not None and not (kept.epoch == effect.epoch and kept.goes_on(effect)):
            self.drop(effect.session_id)

    def drop(self, session_id: str) -> None:
        """Forget a session: it does not stand where it was left."""
        with self._lock:
            self._kept.pop(session_id, None)

    def _opened(self, effect: Commit, before: _Kept | None) -> None:
        opened, new = effect.opened, effect.checkpoint
        if opened is None or new is None or effect.status != "running" or effect.closed or opened.idempotency_key is not None:
            self.drop(effect.session_id)
            return
        place = new.weight.session, effect.user_id, new.seq, effect.epoch + 1
        kept = _Kept(effect.session_type, *place, opened, new.schema, _as_written(effect))
        if before is None:
            kept.reaches_back = effect.epoch == 0
        else:
            kept.earlier, kept.wanted, kept.reaches_back = before.earlier, before.wanted, before.reaches_back
        with self._lock:
            self._kept[effect.session_id] = kept
            self._kept.move_to_end(effect.session_id)
            if len(self._kept) > SESSIONS:
                self._kept.popitem(last=False)

    def _running(self, effect: ReadHistory) -> _Kept | None:
        """The session, when a run that is under way here asks for whole runs before it."""
        others = effect.ns or effect.numbered or effect.after is not None or effect.last_messages is not None
        if others or effect.last_runs is None:
            return None
        kept = self._kept.get(effect.session_id)
        return kept if kept is not None and not kept.ended and kept.run.first_message == effect.before else None


@dataclass(slots=True)
class _Kept:
    """A session as it was left, or as the run that is under way here has left it so far."""

    session_type: str
    session: int | None
    """The database's own number of it: a session that is deleted and begun anew bears the same id, and is another one."""
    user_id: str | None
    head: int
    """Where it stood when the run began, or where it stands since the run has ended: meanwhile it goes on by itself."""
    epoch: int
    run: OpenRun
    schema: StateSchema
    said: list[LogEntry]
    """What the run added to the message log."""
    earlier: deque[_Turn] = field(default_factory=deque)
    """What was said in earlier runs, the newest last."""
    wanted: int = 0
    """How many of them were asked for."""
    reaches_back: bool = False
    """Whether these are all there are."""
    ended: bool = False
    left: Stored | None = None
    """How the run left the session when it came to its end, until the next one begins on that."""

    def stood(self, effect: Commit) -> bool:
        """Whether a run that begins found this very session, its user's, where it was left."""
        found = effect.session, effect.user_id, effect.head, effect.epoch
        return found == (self.session, self.user_id, self.head, self.epoch)

    def goes_on(self, effect: Commit) -> bool:
        """Take note of a commit that follows; False when nothing can be told of how the session stands after it."""
        if effect.reopened is not None or effect.take_over or self.ended:
            return False
        new = effect.checkpoint
        if effect.messages:
            self.said += _as_written(effect)
        if effect.status is None:
            return not effect.closed
        return effect.status == "completed" and len(effect.closed) == 1 and new is not None and self._ended(effect, new)

    def _ended(self, effect: Commit, new: NewCheckpoint) -> bool:
        run, weight = self.run, new.weight
        if weight.foreign or weight.snapshot_bytes + weight.delta_bytes > LARGEST:
            return False
        values = _left(self.schema, new.values)
        turn = _own_messages(run.run_id, self.said, new.log_head)
        if values is None or turn is None:
            return False
        self.earlier.append(_Turn(turn))
        self.bound()
        self.said, self.ended, self.head = [], True, new.seq
        self.left = Stored(
            session_id=effect.session_id,
            session_type=self.session_type,
            user_id=self.user_id,
            status="completed",
            head=self.head,
            epoch=self.epoch,
            seq=self.head,
            frontier=Frontier(self.head),
            values=values,
            ranges={name: list(ranges) for name, ranges in new.ranges.items()},
            log_head=new.log_head,
            weight=Weight(
                weight.snapshot_seq, weight.snapshot_bytes, weight.delta_bytes, weight.session, weight.run, texts=weight.texts
            ),
            run=Run(run.run_id, "completed", run.first_message, run.fingerprint, run.component_id),
            tasks=[],
            created_at=0.0,
            recalled=True,
        )
        return True

    def history(self, last_runs: int) -> list[Message] | None:
        """The messages of the last runs before the one that is under way."""
        self.wanted = max(self.wanted, last_runs)
        if len(self.earlier) < last_runs and not self.reaches_back:
            return None
        turns = [*self.earlier][max(0, len(self.earlier) - last_runs) :]
        said = [message for turn in turns for message in turn.said]
        return said if all([turn.plain for turn in turns]) else keep_pairs([*map(_own_copy, said)])

    def bound(self) -> None:
        """Let go of the oldest runs, which nobody asks for, or which are too much to keep."""
        held = sum([turn.length for turn in self.earlier])
        while self.earlier and (held > LONGEST or len(self.earlier) > self.wanted):
            held -= self.earlier.popleft().length
            self.reaches_back = False


class _Turn:
    """What was said in a run, how much that is, and whether it is nothing but texts, without calls of tools."""

    __slots__ = ("length", "plain", "said")

    def __init__(self, said: list[Message]) -> None:
        self.said = said
        self.length, self.plain = 0, True
        for message in said:
            self.length += _length(message)
            if message.role == "tool" or message.tool_calls or not isinstance(message.content, str):
                self.plain = False


def _left(schema: StateSchema, values: Values) -> Values | None:
    """The state without what the next run does not begin with; None when it cannot be copied."""
    left = schema.initial()
    try:
        for name, codec in channel_codecs(schema).items():
            lifetime = codec.channel.lifetime
            if name in values and lifetime != "logged":
                # What lived as long as the run is emptied by the next one, which only asks whether there is anything.
                left[name] = _copied(values[name]) if lifetime == "session" else _SPENT
    except Exception:  # values of users' classes may not want to be copied
        return None
    return left


_SPENT: Final = object()
"""Stands for what a channel held that starts fresh in each run."""


def _copied(value: Any) -> Any:
    return {} if type(value) is dict and not value else deepcopy(value)  # most agents keep nothing in their session_state


def _as_written(effect: Commit) -> list[LogEntry]:
    """What a commit added to the log, before a tool has had its arguments in hand."""
    return [_own_copy(entry) if isinstance(entry, Message) else entry for entry in effect.messages]


def _own_messages(run_id: str, said: list[LogEntry], log_head: int) -> list[Message] | None:
    """What was said in a run; None when some of it replaced or removed something, or is called as users call it."""
    first = log_head - len(said) + 1
    messages: list[Message] = []
    for seq, entry in enumerate(said, first):
        if not isinstance(entry, Message) or entry.id != f"{run_id}-{seq}":
            return None
        messages.append(entry)
    return messages


def _by_run(messages: list[Message]) -> list[list[Message]]:
    """Messages run by run; none when there are some that are not called by their run and place, but as users call them."""
    runs: dict[str, list[Message]] = {}
    last = 0
    for message in messages:
        own = _OWN_ID.fullmatch(message.id or "")
        if own is None or int(own[2]) <= last:
            return []
        last = int(own[2])
        runs.setdefault(own[1], []).append(_own_copy(message))
    return [*runs.values()]


_OWN_ID: Final = re.compile(r"([\w-]{16})-(\d{1,18})", re.ASCII)
"""What a message is called that was given no id: by the id of its run (``core.ids.new_id``) and its place in the log."""


def _own_copy(message: Message) -> Message:
    """The message, or a copy of one that somebody might change in place."""
    content, calls = message.content, message.tool_calls
    if isinstance(content, str) and not calls:
        return message
    copies = tuple([call.model_copy(update={"arguments": deepcopy(call.arguments)}) for call in calls])
    return message.model_copy(update={"content": content if isinstance(content, str) else [*content], "tool_calls": copies})


def _length(message: Message) -> int:
    text = message.content if isinstance(message.content, str) else message.text
    calls = sum([len(str(call.arguments)) for call in message.tool_calls]) if message.tool_calls else 0
    return 64 + len(text) + calls
