"""Where a run goes next: static edges, joins, conditional edges, Commands, Sends, deferred nodes."""

from __future__ import annotations

import difflib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from graphflow.core.checks import unknown
from graphflow.core.control import END, MISSING, STOP, Command, Send
from graphflow.core.effects import Call, Flow, is_awaitable
from graphflow.core.hints import one
from graphflow.core.ids import exact
from graphflow.core.plan import Branch, NodePlan, Plan
from graphflow.core.state import Values
from graphflow.core.stored import Frontier, TaskResult
from graphflow.errors import InvalidUpdate, UnknownTarget

Results = Sequence[tuple[NodePlan, TaskResult]]
"""The nodes that ran, in the order of their tasks, and what each gave."""
Choices = Mapping[Branch, Any]
"""What routers gave that have been asked."""

NO_CHOICES: Final[Choices] = {}


def ask_and_route(plan: Plan, values: Values, frontier: Frontier, results: Results) -> Flow[None]:
    """``route``, in a plan that may have async routers: all routers are asked before, each in its turn."""
    choices: dict[Branch, Any] = {}
    for node in {node.name: node for node, _ in results}.values() if plan.awaits else ():
        for branch in node.branches:
            if not branch.router.awaits:
                choices[branch] = _asked(plan, values, node, branch)
                continue
            view = plan.schema.view(values)
            try:
                choices[branch] = yield Call(branch.router.call, (view,), {}, True)
            except Exception as error:
                error.add_note(_raised_by(branch, node))
                raise
    route(plan, values, frontier, results, choices)


def route(plan: Plan, values: Values, frontier: Frontier, results: Results, choices: Choices = NO_CHOICES) -> None:
    """Write the next tasks into the frontier. Named nodes run once however many edges lead there, each Send is a task
    of its own.

    Routers see the state after the superstep and are asked once for each node that ran. Deferred nodes wait until nothing else
    is left. STOP among the targets leaves nothing to run. When a router raises, the frontier stays as it was.
    """
    if len(results) == 1 and not choices:
        node, result = results[0]
        if len(node.branches) == 1 and not (node.edges or node.joins or plan.defers or result.goto):
            branch = node.branches[0]
            chosen = _asked(plan, values, node, branch)
            known = branch.targets
            goal = chosen if known is None else known.get(chosen) if type(chosen) is str else None
            if type(goal) is str and goal in plan.nodes:  # what most routers give: one node
                frontier.next = [goal]
                return
            choices = {branch: chosen}
    names: dict[str, None] = {}
    sends: list[Send] = []
    asked: set[str] | None = set() if len(results) > 1 else None
    joins = {key: list(arrived) for key, arrived in frontier.joins.items()} if plan.joins else None
    stops = False
    nodes = plan.nodes
    for node, result in results:
        for target in node.edges:
            names[target] = None
        if result.goto:
            _add(result.goto, names, sends)
            stops = stops or STOP in result.goto
        if asked is not None:
            if node.name in asked:
                continue
            asked.add(node.name)
        for branch in node.branches:
            chosen = choices[branch] if branch in choices else _asked(plan, values, node, branch)
            _follow(plan, branch, chosen, node.name, names, sends)
        if joins is not None:
            _arrive(node, joins, names)
    if stops:
        frontier.next, frontier.deferred, frontier.joins = [], [], {}
        return
    names.pop(END, None)
    if len(names) > 1:
        names = dict.fromkeys(sorted(names, key=lambda name: nodes[name].index))
    if joins is not None:
        frontier.joins = joins
    if plan.defers:
        deferred = {*frontier.deferred, *(name for name in names if nodes[name].defer)}
        frontier.deferred = sorted(deferred, key=lambda name: nodes[name].index)
        frontier.next = [name for name in names if not nodes[name].defer]
    else:
        frontier.next = list(names)
    frontier.next += sends


def _asked(plan: Plan, values: Values, node: NodePlan, branch: Branch) -> Any:
    """What a router gives. StopIteration cannot pass through generators, so it is wrapped."""
    view = plan.schema.view(values)
    try:
        return branch.router.call(view)
    except StopIteration as error:
        raise RuntimeError(f"the router {branch.name!r} of node {node.name!r} raised StopIteration") from error
    except Exception as error:
        error.add_note(_raised_by(branch, node))
        raise


