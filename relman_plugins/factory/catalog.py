"""Which operator does which kind of step: the only place that names them, by dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from airflow.sdk import BaseOperator

from relman_plugins.plan.model import StepKind

OperatorType = type[BaseOperator]
Catalog = Mapping[StepKind, "str | OperatorType"]
"""What does each kind of step: a dotted path or a class, constructed with ``step_id`` and ``shape``."""

OPERATORS: dict[StepKind, str] = {
    StepKind.OPEN: "relman_plugins.operators.open.OpenReleaseOperator",
    StepKind.BUILD: "relman_plugins.operators.build.BuildArtifactOperator",
    StepKind.ASSESS: "relman_plugins.operators.assess.AssessChangeOperator",
    StepKind.PROVISION: "relman_plugins.operators.provision.ProvisionOperator",
    StepKind.DEPLOY: "relman_plugins.operators.deploy.DeployOperator",
    StepKind.ROLL: "relman_plugins.operators.rolling.RollOperator",
    StepKind.PREVIEW: "relman_plugins.operators.blue_green.PreviewOperator",
    StepKind.SHIFT: "relman_plugins.operators.deploy.DeployOperator",
    StepKind.SUITE: "relman_plugins.operators.suite.SuiteOperator",
    StepKind.CHECKLIST: "relman_plugins.sensors.checklist.ChecklistSensor",
    StepKind.PARITY: "relman_plugins.operators.parity.ParityOperator",
    StepKind.TICKET: "relman_plugins.sensors.ticket.TicketSensor",
    StepKind.APPROVAL: "relman_plugins.sensors.approval.ApprovalSensor",
    StepKind.WINDOW: "relman_plugins.sensors.window.WindowSensor",
    StepKind.MONITOR: "relman_plugins.operators.monitor.MonitorOperator",
    StepKind.KEEP: "relman_plugins.operators.blue_green.KeepOperator",
    StepKind.SOAK: "relman_plugins.operators.soak.SoakOperator",
    StepKind.ROLLBACK: "relman_plugins.operators.rollback.RollbackOperator",
    StepKind.TEARDOWN: "relman_plugins.operators.provision.TeardownOperator",
    StepKind.CLOSE: "relman_plugins.operators.close.CloseReleaseOperator",
    StepKind.FOLLOW_UP: "relman_plugins.sensors.follow_up.FollowUpSensor",
}

MAINTENANCE = "relman_plugins.operators.maintenance.MaintenanceOperator"

ROLLBACK = "relman_plugins.operators.requested_rollback.RequestedRollbackOperator"

DEPART = "relman_plugins.operators.depart.DepartOperator"


def operator_type(entry: str | OperatorType) -> OperatorType:
    """Return the operator class of a catalogue entry, importing it by name when needed.

    Raises:
        ImportError: There is no such module or no such class in it.
    """
    return _imported(entry) if isinstance(entry, str) else entry


@cache
def _imported(entry: str) -> OperatorType:
    module, _, name = entry.rpartition(".")
    try:
        return cast(OperatorType, getattr(import_module(module), name))
    except AttributeError:
        raise ImportError(f"{module} has no {name}; the installation of relman is incomplete") from None
