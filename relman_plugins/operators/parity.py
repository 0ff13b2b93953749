"""Comparing two environments before a stage changes anything."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from relman_plugins.clients.http import client, request
from relman_plugins.domain.event import Kind
from relman_plugins.domain.parity import Area, Difference, mappings, said, schemas
from relman_plugins.errors import ClientError
from relman_plugins.hooks.platform import platform_of
from relman_plugins.spec.secrets import looks_secret
from relman_plugins.steps.asking import AskingOperator
from relman_plugins.steps.base import StepFailed
from relman_plugins.steps.process import Command
from relman_plugins.steps.subjects import difference_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.domain.state import ObservedState
    from relman_plugins.ledger.api import GateState
    from relman_plugins.plan.model import EnvironmentPlan
    from relman_plugins.steps.run import StepRun

MAX_SCHEMA = 1024 * 1024
"""Bytes of a schema that are read."""


class Unreadable(Exception):
    """A schema could not be read; the text says why."""


class ParityOperator(AskingOperator):
    """Compare where the version was tried with where it goes: configuration, neighbours, drift, data schema.

    Nothing is changed. What is found is recorded, and shown by the approvals of the stage. With ``gate`` a
    person must accept differences, bound to exactly these; with ``fail`` they fail the step. What cannot be
    compared is a difference too.
    """

    ui_color = "#dff0ef"

    def act(self, context: Context, run: StepRun) -> str:
        """Compare, record, and do what the plan says about differences."""
        gate = run.ledger.votes.gate(run.release_id, run.step.id)
        # People decide about what they were shown, whatever has changed since.
        data = run.mine(Kind.PARITY_COMPARED)[-1].data if gate else self._compare(run)
        lines, what = data["lines"], f"{data['with']} and {run.environment.name}"
        if not lines:
            return f"no difference between {what} in {', '.join(data['of'])}"
        told = (
            f"{len(lines)} differences between {what}" if len(lines) > 1 else f"one difference between {what}"
        )
        match run.step.args["on_difference"]:
            case "fail":
                raise StepFailed(f"{told}: {'; '.join(lines)}")
            case "gate":
                return self.settle(context, run, self._ask(context, run, data, told))
            case _:
                return f"{told}: {'; '.join(lines)}"

    def decided(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Return who accepted the differences."""
        return f"differences accepted by {', '.join(v.name or v.person for v in gate.votes)}"

    def _ask(self, context: Context, run: StepRun, data: dict[str, Any], told: str) -> GateState:
        subject, body = difference_of(run, data, run.plan.people(run.step.id))
        headline = f"{run.shape.pipeline} {run.plan.options.version}: {told}. Go on?"
        return self.ask_as_planned(context, run, subject=subject, headline=headline, body=body)

    def _compare(self, run: StepRun) -> dict[str, Any]:
        args, target = run.step.args, run.environment
        source = run.shape.environment(args["with"])
        seen = tuple(platform_of(e).observe(e.name, run.service) for e in (source, target))
        found: list[Difference] = []
        if Area.CONFIG in args["of"]:
            found += _config(args, source, target, seen[0])
        if Area.VERSIONS in args["of"]:
            found += _versions(run, args, source.name, target.name, seen[0])
        if Area.DRIFT in args["of"]:
            found += _drift(args, source, seen[0])
        diff = ""
        if Area.SCHEMA in args["of"]:
            difference, diff = self._schemas(run, (source, target), seen)
            found += [difference] if difference else []
        data = {
            "with": source.name,
            "of": args["of"],
            "on_difference": args["on_difference"],
            "differences": [d.model_dump(mode="json") for d in found],
            "lines": [d.line(source.name, target.name) for d in found],
            "changes": _changes(args, target, seen[1]),
            "schema_diff": diff,
        }
        run.record(Kind.PARITY_COMPARED, f"{run.attempt}:compared", data)
        return data

    def _schemas(
        self, run: StepRun, sides: tuple[EnvironmentPlan, EnvironmentPlan], seen: tuple[ObservedState, ...]
    ) -> tuple[Difference | None, str]:
        if seen[1].stable is None:
            # A first deployment: there is no schema yet that could be another one.
            return None, ""
        try:
            one, two = (self._schema(run, e, s) for e, s in zip(sides, seen, strict=True))
        except Unreadable as error:
            note = f"could not be compared: {error}"
            return Difference(area=Area.SCHEMA, key="schema", source=None, target=None, note=note), ""
        return schemas(one, two, (sides[0].name, sides[1].name), looks_secret)

    def _schema(self, run: StepRun, environment: EnvironmentPlan, seen: ObservedState) -> str:
        how = run.step.args["schema"]
        if not seen.url or seen.stable is None:
            raise Unreadable(f"nothing runs in {environment.name}")
        if how["path"]:
            within = how["timeout_s"]
            with client(seen.url.rstrip("/"), timeout=within) as http:
                try:
                    raw = request(http, "GET", how["path"], limit_s=within, max_bytes=MAX_SCHEMA).content
                except ClientError as error:
                    raise Unreadable(f"{environment.name}: {error}") from error
            return _text(raw, environment.name)
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="relman-schema-"))
            return self._command(run, environment, seen, how, Path(scratch))

    def _command(
        self, run: StepRun, environment: EnvironmentPlan, seen: ObservedState, how: Any, scratch: Path
    ) -> str:
        from relman_plugins.platforms.archive import unpack

        workplace, output = scratch / "artifact", scratch / "schema"
        unpack(Path(unquote(urlsplit(run.artifact.uri).path)), run.artifact.digest, workplace)
        self.command = Command(
            argv=how["command"],
            cwd=workplace,
            variables={
                "RELMAN_BASE_URL": seen.url or "",
                "RELMAN_VERSION": seen.stable.revision.version if seen.stable else "",
                "RELMAN_ENVIRONMENT": environment.name,
                "RELMAN_OUTPUT": str(output),
            },
            timeout_s=how["timeout_s"],
            log=lambda line: self.log.info("%s: %s", environment.name, line),
        )
        result = self.command.run()
        if result.timed_out:
            raise Unreadable(f"{environment.name}: the command took longer than {how['timeout_s']:g} s")
        if result.code:
            raise Unreadable(f"{environment.name}: the command ended with exit code {result.code}")
        # A pipe would be read for ever.
        if not output.is_file():
            raise Unreadable(f"{environment.name}: the command wrote no file RELMAN_OUTPUT")
        try:
            with output.open("rb") as file:
                return _text(file.read(MAX_SCHEMA + 1), environment.name)
        except OSError as error:
            raise Unreadable(f"{environment.name}: RELMAN_OUTPUT can't be read: {error.strerror}") from error

    def on_kill(self) -> None:
        """End the command with the task."""
        if command := getattr(self, "command", None):
            command.kill()


