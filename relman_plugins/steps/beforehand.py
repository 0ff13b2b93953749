"""What a version would change, asked of the platform when people are asked whether it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.errors import PlatformError
from relman_plugins.hooks.platform import platform_of
from relman_plugins.platforms.base import Previews
from relman_plugins.steps.subjects import NEW, one_line, quoted_code
from relman_plugins.strategies.api import promoted

if TYPE_CHECKING:
    from relman_plugins.steps.run import StepRun

MOST_LINES = 40
"""How many changes are listed for people; the rest is counted."""

LONGEST = 300
"""Characters of one of them."""


def changes_in(run: StepRun) -> str:
    """Return what people read of it, in Markdown; empty where the platform can't say.

    It is of the moment at which they were asked. A platform that does not answer stops no question.
    """
    environment = run.environment
    try:
        platform = platform_of(environment)
        if not isinstance(platform, Previews):
            return ""
        desired = promoted(run.artifact, environment.replicas, environment.config)
        lines = platform.preview(environment.name, run.service, desired)
    except PlatformError as error:
        return f"**What changes in `{environment.name}`** is not known: {one_line(str(error))}\n\n"
    shown = [line[:LONGEST] for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"… and {len(lines) - MOST_LINES} more")
    said = quoted_code("\n".join(shown), "diff") or "nothing"
    return f"**What changes in `{environment.name}`**, by its dry run just now{NEW}{said}{NEW}"
