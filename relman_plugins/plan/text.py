"""A plan for people: as text for the terminal, as Mermaid for documents."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.parameter import as_text
from relman_plugins.plan import times, words
from relman_plugins.plan.mermaid import render_mermaid
from relman_plugins.plan.model import ReleasePlan, Shape, Step, StepKind

__all__ = ["render_mermaid", "render_text", "timing"]


def render_text(plan: ReleasePlan) -> str:
    """Render a plan for a terminal: what happens in which order, who is asked, how long it waits.

    Deterministic; ends with a newline; no colours, no control characters but newlines.
    """
    return "\n".join(_lines(plan)) + "\n"


def timing(shape: Shape) -> list[tuple[str, str]]:
    """Return the plan's two promises about time, each as a label and a sentence."""
    wait = words.duration(times.minimum_time(shape))
    return [
        ("minimum time to promote", f"{wait} of waiting on purpose, plus the work and the gates"),
        ("worst-case time to roll back", _back(shape)),
    ]


def _back(shape: Shape) -> str:
    worst = times.rollback_time(shape)
    if worst is None:
        return "nothing watches this release: only people notice"
    start = ", plus starting the old version again" if times.starts_again(shape) else ""
    asked = ", or people are asked" if times.may_ask(shape) else ""
    return f"{words.duration(worst)} from a defect that every look sees{start}{asked}"


def _lines(plan: ReleasePlan) -> Iterator[str]:
    shape, options = plan.shape, plan.options
    width = max(len(words.short_id(s)) for s in shape.steps) + 4
    about = f": {shape.description}" if shape.description else ""
    yield f"{shape.pipeline} {options.version}{about}"
    yield f"owner {shape.owner}, plan {plan.hash} (of this version and these options)"
    for line in options.changes.strip().splitlines():
        yield f"changes: {line}"
    if options.ticket:
        yield f"ticket: {options.ticket}"
    for name, value in options.parameters.items():
        yield f"{name}: {' / '.join(as_text(value).strip().splitlines())}"
    if options.emergency:
        yield f"emergency: {' / '.join(options.emergency_reason.strip().splitlines())}"
    if options.dry_run:
        yield "dry run: nothing is changed in any environment"
    yield ""
    loose = [s for s in shape.steps if s.stage is None]
    last = [s for s in loose if s.kind in (StepKind.CLOSE, StepKind.FOLLOW_UP)]
    for step in loose[: -len(last)]:
        yield _step(shape, step, 0, width)
    for name, steps in words.stages(shape):
        yield ""
        yield f"{name}: {words.environment(shape, str(steps[0].environment))}"
        for step in steps:
            yield _step(shape, step, 2, width)
    yield ""
    for step in last:
        yield _step(shape, step, 0, width)
    yield ""
    for label, sentence in timing(shape):
        yield f"{label}: {sentence}"


def _step(shape: Shape, step: Step, indent: int, width: int) -> str:
    return f"{' ' * indent}{words.short_id(step):<{width - indent}}{words.describe(shape, step)}"
