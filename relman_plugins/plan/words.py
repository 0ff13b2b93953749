"""What the steps of a plan do, in words: one vocabulary for the CLI, the DAG's docs and the messages."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from relman_plugins.domain.repository import is_address
from relman_plugins.domain.status import Outcome
from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.plan import window_words
from relman_plugins.plan.model import AnalysisPlan, Shape, Step, StepKind

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@lru_cache(maxsize=1000)
def duration(seconds: float) -> str:
    """Write seconds as specs do: ``90`` is ``1m 30s``, ``0`` is ``0s``."""
    whole, parts = round(seconds, 3), []
    for unit, size in _UNITS:
        count = whole // size if size > 1 else whole
        whole -= count * size
        if count:
            parts.append(f"{count:g}{unit}")
    return " ".join(parts) or "0s"


_shell = lru_cache(maxsize=1000)(shlex.join)
"""A suite's command is shown at each stage that runs it."""


def plural(count: int, noun: str) -> str:
    """Return ``1 replica`` or ``2 replicas``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


OWN = "also by whoever started it"
"""How it is said that a rule lets people approve their own release."""


WAIVABLE = "skipped in an emergency by those who may"
"""How it is said that a rule can be waived."""


WHEN = "only if "
"""How it is said that a rule is asked for only at some risks."""


def answerers(step: Step) -> str:
    """Say who may answer: ``1 of release-managers (alice, bob)``."""
    rules = step.args.get("rules") or ()
    if not rules:
        people = ", ".join(p["id"] for p in step.args["people"])
        return f"{step.args['quorum']} of {step.args['group']} ({people})"
    return " and ".join(map(rule, rules))


def _called(rule: dict[str, Any]) -> str:
    people = ", ".join(rule["people"])
    return f"{rule['quorum']} of " + (f"{rule['group']} ({people})" if rule["group"] else people)


def demands(rule: dict[str, Any]) -> list[str]:
    """Say what a rule of a gate asks for beyond a yes, and who may give it: ``with a comment``."""
    fields = [f["name"] + ("" if f["required"] else " (optional)") for f in rule["fields"]]
    wanted = ([] if rule["comment"] == "optional" else ["a comment"]) + fields
    said = [f"with {', '.join(wanted)}"] if wanted else []
    said += [OWN] if rule["self_approval"] == "allowed" else []
    said += [_when(rule["when"])] if rule.get("when") else []
    return said + ([WAIVABLE] if rule.get("waivable") else [])


def _when(condition: dict[str, Any]) -> str:
    by = f" by the weights of {condition['weighed_by']}" if condition["weighed_by"] else ""
    return f"{WHEN}risk {condition['operator']} {condition['risk']}{by}"


def rule(asked: dict[str, Any]) -> str:
    """Say in one line what a rule of a gate is: ``2 of release-managers (alice, bob); with a comment``."""
    return "; ".join([_called(asked), *demands(asked)])


def short_id(step: Step) -> str:
    """Return the step's id without its stage."""
    return step.id.removeprefix(f"{step.stage}.") if step.stage else step.id


def describe(shape: Shape, step: Step) -> str:
    """Say in one line what ``step`` does. No full stop, no markup but code quotes."""
    text = _DESCRIBE[step.kind](shape, step)
    checked = any(shape.step(gate).kind is StepKind.TICKET for gate in step.gates)
    return f"{text}; only when the release carries a ticket" if step.ticket and not checked else text


def environment(shape: Shape, name: str) -> str:
    """Say in one line what an environment is: platform, size, whether it stays."""
    env = shape.environment(name)
    stays = "created for each release, removed afterwards" if env.ephemeral else "permanent"
    where = f"environment {name} on {env.platform} (connection {env.connection})"
    if env.workload is not None:
        where += f" in namespace {env.workload.namespace}"
    pool = f", {plural(env.slots, 'slot')} of pool {env.pool} for each step" if env.pool else ""
    return f"{where}, {plural(env.replicas, 'replica')}, {stays}{pool}"


def stages(shape: Shape) -> list[tuple[str, list[Step]]]:
    """Return the stages in order, each with its steps in order."""
    found: dict[str, list[Step]] = {}
    for step in shape.steps:
        if step.stage:
            found.setdefault(step.stage, []).append(step)
    return list(found.items())


