"""What differs between two plans, and which of the differences make a release less safe.

Pure. Things are matched by what they are, not by where they stand: approvals by stage and group, so that
adding one doesn't make all others look changed; suites, environments, analyses and metrics by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from relman_plugins.domain.base import Frozen
from relman_plugins.plan import manifests, suite_reports, window_words, words
from relman_plugins.plan.looser import looser
from relman_plugins.plan.model import AnalysisPlan, ReleasePlan, Shape, Step, StepKind
from relman_plugins.plan.routing import Route
from relman_plugins.plan.train import Train

_TESTS = (StepKind.SUITE, StepKind.CHECKLIST)
_TRAFFIC = (StepKind.DEPLOY, StepKind.ROLL, StepKind.PREVIEW, StepKind.SHIFT)


class Difference(Frozen):
    """One thing that is not the same."""

    where: str
    """What it is about: ``production.smoke``, ``production approval of managers``, ``analysis signals``."""
    what: str = ""
    """Which of its settings; empty when the thing itself came or went."""
    change: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None
    danger: str = ""
    """Why a release is less safe with it; empty when it isn't."""


class PlanDiff(Frozen):
    """All differences of two plans."""

    pipeline: str
    differences: tuple[Difference, ...]

    @property
    def dangers(self) -> tuple[Difference, ...]:
        """Return those that make a release less safe."""
        return tuple(d for d in self.differences if d.danger)


def diff(before: ReleasePlan | Shape, after: ReleasePlan | Shape) -> PlanDiff:
    """Compare two plans of one pipeline, or of two; deterministic."""
    one, two = (p.shape if isinstance(p, ReleasePlan) else p for p in (before, after))
    found = [*_options(before, after), *_release(one, two), *_environments(one, two), *_analyses(one, two)]
    return PlanDiff(pipeline=two.pipeline, differences=(*found, *_stages(one, two)))


def render_text(found: PlanDiff) -> str:
    """Render differences for a terminal, dangers marked by ``!``; ends with a newline."""
    count, bad = len(found.differences), len(found.dangers)
    if not count:
        return f"{found.pipeline}: no difference\n"
    lines = [f"{found.pipeline}: {words.plural(count, 'difference')}, {bad or 'none'} dangerous"]
    return "\n".join([*lines, *(f"{_mark(d)} {line_of(d)}" for d in found.differences)]) + "\n"


def _mark(d: Difference) -> str:
    return "!" if d.danger else {"added": "+", "removed": "-", "changed": "~"}[d.change]


def line_of(d: Difference) -> str:
    """Return one difference as a line, without its mark."""
    name = " ".join(filter(None, [d.where, d.what]))
    values = d.change if not d.what else f"{_shown(d.before)} -> {_shown(d.after)}"
    return f"{name}: {values}" + (f" ({d.danger})" if d.danger else "")


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def _options(before: ReleasePlan | Shape, after: ReleasePlan | Shape) -> Iterator[Difference]:
    if isinstance(before, ReleasePlan) and isinstance(after, ReleasePlan):
        yield from _fields("release", before.options.model_dump(), after.options.model_dump())


def _release(one: Shape, two: Shape) -> Iterator[Difference]:
    keys = ("pipeline", "owner", "description", "service", "labels", "deadlines", "slack_channel")
    said = [{k: getattr(s, k) for k in keys} for s in (one, two)]
    yield from _fields("release", said[0], said[1])
    yield from _train(one, two)
    told = [{_route_name(r): _route(r) for r in s.routes} for s in (one, two)]
    yield from _things("route", told[0], told[1])
    fields = [{p.name: p.model_dump() for p in s.parameters} for s in (one, two)]
    yield from _things("parameter", fields[0], fields[1])
    yield from _fields("build", one.step("build").args, two.step("build").args)
    looks = [{s.id: s.args for s in side.steps if s.kind is StepKind.ASSESS} for side in (one, two)]
    other = "the risk is told in another way, and rules depend on it" if _depends(two) else ""
    gone = "nobody looks at what changed"
    yield from _things("step", looks[0], looks[1], gone=gone, risk=lambda *_: other)


