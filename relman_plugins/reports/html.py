"""The report as one HTML page: no scripts, no addresses, everything that people wrote escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from relman_plugins.domain.look import counts
from relman_plugins.reports import text
from relman_plugins.reports.chart import bars
from relman_plugins.reports.model import ReleaseReport
from relman_plugins.reports.picture import Picture
from relman_plugins.reports.svg import svg


@cache
def _source(name: str) -> str:
    return files("relman_plugins.reports").joinpath("templates", name).read_text("utf-8")


def html(report: ReleaseReport, evidence: Iterable[tuple[str, Iterable[str]]] = ()) -> str:
    """Return the page, with its one style sheet inside.

    ``evidence`` is what checking a file of evidence found, in parts with a title; it comes last.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        duration=text.duration, moment=text.moment, clock=text.clock, short=text.short, shown=text.shown,
        word=text.word, value=text.value, counts=counts, asked_after=text.asked_after,
        drawn=_drawn, number=text.number, extent=text.extent, compared_with=text.compared_with,
    )  # fmt: skip
    page = environment.from_string(_source("report.html"))
    return (
        page.render(
            r=report,
            chart=bars(report),
            style=_source("report.css"),
            waits=text.WAITS,
            usual=text.USUAL,
            evidence=[(title, list(lines)) for title, lines in evidence],
        )
        + "\n"
    )


def _drawn(picture: Picture) -> Markup:
    """Return a picture as a part of the page; it is escaped where it is made."""
    return Markup(svg(picture, alone=False))  # noqa: S704


def content_security_policy() -> str:
    """Return the policy under which the page shows: its own style sheet, by hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_source("report.css").encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'self'; base-uri 'none'"
