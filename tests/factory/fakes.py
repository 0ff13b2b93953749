"""Operators that do nothing, constructed as the real ones are."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.plan.model import Shape, StepKind


class FakeStep(BaseOperator):
    def __init__(self, *, step_id: str, shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step_id = step_id
        self.shape = shape

    def execute(self, context: Any) -> None:
        return None


class FailingStep(FakeStep):
    """Fails when the release's ``changes`` name it."""

    def execute(self, context: Any) -> None:
        if self.step_id == context["params"]["changes"]:
            raise AirflowFailException("told to fail")


class FakeMaintenance(BaseOperator):
    def __init__(self, *, specs: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.specs = specs

    def execute(self, context: Any) -> None:
        return None


CATALOG = dict.fromkeys(StepKind, FakeStep)
FAILING = dict.fromkeys(StepKind, FailingStep)
