"""The spec's documents as frozen models. Their attribute docstrings become the JSON Schema's descriptions.

``policy`` is imported by whoever needs it: most pipelines extend none, and each process would pay for it.
"""

from __future__ import annotations

from relman_plugins.spec.models.analysis import Analysis, ComparedMetric, Comparison, Metric
from relman_plugins.spec.models.assess import Assess
from relman_plugins.spec.models.base import Metadata, SpecModel
from relman_plugins.spec.models.blue_green import BlueGreen
from relman_plugins.spec.models.break_glass import BreakGlass
from relman_plugins.spec.models.budget import Budget, BudgetMetric, BurnWindow
from relman_plugins.spec.models.calendar import Calendar, CalendarWindow
from relman_plugins.spec.models.checklist import Checklist, ChecklistItem
from relman_plugins.spec.models.documents import Documents
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.environment import Environment
from relman_plugins.spec.models.follow_ups import FollowUps
from relman_plugins.spec.models.gate import (
    ApprovalGate,
    ApprovalRule,
    ChangeTicketGate,
    ExceptionRule,
    Gate,
    RulesGate,
)
from relman_plugins.spec.models.notify import Notify, Route
from relman_plugins.spec.models.parameter import ParameterField
from relman_plugins.spec.models.parity import DataSchema, Parity
from relman_plugins.spec.models.people import People, PersonEntry
from relman_plugins.spec.models.pipeline import (
    Artifact,
    Monitor,
    ReleasePipeline,
    Stage,
    Suite,
)
from relman_plugins.spec.models.rolling import Rolling
from relman_plugins.spec.models.samples import Effect, OutlierRule, Sampled, SampledMetric, Score
from relman_plugins.spec.models.schedule import Schedule, VersionSource
from relman_plugins.spec.models.strategy import Canary, Recreate, Strategy
from relman_plugins.spec.models.ticket import JiraTicket, ServiceNowTicket
from relman_plugins.spec.models.window import Window

__all__ = [
    "Analysis",
    "ApprovalGate",
    "ApprovalRule",
    "Artifact",
    "Assess",
    "BlueGreen",
    "BreakGlass",
    "Budget",
    "BudgetMetric",
    "BurnWindow",
    "Calendar",
    "CalendarWindow",
    "Canary",
    "ChangeTicketGate",
    "Checklist",
    "ChecklistItem",
    "ComparedMetric",
    "Comparison",
    "DataSchema",
    "Documents",
    "Duration",
    "Effect",
    "Environment",
    "ExceptionRule",
    "FollowUps",
    "Gate",
    "JiraTicket",
    "Metadata",
    "Metric",
    "Monitor",
    "Notify",
    "OutlierRule",
    "ParameterField",
    "Parity",
    "People",
    "PersonEntry",
    "Recreate",
    "ReleasePipeline",
    "Rolling",
    "Route",
    "RulesGate",
    "Sampled",
    "SampledMetric",
    "Schedule",
    "Score",
    "ServiceNowTicket",
    "SpecModel",
    "Stage",
    "Strategy",
    "Suite",
    "VersionSource",
    "Window",
]
