"""Side writes: records that a task hands over beside its update, stored by the commit of its superstep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from graphflow.core.effects import Emit, Flow
from graphflow.core.ids import digest
from graphflow.core.stored import MemoryWrite, RunWrite, SideWrite, SummaryWrite
from graphflow.core.tasks import Task
from graphflow.errors import InvalidUpdate, NoDatabase

_TELLS: Final = {"add": "added", "change": "changed", "drop": "dropped"}


def stamped(task: Task, writes: Sequence[Any]) -> tuple[SideWrite, ...]:
    """A task's side writes, checked, each with whom and where it comes from.

    Raises NoDatabase without a stored session and InvalidUpdate for what cannot be stored: nothing is lost in silence.
    """
    if task.run.db is None or task.run.session_id is None:
        raise NoDatabase(f"node {task.node.name!r} hands over side writes, but the graph has no database; compile it with db=")
    return tuple(_stamped(task, index, write) for index, write in enumerate(writes))


def _stamped(task: Task, index: int, write: Any) -> SideWrite:
    if isinstance(write, SummaryWrite):
        if type(write.text) is not str or type(write.upto_seq) is not int or write.upto_seq < 0:
            raise _wrong(task, write, "a summary is a text up to a row of the message log")
        return replace(write, topics=_topics(task, write), ns=task.run.log_ns)
    if not isinstance(write, MemoryWrite):
        raise _wrong(task, write, "side writes are SummaryWrite or MemoryWrite")
    user_id = task.run.user_id
    if user_id is None:
        raise _wrong(task, write, "the run has no user_id, and memories belong to a user: give the call a user_id=")
    if write.user_id not in (None, user_id):
        raise _wrong(task, write, f"a run changes the memories of its own user only, which is {user_id!r}")
    if write.action not in _TELLS:
        raise _wrong(task, write, "action is 'add', 'change' or 'drop'")
    if write.action != "drop" and (type(write.memory) is not str or not write.memory.strip()):
        raise _wrong(task, write, "memory is a text")
    if write.action != "add" and (type(write.memory_id) is not str or type(write.version) is not int):
        raise _wrong(task, write, "a change or a drop names memory_id and version as they were read")
    return replace(write, topics=_topics(task, write), user_id=user_id, key=memory_key(task.run.run_id, task.id, index))


def memory_key(run_id: str, task_id: str, index: int) -> str:
    """The id of a memory that is added: the same whenever its task runs again."""
    return digest(f"{run_id}\n{task_id}\n{index}", 12)


def _topics(task: Task, write: SummaryWrite | MemoryWrite) -> tuple[str, ...]:
    topics = () if isinstance(write.topics, str) else tuple(write.topics)
    if isinstance(write.topics, str) or not all(type(topic) is str for topic in topics):
        raise _wrong(task, write, "topics are texts in a tuple")
    return topics


def _wrong(task: Task, write: Any, problem: str) -> InvalidUpdate:
    name = task.node.name
    return InvalidUpdate(f"node {name!r} hands over a side write {write!r}: {problem}", nodes=(name,))


def told(write: SideWrite, task: Task) -> Flow[None]:
    """The event that says what was stored; what a nested run said was told while it ran."""
    if isinstance(write, RunWrite):
        return
    data: dict[str, Any]
    if isinstance(write, SummaryWrite):
        kind, data = "summary_updated", {"summary": write.text, "topics": write.topics, "upto_seq": write.upto_seq}
    else:
        kind, data = "memory_updated", {"action": _TELLS[write.action], "memory": write.memory, "topics": write.topics}
        data["memory_id"] = write.key if write.action == "add" else write.memory_id
    if task.run.hears(kind):
        yield Emit(kind, task.node.name, data, task.run.ns)
