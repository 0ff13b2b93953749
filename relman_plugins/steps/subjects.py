"""What people are asked to decide: the subject that a vote is bound to, and the text they read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relman_plugins import settings
from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import gate_path
from relman_plugins.domain.parameter import as_text
from relman_plugins.domain.status import Verdict
from relman_plugins.plan import words
from relman_plugins.plan.model import StepKind
from relman_plugins.spec.words import visible
from relman_plugins.steps import ruled
from relman_plugins.steps.assessed import told

if TYPE_CHECKING:
    from relman_plugins.domain.identity import Person
    from relman_plugins.domain.parameter import Parameter
    from relman_plugins.ledger.api import GateState, Waiver
    from relman_plugins.steps.run import StepRun

Body = Callable[["GateState"], str]
"""What people read at a gate, once it is open: only then is it known when it ends. It can't change later."""

Question = tuple[dict[str, Any], Body]
"""A subject, and the text that goes with it."""

NARROW = "\u00a0"
"""Joins the words of a table's first column, which is broken otherwise however much room there is."""

NEW = "\n\n"

MOST_DIFFERENCES = 30
"""How many differences of environments are listed for people; the rest is counted."""

MOST_TESTS = 10
"""How many tests of a suite are named for people; the rest is counted."""

_ADDRESS = r"(https?://[^\s<>\"'`|\\^{}()\[\]]*[\w/])"
_JOINED = r"[^\u200c\u200d]+"
"""All but the joiners of emoji and of Persian words."""

_SHOWN = rf"All[ {NARROW}]of[ {NARROW}]this(?: \||:) `([a-z0-9:]+)` `([0-9a-f]{{32}})`"
_PUNCTUATION = r"[!-/:-@\[-`{-~]"


def subject_of(run: StepRun) -> dict[str, Any]:
    """Return what exactly is approved; its digest is what a vote is bound to.

    Raises:
        Refused: nothing was built, so there is nothing to approve.
    """
    from relman_plugins.ledger.api import SHOWN, canonical_subject

    run.artifact  # noqa: B018 - refuses when there is none
    return canonical_subject(run.release, run.step, run.events(*SHOWN))


def is_for(gate: GateState, subject: dict[str, Any]) -> bool:
    """Say whether a gate is about exactly this."""
    return gate.subject_digest == digest_of(subject)


def has_changed(run: StepRun) -> bool:
    """Say whether a gate that asked nobody, since the risk did not ask for it, was about something else."""
    from relman_plugins.ledger.api import RELIEF, not_needed

    found = not_needed(run.events(*RELIEF), run.step.id)
    return found is not None and found.data["subject_digest"] != digest_of(subject_of(run))


def body_of(run: StepRun, gate: GateState, people: Sequence[Person], quorum: int, until: str = "") -> str:
    """Return the Required Action's text: who may answer, until when, and what exactly is approved.

    ``gate`` is the one that was opened for it: its times are told.
    """
    args, subject = run.step.args, gate.subject
    need = "one of them decides" if quorum == 1 else f"{quorum} of them must approve"
    rows = [
        ("Version", f"`{subject['version']}`"),
        ("Into", f"`{subject['environment']}`"),
        *((p.label, one_line(as_text(subject["parameters"][p.name]))) for p in _filled_in(run)),
        *((f"Suite `{t['step']}`", _result(t)) for t in subject["tests"]),
        ("Artifact", _hash(subject["artifact_digest"])),
        ("Plan", _hash(subject["plan_hash"])),
        ("Spec", _hash(subject["spec_digest"])),
        ("All of this", _hash(gate.subject_digest)),
    ]
    table = "\n".join(f"| {name.replace(' ', NARROW)} | {value} |" for name, value in rows)
    from relman_plugins.steps.tickets import ticket_lines  # with all of tickets: a DAG file needs none

    emergency = (
        "**EMERGENCY: this release does not wait for the release window.**\n\n"
        f"{quoted(subject['emergency_reason'])}\n\n"
        if subject["emergency"]
        else ""
    )
    starter = one_line(run.release.started_by.name or run.release.started_by.id or "Airflow")
    ticket = f"**Ticket:** {one_line(subject['ticket'])}\n\n" if subject["ticket"] else ""
    page = f"{settings.base_url()}/dags/{run.release.dag_id}/runs/{quote(run.release.run_id)}"
    return (
        f"{emergency}Release [{run.release_id}]({page}), started by {starter}.\n\n"
        f"**Who may answer:** {names(people)}; {need}, one rejection ends the release. "
        "Everybody else is refused.\n\n"
        f"{ruled.told(run, one_line)}"
        f"**Until when:** {until or _until(args, gate)}.\n\n"
        f"**How it stands now:** [on a page of its own]({settings.base_url()}/"
        f"{gate_path(run.release_id, gate.gate)}), which fits a phone and takes an answer too.\n\n"
        f"**What changed**\n\n{quoted(subject['changes']) or '> *not said*'}\n\n{ticket}"
        f"**What is approved**\n\n| | |\n|---|---|\n{table}\n\n"
        f"{ticket_lines(run, one_line)}"
        f"{told(subject, one_line)}"
        f"{_by_name(subject['tests'])}"
        f"{_differences(subject.get('parity'))}"
        f"**What comes next**\n\n{_next(run)}\n"
    )


