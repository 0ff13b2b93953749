"""Running a test suite against an environment."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from relman_plugins.domain.event import Kind
from relman_plugins.errors import ClientRejected
from relman_plugins.hooks.platform import platform_of
from relman_plugins.steps.base import ReleaseStepOperator, StepFailed
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.clients.reports.reading import Before
    from relman_plugins.steps.suite_tries import SuiteResult


class SuiteOperator(ReleaseStepOperator):
    """Run one suite in the unpacked artifact and read its reports.

    Green means: the command ended by itself, with exit code 0 or with no more failures than the plan
    tolerates, and whole reports say that enough was tested and every limit holds; see
    :mod:`relman_plugins.steps.suite_tries`. Anything else is red, and what is known of it is recorded.
    """

    ui_color = "#fdf1c7"

    def act(self, context: Context, run: StepRun) -> str:
        """Run, read, record."""
        suite = run.step.args["suite"]
        result = self._run(run)
        if result.fingerprints is not None:
            # Apart from the suite's end: it is long, and only the next release looks at it.
            found = {"suite": suite, "fingerprints": result.fingerprints}
            run.record(Kind.FINDINGS_RECORDED, f"{run.attempt}:findings", found)
        run.record(Kind.SUITE_FINISHED, f"{run.attempt}:suite", result.data)
        if not result.passed:
            raise StepFailed(f"suite {suite}: {result.reason}\n{result.tail}")
        return f"suite {suite}: {result.reason}{_again(result.data['tries'])}"

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
