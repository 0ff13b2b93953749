"""Spans and metrics: there when they are on, nothing when they are off, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.observability.stats import Stats

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind
from relman_plugins.steps.metrics import tell_standing
from relman_plugins.steps.process import Command
from tests.collector import collecting
from tests.steps.world import World

ROOT = Path(__file__).parents[2]

TRACED = """
import sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from pathlib import Path
from relman_plugins import telemetry
from relman_plugins.steps.process import Command

class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("broken")
    def on_end(self, span):
        raise RuntimeError("broken")

provider = TracerProvider()
provider.add_span_processor(Broken() if "broken" in sys.argv else SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
with telemetry.span("step", step="qa.unit", stage=None):
    print("id", telemetry.trace_id())
    command = Command(["sh", "-c", "echo $TRACEPARENT; exit 3"], Path("."), {}, 10, print)
    print("code", command.run().code)
    try:
        with telemetry.span("converge"):
            raise ValueError("no")
    except ValueError:
        pass
    try:
        with telemetry.span("skipped", (KeyError,)):
            raise KeyError("no")
    except KeyError:
        pass
"""


def traced(url: str, *arguments: str) -> str:
    """Run the code above in a process that sends its spans to a collector; return what it printed."""
    env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", TRACED, *arguments], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_spans_are_children_of_each_other_and_programs_can_join() -> None:
    with collecting() as collector:
        said = traced(collector.url).splitlines()
    (step,), (command,), (failed,), (skipped,) = (
        collector.named(f"relman.{name}") for name in ("step", "command", "converge", "skipped")
    )
    assert said[0] == f"id {step.trace_id}"
    assert said[1].startswith(f"00-{step.trace_id}-{command.span_id}-")
    assert step.attributes == {"relman.step": "qa.unit"}
    assert {s.parent_id for s in (command, failed, skipped)} == {step.span_id}
    assert command.attributes == {
        "relman.program": "sh",
        "relman.exit_code": 3,
        "relman.timed_out": False,
    }
    # What other people's code says may hold a password; no log's mask is applied on this way.
    assert (failed.failed, failed.message) == (True, "ValueError")
    assert not skipped.failed
    assert not step.failed


def test_broken_tracing_does_not_break_what_is_traced_and_is_said() -> None:
    said = traced("http://127.0.0.1:1", "broken")
    assert "code 3" in said.splitlines()
    assert "no span skipped: the trace lacks it" in said
    assert "RuntimeError: broken" in said


def test_without_tracing_there_is_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    with telemetry.span("step", step="a"):
        telemetry.note(result="b")
        assert telemetry.trace_id() == ""
        assert telemetry.carrier() == {}
        Command(["sh", "-c", "echo [$TRACEPARENT]"], tmp_path, {}, 10, lines.append).run()
    assert lines == ["[]"]


class Backend:
    """A metrics backend that remembers."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[Any, dict[str, str]]]] = {}

    def _tell(self, name: str, value: Any = 1, **more: Any) -> None:
        self.told.setdefault(name, []).append((value, more.get("tags", {})))

    def incr(self, name: str, count: int = 1, **more: Any) -> None:
        self._tell(name, count, **more)

    gauge = timing = _tell


@pytest.fixture
def metrics() -> Iterator[dict[str, list[tuple[Any, dict[str, str]]]]]:
    backend = Backend()
    Stats.initialize(factory=lambda: backend, export_legacy_names=False)
    yield backend.told
    Stats.initialize(factory=_nothing, export_legacy_names=False)


def _nothing() -> Any:
    from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger

    return NoStatsLogger()


def test_a_closed_release_tells_its_numbers_once(world: World, metrics: dict[str, Any]) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    release.run("production.canary_50")
    release.says(
        Kind.TRAFFIC_WITHDRAWN, "production.canary_50", reason="bad", seconds=0.25, served={"total": 1}
    )
    release.says(Kind.STEP_FAILED, "production.canary_50", message="bad", final=True)
    release.run("production.rollback")
    for attempt in (1, 2):
        with pytest.raises(AirflowFailException):
            release.run("close", try_number=attempt)
    here = {"pipeline": "checkout", "environment": "production"}
    assert metrics["relman.release.rolled_back"] == [(1, {"pipeline": "checkout"})]
    assert metrics["relman.vote.approve"] == [(1, {"pipeline": "checkout"})]
    ((withdrawal, about),) = metrics["relman.traffic.withdrawal"]
    assert (withdrawal.total_seconds(), about) == (0.25, here | {"kind": "shift"})
    ((wait, about),) = metrics["relman.gate.wait"]
    assert wait.total_seconds() >= 0
    assert about == here | {"kind": "approval", "state": "approved"}
    assert len(metrics["relman.rollback.duration"]) == 1
    assert {t["kind"] for _, t in metrics["relman.step.duration"]} == {"rollback"}


def test_what_stands_now_is_told(world: World, metrics: dict[str, Any]) -> None:
    world.open().at_the_gate().run("production.approval")
    tell_standing(world.ledger)
    assert metrics["relman.releases.active"] == [(1, {})]
    assert metrics["relman.gates.waiting"] == [(1, {})]
    assert metrics["relman.outbox.pending"] == [(0, {})]
    assert metrics["relman.outbox.given_up"] == [(0, {})]


def test_a_broken_metrics_backend_does_not_keep_a_release_from_its_end(world: World) -> None:
    def broken() -> Any:
        raise RuntimeError("no metrics")

    Stats.initialize(factory=broken, export_legacy_names=False)
    try:
        release = world.open()
        with pytest.raises(AirflowFailException):
            release.run("close")
    finally:
        Stats.initialize(factory=_nothing, export_legacy_names=False)
    assert release.events(Kind.RELEASE_CLOSED)
