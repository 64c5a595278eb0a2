"""What agents and teams share: a model that answers in a session, and a graph that is compiled when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import TYPE_CHECKING, Any

from graphflow.contextpolicies import HistoryPolicy
from graphflow.core.control import current_task
from graphflow.lazy import deferred
from graphflow.run import Runner
from graphflow.settings import check_settings

if TYPE_CHECKING:
    from graphflow.core.calls import CallOptions
    from graphflow.core.plan import Plan
    from graphflow.drive.world import Emitter
    from graphflow.graph import Graph
    from graphflow.models.base import Model

graphs = deferred("graphflow.graph")
resolving = deferred("graphflow.models.resolve")


class Conversation(Runner):
    """Settings of a conversation and the graphs they were compiled to. Subclasses name their settings and compile."""

    __slots__ = ("_edited", "_graphs", "_resolved", "add_history_to_context", "history", "model", "name")

    model: Model | str | None
    name: str | None
    add_history_to_context: bool
    history: HistoryPolicy | int | None
    on_event: Emitter | None
    _edited: Plan | None
    """The graph it was told to run on, in the place of the one that its settings stand for."""
    _graphs: tuple[tuple[Any, ...], dict[bool, Graph]] | None
    _resolved: tuple[Model | str | None, Model] | None

    def _settings(self) -> tuple[Any, ...]:
        """All that the graph is made of, and what lists of it hold: another object in it, and the graph is compiled anew."""
        raise NotImplementedError

    def _compile(self, with_history: bool) -> Graph:
        raise NotImplementedError

    @property
    def graph(self) -> Graph:
        """The graph it compiles to; each node is present when it is switched on."""
        return self._graph(self.add_history_to_context)

    def graph_for(self, arguments: Mapping[str, Any]) -> Graph:
        """The graph for one call: with the history node when the call asks for it, and there is a past to be read."""
        asked = arguments.get("add_history_to_context")
        if self.db is None and self._edited is None and current_task.get() is None:
            return self._graph(False)
        return self._graph(self.add_history_to_context if asked is None else asked or self.add_history_to_context)

    def _call(self, graph: Graph, arguments: Mapping[str, Any], listening: bool) -> CallOptions:
        call = super()._call(graph, arguments, listening)
        if not self.add_history_to_context and "num_history_runs" in call.options:
            call.options = {"add_history_to_context": False, **call.options}
        return call

    def history_policy(self) -> HistoryPolicy:
        """How much history there is."""
        return self.history if isinstance(self.history, HistoryPolicy) else HistoryPolicy(self.history)

    def _graph(self, with_history: bool) -> Graph:
        """The compiled graph; compiled anew when a setting was changed since."""
        settings = self._settings()
        if self._graphs is None or len(self._graphs[0]) != len(settings) or not all(map(is_, self._graphs[0], settings)):
            check_settings(self)
            self._graphs = settings, {}
        compiled = self._graphs[1]
        if with_history not in compiled:
            compiled[with_history] = self._compile(with_history) if self._edited is None else self._own_graph(with_history)
        return compiled[with_history]

    def _own_graph(self, with_history: bool) -> Graph:
        """The graph that ``with_graph`` gave, which is the same whether a call asks for history or not."""
        assert self._edited is not None
        if with_history and not self.add_history_to_context and "history" not in self._edited.nodes:
            raise ValueError(
                "add_history_to_context=True: the graph given with with_graph() has no node 'history'; add one to it"
            )
        graph: Graph = graphs.Graph(self._edited, db=self.db, on_event=self.on_event)
        return graph

    def _run_on(self, plan: Plan) -> None:
        self._edited = plan
        self._graphs = self._printed = None

    def _model(self) -> Model:
        """The model to ask: its own, else that of the team it works in, else what the environment says."""
        if self.model is None:
            task = current_task.get()
            speaker = task.run.speaker if task is not None else None
            if speaker is not None and speaker.model is not None:
                model: Model = speaker.model()
                return model
        if self._resolved is None or self._resolved[0] is not self.model:
            self._resolved = self.model, resolving.resolve_model(self.model)
        return self._resolved[1]