def _train(one: Shape, two: Shape) -> Iterator[Difference]:
    sides = [{"schedule": Train.of(s.schedule).told()} if s.schedule else {} for s in (one, two)]
    if all(sides):
        # What has words already is not said a second time in the machine's.
        for words_, exact in (("departs", "timetable"), ("version", "source")):
            if sides[0]["schedule"][words_] != sides[1]["schedule"][words_]:
                for side in sides:
                    side["schedule"].pop(exact)
    yield from _things("release", sides[0], sides[1])


def _depends(shape: Shape) -> bool:
    """Say whether a rule of the pipeline's own gates is asked for only at some risks."""
    rules = (rule for step in shape.steps for rule in step.args.get("rules") or ())
    return any((rule.get("when") or {}).get("weighed_by") == "" for rule in rules)


def _route(route: Route) -> dict[str, Any]:
    return route.model_dump(mode="json") | {"mention": [p.id for p in route.mention]}


def _route_name(route: Route) -> str:
    where = f" for {route.environment}" if route.environment else ""
    return f"{route.channel} {', '.join(route.addresses)}{where}".replace("  ", " ")


def _environments(one: Shape, two: Shape) -> Iterator[Difference]:
    sides = [{e.name: manifests.flat(e.model_dump()) for e in s.environments} for s in (one, two)]
    yield from _things("environment", sides[0], sides[1], risk=_riskier)


def _riskier(what: str, before: Any, after: Any) -> str:
    if what == "break_glass" and after is not None:
        return "look who may skip rules in an emergency"
    if what == "exceptions" and after is not None:
        return "look who may let releases past a freeze"
    if what == "weighing" and before is not None and after is not None:
        return "the risk is told in another way, and rules depend on it"
    return ""


def _analyses(one: Shape, two: Shape) -> Iterator[Difference]:
    before, after = ({a.name: a for a in s.analyses} for s in (one, two))
    for name in dict.fromkeys([*before, *after]):
        where = f"analysis {name}"
        if name not in before or name not in after:
            yield Difference(where=where, change="added" if name in after else "removed")
            continue
        for key in ("source", "connection"):
            if (was := getattr(before[name], key)) != (now := getattr(after[name], key)):
                yield _changed(where, key, was, now)
        judges = [side[name].judge for side in (before, after)]
        if judges[0] != judges[1]:
            other = "its numbers are judged in another way: look at each metric"
            yield _changed(where, "judge", judges[0], judges[1], other)
            continue
        terms = [_terms(side[name]) for side in (before, after)]
        yield from _fields(where, terms[0], terms[1], looser)
        metrics = [_metrics(side[name]) for side in (before, after)]
        gone = "its numbers are judged no more"
        yield from _things(f"{where} metric", metrics[0], metrics[1], gone=gone, risk=looser)


def _metrics(analysis: AnalysisPlan) -> dict[str, dict[str, Any]]:
    return {m.name: _flat(m.model_dump()) for m in (analysis.by_judge or analysis).metrics}