def gates(shape: Shape) -> list[Step]:
    """Return the gate steps in order."""
    return [s for s in shape.steps if s.kind in (StepKind.TICKET, StepKind.APPROVAL, StepKind.WINDOW)]


def _open(shape: Shape, step: Step) -> str:
    return "opens the release: its plan is stored in the ledger, and every step runs that copy"


def _build(shape: Shape, step: Step) -> str:
    args = step.args
    if not args["command"]:
        return f"archives `{args['source']}` and records its SHA-256"
    limit = duration(args["timeout_s"])
    command = _shell(tuple(args["command"]))
    return f"builds `{args['source']}` with `{command}` (at most {limit}) and records its SHA-256"


def _provision(shape: Shape, step: Step) -> str:
    return f"creates the environment; it expires after {duration(step.args['expires_s'])} whatever happens"


def _deploy(shape: Shape, step: Step) -> str:
    return f"replaces what runs by the new version, {plural(_replicas(shape, step), 'replica')}"


def _roll(shape: Shape, step: Step) -> str:
    surge, unavailable = int(step.args["max_surge"]), int(step.args["max_unavailable"])
    replicas = plural(_replicas(shape, step), "replica")
    return (
        f"replaces {replicas} some at a time: at most {surge} more, at most {unavailable} fewer; "
        "then the old version is gone"
    )


def _preview(shape: Shape, step: Step) -> str:
    replicas = plural(_replicas(shape, step), "replica")
    return f"starts {replicas} of the new version beside the old one, without traffic"


def _keep(shape: Shape, step: Step) -> str:
    return f"keeps the old version until {duration(step.args['keep_s'])} after the switch, then lets it go"


def _soak(shape: Shape, step: Step) -> str:
    watched = bool(step.args.get("analysis"))
    does = f"{_watches(step)}," if watched else f"waits {duration(step.args['for_s'])}"
    return f"{does} before the release goes on"


def _shift(shape: Shape, step: Step) -> str:
    args = step.args
    text = f"gives the new version {args['weight']} % of the traffic"
    if args.get("baseline"):
        text += ", a fresh baseline of the old one as much,"
    if args["analysis"]:
        looks = f"{plural(args['count'], 'look')}, {duration(args['interval_s'])} apart"
        how = "compares them" if args.get("baseline") else _how(shape.analysis(args["analysis"]))
        text += f" and {how} by {args['analysis']} ({looks})"
        text += ", with all that the weights before showed" if shape.carried_from(step) else ""
    return text + (", then lets the old version go" if args["promotes"] else "")


def _how(analysis: AnalysisPlan) -> str:
    if analysis.sampled is not None and analysis.sampled.against == "before":
        return "compares it with the time before"
    return "compares it with the old one" if analysis.compares else "judges it"


def _suite(shape: Shape, step: Step) -> str:
    args = step.args
    limit = duration(args["timeout_s"])
    again = f", {1 + args['retries']} tries" if args.get("retries") else ""
    read = [report["kind"] for report in args.get("reports") or ()]
    also = f" and reads its {' and '.join(read)}" if read else ""
    where = " in a pod" if args.get("pod") else ""
    command = _shell(tuple(args["command"]))
    return f"runs suite {args['suite']}{where}: `{command}` (at most {limit}{again}){also}"


def _checklist(shape: Shape, step: Step) -> str:
    args = step.args
    ends = f"after {duration(args['timeout_s'])}: {args['on_timeout']}"
    items = plural(len(args["items"]), "item")
    return f"asks {answerers(step)} to go through {items} of {args['suite']}; {ends}"


def _parity(shape: Shape, step: Step) -> str:
    args = step.args
    text = f"compares {', '.join(args['of'])} of {args['with']} and {step.environment}"
    match args["on_difference"]:
        case "gate":
            ends = f"after {duration(args['timeout_s'])}: {args['on_timeout']}"
            return f"{text}; {answerers(step)} must accept differences; {ends}"
        case "fail":
            return f"{text}; a difference fails it"
        case _:
            return f"{text} and shows the differences"


def _assess(shape: Shape, step: Step) -> str:
    args, risk = step.args, step.args["risk"]
    defects, place = args.get("defects"), args.get("repository", "")
    at = f" by {place}" if is_address(place) else ""
    open_too = f", and which defects are open in {defects['tracker']}" if defects else ""
    return (
        f"looks at what changed since the version that is live in {args['environment']}{at}{open_too}; the "
        f"risk is medium from {risk['medium']} points on, high from {risk['high']}"
    )


