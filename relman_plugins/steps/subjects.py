"""What people are asked to decide: the subject that a vote is bound to, and the text they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins import settings
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Verdict

if TYPE_CHECKING:
    from relman_plugins.domain.identity import Person
    from relman_plugins.steps.run import StepRun


def subject_of(run: StepRun) -> dict[str, Any]:
    """Return what exactly is approved; its digest is what a vote is bound to."""
    suites = [e.data for e in run.events(Kind.SUITE_FINISHED)]
    return {
        "release_id": run.release_id,
        "pipeline": run.shape.pipeline,
        "version": run.plan.options.version,
        "artifact_digest": run.artifact.digest,
        "plan_hash": run.release.plan_hash,
        "spec_digest": run.release.spec_digest,
        "environment": run.step.environment,
        "changes": run.plan.options.changes,
        "emergency": run.plan.options.emergency,
        "tests": [
            {"suite": s["suite"], "tests": s["tests"], "failures": s["failures"], "skipped": s["skipped"]}
            for s in suites
        ],
    }


def body_of(run: StepRun, subject: dict[str, Any], people: Sequence[Person], quorum: int) -> str:
    """Return the Required Action's text: who may answer, and what exactly is approved."""
    names = ", ".join(f"**{p.name or p.id}** (`{p.airflow}`)" for p in people)
    need = "one of them decides" if quorum == 1 else f"{quorum} of them must approve"
    rows = [
        ("Version", f"`{subject['version']}`"),
        ("Into", f"`{subject['environment']}`"),
        ("Artifact", f"`{subject['artifact_digest']}`"),
        ("Plan", f"`{subject['plan_hash']}`"),
        ("Spec", f"`{subject['spec_digest']}`"),
        ("Changes", _one_line(subject["changes"]) or "*not said*"),
        *(
            (f"Tests: {t['suite']}", f"{t['tests']} run, {t['failures']} failed, {t['skipped']} skipped")
            for t in subject["tests"]
        ),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    emergency = (
        "**EMERGENCY: this release does not wait for the release window.**\n\n"
        if subject["emergency"]
        else ""
    )
    starter = _one_line(run.release.started_by.name or "Airflow")
    page = f"{settings.base_url()}/dags/{run.release.dag_id}/runs/{quote(run.release.run_id)}"
    return (
        f"{emergency}Release **{run.release_id}** started by {starter}.\n\n"
        f"Who may answer: {names}; {need}. One rejection ends the release.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"What is approved has the digest `{digest_of(subject)}`. "
        f"Live state: [{run.release_id}]({page})\n"
    )


def question_of(
    run: StepRun, verdict: Verdict, reason: str, people: Sequence[Person]
) -> tuple[dict[str, Any], str]:
    """Return the subject and the text of the question what an undecided analysis means."""
    subject = subject_of(run) | {"step": run.step.id, "verdict": verdict.value, "reason": reason}
    names = ", ".join(f"**{p.name or p.id}** (`{p.airflow}`)" for p in people)
    weight = run.step.args.get("weight")
    where = f"{weight} % of the traffic of" if weight else "all the traffic of"
    body = (
        f"`{subject['version']}` has {where} `{run.step.environment}`. The numbers neither say that it is "
        f"good nor that it is bad: **{verdict.value}**.\n\n> {_one_line(reason)}\n\n"
        "**Approve** to go on as if they were good, **Reject** to roll back. "
        "Nothing moves until somebody answers.\n\n"
        f"Who may answer: {names}.\n"
    )
    return subject, body


def _one_line(text: str) -> str:
    """Keep user text from breaking out of its table cell or being read as markup."""
    flat = " ".join(text.split())[:500]
    for mark in "\\`*_[]<>|#!":
        flat = flat.replace(mark, f"\\{mark}")
    return flat
