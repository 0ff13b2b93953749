"""Turning source into an artifact with a digest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.image import is_image
from relman_plugins.steps.base import ReleaseStepOperator, StepFailed
from relman_plugins.steps.paths import spec_path
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context


class BuildArtifactOperator(ReleaseStepOperator):
    """Run the pipeline's build on a copy of its source, archive what it made, and record the digest.

    The archive is deterministic and its place in the store is its digest: the same output is the same
    artifact. Without a build command the source itself is archived.
    """

    ui_color = "#e9e4d4"

    def act(self, context: Context, run: StepRun) -> str:
        """Build, archive, record."""
        from relman_plugins.platforms.archive import pack

        args = run.step.args
        source = spec_path(args["source"], self.dag.fileloc)
        if not source.is_dir():
            raise StepFailed(
                f"the artifact's source {args['source']} is not a folder on this worker ({source})"
            )
        with tempfile.TemporaryDirectory(prefix="relman-build-") as scratch:
            output = Path(scratch, "output")
            output.mkdir()
            if args["command"]:
                self._build(run, source, Path(scratch), output)
            else:
                output = source
            packed = pack(output, settings.artifact_store())
            # Read after packing, which refuses links.
            image = _image(output / args["image"]) if args.get("image") else None
        revision = packed.revision(run.plan.options.version).model_copy(update={"image": image})
        run.record(
            Kind.ARTIFACT_BUILT,
            "built",
            {
                "revision": revision.model_dump(mode="json"),
                "size": packed.size,
                "files": packed.files,
                "source": args["source"],
            },
        )
        return f"built {revision.version}: {packed.files} files, {packed.size} bytes, {revision.digest}"

    def _build(self, run: StepRun, source: Path, scratch: Path, output: Path) -> None:
        from relman_plugins.steps.process import Command

        workplace = scratch / "source"
        shutil.copytree(
            source, workplace, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".git")
        )
        args = run.step.args
        self.command = Command(
            argv=args["command"],
            cwd=workplace,
            variables={
                "RELMAN_VERSION": run.plan.options.version,
                "RELMAN_SOURCE": str(workplace),
                "RELMAN_OUTPUT": str(output),
                **run.plan.variables,
            },
            timeout_s=args["timeout_s"],
            log=lambda line: self.log.info("%s", line),
        )
        result = self.command.run()
        if result.timed_out:
            raise StepFailed(
                f"the build took longer than {args['timeout_s']:g} s and was stopped\n{result.tail}"
            )
        if result.code:
            raise StepFailed(f"the build ended with exit code {result.code}:\n{result.tail}")

    def on_kill(self) -> None:
        """End the build with the task."""
        if command := getattr(self, "command", None):
            command.kill()


def _image(file: Path) -> str:
    """Return the image that the build wrote down; raise StepFailed when there is none by digest."""
    try:
        with file.open("rb") as opened:
            image = opened.read(1_000).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StepFailed(
            f"the build wrote no image to {file.name}, which image: of the artifact names: {error}; expected "
            "a file with one line, REPOSITORY@sha256:DIGEST"
        ) from error
    if not is_image(image):
        raise StepFailed(
            f"the build wrote {image[:200]!r} to {file.name}; expected REPOSITORY@sha256:DIGEST: a tag may "
            "be another image tomorrow"
        )
    return image
