"""The fields of the trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from relman_plugins.domain.identity import TICKET_LIMIT, VERSION_PATTERN
from relman_plugins.domain.parameter import LONGEST_TEXT, Parameter
from relman_plugins.plan.model import Shape

UNUSUAL = "Emergency, dry run"
"""Named sections are folded up when the form opens; what has no section is always in view."""


def release_params(shape: Shape) -> ParamsDict:
    """Return the form of a pipeline: its fields are those of :class:`relman_plugins.plan.model.Options`.

    The version is required. An empty text arrives as null. In view is what a release is about, and whatever
    must be filled in; the pipeline's other fields and those for the unusual are folded up.
    """
    return ParamsDict(
        {
            "version": _version(),
            "changes": _text(
                None,
                "What changed",
                f"In words, at most {LONGEST_TEXT} characters. Slack and the people who approve this release "
                "read it.",
            ),
            "ticket": Param(
                "",
                "The ticket or change this release belongs to: its number, or a link to it." + _needed(shape),
                type=["null", "string"],
                # The form shows the bare expression: this one can be read, and ``open`` checks the rest.
                pattern=r"^(https?://[^\s@]+|[A-Z][A-Z0-9_]{1,30}-?[0-9]{1,20})?$",
                maxLength=TICKET_LIMIT,
                title="Ticket",
            ),
            **{p.name: _own(shape, p) for p in sorted(shape.parameters, key=lambda p: p.default is not None)},
            "emergency": Param(
                False,
                "Does not wait for release windows. Approvals stay, and are told that it is an emergency. "
                "Those that the environment lets you skip are given afterwards.",
                type="boolean",
                title="Emergency",
                section=UNUSUAL,
            ),
            "emergency_reason": _text(
                UNUSUAL,
                "Why it can't wait",
                "Required for an emergency; everybody who approves it is shown this.",
            ),
            "dry_run": Param(
                False,
                "Goes through the plan, step by step, without changing any environment or asking anybody.",
                type="boolean",
                title="Dry run",
                section=UNUSUAL,
            ),
        }
    )


def _version() -> Param:
    rules: dict[str, Any] = {"pattern": VERSION_PATTERN, "title": "Version"}
    # The form checks the pattern only when it is sent, and then shows the bare expression.
    text = "Version to release, for example 1.4.0: letters, digits and . _ + -, at most 64 characters."
    return Param(description=text, type="string", **rules)


def _needed(shape: Shape) -> str:
    """Say whether a ticket is required: not by the form, since a dry run changes nothing."""
    stages = sorted({str(s.stage) for s in shape.steps if s.ticket})
    if not stages:
        return ""
    return f" Required for {', '.join(stages)}: without it only a dry run starts."


def _text(section: str | None, title: str, description: str) -> Param:
    folded: dict[str, Any] = {"section": section} if section else {}
    return Param(
        "",
        description,
        type=["null", "string"],
        format="multiline",
        maxLength=LONGEST_TEXT,
        title=title,
        **folded,
    )


def _own(shape: Shape, field: Parameter) -> Param:
    rules = field.json_schema() | {"title": field.label}
    if field.default is None:
        return Param(description=field.description, **rules)
    return Param(field.default, field.description, section=f"More about {shape.pipeline}", **rules)
