from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.severity import _SEVERITY, OCCASIONS, Occasion, Severity, severity_of
from relman_plugins.domain.status import Outcome
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.routing import Route, Target, mentioned, targets
from tests.plan import make

DATA = st.fixed_dictionaries(
    {},
    optional={
        "outcome": st.sampled_from([*(o.value for o in Outcome), "?"]),
        "final": st.booleans(),
        "passed": st.booleans(),
        "verdict": st.sampled_from(["pass", "fail", "no_data"]),
        "state": st.sampled_from(["approved", "rejected", "expired"]),
    },
)


def test_every_kind_has_a_severity_and_every_occasion_a_meaning() -> None:
    assert set(_SEVERITY) == set(Kind)
    outcomes = {Occasion(o.value) for o in Outcome}
    assert set(OCCASIONS) | outcomes == set(Occasion)
    assert not set(OCCASIONS) & outcomes


@given(st.sampled_from(list(Kind)), st.sampled_from(["build", "production.rollback"]), DATA)
def test_a_route_without_conditions_takes_everything_and_a_stricter_one_never_more(
    kind: Kind, step: str, data: dict[str, object]
) -> None:
    takes = [Route(channel="c", addresses=("a",), min_severity=s).takes(kind, step, data) for s in Severity]
    assert takes[0]
    assert takes == sorted(takes, reverse=True)
    assert takes.count(True) == severity_of(kind, step, data).rank + 1


def test_a_failed_rollback_is_critical_and_a_try_that_is_repeated_is_not() -> None:
    assert severity_of(Kind.STEP_FAILED, "production.rollback", {"final": True}) is Severity.CRITICAL
    assert severity_of(Kind.STEP_FAILED, "production.rollback", {"final": False}) is Severity.WARNING
    assert severity_of(Kind.STEP_FAILED, "build", {}) is Severity.ERROR
    assert severity_of(Kind.STEP_FAILED, "production.approval_2", {"final": True}) is Severity.WARNING


def test_a_step_is_graded_by_what_it_is_and_not_by_its_name() -> None:
    def grade(step: str, **data: object) -> Severity:
        return severity_of(Kind.STEP_FAILED, step, {"final": True, **data})

    assert grade("qa.approval-flow", kind="suite") is Severity.ERROR
    assert grade("qa.rollback", kind="suite") is Severity.ERROR
    assert grade("qa.by-hand", kind="checklist") is Severity.WARNING
    assert grade("production.parity", kind="parity") is Severity.ERROR
    assert grade("production.parity", kind="parity", decided="rejected") is Severity.WARNING
    assert grade("production.rollback", kind="rollback") is Severity.CRITICAL


def test_an_environments_route_hears_what_happens_there_and_of_releases_that_reached_it() -> None:
    route = Route(channel="slack", addresses=("#p",), environment="production")

    def told(environment: str | None, *reached: str) -> bool:
        event = {"kind": Kind.RELEASE_HELD, "step": None, "environment": environment, "data": {}}
        return bool(list(targets([route], reached=reached, **event)))  # type: ignore[arg-type]

    assert told("production")
    assert told(None, "production")
    assert not told(None)
    assert not told("qa", "production")


def test_who_is_mentioned_is_so_once_and_only_in_the_routes_own_place() -> None:
    ann, ben = (Person(id=i, airflow=i, slack=f"U{i.upper()}") for i in ("ann", "ben"))
    routes = [
        Route(channel="slack", addresses=("#a", "#b"), mention=(ann,)),
        Route(channel="slack", addresses=("#b",), mention=(ann, ben)),
    ]
    assert mentioned(routes, Target("slack", "", "#a")) == (ann,)
    assert mentioned(routes, Target("slack", "", "#b")) == (ann, ben)
    assert mentioned(routes, Target("slack", "other", "#b")) == ()


def test_a_place_is_the_same_with_and_without_the_name_of_its_usual_connection() -> None:
    routes = [
        {"slack": "#shop"},
        {"slack": "#shop", "connection": "relman_slack"},
        {"slack": "#shop", "connection": "other"},
        {"email": ["ops@shop.example"]},
        {"email": ["ops@shop.example"], "connection": "smtp_default"},
        {"to": "pager", "connection": "relman_slack"},
    ]
    spec = make.pipeline([{"environment": "qa"}], notify={"slack": "#shop", "routes": routes})
    shape = compile_shape(make.documents(spec, [make.environment("qa")]))
    event = {"kind": Kind.RELEASE_OPENED, "step": None, "environment": None, "data": {}}
    assert list(dict.fromkeys(targets(shape.all_routes, reached=(), **event))) == [  # type: ignore[arg-type]
        Target("slack", "", "#shop"),
        Target("slack", "other", "#shop"),
        Target("email", "", "ops@shop.example"),
        Target("pager", "relman_slack", ""),
    ]
