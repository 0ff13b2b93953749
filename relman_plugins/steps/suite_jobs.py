"""Running a suite as Jobs on the platform, one for each try, and reading what they handed over.

What is known of the tries is on the platform: whoever comes to a suite in whatever state, such as another try
of a task whose worker was lost, finds the Jobs by their names, reads those that have ended, and goes on.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relman_plugins import telemetry
from relman_plugins.domain.suite_job import FAILED_TESTS, REPORTS, SuiteJob
from relman_plugins.errors import PlatformError, Refused
from relman_plugins.hooks.platform import jobs_of, platform_of
from relman_plugins.plan.model import StepKind
from relman_plugins.steps.suite_tries import SuiteResult, Tries

if TYPE_CHECKING:
    from relman_plugins.clients.reports.reading import Before
    from relman_plugins.platforms.base import Jobs
    from relman_plugins.steps.run import StepRun


@dataclass
class SuiteJobs:
    """The Jobs of one suite's step."""

    run: StepRun
    round: int
    """How often the step had ended for good before."""
    before: Before | None
    log: Callable[[str], None]

    def go_on(self) -> SuiteResult | SuiteJob:
        """Return what the suite came to, or the Job that is to be waited for; it runs then.

        Raises:
            PlatformError: the platform does not answer, or refuses.
            ClientRejected: a library that one of the reports needs is not installed; nothing ran.
            Refused: there is no image.
        """
        jobs = jobs_of(self.run.environment)
        with tempfile.TemporaryDirectory(prefix="relman-suite-") as folder:
            return self._go_on(jobs, Path(folder))

    def _go_on(self, jobs: Jobs, home: Path) -> SuiteResult | SuiteJob:
        tries = Tries(self.run.step.args, self.before, _cleaner(home))
        tries.need()
        while tries.another():
            job = self._job(tries)
            look = jobs.look(job.name, job.timeout_s)
            if look is None:
                if tries.all:
                    self.log(f"try {len(tries.all)}: {tries.why()}; trying again")
                job = job.model_copy(update={"variables": job.variables | self._address()})
                jobs.start(job)
                return job
            if not look.ended:
                return job
            folder = home / str(job.attempt)
            folder.mkdir()
            stopped = look.stopped or jobs.reports(job, folder)
            tries.ended(look.code, look.tail, look.seconds, folder, None, stopped)
        return tries.judged()

    def _job(self, tries: Tries) -> SuiteJob:
        run, args = self.run, self.run.step.args
        pod: dict[str, Any] = args["pod"]
        image = pod["image"] or run.artifact.image
        if not image:
            raise Refused(
                f"suite {args['suite']} runs in the release's image, and {run.artifact.version} has none; "
                "let the build write one, or name another by pod: {image: …}"
            )
        attempt = len(tries.all) + 1
        return SuiteJob(
            release_id=run.release_id,
            step=run.step.id,
            round=self.round,
            attempt=attempt,
            image=image,
            collector=pod["collector"] or image,
            command=tuple(args["command"]),
            variables={
                **args["env"],
                "RELMAN_VERSION": run.artifact.version,
                "RELMAN_ENVIRONMENT": run.environment.name,
                "RELMAN_ATTEMPT": str(attempt),
                "RELMAN_REPORTS": REPORTS,
                "RELMAN_FAILED_TESTS": FAILED_TESTS,
                **run.plan.variables,
            },
            files=tuple(tries.files),
            failed=tuple(tries.failed()),
            timeout_s=args["timeout_s"],
            **{name: pod[name] for name in ("cpu", "memory", "service_account", "user")},
        )

    def _address(self) -> dict[str, str]:
        """Return the variables that only a Job which begins is asked for."""
        environment = self.run.environment
        url = platform_of(environment).observe(environment.name, self.run.service).url
        return {"RELMAN_BASE_URL": url or "", **telemetry.carrier()}


def removed(run: StepRun, step: str, log: Callable[[str], None]) -> None:
    """Remove the Jobs of a step from the platform, as far as that can be done now.

    What stays is removed when the release is closed, and two weeks after its end by the cluster itself.
    """
    try:
        jobs_of(run.environment).remove(run.release_id, step)
    except PlatformError as error:
        log(f"the Jobs of {step} are not removed yet: {error}")


def sweep(run: StepRun, log: Callable[[str], None]) -> None:
    """Remove all Jobs of a release, wherever its plan runs suites as pods, as far as that can be done now."""
    names = {s.environment for s in run.shape.steps if s.kind is StepKind.SUITE and s.args.get("pod")}
    for name in sorted(n for n in names if n):
        try:
            jobs_of(run.shape.environment(name)).remove(run.release_id)
        except PlatformError as error:
            log(f"the Jobs of {run.release_id} in {name} are not removed yet: {error}")


def _cleaner(home: Path) -> Callable[[str], str]:
    mine = re.compile(rf"{re.escape(str(home))}/\d+/?")
    return lambda text: mine.sub("", text)
