"""What every HTML page of relman is made with: templates that escape, and a policy for what is inside."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from relman_plugins.reports import text


@cache
def source(name: str) -> str:
    """Return a file of the templates' folder."""
    return files("relman_plugins.reports").joinpath("templates", name).read_text("utf-8")


def environment() -> Environment:
    """Return where templates are rendered: what people wrote is escaped, and nothing may be missing."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(
        duration=text.duration, moment=text.moment, clock=text.clock, short=text.short, shown=text.shown,
        word=text.word, written=text.written, value=text.value, number=text.number, extent=text.extent,
    )  # fmt: skip
    return made


def policy(*parts: str) -> str:
    """Return a Content-Security-Policy that forbids everything, and then allows ``parts``."""
    return "; ".join(("default-src 'none'", *parts, "base-uri 'none'"))


def allowed(content: str) -> str:
    """Return how a policy names a style sheet or script that stands in the page: by its hash."""
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
