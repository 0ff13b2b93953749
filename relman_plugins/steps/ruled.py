"""The rules of a gate: what it is opened with, and what people read of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins import settings

if TYPE_CHECKING:
    from relman_plugins.domain.approval import Panel, Rule
    from relman_plugins.domain.condition import NotNeeded
    from relman_plugins.domain.identity import Person
    from relman_plugins.steps.run import StepRun


def ruled(run: StepRun) -> dict[str, Any]:
    """Return the rules of a step's gate for ``open_gate``; nothing for gates without any of their own."""
    panel = _panel(run)
    if panel is None:
        return {}
    asks = {"rules": panel.rules, "own": panel.own, "people": panel.people, "quorum": panel.needed}
    spared = not_needed(run)
    return asks | ({"not_needed": spared} if spared else {})


def not_needed(run: StepRun) -> tuple[NotNeeded, ...]:
    """Return the rules of a step's gate that the release's risk does not ask for."""
    from relman_plugins.ledger.api import RELIEF, waiver

    return waiver(run.release, run.step, run.events(*RELIEF)).spared


def asked(run: StepRun) -> tuple[tuple[Person, ...], int]:
    """Return whom a gate calls on and how many must approve: without rules that need not be met."""
    panel = _panel(run)
    return (panel.people, panel.needed) if panel else (run.plan.people(run.step.id), run.step.args["quorum"])


def listed(run: StepRun) -> tuple[Person, ...]:
    """Return whom Airflow's page takes answers of: it keeps the list that it is given first.

    Beside those who are asked they are the people of rules that the risk does not ask for: such a rule comes
    back when another version is live than the change was compared with. Until then they are refused.
    """
    panel = _panel(run)
    if panel is None:
        return run.plan.people(run.step.id)
    from relman_plugins.ledger.api import RELIEF, planned

    spared = {one.id for one in not_needed(run)}
    whole = planned(run.release, run.step, run.events(*RELIEF))
    called = {id_ for rule in whole.rules if rule.id in spared for id_ in rule.people}
    called.update(p.id for p in panel.people)
    return tuple(p for p in whole.people if p.id in called)


def told(run: StepRun, escape: Callable[[str], str]) -> str:
    """Return the rules as Markdown: what each asks for, whose own release it is, and where the votes are.

    ``escape`` makes other people's text harmless. Airflow shows the text as it was when the gate was opened,
    so what changes meanwhile is behind the link.
    """
    panel, parts = _panel(run), []
    if panel is not None:
        from relman_plugins.ledger.api import stuck

        names = {p.id: escape(p.name or p.id) for p in panel.people}
        if len(panel.rules) > 1 or any(_is_more(r) for r in panel.rules):
            lines = "\n".join(f"- {_rule(rule, names, escape)}" for rule in panel.rules)
            each = "all are needed, and one person counts for one of them"
            parts.append(
                f"**Rules:** {each if len(panel.rules) > 1 else 'an approval needs more than a yes'}"
            )
            parts.append(lines)
        own = [f"{names[p.id]} ({panel.own[p.airflow]})" for p in panel.people if _excluded(panel, p.airflow)]
        if own:
            parts.append(
                f"**Can't approve, as it is their own release:** {', '.join(own)}. They may reject it."
            )
        if spared := not_needed(run):
            lines = "\n".join(f"- {escape(one.line())}" for one in spared)
            parts += ["**Not asked for, by the risk of this release:**", lines]
        if why := stuck(panel):
            parts.append(f"**This gate {escape(why)}.**")
    live = f"{settings.base_url()}/relman/api/v1/releases/{quote(run.release_id, safe='')}/report?format=html"
    parts.append(f"Who has answered and who is missing now: [the release's report]({live})")
    return "\n\n".join(parts) + ".\n\n"


def _panel(run: StepRun) -> Panel | None:
    if not run.step.args.get("rules"):
        return None
    from relman_plugins.ledger.api import RELIEF, left, planned

    events = run.events(*RELIEF)
    panel, rules = planned(run.release, run.step, events), left(run.release, run.step, events)
    if len(rules) == len(panel.rules):
        return panel
    called = {id_ for rule in rules for id_ in rule.people}
    called.update((run.step.args.get("escalate") or {}).get("people") or ())
    people = tuple(p for p in panel.people if p.id in called)
    return panel.model_copy(update={"rules": rules, "people": people})


def _is_more(rule: Rule) -> bool:
    """Say whether there is more to a rule than how many of whom."""
    return bool(rule.fields or rule.comment == "required" or rule.when)


def _excluded(panel: Panel, user: str) -> bool:
    return user in panel.own and not panel.open_to(user)


def _rule(rule: Rule, names: dict[str, str], escape: Callable[[str], str]) -> str:
    people = ", ".join(names[id_] for id_ in rule.people)
    whom = f"**{escape(rule.group)}** ({people})" if rule.group else people
    wanted = ["a comment"] if rule.comment == "required" else []
    wanted += [escape(f.label) + ("" if f.required else " (optional)") for f in rule.fields]
    said = f", with {', '.join(wanted)}" if wanted else ""
    own = "; also for one's own release" if rule.self_approval == "allowed" else ""
    when = f"; since it is asked for if {rule.when}" if rule.when else ""
    return f"{rule.quorum} of {whom}{said}{own}{when}"