def _config(
    args: dict[str, Any], source: EnvironmentPlan, target: EnvironmentPlan, seen: ObservedState
) -> list[Difference]:
    """Compare what the version was tried with, and what this release brings to the target."""
    tried = source.config if seen.config is None else seen.config
    keys = {"ignore": args["ignore"], "may_differ": args["may_differ"]}
    written = (source.config, target.config)
    return list(mappings(Area.CONFIG, tried, target.config, looks_secret, written=written, **keys))


def _versions(
    run: StepRun, args: dict[str, Any], source: str, target: str, seen: ObservedState
) -> list[Difference]:
    """Compare the services around this one, and what was tried with what would ship."""
    found = []
    live = seen.stable.revision if seen.stable else None
    if live is None or (live.version, live.digest) != (run.artifact.version, run.artifact.digest):
        runs = f"{live.version} ({live.digest[:19]})" if live else "nothing"
        ships = f"{run.artifact.version} ({run.artifact.digest[:19]})"
        note = f"{source} runs {runs}, not the {ships} that would ship"
        found.append(Difference(area=Area.VERSIONS, key=run.service, source=None, target=None, note=note))
    one, two = (
        {name: r.version for name, r in run.ledger.live(e).items() if name != run.service}
        for e in (source, target)
    )
    return found + list(mappings(Area.VERSIONS, one, two, looks_secret, ignore=args["ignore"]))


def _drift(args: dict[str, Any], source: EnvironmentPlan, seen: ObservedState) -> list[Difference]:
    """Compare what runs in the source with what the spec says."""
    if seen.config is None:
        return []
    written = (source.config,)
    return list(
        mappings(Area.DRIFT, seen.config, source.config, looks_secret, written=written, ignore=args["ignore"])
    )


def _changes(args: dict[str, Any], target: EnvironmentPlan, seen: ObservedState) -> list[str]:
    """Say what this release changes in the target's configuration: no difference, but good to know."""
    if seen.config is None:
        return []
    written, ignore = (target.config,), args["ignore"]
    found = mappings(Area.CONFIG, seen.config, target.config, looks_secret, written=written, ignore=ignore)
    return [f"{d.key}: {said(d.source)} now, {said(d.target)} with this release" for d in found]


def _text(raw: bytes, environment: str) -> str:
    if len(raw) > MAX_SCHEMA:
        raise Unreadable(f"{environment}: its schema is larger than {MAX_SCHEMA >> 20} MB")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{environment}: its schema is not UTF-8") from error
