"""Importing what is used when it is used: the names of a package (PEP 562), and modules that declaring things does not need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def exports(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose public names live in the modules that ``homes`` tells."""

    def resolve(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return resolve, names


class deferred:
    """A module that is imported when something in it is first used: ``runs = deferred("graphflow.core.runs")``.

    For what runs graphs, in modules that declare them: whoever imports an Agent to look at it, to name it on a command line or
    in a test that runs another one, need not wait for pydantic. What is only named in annotations is imported for type
    checkers, under ``if TYPE_CHECKING``.
    """

    __slots__ = ("_importer", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._importer = sys._getframe(1).f_globals

    def __getattr__(self, attribute: str) -> Any:
        module = import_module(self._name)
        for name, value in list(self._importer.items()):
            if value is self:
                self._importer[name] = module  # from now on it is found there as if it had been imported
        return getattr(module, attribute)
