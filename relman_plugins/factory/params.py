"""The fields of the trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from relman_plugins.domain.identity import VERSION_PATTERN
from relman_plugins.plan.model import Shape


def release_params(shape: Shape) -> ParamsDict:
    """Return the form of a pipeline: its fields are those of :class:`relman_plugins.plan.model.Options`.

    A pipeline that starts by itself gets its version from a file, so there the field may stay empty;
    otherwise the version is required. An empty text arrives as null.
    """
    return ParamsDict(
        {
            "version": _version(shape),
            "changes": Param(
                "",
                "What changed, in words; the approvers and Slack are shown it.",
                type=["null", "string"],
                format="multiline",
                maxLength=4000,
                title="What changed",
            ),
            "emergency": Param(
                False,
                "Does not wait for release windows; the approvers and the record are told. Approvals stay.",
                type="boolean",
                title="Emergency",
            ),
            "dry_run": Param(
                False,
                "Goes through the plan without changing any environment.",
                type="boolean",
                title="Dry run",
            ),
        }
    )


def _version(shape: Shape) -> Param:
    rules: dict[str, Any] = {"pattern": VERSION_PATTERN, "title": "Version"}
    # The form checks the pattern only when it is sent, and then shows the bare expression.
    text = "Version to release, for example 1.4.0: letters, digits and . _ + -, at most 64 characters."
    if shape.schedule:
        text += f" Empty: what {shape.schedule['version_file']} says."
        return Param(None, text, type=["null", "string"], **rules)
    return Param(description=text, type="string", **rules)
