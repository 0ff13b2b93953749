"""Spans and metrics: what a release's operations people see of it in their own tools.

Spans go where Airflow's own go (``[traces] otel_on``), as children of the span of the task or trigger that
runs; metrics go through Airflow's (``[metrics]``). Both are switched off there, and then cost nothing here.
Neither can fail or delay a release: what goes wrong in them is logged and forgotten. At debug, since it
comes with every step: that a collector is down is said by OpenTelemetry's own exporter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode

from relman_plugins.errors import RelmanError

log = logging.getLogger(__name__)

PREFIX = "relman."
"""What the names of all attributes and metrics begin with."""

LONGEST_REASON = 500

Tags = Mapping[str, str | None]


@contextmanager
def span(name: str, ignored: tuple[type[Exception], ...] = (), /, **attributes: Any) -> Iterator[None]:
    """Open a span ``relman.<name>`` under the current one; an exception marks it failed, unless ``ignored``.

    Attributes are prefixed too (``release_id`` is ``relman.release_id``); those that are None are left out.
    Safe around ``await``; not around ``yield`` in an async generator.
    """
    current: Span = INVALID_SPAN
    manager = None
    try:
        manager = trace.get_tracer("relman").start_as_current_span(
            PREFIX + name,
            attributes=_named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        )
        current = manager.__enter__()
    except Exception:
        log.warning("no span %s: the trace lacks it", name, exc_info=True)
    try:
        yield
    except ignored:
        raise
    except Exception as error:
        # Other people's errors quote addresses with passwords, and no log's mask is applied on this way.
        from airflow.sdk.exceptions import AirflowFailException

        own = isinstance(error, RelmanError | AirflowFailException)
        why = (str(error) if own else "") or type(error).__name__
        _quietly(current.set_status, Status(StatusCode.ERROR, why[:LONGEST_REASON]))
        raise
    finally:
        if manager is not None:
            _quietly(manager.__exit__, None, None, None)


def note(**attributes: Any) -> None:
    """Add attributes to the current span, as ``span`` does."""
    _quietly(trace.get_current_span().set_attributes, _named(attributes))


def trace_id() -> str:
    """Return the id of the trace that this process writes to, 32 hexadecimal digits; "" when it is off."""
    current = trace.get_current_span()
    # Airflow hands ids on also when nobody records them.
    return trace.format_trace_id(current.get_span_context().trace_id) if current.is_recording() else ""


def carrier() -> dict[str, str]:
    """Return the environment variables that let a program join the trace; none when it is off.

    The names are those of OpenTelemetry's "Environment Variables as Context Propagation Carriers".
    """
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        _quietly(TraceContextTextMapPropagator().inject, found)
    return {key.upper(): value for key, value in found.items()}


def count(name: str, number: int = 1, /, **tags: str | None) -> None:
    """Count something that happened: ``relman.<name>``. In tasks only: Airflow's metrics begin there."""
    _emit("incr", name, number, tags=tags)


def took(name: str, seconds: float, /, **tags: str | None) -> None:
    """Say how long something took."""
    _emit("timing", name, timedelta(seconds=max(0.0, seconds)), tags=tags)


def level(name: str, value: float, /, **tags: str | None) -> None:
    """Say how much there is of something."""
    _emit("gauge", name, value, tags=tags)


def _emit(how: str, name: str, value: Any, *, tags: Tags) -> None:
    try:
        from airflow.sdk.observability.stats import Stats

        getattr(Stats, how)(PREFIX + name, value, tags={k: v for k, v in tags.items() if v})
    except Exception:
        log.debug("no metric %s", name, exc_info=True)


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {PREFIX + key: value for key, value in attributes.items() if value is not None}


def _quietly(call: Callable[..., Any], *args: Any) -> None:
    try:
        call(*args)
    except Exception:
        log.warning("tracing: something is missing in the trace", exc_info=True)