def _raised_by(branch: Branch, node: NodePlan) -> str:
    return f"raised by the router {branch.name!r} of node {node.name!r}"


def _arrive(node: NodePlan, joins: dict[str, list[str]], names: dict[str, None]) -> None:
    """Count a node in at the joins it is a source of."""
    for join in node.joins:
        arrived = joins.setdefault(join.key, [])
        if node.name not in arrived:
            arrived.append(node.name)
        if len(arrived) == len(join.sources):
            del joins[join.key]
            names[join.target] = None


def _add(targets: Sequence[str | Send], names: dict[str, None], sends: list[Send]) -> None:
    for target in targets:
        if isinstance(target, Send):
            sends.append(target)
        else:
            names[exact(target)] = None


def targets_of(command: Command, plan: Plan, node: str) -> tuple[str | Send, ...]:
    """Where a Command of a node goes, checked. Raises UnknownTarget, and InvalidUpdate for a Command that no node can give."""
    refuse_answer(command, node)
    goto = command.goto
    if not isinstance(goto, str | Send | Sequence):
        what = f"a Command of node {node!r} has goto={goto!r}"
        raise UnknownTarget(f"{what}; give a node's name, a Send, or a list of them, or leave it out: the edges stay")
    targets = (goto,) if isinstance(goto, str | Send) else tuple(goto)
    for target in targets if targets != (STOP,) else ():
        _check(plan, target, f"a Command of node {node!r}")
    return tuple([target if isinstance(target, Send) else exact(target) for target in targets])


def refuse_answer(command: Command, node: str) -> None:
    """Raise InvalidUpdate for a Command of a node that holds an answer: that is for whoever calls the graph to give."""
    if command.resume is not MISSING:
        raise InvalidUpdate(
            f"node {node!r} returned Command(resume={command.resume!r}), but answers come from outside of the run: "
            "graph.resume(session_id, answer). A node says update= and goto=; in it, interrupt() gives the answer",
            nodes=(node,),
        )


def _follow(plan: Plan, branch: Branch, chosen: object, node: str, names: dict[str, None], sends: list[Send]) -> None:
    """Add the targets that a router's result stands for, checked."""
    known, nodes = branch.targets, plan.nodes
    where = f"the router {branch.name!r} of node {node!r}"
    for result in chosen if isinstance(chosen, list | tuple) else (chosen,):
        if type(result) is Send and type(result.node) is str and result.node in nodes:
            sends.append(result)
            continue
        target: Any = result
        if known is not None and not isinstance(result, Send):
            if result is not None and result not in known:
                _refuse_awaitable(result, where)
                raise UnknownTarget(f"{where} returned {result!r}, which is not among its targets: {_results(result, known)}")
            target = known.get(result)
        _check(plan, target, where)
        _add((target,), names, sends)


def _results(result: object, known: Mapping[Any, str]) -> str:
    """What a router may return, and what it probably meant."""
    near = difflib.get_close_matches(str(result), map(str, known), n=1)
    return ", ".join(map(repr, known)) + (f"; did you mean {near[0]!r}?" if near else "")


def _check(plan: Plan, target: object, where: str) -> None:
    name = target.node if isinstance(target, Send) else target
    if isinstance(name, str) and (name in plan.nodes or (name == END and name is target)):
        return
    if target is None:
        raise UnknownTarget(f"{where} gave None; name a node, or END (or an empty list) to end the branch")
    _refuse_awaitable(target, where)
    if name == END:
        raise UnknownTarget(f"{where} sends something to END, where nothing is run; name a node, or give END itself")
    raise unknown(name, plan.nodes, where)


def _refuse_awaitable(target: object, where: str) -> None:
    """Raise UnknownTarget for what has to be awaited before it names a node."""
    if isinstance(target, Coroutine):
        target.close()  # or Python complains, too, that nobody awaited it
    if is_awaitable(target):
        repair = "declare the router itself async def, and await in it what it calls"
        raise UnknownTarget(f"{where} gave {one(type(target).__name__)}, which nobody awaits; {repair}")
