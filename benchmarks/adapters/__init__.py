"""Those who are measured: a folder each, brought to the shapes of the cases.

An adapter's folder has those of these modules for which its library can do the work; what each must define stands beside it:

* ``__init__``: ``IMPORTS``, statements by the name of a part of case imports. It imports nothing itself.
* ``graphs``: ``counting(shape, mode, steps)``, a run of a loop or a chain; ``declared(shape, mode, steps)``, which declares and
  compiles it; ``durable(store, mode, payload)``, a function that runs a loop of so many steps; ``fan_out(store, mode,
  branches)``, a run of a fan-out.
* ``agents``: ``made(tools)``, a function that makes an agent; ``agents(store, mode, tools)``, one that makes it together with a
  function to ask it (question, session).
* ``groups``: ``team(store)`` and ``workflow(store)``, functions to ask them (question, session).
* ``chat``: ``Chat(store, answers)``, a ``benchmarks.conversation.Talk`` (for case memory with ``copy(of, to)``, a session that
  begins as a copy of another one); ``service(store, pool, answers)``, a coroutine that gives a coroutine function of session
  and question.
* ``shapes``: the functions of case shapes, of (size, mode, store), that give a run.

Options that a subject is measured with (see ``benchmarks.peers.SUBJECTS``) are keywords of those functions. No module of
graphflow is loaded beside a peer.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.peers import SUBJECTS


def adapter(subject: str, room: str = "") -> Any:
    """The package of a subject, or its module for one kind of work."""
    folder = SUBJECTS[subject][0] if subject in SUBJECTS else subject
    return import_module(f"benchmarks.adapters.{folder.replace('-', '_')}{room and '.'}{room}")


def options(subject: str) -> dict[str, str]:
    """The settings a subject is measured with, where they are not its defaults."""
    return SUBJECTS[subject][1] if subject in SUBJECTS else {}