def _ticket(shape: Shape, step: Step) -> str:
    args = step.args
    wants = ([] if not args["approved"] else ["approved"]) + [
        f"in state {' or '.join(s.replace('_', ' ') for s in args['states'])}"
    ]
    if args["item"]:
        wants.append(f'for configuration item "{args["item"]}"')
    time = "; its planned time must cover the change" if args["window"] else ""
    where = f"{SYSTEMS[args['system']]} (connection {args['connection']})"
    made = ", creates it where there is none" if args["create"] else ""
    return (
        f"asks {where} for the release's ticket{made}; waits "
        f"until it is {', '.join(wants)}, at most {duration(args['timeout_s'])}{time}"
    )


def _approval(shape: Shape, step: Step) -> str:
    args = step.args
    holds = f"; holds for {duration(args['valid_for_s'])}" if args.get("valid_for_s") else ""
    second = args.get("escalate")
    also = f", from {duration(second['after_s'])} on also {second['group']}" if second else ""
    # Where nothing is assessed, no risk is known.
    known = any(s.kind is StepKind.ASSESS for s in shape.steps)
    always = not known and any(rule.get("when") for rule in args.get("rules") or ())
    unknown = "; no risk is told here, so whatever depends on it is asked for" if always else ""
    ends = f"after {duration(args['timeout_s'])}: {args['on_timeout']}{holds}"
    return f"waits for {answerers(step)}{also}; {ends}{unknown}"


def _window(shape: Shape, step: Step) -> str:
    hours = " or ".join(map(window_words.weekly, step.args["windows"]))
    parts = [*([hours] if hours else []), *map(window_words.calendar, step.args.get("calendars") or ())]
    closing = {
        "hold": "; a change stops where it closes",
        "drain": "; where it closes a change is taken back",
    }
    last = closing.get(step.args.get("on_close", ""), "")
    return f"waits for {' and for '.join(parts)}, at most {duration(step.args['timeout_s'])}{last}"


def _monitor(shape: Shape, step: Step) -> str:
    return _watches(step) + (", then lets the old version go" if step.args["promotes"] else "")


def _watches(step: Step) -> str:
    args = step.args
    return f"watches {args['analysis']} for {duration(args['for_s'])}, every {duration(args['interval_s'])}"


def _rollback(shape: Shape, step: Step) -> str:
    return "only if a step of this stage failed: goes back to the last stable version and proves it"


def _teardown(shape: Shape, step: Step) -> str:
    return "removes the environment and proves that nothing of it is left"


def _close(shape: Shape, step: Step) -> str:
    return "records the outcome, always; the run is green only when it is `succeeded`"


def _follow_up(shape: Shape, step: Step) -> str:
    args = step.args
    every = len(set(args["after"])) == len(Outcome)
    when = "" if every else f" after {', '.join(args['after'])}"
    return (
        f"asks {answerers(step)} for follow-ups{when}; after {duration(args['timeout_s'])}: none. "
        "Nothing waits for it"
    )


def _replicas(shape: Shape, step: Step) -> int:
    return shape.environment(str(step.environment)).replicas


_DESCRIBE: dict[StepKind, Callable[[Shape, Step], str]] = {
    StepKind.OPEN: _open,
    StepKind.BUILD: _build,
    StepKind.ASSESS: _assess,
    StepKind.PROVISION: _provision,
    StepKind.DEPLOY: _deploy,
    StepKind.ROLL: _roll,
    StepKind.PREVIEW: _preview,
    StepKind.SHIFT: _shift,
    StepKind.SUITE: _suite,
    StepKind.CHECKLIST: _checklist,
    StepKind.PARITY: _parity,
    StepKind.TICKET: _ticket,
    StepKind.APPROVAL: _approval,
    StepKind.WINDOW: _window,
    StepKind.MONITOR: _monitor,
    StepKind.KEEP: _keep,
    StepKind.SOAK: _soak,
    StepKind.ROLLBACK: _rollback,
    StepKind.TEARDOWN: _teardown,
    StepKind.CLOSE: _close,
    StepKind.FOLLOW_UP: _follow_up,
}
