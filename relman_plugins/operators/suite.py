"""Running a test suite against an environment."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

from relman_plugins import settings
from relman_plugins.domain.event import Event, Kind
from relman_plugins.errors import ClientRejected
from relman_plugins.hooks.platform import platform_of
from relman_plugins.steps.base import ReleaseStepOperator, StepFailed
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.clients.reports.reading import Before
    from relman_plugins.domain.suite_job import SuiteJob
    from relman_plugins.steps.suite_tries import SuiteResult


class SuiteOperator(ReleaseStepOperator):
    """Run one suite and read its reports: in the unpacked artifact, or as a Job in the environment's cluster.

    Green means: the command ended by itself, with exit code 0 or with no more failures than the plan
    tolerates, and whole reports say that enough was tested and every limit holds; see
    :mod:`relman_plugins.steps.suite_tries`. Anything else is red, and what is known of it is recorded.

    On a cluster no worker waits, and another try of the task goes on with the Jobs of the one before.
    """

    ui_color = "#fdf1c7"

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after a wait; a Job that somebody removed has told nothing."""
        if event and event.get("state") == "gone":
            # Another try of the task may have gone on with it, recorded what it came to, and removed it.
            return self._framed(
                context, lambda run: self._begin(context, run) if _done(run) else self._gone(run)
            )
        return super().resume(context, event)

    def act(self, context: Context, run: StepRun) -> str:
        """Run, read, record."""
        if not run.step.args.get("pod"):
            result = self._run(run)
            return self._concluded(run, result.data, self._record(run, result))
        from relman_plugins.steps.suite_jobs import removed

        # An earlier try may have been lost after it had recorded what the suite came to.
        done = _done(run)
        data, tail = (done[-1].data, "") if done else self._in_pods(run, len(_ends(run)))
        removed(run, run.step.id, self.log.warning)
        return self._concluded(run, data, tail)

    def _gone(self, run: StepRun) -> Any:
        raise StepFailed(
            f"suite {run.step.args['suite']}: its Job was removed from the cluster while it ran, so nothing "
            "is known of its tests; clear the step to run it anew"
        )

    def _in_pods(self, run: StepRun, number: int) -> tuple[dict[str, Any], str]:
        from relman_plugins.domain.suite_job import SuiteJob
        from relman_plugins.steps.suite_jobs import SuiteJobs

        before = _before(run) if run.step.args.get("reports") else None
        try:
            found = SuiteJobs(run, number, before, self.log.info).go_on()
        except ClientRejected as error:
            raise StepFailed(f"suite {run.step.args['suite']}: {error}") from None
        if isinstance(found, SuiteJob):
            self._wait(run, found)
        return found.data, self._record(run, found)

    def _wait(self, run: StepRun, job: SuiteJob) -> NoReturn:
        from relman_plugins.triggers.base import deferral
        from relman_plugins.triggers.job import JobTrigger

        self.log.info("waiting for Job %s of %s", job.name, run.environment.name)
        self.defer(
            trigger=JobTrigger(
                release_id=run.release_id,
                environment=run.environment.model_dump(mode="json"),
                name=job.name,
                timeout_s=job.timeout_s,
                **deferral(settings.minimum_deferral()),
            ),
            method_name="resume",
        )

    @staticmethod
    def _record(run: StepRun, result: SuiteResult) -> str:
        """Record what a suite came to; return the last lines that it printed."""
        if result.fingerprints is not None:
            # Apart from the suite's end: it is long, and only the next release looks at it.
            found = {"suite": run.step.args["suite"], "fingerprints": result.fingerprints}
            run.record(Kind.FINDINGS_RECORDED, f"{run.attempt}:findings", found)
        run.record(Kind.SUITE_FINISHED, f"{run.attempt}:suite", result.data)
        return result.tail

    @staticmethod
    def _concluded(run: StepRun, data: dict[str, Any], tail: str) -> str:
        suite = run.step.args["suite"]
        if not data["passed"]:
            raise StepFailed(f"suite {suite}: {data['reason']}\n{tail}")
        return f"suite {suite}: {data['reason']}{_again(data['tries'])}"

    def _run(self, run: StepRun) -> SuiteResult:
        from relman_plugins.platforms.archive import unpack
        from relman_plugins.steps.suite_run import SuiteRun

        args = run.step.args
        environment, artifact = run.environment, run.artifact
        url = platform_of(environment).observe(environment.name, run.service).url
        with tempfile.TemporaryDirectory(prefix="relman-suite-") as scratch:
            workplace = Path(scratch, "artifact")
            unpack(Path(unquote(urlsplit(artifact.uri).path)), artifact.digest, workplace)
            self.suite_run = SuiteRun(
                args=args,
                folder=workplace,
                scratch=Path(scratch),
                variables={
                    **args["env"],
                    "RELMAN_BASE_URL": url or "",
                    "RELMAN_VERSION": artifact.version,
                    "RELMAN_ENVIRONMENT": environment.name,
                    **run.plan.variables,
                },
                log=lambda line: self.log.info("%s", line),
                before=_before(run) if args.get("reports") else None,
            )
            try:
                return self.suite_run.run()
            except ClientRejected as error:
                raise StepFailed(f"suite {args['suite']}: {error}") from None

    def on_kill(self) -> None:
        """End the suite with the task."""
        if suite_run := getattr(self, "suite_run", None):
            suite_run.kill()


def _again(tries: int) -> str:
    return f"; after {tries} tries" if tries > 1 else ""


def _ends(run: StepRun) -> list[Event]:
    """Return the ends of the step that nothing but a person's clear goes past, oldest first."""
    return [e for e in run.mine(Kind.STEP_FAILED) if e.data.get("final")]


def _done(run: StepRun) -> list[Event]:
    """Return what the suite has come to since the step's last end that was final."""
    ended = _ends(run)
    return [e for e in run.mine(Kind.SUITE_FINISHED) if not ended or e.id > ended[-1].id]


def _before(run: StepRun) -> Before | None:
    """Return what the latest release that succeeded recorded of this suite."""
    from relman_plugins.clients.reports.reading import Before

    last = run.ledger.last_suite(run.release, run.step.args["suite"])
    if last is None:
        return None
    coverage: dict[str, Any] | None = next((r for r in last.reports if r.get("kind") == "coverage"), None)
    return Before(
        version=last.version, release_id=last.release_id, coverage=coverage, fingerprints=last.fingerprints
    )
