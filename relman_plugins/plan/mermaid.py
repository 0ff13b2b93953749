"""A plan as a Mermaid flowchart, for documents that render one."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.plan import words
from relman_plugins.plan.model import ReleasePlan, Shape, Step, StepKind

_BRACKETS = {
    StepKind.APPROVAL: ("{{", "}}"),
    StepKind.TICKET: ("{{", "}}"),
    StepKind.WINDOW: ("{{", "}}"),
    StepKind.OPEN: ("([", "])"),
    StepKind.CLOSE: ("([", "])"),
    StepKind.FOLLOW_UP: ("([", "])"),
}


def render_mermaid(plan: ReleasePlan | Shape) -> str:
    """Render the steps as a flowchart: a subgraph for each stage, dotted arrows for what follows failure.

    Nodes are numbered in the plan's order, so that no name can be taken for Mermaid syntax. Deterministic;
    ends with a newline.
    """
    shape = plan.shape if isinstance(plan, ReleasePlan) else plan
    return "\n".join(_lines(shape)) + "\n"


def _lines(shape: Shape) -> Iterator[str]:
    names = {s.id: f"s{n}" for n, s in enumerate(shape.steps)}
    yield "flowchart LR"
    for step in shape.steps:
        if step.stage is None:
            yield f"  {names[step.id]}{_label(step)}"
    for number, (stage, steps) in enumerate(words.stages(shape)):
        yield f'  subgraph g{number}["{_text(stage)}"]'
        for step in steps:
            yield f"    {names[step.id]}{_label(step)}"
        yield "  end"
    for step in shape.steps:
        arrow = "-. failed .->" if step.kind is StepKind.ROLLBACK else "-->"
        for need in step.needs:
            yield f"  {names[need]} {arrow} {names[step.id]}"


def _label(step: Step) -> str:
    start, end = _BRACKETS.get(step.kind, ("[", "]"))
    return f'{start}"{_text(words.short_id(step))}"{end}'


def _text(text: str) -> str:
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
