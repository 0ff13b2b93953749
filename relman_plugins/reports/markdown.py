"""The report as Markdown. What people and programs wrote stands in it as text, never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from relman_plugins.domain.follow_up import FollowUp
from relman_plugins.domain.look import counts
from relman_plugins.reports.comparison import slower
from relman_plugins.reports.model import ReleaseReport
from relman_plugins.reports.text import (
    USUAL,
    WAITS,
    asked_after,
    clock,
    compared_with,
    duration,
    extent,
    moment,
    number,
    short,
    shown,
    value,
    word,
)

_MARKS = re.compile(r"[\\`*{}\[\]()#|~@$]|(?<!\w)_|_(?!\w)|^[-+=]")
_CALL = re.compile(r"@(?=\w)")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?= |$)")


def inert(text: Any) -> str:
    """Return one line in which Markdown and HTML mean nothing, addresses are no links, and nobody is called.

    Code hosts look for ``@name`` in what is shown, so that no escape helps: a space of no width stands there.
    """
    line = shown(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", line))
    return _CALL.sub("@&#8203;", line.replace("://", "&#58;//").replace("www.", "www&#46;"))


def markdown(report: ReleaseReport, evidence: Iterable[tuple[str, Iterable[str]]] = ()) -> str:
    """Return the whole report, with the draft of the retrospective at its end.

    ``evidence`` is what checking a file of evidence found, in parts with a title; it comes last.
    """
    parts = (
        _head,
        _time,
        _comparison,
        _stages,
        _gates,
        _suites,
        _analyses,
        _incidents,
        _people,
        _timeline,
        _after,
        _retro,
    )
    lines = [line for part in parts for line in part(report)]
    if checked := [line for title, told in evidence for line in _list(inert(title), told)]:
        lines += ["", "## Evidence", "", *checked]
    return "\n".join(lines).rstrip() + "\n"


def _table(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    heads = list(titles)
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(inert(cell) for cell in row)} |"
    yield ""


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = [f"- {inert(line)}" for line in lines]
    if told:
        yield from (title, "", *told, "")


def _head(r: ReleaseReport) -> Iterator[str]:
    since = f", {inert(', '.join(r.rolled_back_since))} rolled back since" if r.rolled_back_since else ""
    outcome = word(r.outcome.value) if r.outcome else "under way"
    yield f"# {inert(r.pipeline)} {inert(r.version)}: {outcome}{since}"
    yield ""
    if r.reason:
        yield from (inert(r.reason), "")
    flags = [name for name, on in (("emergency", r.emergency), ("dry run", r.dry_run)) if on]
    yield from _table(
        ("fact", "value"),
        [
            ("release", r.release_id),
            ("service", r.service),
            ("owner", r.owner),
            ("opened", f"{moment(r.opened_at)} by {r.started_by}"),
            ("closed", moment(r.closed_at) if r.closed_at else f"not yet; as of {moment(r.as_of)}"),
            ("took", duration(r.seconds)),
            ("changes", r.changes or "–"),
            *r.options.get("parameters", {}).items(),
            *([("started as", ", ".join(flags))] if flags else []),
            ("artifact", r.artifact_digest or "not built"),
            ("plan", r.plan_hash),
            ("spec", r.spec_digest),
        ],
    )
    for w in r.withdrawals:
        if w.served is not None:
            told = f"The withdrawn version served {w.served} of {w.total} requests in {w.environment}."
            yield from (f"**{inert(told)}**", "")


def _time(r: ReleaseReport) -> Iterator[str]:
    yield from ("## Where the time went", "")
    rows = (
        (WAITS.get(k, k), duration(s), f"{s / r.seconds:.0%}" if r.seconds else "–")
        for k, s in r.parts.items()
    )
    yield from _table(("what", "time", "share"), rows)


def _comparison(r: ReleaseReport) -> Iterator[str]:
    if r.comparison is None:
        return
    yield from (f"## {compared_with(r.comparison)}", "", USUAL, "")
    rows = (
        (c.what, number(c, c.value), number(c, c.usual), extent(c), c.of,
         "slower" if c.slower else "")
        for c in r.comparison.rows
    )  # fmt: skip
    yield from _table(("what", "this release", "usual", "from least to most", "releases", ""), rows)
    yield from _list("Slower than usual:", slower(r.comparison))


def _stages(r: ReleaseReport) -> Iterator[str]:
    yield from ("## Stages", "")
    rows = []
    for stage in r.stages:
        rows.append(
            (stage.name, "", word(stage.state), duration(stage.seconds), duration(stage.waited_s), "")
        )
        rows += [
            ("", s.id, s.state, duration(s.seconds), duration(s.waited_s), s.message)
            for s in stage.steps
            if s.started_at
        ]
    yield from _table(("stage", "step", "state", "took", "of it waiting", "what was done"), rows)


def _gates(r: ReleaseReport) -> Iterator[str]:
    if not r.gates:
        return
    yield from ("## Approvals", "")
    for g in r.gates:
        asked = f"{g.step}: {g.state}"
        if g.asked:
            asked += f" after {duration(g.waited_s)}; {g.quorum} of {', '.join(g.asked)}"
        bound = (
            f"artifact {short(g.artifact_digest)}, plan {short(g.plan_hash)}, shown {short(g.subject_digest)}"
        )
        yield from (inert(asked), "", inert(bound), "")
        yield from _list("Not asked for, by the risk of the release:", g.not_needed)
        if g.votes:
            rows = (
                (v.person, v.decision, moment(v.at), duration(v.after_s), v.via, v.comment) for v in g.votes
            )
            yield from _table(("who", "said", "when", "after", "via", "comment"), rows)


def _suites(r: ReleaseReport) -> Iterator[str]:
    if not r.suites:
        return
    yield from ("## Tests", "")
    yield from _table(
        ("suite", "environment", "result", "tests", "failed", "skipped", "took", "runs"),
        (
            (s.suite, s.environment or "", "passed" if s.passed else "failed", s.tests, s.failures + s.errors,
             s.skipped, duration(s.seconds), s.runs)
            for s in r.suites
        ),
    )  # fmt: skip
    for s in r.suites:
        yield from _list(f"Failed in {inert(s.suite)}:", (f"{t.name}: {t.message}" for t in s.failed))
        yield from _list(f"Failed and then passed in {inert(s.suite)}:", s.flaky)
        yield from _list(f"Also recorded by {inert(s.suite)}:", (f"{k}: {v}" for k, v in s.more.items()))


def _analyses(r: ReleaseReport) -> Iterator[str]:
    if not r.analyses:
        return
    yield from ("## Analysis", "")
    rows = []
    for a in r.analyses:
        last = a.looks[-1].metrics if a.looks else ()
        values = ", ".join(f"{m.get('name')} {counts(m) or value(m.get('value'))}" for m in last)
        weight = f"{a.weight} %" if a.weight is not None else "–"
        rows.append((a.step, a.analysis, weight, word(a.verdict) or "no end", len(a.looks), values, a.reason))
    yield from _table(("step", "analysis", "weight", "verdict", "looks", "last look", "why"), rows)


def _incidents(r: ReleaseReport) -> Iterator[str]:
    told = (f"{clock(i.at)} {i.text}{f' (by {i.who})' if i.who else ''}" for i in r.incidents)
    yield from _list("## Out of the ordinary", told)


def _people(r: ReleaseReport) -> Iterator[str]:
    yield from _list("## Who did what", (f"{name}: {'; '.join(deeds)}" for name, deeds in r.people.items()))


def _timeline(r: ReleaseReport) -> Iterator[str]:
    yield from ("## Timeline", "", "Times in UTC.", "")
    rows = ((clock(e.at), f"+{duration(e.after_s)}", e.where, e.text, e.who) for e in r.timeline)
    yield from _table(("time", "after", "where", "what", "who"), rows)


def _after(r: ReleaseReport) -> Iterator[str]:
    if r.follow_ups is None:
        return
    yield from ("## Follow-ups", "", inert(asked_after(r.follow_ups)), "")
    if r.follow_ups.items:
        yield from _table(("what", "who", "until"), map(_action, r.follow_ups.items))


def _action(item: FollowUp) -> tuple[str, str, str]:
    return item.what, item.who, f"{item.by:%Y-%m-%d}" if item.by else ""


def _retro(r: ReleaseReport) -> Iterator[str]:
    retro = r.retrospective
    yield from ("## Retrospective: a draft", "", "What took longest:", "")
    rows = (
        (s.id, duration(s.seconds), f"{s.waited_s / s.seconds:.0%}" if s.seconds else "–")
        for s in retro.slowest
    )
    yield from _table(("step", "took", "share waiting"), rows)
    yield from _list("What failed:", retro.failed)
    yield from _list("What was tried again:", retro.retried)
    yield from _list("Tests that failed and then passed:", retro.flaky)
    yield from _list("Questions:", (*retro.questions, "What went well? What shall be otherwise next time?"))
    wanted = map(_action, r.follow_ups.items if r.follow_ups else ())
    actions = [f"| {' | '.join(map(inert, action))} |" for action in wanted] or ["|  |  |  |"]
    yield from ("Actions:", "", "| what | who | until |", "|---|---|---|", *actions)
