"""The report as one HTML page: no scripts, no addresses, everything that people wrote escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from relman_plugins.domain.look import counts
from relman_plugins.reports import text
from relman_plugins.reports.chart import bars
from relman_plugins.reports.model import ReleaseReport
from relman_plugins.reports.pages import allowed, environment, policy, source
from relman_plugins.reports.picture import Picture
from relman_plugins.reports.svg import svg


def html(report: ReleaseReport, evidence: Iterable[tuple[str, Iterable[str]]] = ()) -> str:
    """Return the page, with its one style sheet inside.

    ``evidence`` is what checking a file of evidence found, in parts with a title; it comes last.
    """
    made = environment()
    made.filters.update(
        counts=counts, asked_after=text.asked_after, drawn=_drawn, compared_with=text.compared_with
    )
    page = made.from_string(source("report.html"))
    return (
        page.render(
            r=report,
            chart=bars(report),
            style=source("report.css"),
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
    return policy(f"style-src {allowed(source('report.css'))}", "frame-ancestors 'self'")
