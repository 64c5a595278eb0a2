"""Every error graphflow raises on purpose, in one tree.

GraphflowError
├── GraphError                a graph, agent, team or workflow is declared wrongly (at compile)
│   └── UnknownTarget         an edge, router, Command or Send names a node that does not exist
├── InvalidUpdate             a node, an input or update_state wrote something the state does not take
├── ChangedInPlace            a node changed what it was given instead of returning what changed (debug=True)
├── InvalidAnswer             resume() was given an answer that fits no pending question, or not its response_schema
├── RecursionLimit            a run made more supersteps than allowed
├── StepRejected              a reviewer rejected what a step of a workflow made
├── NodeTimeout               a node ran longer than its timeout
├── StepError                 a recorded step was used in a way that could not be recorded
├── SerializationError        a value cannot be stored so that it comes back equal
├── ModelError                a model could not be had, refused, or answered something unusable
└── SessionError              everything about stored sessions
    ├── NoDatabase            the call needs a database and the graph has none
    ├── InvalidId             a session or user id is not 1-255 printable characters
    ├── SessionNotFound       no such session (or checkpoint of it)
    ├── NotOwner              the session belongs to another user
    ├── SessionBusy           another run holds the session
    ├── LeaseLost             another run took the session over, or it was deleted; nothing of ours was written
    ├── UnfinishedRun         new input met a run that has to be resumed first
    ├── KeyReused             an idempotency key came again with another input or session
    ├── DatabaseFailed        the database could not be reached, or could not do what it was asked
    ├── GraphChanged          the stored run no longer fits the graph
    ├── CorruptCheckpoint     stored rows do not match their checksums, or some are missing
    └── SchemaTooNew          the database was written by a newer graphflow

Control flow that must pass through users' ``except Exception`` (a pausing interrupt, a cancelled run) is not in this tree:
it derives from BaseException and lives in ``graphflow.core.control``.
"""

from __future__ import annotations


class GraphflowError(Exception):
    """Root of every error graphflow raises on purpose. The message names what, where and the repair."""


class GraphError(GraphflowError):
    """A graph, an agent, a team or a workflow is declared wrongly; raised at compile where it can be known then, else by the
    run that finds it.
    """


class UnknownTarget(GraphError):
    """An edge, a router, a Command or a Send names a node that does not exist."""


class InvalidUpdate(GraphflowError):
    """Something was written that the state does not take; nothing of that superstep was stored.

    ``field`` is the state field (None when the whole update is wrong), ``nodes`` who wrote it.
    """

    def __init__(self, message: str, *, field: str | None = None, nodes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.nodes = nodes


class ChangedInPlace(GraphflowError):
    """A watched node (``compile(debug=True)``, ``graphflow.testing.strict``) changed in place what it was given.

    Nothing that it returned was taken, and the state is as it was. ``path`` is where it did, e.g. ``state.items[3].when``.
    """

    def __init__(self, message: str, *, node: str = "", path: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.path = path


class InvalidAnswer(GraphflowError):
    """An answer given to resume() fits no pending question of the session, or not the ``response_schema`` of the question."""


class RecursionLimit(GraphflowError):
    """A run made more supersteps than its recursion_limit; the committed work is kept and can be resumed."""


class StepRejected(GraphflowError):
    """A person rejected what a step of a workflow made. The run has ended with this error; a new one can begin."""


class NodeTimeout(GraphflowError):
    """A node ran longer than its timeout of ``seconds``.

    Also raised inside a node's thread that runs on after its time: by its ``ctx`` and by ``interrupt``.
    """

    def __init__(self, message: str, *, node: str = "", seconds: float = 0.0) -> None:
        super().__init__(message)
        self.node = node
        self.seconds = seconds


class StepError(GraphflowError):
    """``ctx.step`` was used in a way that could not be recorded: one name concurrently, a step or a question inside a step."""


class SerializationError(GraphflowError):
    """A value cannot be stored so that it comes back equal in value and type; raised before anything is written.

    ``path`` is where the value is, e.g. ``state.items[3].when``.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class ModelError(GraphflowError):
    """A model could not be had, refused the request, or answered something unusable."""


class SessionError(GraphflowError):
    """Root of the errors about stored sessions."""


class NoDatabase(SessionError):
    """The call needs a stored session and the graph was compiled without ``db=``."""


class InvalidId(SessionError, ValueError):
    """A session or user id is not 1-255 printable characters."""


class SessionNotFound(SessionError):
    """There is no such session, or no such checkpoint of it."""


class NotOwner(SessionError):
    """The session belongs to another user. Nothing was read, run or stored."""


class SessionBusy(SessionError):
    """Another run holds the session and did not free it in time; or the call would wait for itself, too many wait already, or
    the process is about to end. Nothing was run or stored.
    """


class LeaseLost(SessionError):
    """Another run took the session over, or the session was deleted. Nothing of this run's last step was written."""


class UnfinishedRun(SessionError):
    """New input met a crashed or paused run that has to be resumed (or abandoned on purpose) first."""


class KeyReused(SessionError):
    """An idempotency key was used before, for another input or another session. Nothing was run or stored."""


class DatabaseFailed(SessionError):
    """The database could not be reached, or could not do what it was asked (no room, no right to write, a damaged disk).

    ``transient``: it may do so later; it was tried again until the database's ``retry_timeout``. ``written``: False when
    nothing of the transaction was written, None when the connection was lost while it was committed and it is not known. The
    driver's own error is the ``__cause__``.
    """

    def __init__(self, message: str, *, transient: bool = False, written: bool | None = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.written = written


class GraphChanged(SessionError):
    """The stored, unfinished run does not fit the graph it should go on in; ``changes`` lists the differences, in words."""

    def __init__(self, message: str, *, changes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.changes = changes


class CorruptCheckpoint(SessionError):
    """Stored rows do not match their checksums, or rows are missing."""


class SchemaTooNew(SessionError):
    """The database was written by a newer graphflow than this one."""


class GraphChangedWarning(UserWarning):
    """The graph changed since the run was stored, but everything that is pending still fits."""
