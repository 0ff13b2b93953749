"""A gate as one HTML page that fits a phone: what is asked, how it stands, and the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import still
from relman_plugins.reports.pages import allowed, environment, policy, source
from relman_plugins.reports.subject import told
from relman_plugins.spec.words import visible_json

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState


def gate_page(
    gate: GateState, user: str, name: str, *, ended: str, votes_url: str, asked_url: str, report_url: str
) -> str:
    """Return the page; everything that people wrote is escaped.

    Args:
        gate: the gate in its present round.
        user: Airflow's id of whoever reads it.
        name: that person's name in Airflow; empty where it has none.
        ended: why nobody may answer any more though nobody has decided; empty where they may.
        votes_url: where the vote service takes an answer as JSON, without a host.
        asked_url: Airflow's own page of the gate, or the run.
        report_url: the release's report.
    """
    person = next((p.id for p in gate.people if p.airflow == user), None)
    rules = gate.panel.called_by(user)
    return (
        environment()
        .from_string(source("gate.html"))
        .render(
            gate=gate,
            subject=gate.subject,
            told=list(told(gate.subject)),
            whole=visible_json(json.dumps(gate.subject, indent=2, sort_keys=True, ensure_ascii=False)),
            still=still(gate),
            fields=list({f.name: f for rule in rules or gate.rules for f in rule.fields}.values()),
            comment_needed=any(rule.comment == "required" for rule in rules),
            checklist=gate.subject.get("checklist"),
            own=gate.panel.known_as(user, name).own.get(user, ""),
            asked=person is not None,
            early=gate.too_early(person) if person else "",
            ended=ended,
            later="" if ended else _called_later(gate),
            voted=next((v for v in gate.votes if v.person == person), None),
            approve=Decision.APPROVE.value,
            votes_url=votes_url,
            asked_url=asked_url,
            report_url=report_url,
            style=_style(),
            script=source("gate.js"),
        )
        + "\n"
    )


def _called_later(gate: GateState) -> str:
    """Return whom an escalation that is still to come calls; empty where none does."""
    second, at = gate.escalate, gate.escalates_at
    if second is None or at is None or gate.state != "open" or gate.escalated_at is not None:
        return ""
    if at >= gate.expires_at:
        return ""
    return ", ".join(p.name or p.id for p in gate.people if p.id in second.people)


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
