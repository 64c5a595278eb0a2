"""``module:name`` on the command line: the object it stands for, or what was probably meant."""

from __future__ import annotations

import difflib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

from graphflow.builder import StateGraph
from graphflow.cli.failure import Failure, in_one_line
from graphflow.graph import Graph
from graphflow.run import Runner


def load_graph(reference: str) -> Graph:
    """The graph that ``module:name`` stands for; of an agent, the graph it compiles to. Raises Failure, GraphError."""
    found = _load(reference, (Graph, Runner, StateGraph), "a graph or an agent")
    if isinstance(found, StateGraph):
        return found.compile()
    graph: Graph = found.graph if isinstance(found, Runner) else found
    return graph


def load_agent(reference: str) -> Runner:
    """The agent that ``module:name`` stands for. Raises Failure."""
    agent: Runner = _load(reference, (Runner,), "an agent")
    return agent


def _load(reference: str, kinds: tuple[type, ...], what: str) -> Any:
    module_name, _, path = reference.partition(":")
    _check_form(reference, module_name)
    module = _imported(module_name)
    fitting = [name for name, value in vars(module).items() if isinstance(value, kinds)]
    if not path:
        raise Failure(f"{reference!r} names no object: write {_choice(module_name, fitting)}", exit_code=2)
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            near = _nearest(name, dir(found)) if found is module else None
            raise Failure(f"{module_name} has no {path!r}; {_suggestion(near, module_name, fitting)}")
        found = getattr(found, name)
    if not isinstance(found, kinds):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise Failure(f"{reference} is {kind}, not {what}; {_suggestion(None, module_name, fitting)}")
    return found


def _check_form(reference: str, module_name: str) -> None:
    if module_name.endswith(".py") or "/" in module_name or os.sep in module_name:
        dotted = module_name.removesuffix(".py").replace(os.sep, ".").replace("/", ".").strip(".")
        raise Failure(
            f"{module_name!r} is a path: write the module's name, {dotted}{reference[len(module_name) :]}", exit_code=2
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise Failure(f"{reference!r} is not a reference: write module:name, for example mybot:agent", exit_code=2)


def _imported(name: str) -> ModuleType:
    """The module, also from the current directory."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise Failure(f"{name} needs the module {error.name!r}, which is not installed") from error
        near = _nearest(name.removeprefix(_package_of(error.name)), _modules_beside(error.name))
        hint = f"did you mean {_package_of(error.name)}{near}?" if near else "it is looked for in the current directory, too"
        raise Failure(f"there is no module {error.name!r}; {hint}") from error
    except SystemExit as error:
        raise Failure(
            f"{name} ended the program while it was imported; put what it runs under if __name__ == '__main__'"
        ) from error
    except Exception as error:
        raise Failure(f"{name} cannot be imported: {in_one_line(error)}{_place(error)}") from error


def _package_of(name: str) -> str:
    """The part of a dotted name before its last, with the dot."""
    package, dot, _ = name.rpartition(".")
    return package + dot


def _modules_beside(name: str) -> list[str]:
    package = _package_of(name).rstrip(".")
    places = list(getattr(sys.modules.get(package), "__path__", [])) if package else [os.getcwd(), *sys.path]
    return [module.name for module in pkgutil.iter_modules(places)]


def _place(error: Exception) -> str:
    """Where in the user's file an import failed."""
    if isinstance(error, SyntaxError):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, [each for each in known if not each.startswith("__")], n=1)), None)


def _choice(module_name: str, fitting: list[str]) -> str:
    return " or ".join(f"{module_name}:{name}" for name in fitting) or f"{module_name}:name"


def _suggestion(near: str | None, module_name: str, fitting: list[str]) -> str:
    if near is not None:
        return f"did you mean {module_name}:{near}?"
    return f"{module_name} has {_choice(module_name, fitting)}" if fitting else f"there is none in {module_name}"
