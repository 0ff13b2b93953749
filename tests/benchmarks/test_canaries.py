"""The proof is about the real judge: what is simulated many times at once is what it does one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.canaries.methods import _high, sequential, slower
from benchmarks.canaries.traffic import BOUNDS, POLLS, Cell, simulate
from benchmarks.canaries.weights import ALPHA, EACH, WEIGHTS, Case, aborted
from benchmarks.canaries.weights import simulate as over_weights
from relman_plugins.judge.stats.samples import Look, sample_harm
from tests.judge.documents import finding, judged
from tests.judge.test_background import Canary, errors

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("traffic", [1, 10, 100])
def test_latency_evidence_is_that_of_the_judge(traffic: int) -> None:
    cell = Cell(traffic, "log-normal", drift=True, latency=1.3)
    arms = simulate(cell, 5, np.random.default_rng(1))
    places = np.append(BOUNDS, np.inf)
    for run in range(5):
        looks = [Look(places, c, e) for c, e in zip(arms.control[run], arms.experiment[run], strict=True)]
        assert slower(cell, arms)[run] == pytest.approx(sample_harm(looks), abs=1e-6)


def test_the_judge_aborts_when_the_simulation_says() -> None:
    cell = Cell(100, "log-normal", drift=True, errors=4.0)
    arms = simulate(cell, 12, np.random.default_rng(2))
    ended = sequential(cell, arms)
    for run in range(12):
        errors = {
            "kind": "proportion", "max": 0.01,
            "control": [[int(b), 100] for b in arms.control_bad[run]],
            "experiment": [[int(b), 100] for b in arms.experiment_bad[run]],
        }  # fmt: skip
        latency = {
            "buckets": BOUNDS.tolist(), "direction": "increase",
            "control": arms.control[run].tolist(), "experiment": arms.experiment[run].tolist(),
        }  # fmt: skip
        report = judged(errors, latency, method="sequential")
        assert abs(report.more["looks"] - 1 - ended.aborted[run]) <= 1
        assert report.verdict.value == "fail"


def test_the_simulated_rank_test_is_that_of_the_judge() -> None:
    random = np.random.default_rng(3)
    control = np.concatenate((random.normal(10, 1, (20, 30)), random.poisson(0.1, (20, 30))))
    experiment = np.concatenate((random.normal(10.7, 1, (20, 30)), random.poisson(0.5, (20, 30))))
    found = [
        finding({"control": c.tolist(), "experiment": e.tolist(), "direction": "increase"}).classification
        for c, e in zip(control, experiment, strict=True)
    ]
    assert [label == "High" for label in found] == _high(control, experiment).tolist()
    assert len(set(found)) == 2


@pytest.mark.parametrize(("way", "background"), [("each by itself", False), ("in the background", True)])
def test_the_weights_of_a_canary_are_judged_as_the_judge_does(way: str, background: bool) -> None:
    case = Case("late", (1.0, 1.5, 2.0))
    rates = over_weights(2000, case, 6, np.random.default_rng(4))
    for run, ends in enumerate(aborted(rates)[way]):
        looks = [
            errors((int(cb), int(c)), (int(eb), int(e)))
            for cb, c, eb, e in zip(*(part[run] for part in rates), strict=True)
        ]
        canary = Canary(len(WEIGHTS), planned=EACH + 1, background=background, false_alarms=ALPHA)
        seen, found = 0, None
        for weight in range(len(WEIGHTS)):
            found = canary.step(*looks[weight * EACH : (weight + 1) * EACH])
            seen += found.state.rounds
            if found.verdict is not None:
                break
        assert found is not None
        assert (seen - 1 if found.verdict is not None else POLLS) == ends


def test_one_command_writes_tables(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.canaries", "--runs", "4", "--to", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "explanation" / "judging-proof.md").read_text()
    assert text.count("\n| ") >= 130 + 4
    assert "false alarms of the sequential judge" in done.stdout
