"""A graph as a Mermaid flowchart, which Markdown pages and mermaid.live draw."""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphflow.core.control import END, START
from graphflow.core.plan import Plan
from graphflow.draw.picture import ANY, Line, Shape, picture_of

_RESERVED = frozenset(
    {
        *("accdescr", "acctitle", "call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph"),
        *("href", "interpolate", "linkstyle", "style", "subgraph"),
    }
)
"""Words that mean something else to Mermaid where a node's id stands."""

_FRAMES = {"start": ("([", "])"), "end": ("([", "])"), "all": ("((", "))"), "any": ("((", "))")}


def draw_mermaid(plan: Plan) -> str:
    """The graph as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), top down.

    Solid arrows are always taken. Dashed ones are chosen at run time: by a router (a Send's target among them) or by a Command;
    the label is the router's result where that is not the node's own name. A router or a Command that declares no targets may
    reach any node, and is drawn so. A circle marked "all" is a join: what follows it waits for all that lead to it; one marked
    "any" is a choice among all that follow it. A nested graph is a subgraph with its own START and END.
    """
    return "\n".join(["flowchart TD", *_lines(plan, "", "    ")]) + "\n"


def _lines(plan: Plan, prefix: str, indent: str) -> Iterator[str]:
    picture = picture_of(plan)
    circles = [shape.key for shape in picture.shapes if shape.kind == "all"]
    ids = {key: f"{prefix}join_{index}" for index, key in enumerate(circles)}
    ids |= {START: f"{prefix}start", END: f"{prefix}finish", ANY: f"{prefix}any_0"}
    ids |= {name: prefix + _id(name, index) for index, name in enumerate(plan.nodes)}
    for shape in picture.shapes:
        yield from _shape(shape, ids[shape.key], indent)
    for line in picture.lines:
        yield f"{indent}{ids[line.source]} {_arrow(line)} {ids[line.target]}"


def _shape(shape: Shape, id: str, indent: str) -> Iterator[str]:
    if shape.inner is not None:
        yield f'{indent}subgraph {id}["{_escaped(shape.text)}"]'
        yield f"{indent}    direction TB"
        yield from _lines(shape.inner, f"{id}__", indent + "    ")
        yield f"{indent}end"
        return
    opening, closing = _FRAMES.get(shape.kind, ("[", "]"))
    yield f'{indent}{id}{opening}"{_escaped(shape.text)}"{closing}'


def _id(name: str, index: int) -> str:
    """The node's name where Mermaid can read it as an id, else a number. Two underscores stand only between a nested graph
    and what is in it.
    """
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*", name) is not None and name.lower() not in _RESERVED
    taken = name in ("start", "finish") or re.fullmatch(r"(?:any|join|node)_\d+", name) is not None
    return name if plain and not taken else f"node_{index}"


def _escaped(text: str) -> str:
    """Text for between double quotes: what Mermaid, HTML or Markdown would read as more than a letter becomes a character
    code.
    """
    item = re.match(r"\s*(\d+[.)]|-)", text)  # would begin a list
    marks = {found.start() for found in re.finditer(r"(?<![^\W_])_|_(?![^\W_])", text)} | ({item.end() - 1} if item else set())
    return "".join(
        c if at not in marks and (c.isalnum() or c in " _-.,()/?!'=") else f"#{ord(c)};" for at, c in enumerate(text)
    )


def _arrow(line: Line) -> str:
    arrow = "-.->" if line.dashed else "-->"
    return f'{arrow}|"{_escaped(line.label)}"|' if line.label else arrow
