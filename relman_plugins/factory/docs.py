"""What Airflow's pages say about a pipeline: Markdown made from the plan and the spec's text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from relman_plugins.plan import words
from relman_plugins.plan.ends import BESIDES
from relman_plugins.plan.model import Shape, Step


class Docs(NamedTuple):
    """The documentation of a DAG and its tasks."""

    dag: str
    """What it is, its steps by stage, its spec."""
    tasks: dict[str, str]
    """By step id: what each does, what holds it up, what it holds up."""


def documented(shape: Shape, texts: Mapping[str, str]) -> Docs:
    """Write the documentation of a pipeline.

    Args:
        shape: What the spec decides.
        texts: The spec's documents, by path relative to the spec folder.
    """
    does = {step.id: words.describe(shape, step) for step in shape.steps}
    where = {e.name: _sentence(words.environment(shape, e.name)) for e in shape.environments}
    return Docs(
        "\n".join(_dag(shape, texts, does, where)) + "\n",
        {step.id: _task(step, does[step.id], where) for step in shape.steps},
    )


def _task(step: Step, does: str, where: Mapping[str, str]) -> str:
    lines = [_sentence(does)]
    if step.environment:
        lines += ["", where[step.environment]]
    if step.gates:
        gates = ", ".join(f"`{gate}`" for gate in step.gates)
        lines += ["", f"Acts only when the ledger holds a valid decision for {gates}, whatever their colour."]
    if step.kind in BESIDES:
        lines += ["", "Never held up by gates, windows or a changed spec."]
    return "\n".join(lines) + "\n"


def stage_tooltip(shape: Shape, steps: Iterable[Step]) -> str:
    """Return what a stage's task group shows when pointed at."""
    names = [str(s.environment) for s in steps]
    return _sentence(words.environment(shape, names[0]))


def fenced(text: str, language: str = "") -> list[str]:
    """Return ``text`` as a code block that its own backticks cannot end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2) if "```" in text else 2
    fence = "`" * (longest + 1)
    return [f"{fence}{language}", text.rstrip("\n"), fence]


def _dag(
    shape: Shape, texts: Mapping[str, str], does: Mapping[str, str], where: Mapping[str, str]
) -> Iterator[str]:
    """Airflow shows this in a small window, without space between paragraphs and without Mermaid.

    Hence two columns, and no drawing: the page behind the window has Airflow's own graph.
    """
    if shape.description:
        yield from (f"### {_cell(shape.description)}", "")
    yield f"Takes one version of **{shape.service}** through {_names(shape)}. Owner: {_cell(shape.owner)}."
    if shape.schedule:
        from relman_plugins.plan.train import Train  # all calendars, which most pipelines don't need

        yield f"Starts by itself: {_cell(Train.of(shape.schedule).describe())}. See `relman train show`."
    yield from ("", "### Plan", "", "| step | what it does |", "|---|---|")
    stage = None
    for step in shape.steps:
        if step.stage and step.stage != stage:
            yield f"| **{step.stage}** | **{_cell(where[str(step.environment)])}** |"
        stage = step.stage
        yield f"| `{words.short_id(step)}` | {_cell(does[step.id])} |"
    yield ""
    from relman_plugins.plan.text import timing  # what was documented before needs none of it

    for label, sentence in timing(shape):
        yield f"- {_sentence(label).rstrip('.')}: {sentence}"
    yield from ("", "### Spec")
    for path, text in texts.items():
        # The gates above name who may answer here; the rest of the file is about other pipelines.
        if path == "people.yaml":
            continue
        yield from ("", f"`{path}`", "", *fenced(text, "yaml"))
    # Not the plan's: a release's has its version and options in it, and would be another one.
    yield from ("", f"- Digest of the spec: `{shape.spec_digest}`")


def _names(shape: Shape) -> str:
    names = [f"**{name}**" for name, _ in words.stages(shape)]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())