def glass_of(found: Waiver) -> str:
    """Return what approvers are told of an emergency's break-glass; nothing when there is nothing to tell."""
    if found.skipped:
        skipped = ", ".join(f"{r.quorum} of {one_line(r.called)}" for r in found.skipped)
        return f"**BREAK-GLASS: this emergency skips {skipped}.** It is to be approved afterwards.\n\n"
    return f"**This emergency skips no rule:** {one_line(found.why_not)}.\n\n" if found.why_not else ""


def nobody_asked(found: Waiver) -> str:
    """Say why nobody is asked at a gate, of which no rule is left."""
    told = []
    if found.skipped:
        skipped = ", ".join(rule.called for rule in found.skipped)
        told.append(f"break-glass: an emergency skips {skipped} here; it is to be approved afterwards")
    if found.spared:
        told.append(f"not needed: {'; '.join(one.line() for one in found.spared)}")
    return "; ".join(told)


def ends(at: datetime, asked_for_s: float) -> str:
    """Say when a question ends: by the clock, and after how long."""
    return f"{_clock(at)}, {words.duration(asked_for_s)} after this was asked"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _ending(gate: GateState) -> str:
    """Say until when people have, and what their silence means."""
    asked_for_s = round((gate.expires_at - gate.opened_at).total_seconds())
    return f"{ends(gate.expires_at, asked_for_s)}; without an answer by then: {gate.on_timeout}"


def _until(args: dict[str, Any], gate: GateState) -> str:
    """Return how long people have, what follows then, how long their answer holds and who comes to help."""
    holds = (
        f"; an approval holds for {words.duration(args['valid_for_s'])}" if args.get("valid_for_s") else ""
    )
    second = args.get("escalate") or {}
    also = ""
    if second:
        since = _clock(gate.opened_at + timedelta(seconds=second["after_s"]))
        also = f"; from {since} on also members of `{second['group']}` may answer"
    return f"{_ending(gate)}{holds}{also}"


def difference_of(run: StepRun, data: dict[str, Any], people: Sequence[Person]) -> Question:
    """Return the subject and the text of the question whether differences of environments are acceptable."""
    subject = subject_of(run) | {"step": run.step.id}
    changes = "\n".join(f"- {one_line(line)}" for line in data["changes"])
    diff = quoted_code(data["schema_diff"], "diff")
    body = (
        f"`{subject['version']}` was tried in `{data['with']}` and is about to go into "
        f"`{run.step.environment}`. They differ.\n\n"
        f"{_differences(subject['parity'])}"
        f"{f'**The data schema**{NEW}{diff}{NEW}' if diff else ''}"
        f"{f'**What this release changes there**{NEW}{changes}{NEW}' if changes else ''}"
        "**Approve** to go on in spite of that, **Reject** to end the release. Nothing is changed until "
        "somebody answers.\n\n"
        f"**Who may answer:** one of {names(people)}. Everybody else is refused.\n\n"
    )
    return subject, _timed(body)


def _timed(body: str) -> Body:
    return lambda gate: f"{body}**Until when:** {_ending(gate)}. All of this: {_hash(gate.subject_digest)}\n"


def shown_in(body: str) -> str:
    """Return the digest of what a Required Action's text is about; ``nothing`` when it names none.

    Airflow keeps the text of a task for ever, whatever its gate asks about since. Other people's text can't
    name another digest: its backticks are escaped, and where they are not, the genuine one comes last.
    """
    found = re.findall(_SHOWN, body)
    return "".join(found[-1]) if found else "nothing"


def _differences(parity: dict[str, Any] | None) -> str:
    if parity is None:
        return ""
    shown = [f"- {one_line(line)}" for line in parity["lines"][:MOST_DIFFERENCES]]
    if len(parity["lines"]) > MOST_DIFFERENCES:
        shown.append(f"- … and {len(parity['lines']) - MOST_DIFFERENCES} more")
    return f"**What differs from `{parity['with']}`**{NEW}" + ("\n".join(shown) or "- nothing") + NEW