def _terms(analysis: AnalysisPlan) -> dict[str, Any]:
    return _flat(analysis.by_judge.model_dump(exclude={"metrics"})) if analysis.by_judge else {}


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those of a judge document among them."""
    inner: dict[str, Any] = fields.pop("terms", {})
    return fields | inner


def _stages(one: Shape, two: Shape) -> Iterator[Difference]:
    before, after = (dict(words.stages(s)) for s in (one, two))
    common = [[name for name in side if name in before and name in after] for side in (before, after)]
    if common[0] != common[1]:
        yield _changed("release", "order of stages", common[0], common[1])
    for name in dict.fromkeys([*before, *after]):
        if name not in before:
            yield Difference(where=f"stage {name}", change="added")
        elif name not in after:
            guards = any(s.kind in _GUARDS for s in before[name])
            danger = "its gates and suites are gone with it" if guards else ""
            yield Difference(where=f"stage {name}", change="removed", danger=danger)
        else:
            yield from _stage(name, before[name], after[name])


def _stage(name: str, one: list[Step], two: list[Step]) -> Iterator[Difference]:
    places = [side[0].environment for side in (one, two)]
    if places[0] != places[1]:
        yield _changed(f"stage {name}", "environment", places[0], places[1])
    traffic = [[s for s in side if s.kind in _TRAFFIC] for side in (one, two)]
    shares = [[_share(s) for s in side] for side in traffic]
    if shares[0] != shares[1]:
        first = [_exposure(side) for side in traffic]
        danger = f"the first share grows from {first[0]} % to {first[1]} %" if first[1] > first[0] else ""
        yield _changed(f"stage {name}", "traffic", shares[0], shares[1], danger)
    tickets = [any(s.ticket for s in side) for side in (one, two)]
    if tickets[0] != tickets[1]:
        said = ["required" if t else "not required" for t in tickets]
        danger = "a gate is removed: releases need no ticket" if tickets[0] else ""
        yield _changed(f"stage {name}", "change ticket", said[0], said[1], danger)
    sides = [{_label(s, side): s for s in side} for side in (one, two)]
    tests = [
        [k for k, s in side.items() if s.kind in _TESTS and all(k in o for o in sides)] for side in sides
    ]
    if tests[0] != tests[1]:
        yield _changed(f"stage {name}", "order of suites", tests[0], tests[1])
    for label in dict.fromkeys([*sides[0], *sides[1]]):
        before, after = (side.get(label) for side in sides)
        if before and after:
            yield from _step(label, before, after)
        elif (known := before or after) and known.kind not in _TRAFFIC:
            danger = _GUARDS.get(known.kind, "") if before else ""
            yield Difference(where=label, change="removed" if before else "added", danger=danger)


def _step(label: str, before: Step, after: Step) -> Iterator[Difference]:
    one, two = (_readable(s) for s in (before, after))
    yield from _fields(
        label, one, two, risk=suite_reports.weaker if after.kind is StepKind.SUITE else _weaker
    )


def _readable(step: Step) -> dict[str, Any]:
    """Return a step's arguments as people compare them: no ids of other steps, people by id and user."""
    hidden = {"gate", "suite", "steps", "promotes", "weight", "actions"} | _KNOWN_BY.get(step.kind, set())
    args = {k: v for k, v in step.args.items() if k not in hidden}
    if step.kind is StepKind.SUITE:
        args = suite_reports.flat(args)
    if "rules" in args:
        rules = args.pop("rules")
        # Of one rule the group, the quorum and the people are told apart already.
        said = words.demands(rules[0]) if len(rules) == 1 else [words.rule(r) for r in rules]
        args |= {"rules": said} if said else {}
    args.pop("emails", None)
    if "people" in args:
        args["people"] = [f"{p['id']} ({p['airflow']})" for p in args["people"]]
    if "items" in args:
        args["items"] = [i["item"] for i in args["items"]]
    if "windows" in args:
        args["windows"] = [window_words.weekly(w) for w in args["windows"]]
    if "calendars" in args:
        args["calendars"] = [line for c in args["calendars"] for line in window_words.each(c)]
    return args


def _label(step: Step, side: list[Step]) -> str:
    """Return what a step is known by; a second approval of one group is told from the first by its number."""
    if step.kind is not StepKind.APPROVAL:
        return step.id
    same = [s.id for s in side if s.kind is StepKind.APPROVAL and s.args["group"] == step.args["group"]]
    number = same.index(step.id) + 1
    return f"{step.stage} approval of {step.args['group']}" + (f" ({number})" if number > 1 else "")


def _share(step: Step) -> str:
    if step.kind is StepKind.SHIFT:
        return f"{step.args['weight']} %"
    return {StepKind.ROLL: "rolling", StepKind.PREVIEW: "preview"}.get(step.kind, "all at once")


def _exposure(steps: list[Step]) -> int:
    """Return the first share of the traffic, in percent, after which something is still looked at."""
    return next((int(s.args["weight"]) for s in steps if s.kind is StepKind.SHIFT), 100)


_KNOWN_BY = {
    StepKind.APPROVAL: {"group"},
    StepKind.CHECKLIST: {"quorum"},
    StepKind.PARITY: {"quorum"},
    StepKind.FOLLOW_UP: {"quorum"},
}
"""Arguments that a label says already, or that are always the same."""

_STRICT = ("show", "gate", "fail")

_GUARDS = {
    StepKind.APPROVAL: "a gate is removed: nobody of the group is asked",
    StepKind.TICKET: "a gate is removed: nobody looks at the ticket",
    StepKind.WINDOW: "a gate is removed: changes at any time",
    StepKind.SUITE: "its tests run no more",
    StepKind.CHECKLIST: "nobody goes through it any more",
    StepKind.PARITY: "environments are compared no more",
    StepKind.MONITOR: "nothing watches the version after the traffic has moved",
    StepKind.SOAK: "the version no longer stays here for a time before the release goes on",
    StepKind.ROLLBACK: "the stage goes back by itself no more",
}

