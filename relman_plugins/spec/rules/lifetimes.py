"""Environments that are removed by a time of their own: nothing may wait for longer in one."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, Path_, entries, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.checklist import Checklist
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.environment import Environment
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder

_EXPIRES = Environment.model_fields["expires"].default


def waits(bundle: Bundle) -> Iterator[Diagnostic]:
    """What a stage waits for in any case ends before its environment does, with its lock and its version."""
    for path, stage, lives in _ephemeral(bundle):
        watched = stage.child("soak") if stage.child("soak", "for") is not None else None
        soak = _seconds(watched or stage, "for" if watched else "soak", Duration(0)) or 0
        monitor = _seconds(stage.child("monitor"), "for", Duration(0)) or 0
        if soak + monitor < lives:
            continue
        parts = [f"{Duration(s)} of {name}" for name, s in (("monitor", monitor), ("soak", soak)) if s]
        what = " and ".join(parts)
        message = (
            f"{holder(bundle.pipeline, path)} waits {what}, but its environment is removed after "
            f"{Duration(lives)}, in the middle of it"
        )
        place = (*path, "soak") if soak else (*path, "monitor", "for")
        hint = "wait for less, or make expires: of the environment longer than all that is done in it"
        yield finding(bundle.pipeline, place, "RM707", message, hint=hint)


def checklists(bundle: Bundle) -> Iterator[Diagnostic]:
    """Nobody can try what was removed."""
    written = {str(path[-1]): (path, suite) for path, suite in bundle.checklists()}
    for stage_path, _, lives in _ephemeral(bundle):
        for _, named in entries(bundle.pipeline, *stage_path, "suites"):
            path, suite = written.get(named.value if isinstance(named.value, str) else "", ((), None))
            patience = _seconds(suite, "timeout", Checklist.model_fields["timeout"].default)
            if suite is not None and patience is not None and patience > lives:
                message = (
                    f"{holder(bundle.pipeline, path)} may wait {Duration(patience)}, but the environment of "
                    f"{holder(bundle.pipeline, stage_path)} is removed after {Duration(lives)}"
                )
                hint = "make timeout: of the checklist shorter than expires: of the environment"
                yield finding(
                    bundle.pipeline, path, "RM703", message, key=True, hint=hint, severity="warning"
                )


def _ephemeral(bundle: Bundle) -> Iterator[tuple[Path_, Node, int]]:
    """Yield the stages in ephemeral environments, and how many seconds those live."""
    for path, stage in bundle.stages():
        document = bundle.environments.get(text_at(stage, "environment") or "")
        if document is not None and document.root.value.get("ephemeral") is True:
            lives = _seconds(document.root, "expires", _EXPIRES)
            if lives is not None:
                yield path, stage, lives


def _seconds(node: Node | None, key: str, default: Duration) -> int | None:
    """Return a duration in seconds; None for what is none, which is said elsewhere."""
    if node is None or node.child(key) is None:
        return default.seconds
    try:
        return Duration.parse(text_at(node, key) or "").seconds
    except ValueError:
        return None


RULES = (waits, checklists)