def quoted_code(text: str, language: str) -> str:
    """Return other people's text as a block of code that its own backticks cannot end; empty for none."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    shown = "\n".join(map(visible, text.split("\n")))
    return f"{fence}{language}\n{shown}\n{fence}" if text else ""


def question_of(run: StepRun, verdict: Verdict, reason: str, people: Sequence[Person]) -> Question:
    """Return the subject and the text of the question what an undecided analysis means."""
    subject = subject_of(run) | {"step": run.step.id, "verdict": verdict.value, "reason": reason}
    weight = run.step.args.get("weight")
    where = f"{weight} % of the traffic of" if weight else "all the traffic of"
    body = (
        f"`{subject['version']}` has {where} `{run.step.environment}`. The numbers neither say that it is "
        f"good nor that it is bad: **{verdict.value}**.\n\n> {one_line(reason)}\n\n{_picture(run)}"
        "**Approve** to go on as if they were good, **Reject** to roll back. "
        "Nothing moves until somebody answers.\n\n"
        f"**Who may answer:** {names(people)}. Everybody else is refused.\n\n"
    )
    return subject, _timed(body)


def _picture(run: StepRun) -> str:
    """Return the way to what was seen; nothing where nothing was."""
    from relman_plugins.notifications.about import picture_path

    if not run.mine(Kind.ANALYSIS_MEASURED):
        return ""
    return f"[See the picture]({settings.base_url()}/{picture_path(run.release_id, run.step.id)})\n\n"


def checklist_of(run: StepRun, url: str | None, people: Sequence[Person]) -> Question:
    """Return the subject and the text of a checklist: what to try, where, and of which version.

    Other suites may end while it waits, so their results are no part of it.
    """
    args = run.step.args
    subject = subject_of(run) | {"step": run.step.id, "suite": args["suite"], "checklist": args["items"]}
    del subject["tests"]
    where = f"<{url}>" if url else "*the platform names no address*"
    items = "\n".join(
        f"{n}. {one_line(i['item'])} (`{i['id']}`)" for n, i in enumerate(args["items"], start=1)
    )
    body = (
        f"**Where:** {where}, environment `{run.step.environment}`\n\n"
        f"**What:** `{subject['version']}`, artifact `{subject['artifact_digest']}`\n\n"
        f"**What changed**\n\n{quoted(subject['changes']) or '> *not said*'}\n\n"
        f"**Try this**\n\n{items}\n\n"
        "Say of every item below what you found. **Approve** when all passed: while one is failed or not "
        "tested, an approval is refused and you can go on. **Reject** when one failed: the suite is red, and "
        "the release stops.\n\n"
        f"**Who may answer:** one of {names(people)}. Everybody else is refused.\n\n"
    )
    return subject, _timed(body)


def one_line(text: str) -> str:
    """Return other people's text as one line that Markdown shows as it is, at most 500 characters of it."""
    return _plain(" ".join(text.split())[:500])


def quoted(text: str) -> str:
    """Return other people's text as a Markdown quotation: whole, line by line, only links live."""
    lines = ["\\\n> ".join(map(_plain, part.splitlines())) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n>\n".join(f"> {line}" for line in lines if line)


def _plain(text: str) -> str:
    """Escape all that Markdown could take for markup; addresses become links that show their target.

    What turns the direction of writing, or is not seen, is shown: nobody approves what they did not read.
    """
    shown = re.sub(_JOINED, lambda found: visible(found[0]), " ".join(text.split()))
    parts = re.split(_ADDRESS, shown)
    return "".join(f"<{p}>" if n % 2 else re.sub(_PUNCTUATION, r"\\\g<0>", p) for n, p in enumerate(parts))


def _hash(value: str) -> str:
    """Return a digest in two parts: in one, the page is so wide that *Reject* is out of sight."""
    middle = len(value) - 32
    return f"`{value[:middle]}` `{value[middle:]}`"


def names(people: Sequence[Person]) -> str:
    """Return who may answer, in Markdown: names, and users of Airflow."""
    return ", ".join(f"**{one_line(p.name or p.id)}** (`{p.airflow}`)" for p in people)


def _filled_in(run: StepRun) -> list[Parameter]:
    """Return the pipeline's own fields that say something."""
    given = run.plan.options.parameters
    return [p for p in run.shape.parameters if given.get(p.name, "") != ""]


def _result(suite: dict[str, Any]) -> str:
    flaky = f", {suite['flakes']} flaky" if suite.get("flakes") else ""
    counts = f"{words.plural(suite['tests'], 'test')}, {suite['failures']} failed, {suite['skipped']} skipped"
    told = [] if not suite["tests"] and suite.get("reports") else [f"{counts}{flaky}"]
    return "; ".join([*told, *map(one_line, suite.get("reports") or ())])


def _by_name(suites: Sequence[dict[str, Any]]) -> str:
    """Name the tests that failed although their suite is green, and those that are flaky."""
    named = [
        (f"{what} in `{suite['step']}`", suite.get(key) or [], suite.get(total) or 0)
        for suite in suites
        for what, key, total in (("failed", "failed", "failures"), ("flaky", "flaky", "flakes"))
    ]
    lines = [
        f"- {what}: {', '.join(map(one_line, names[:MOST_TESTS]))}"
        + (f" and {max(total, len(names)) - MOST_TESTS} more" if max(total, len(names)) > MOST_TESTS else "")
        for what, names, total in named
        if names
    ]
    return f"**Tests to know of**{NEW}" + "\n".join(lines) + NEW if lines else ""


def _next(run: StepRun) -> str:
    """Say what an approval lets happen in this stage: an emergency does not wait for the window."""
    steps = run.shape.steps[run.shape.steps.index(run.step) + 1 :]
    skipped = (StepKind.WINDOW,) if run.plan.options.emergency else ()
    mine = [s for s in steps if s.stage == run.step.stage and s.kind not in skipped]
    return "\n".join(f"- `{words.short_id(s)}`: {words.describe(run.shape, s)}" for s in mine)
