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
from relman_plugins.steps.process import Command
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILED_TESTS_KEPT = 50


class SuiteOperator(ReleaseStepOperator):
    """Run one suite in the unpacked artifact and read its JUnit report.

    Green means: the command ended by itself, with exit code 0 or with no more failures than the plan
    tolerates, and a whole report says that enough tests ran. Anything else is red, and what is known of it
    is recorded.
    """

    ui_color = "#fdf1c7"

    def act(self, context: Context, run: StepRun) -> str:
        """Run, read, record."""
        from relman_plugins.platforms.archive import unpack

        args = run.step.args
        environment, artifact = run.environment, run.artifact
        url = platform_of(environment).observe(environment.name, run.service).url
        with tempfile.TemporaryDirectory(prefix="relman-suite-") as scratch:
            workplace = Path(scratch, "artifact")
            unpack(Path(unquote(urlsplit(artifact.uri).path)), artifact.digest, workplace)
            (workplace / args["junit"]).parent.mkdir(parents=True, exist_ok=True)
            self.command = Command(
                argv=args["command"],
                cwd=workplace,
                variables={
                    **args["env"],
                    "RELMAN_BASE_URL": url or "",
                    "RELMAN_VERSION": artifact.version,
                    "RELMAN_ENVIRONMENT": environment.name,
                    **run.plan.variables,
                },
                timeout_s=args["timeout_s"],
                log=lambda line: self.log.info("%s", line),
            )
            result = self.command.run()
            passed, reason, data = self._read(workplace / args["junit"], args)
        if result.timed_out:
            passed, reason = False, f"took longer than {args['timeout_s']:g} s and was stopped"
        elif passed and result.code and not data["failures"] + data["errors"]:
            passed, reason = False, f"the report is green, but the command ended with exit code {result.code}"
        run.record(
            Kind.SUITE_FINISHED,
            f"{run.attempt}:suite",
            {"suite": args["suite"], "passed": passed, "reason": reason} | data,
        )
        if not passed:
            raise StepFailed(f"suite {args['suite']}: {reason}\n{result.tail}")
        return f"suite {args['suite']}: {data['tests']} tests, {data['skipped']} skipped, none failed"

    def _read(self, report: Path, args: dict[str, Any]) -> tuple[bool, str, dict[str, Any]]:
        from relman_plugins.clients.reports import junit

        try:
            read = junit.read(report)
        except ClientRejected as error:
            nothing = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0, "seconds": 0.0, "failed": []}
            return False, str(error), nothing
        passed, reason = read.verdict(min_tests=args["min_tests"], max_failures=args["max_failures"])
        data = read.model_dump(mode="json") | {
            "failed": [f.model_dump(mode="json") for f in read.failed[:FAILED_TESTS_KEPT]]
        }
        return passed, reason, data

    def on_kill(self) -> None:
        """End the suite with the task."""
        if command := getattr(self, "command", None):
            command.kill()