Risk = Callable[[str, Any, Any], str]


def _weaker(what: str, before: Any, after: Any) -> str:
    match what:
        case "quorum" if after < before:
            return "quorum lowered: fewer people decide"
        case "states" if set(after) - set(before):
            return "a ticket may be in more states"
        case "approved" | "window" if before and not after:
            return "less is asked of the ticket"
        case "windows" if set(after or ()) - set(before or ()) or (before and not after):
            return "changes at other hours: look at which"
        case "calendars" if set(before or ()) - set(after or ()) or any(
            ": allow " in line for line in set(after or ()) - set(before or ())
        ):
            return "a window or freeze is another, or gone: look when changes are allowed now"
        case "on_close" if before in ("hold", "drain") and after not in ("hold", "drain"):
            return "a change goes on after its window has closed"
        case "outlasting" if before == "wait" and after != "wait":
            return "a change begins that will not be over when its window closes"
        case "item" if before and before != after:
            return "another ticket will do"
        case "on_difference" if _STRICT.index(after) < _STRICT.index(before):
            return "differences matter less"
        case "of" if set(before) - set(after):
            return "less is compared"
        case "ignore" | "may_differ" if set(after) - set(before):
            return "more may differ"
        case "items" if set(before) - set(after):
            return "something is not tried any more"
        case "rules" if words.OWN in str(after) and words.OWN not in str(before):
            return "whoever starts a release may approve it"
        case "rules" if words.WAIVABLE in str(after) and words.WAIVABLE not in str(before):
            return "an emergency may skip it"
        case "rules" if words.WHEN in str(after) and words.WHEN not in str(before):
            return "at some risks a rule is not asked for"
        case "rules" if words.WHEN in str(before) and words.WHEN not in str(after) and _same(before, after):
            return ""
        case "rules" if set(before or ()) - set(after or ()) - {words.WAIVABLE}:
            return "a rule is another, or gone: look who decides now"
        case "people" if _answers_as_another(before, after):
            return "somebody answers as another user"
        case "background" if before and not after:
            return "harm that is small at every weight does not add up any more"
        case "analysis" if not after:
            return "nothing judges the numbers there any more"
        case "count" | "for_s" | "keep_s" if after < before:
            return "lowered"
        case "valid_for_s" if before is not None and (after is None or after > before):
            return "an old approval holds longer"
        case "max_unavailable" if after > before:
            return "raised"
    return ""


def _same(before: Any, after: Any) -> bool:
    """Say whether rules are the same but for the risks at which they are asked for."""
    sides = [[re.sub(f"(; )?{words.WHEN}[^;]*", "", text) for text in side or ()] for side in (before, after)]
    one, two = ([text for text in side if text] for side in sides)
    return one == two


def _answers_as_another(before: list[str], after: list[str]) -> bool:
    """Say whether a person of both lists has another Airflow user now."""
    users = [dict(p.split(" ", 1) for p in side) for side in (before, after)]
    return any(users[0][who] != users[1][who] for who in users[0] if who in users[1])


def _things(
    noun: str,
    one: Mapping[str, dict[str, Any]],
    two: Mapping[str, dict[str, Any]],
    *,
    gone: str = "",
    risk: Risk = lambda *_: "",
) -> Iterator[Difference]:
    for name in dict.fromkeys([*one, *two]):
        where = f"{noun} {name}"
        if name not in two:
            yield Difference(where=where, change="removed", danger=gone)
        elif name not in one:
            yield Difference(where=where, change="added")
        else:
            yield from _fields(where, one[name], two[name], risk)


def _fields(
    where: str, one: Mapping[str, Any], two: Mapping[str, Any], risk: Risk = lambda *_: ""
) -> Iterator[Difference]:
    for what in dict.fromkeys([*one, *two]):
        before, after = one.get(what), two.get(what)
        if before != after:
            yield _changed(where, what, before, after, risk(what, before, after))


def _changed(where: str, what: str, before: Any, after: Any, danger: str = "") -> Difference:
    return Difference(where=where, what=what, change="changed", before=before, after=after, danger=danger)
