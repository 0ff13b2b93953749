"""A gate as one HTML page that fits a phone: what is asked, how it stands, and the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.status import Decision
from relman_plugins.reports.pages import allowed, environment, policy, source

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState


def gate_page(gate: GateState, user: str, *, votes_url: str, run_url: str, report_url: str) -> str:
    """Return the page; everything that people wrote is escaped.

    Args:
        gate: the gate in its present round.
        user: Airflow's id of whoever reads it.
        votes_url: where the vote service takes an answer as JSON, without a host.
        run_url: the release's run in Airflow.
        report_url: the release's report.
    """
    names = {p.id: p.name or p.id for p in gate.people}
    mine = next((p.id for p in gate.people if p.airflow == user), user)
    fields = {f.name: f for rule in gate.rules for f in rule.fields}
    return (
        environment()
        .from_string(source("gate.html"))
        .render(
            gate=gate,
            subject=gate.subject,
            whole=json.dumps(gate.subject, indent=2, sort_keys=True, ensure_ascii=False),
            lacking=[_lack(one.model_dump(), names) for one in gate.lacking],
            fields=list(fields.values()),
            checklist=gate.subject.get("checklist"),
            own=gate.own.get(user, ""),
            asked=mine in names,
            voted=next((v for v in gate.votes if v.person == mine), None),
            approve=Decision.APPROVE.value,
            votes_url=votes_url,
            run_url=run_url,
            report_url=report_url,
            style=_style(),
            script=source("gate.js"),
        )
        + "\n"
    )


def gate_policy() -> str:
    """Return the policy under which the page works: its own style and script, and answers to this server.

    No page may show it in a frame: a click there could be one that its reader did not mean.
    """
    return policy(
        f"style-src {allowed(_style())}",
        f"script-src {allowed(source('gate.js'))}",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )


def _style() -> str:
    return source("report.css") + source("gate.css")


def _lack(one: dict[str, Any], names: dict[str, str]) -> str:
    who = ", ".join(names.get(id_, id_) for id_ in one["people"])
    return f"{one['missing']} of {who or 'nobody who is left'}"
