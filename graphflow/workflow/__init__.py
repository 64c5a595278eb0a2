"""Workflows: steps in an order that is written down; see ``Workflow``."""

from graphflow.workflow.steps import Condition, Loop, Parallel, Router, Step, Steps
from graphflow.workflow.workflow import Workflow
from graphflow_nodes.stepdata import EarlierRun, StepInput, StepOutput, WorkflowSession

__all__ = [
    "Workflow",
    # steps and groups of them
    "Step",
    "Steps",
    "Parallel",
    "Condition",
    "Loop",
    "Router",
    # what steps are given and give
    "StepInput",
    "StepOutput",
    "WorkflowSession",
    "EarlierRun",
]
