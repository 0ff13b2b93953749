"""The part of PromQL that the sandbox speaks: rules that can be checked by hand."""

from __future__ import annotations

import math

import pytest

from relman_plugins.errors import ClientRejected
from relman_plugins.platforms.sandbox import promfuncs, promql
from relman_plugins.platforms.sandbox.samples import KEPT_S, LOOKBACK_S, Samples


def labels(name: str, **more: str):
    return tuple(sorted({"__name__": name, **more}.items()))


@pytest.fixture
def samples() -> Samples:
    """Two versions for 20 s, a sample every half second: 4 and 36 requests a second; half of the 4 fail."""
    store = Samples()
    for i in range(41):
        series = []
        for version, rate, bad in (("1.1.0", 36, 0), ("1.2.0", 4, 2)):
            who = {"environment": "production", "version": version}
            series.append((labels("requests_total", code="200", **who), (rate - bad) * i / 2))
            series.append((labels("requests_total", code="503", **who), bad * i / 2))
            series.append((labels("weight", **who), rate / 0.4))
        store.take(1000 + i / 2, series)
    return store


def ask(samples: Samples, query: str, at: float = 1020) -> promql.Value:
    return promql.evaluate(samples, promql.parse(query), at)


def test_the_error_ratio_of_a_canary(samples):
    bad = 'sum(increase(requests_total{version="1.2.0",code=~"5.."}[10s]))'
    every = 'sum(increase(requests_total{version="1.2.0"}[10s]))'
    assert ask(samples, f"{bad} / {every}") == {(): pytest.approx(0.5)}
    assert ask(samples, every) == {(): pytest.approx(40)}
    assert ask(samples, "sum by (version) (rate(requests_total[10s])) > 10") == {
        (("version", "1.1.0"),): pytest.approx(36)
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("1 + 2 * 3 ^ 2", 19.0),
        ("-(7 % 4)", -3.0),
        ("1 > bool 2", 0.0),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("scalar(sum(weight))", 100.0),
        ("vector(3)", {(): 3.0}),
        ("count(requests_total)", {(): 4.0}),
        ("max(weight) - min(weight)", {(): 80.0}),
        ("avg(weight)", {(): 50.0}),
        ("sum(nothing) or vector(0)", {(): 0.0}),
        ("nothing", {}),
        ("sum(nothing)", {}),
        ('count(requests_total{code!~"5..",version!="1.1.0"})', {(): 1.0}),
        ('count({__name__=~"req.*",absent=""})', {(): 4.0}),
        ("count(weight > 50)", {(): 1.0}),
        ("sum(weight > bool 50)", {(): 1.0}),
        ("50 < sum(weight)", {(): 100.0}),
        ("sum without (version, environment) (weight) / on() vector(4)", {(): 25.0}),
        ('scalar(weight{version="1.1.0"} / ignoring(version) weight{version="1.2.0"})', 9.0),
    ],
)
def test_by_hand(samples, query, expected):
    assert ask(samples, query) == expected
    if isinstance(expected, float) and math.isinf(expected):
        assert ask(samples, f"({query}) - ({query})") != ask(samples, f"({query}) - ({query})")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("topk(1, weight)", "aggregation topk"),
        ("weight offset 5s", "no offset"),
        ("weight @ 5", "the @ modifier"),
        ("max_over_time(weight[10s])", "function max_over_time"),
        ("rate(weight[1m:5s])", "no SubqueryExpr"),
        ("weight[5s]", "no MatrixSelector"),
        ("weight and weight", "operator and"),
        ("weight * on(version) group_left requests_total", "group_left"),
        ("requests_total * on(version) weight", "several series on the left"),
        ("weight * on(version) requests_total", "several series on the right"),
        ('weight{version="1" or version="2"}', "or between matchers"),
        ("weight{", "invalid query"),
        ("foo(1)", "invalid query"),
        ("", "invalid query"),
        ("1" * 9000, "at most 8192"),
        ("(" * 2000 + "1" + ")" * 2000, "nested too deeply"),
        ("sum(weight) + 'a'", "invalid query"),
    ],
    ids=lambda v: v[:20],
)
def test_what_it_does_not_know_is_refused_by_name(samples, query, reason):
    with pytest.raises(ClientRejected, match=reason):
        ask(samples, query)


def test_a_series_that_ended_is_gone_at_once_and_one_never_seen_again_after_a_while(samples):
    samples.take(1020.5, [(labels("weight", version="new"), 1.0)])
    assert ask(samples, "weight", 1020.5) == {labels("weight", version="new"): 1.0}
    assert len(ask(samples, "weight", 1020.4)) == 2
    assert ask(samples, "weight", 1020.5 + LOOKBACK_S) == {}
    samples.take(1020.5 + KEPT_S + 21, [])
    assert ask(samples, "weight", 1020) == {}


def test_a_counter_that_began_again_did_not_shrink():
    points = [(0.0, 10.0), (1.0, 20.0), (2.0, 3.0), (3.0, 13.0)]
    assert promfuncs.increase(points, 0, 3) == 23
    assert promfuncs.increase(points[:1], 0, 3) is None


def test_a_young_counter_is_not_extended_below_zero():
    assert promfuncs.increase([(9.0, 0.0), (10.0, 4.0)], 0, 10) == 4
    assert promfuncs.increase([(9.0, 1.0), (10.0, 5.0)], 0, 10) == 5


def test_quantiles():
    buckets = [(0.1, 50.0), (0.5, 90.0), (1.0, 100.0), (math.inf, 100.0)]
    assert promfuncs.quantile(0.5, buckets) == pytest.approx(0.1)
    assert promfuncs.quantile(0.95, buckets) == pytest.approx(0.75)
    assert promfuncs.quantile(1, [*buckets[:3], (math.inf, 120.0)]) == 1.0
    assert math.isnan(promfuncs.quantile(0.5, buckets[:3]))
    assert math.isnan(promfuncs.quantile(0.5, [(0.1, 0.0), (math.inf, 0.0)]))
    assert promfuncs.quantile(2, buckets) == math.inf
    assert promfuncs.quantile(-1, buckets) == -math.inf
