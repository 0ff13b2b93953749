"""Policies: what a pipeline gets from what it extends, and what it doesn't."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from relman_plugins.spec.api import load_pipeline, validate
from relman_plugins.spec.models import Canary, Documents, Duration, Recreate
from relman_plugins.spec.policies import MOST

SPECS = Path(__file__).parents[2] / "release_specs"
SHIPPED = ("agile", "continuous", "hotfix", "regulated", "waterfall")


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A copy of the example specs, to be changed."""
    folder = tmp_path / "release_specs"
    shutil.copytree(SPECS, folder)
    (tmp_path / "examples" / "checkout").mkdir(parents=True)
    return folder


def pipeline(
    specs: Path, extends: str, stages: str = "[{environment: qa}, {environment: production}]"
) -> Path:
    path = specs / "shop.yaml"
    path.write_text(
        "apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {name: shop, owner: team}\n"
        f"extends: {extends}\nartifact: {{source: ../examples/checkout}}\nstages: {stages}\n"
    )
    return path


def policy(specs: Path, name: str, body: str = "", extends: str = "[]") -> None:
    (specs / "policies" / f"{name}.yaml").write_text(
        f"apiVersion: relman/v1\nkind: Policy\nmetadata: {{name: {name}, owner: platform}}\n"
        f"extends: {extends}\n{body}"
    )


def documents(path: Path) -> Documents:
    loaded = load_pipeline(path)
    assert loaded.diagnostics == ()
    assert loaded.documents is not None
    return loaded.documents


@pytest.mark.parametrize("name", SHIPPED)
def test_the_policies_for_the_usual_ways_of_working_are_good_as_they_are(specs: Path, name: str) -> None:
    found = documents(pipeline(specs, f"[{name}]"))
    assert found.pipeline.stages[-1].monitor is not None
    assert list(found.texts) == ["shop.yaml", f"policies/{name}.yaml", "policies/golden-signals.yaml"] + [
        text for text in found.texts if not text.startswith(("policies", "shop"))
    ]


def test_the_ways_of_working_differ_in_what_they_are_known_for(specs: Path) -> None:
    first, last = {}, {}
    for name in SHIPPED:
        first[name], last[name] = documents(pipeline(specs, f"[{name}]")).pipeline.stages
    assert {name for name in SHIPPED if last[name].gates} == {"agile", "hotfix", "regulated", "waterfall"}
    assert {name for name in SHIPPED if first[name].gates} == {"waterfall"}
    assert last["regulated"].gates[0].quorum == 2
    assert isinstance(last["waterfall"].strategy, Recreate)
    assert isinstance(last["continuous"].strategy, Canary)
    waits = {name: last[name].gates[0].timeout for name in ("hotfix", "agile", "regulated", "waterfall")}
    assert sorted(waits, key=lambda name: waits[name]) == list(waits)


def test_every_policy_in_the_folder_says_in_words_what_it_is() -> None:
    for path in (SPECS / "policies").glob("*.yaml"):
        text = path.read_text()
        words = re.match(r"(?:#[^\n]*\n)+", text)
        assert words is not None
        assert len(words[0].splitlines()) >= 3, path.name
        assert "\n  description: " in text, path.name


def test_what_a_pipeline_says_itself_wins_but_no_gate_goes(specs: Path) -> None:
    stages = (
        "[{environment: production, gates: [{approval: release-managers, timeout: 1h}], "
        "strategy: recreate, monitor: null}]"
    )
    path = pipeline(specs, "[regulated]", stages)
    loaded = load_pipeline(path)
    assert [d.code for d in loaded.diagnostics] == ["RM508"]
    assert loaded.documents is not None
    (stage,) = loaded.documents.pipeline.stages
    assert stage.strategy == Recreate()
    assert stage.monitor is None
    assert [(gate.quorum, gate.timeout) for gate in stage.gates] == [
        (2, Duration(3 * 86_400)),
        (1, Duration(3_600)),
    ]


def test_the_same_gate_is_asked_once(specs: Path) -> None:
    gate = "{approval: release-managers, quorum: 2, timeout: 3d, on_timeout: reject}"
    found = documents(pipeline(specs, "[regulated]", f"[{{environment: production, gates: [{gate}]}}]"))
    assert len(found.pipeline.stages[0].gates) == 1


def test_the_last_one_named_wins_and_bases_come_before_what_builds_on_them(specs: Path) -> None:
    def monitored(extends: str) -> str:
        monitor = (
            documents(pipeline(specs, extends, "[{environment: production}]")).pipeline.stages[0].monitor
        )
        assert monitor is not None
        return str(monitor.for_)

    for name, minutes in (("low", 1), ("high", 2), ("base", 3)):
        extends = "[]" if name == "base" else "[base, golden-signals]"
        policy(
            specs, name, f"last_stage: {{monitor: {{for: {minutes}m, analysis: golden-signals}}}}\n", extends
        )
    assert monitored("[low, high]") == "2m"
    assert monitored("[high, low]") == "1m"
    assert monitored("[high, base]") == "2m"
    assert monitored("[base, high]") == "2m"
    policy(specs, "every", "every_stage: {monitor: {for: 9m, analysis: golden-signals}}\n")
    assert monitored("[high, every]") == "9m"


def test_stages_by_name_win_over_the_last_and_the_last_over_every(specs: Path) -> None:
    policy(
        specs,
        "named",
        "every_stage: {monitor: {for: 1m, analysis: golden-signals}}\n"
        "last_stage: {monitor: {for: 2m, analysis: golden-signals}}\n"
        "stages: {canary-eu: {monitor: {for: 3m, analysis: golden-signals}}}\n",
        "[golden-signals]",
    )
    names = ("one", "canary-eu", "two")
    stages = ", ".join(f"{{environment: production, name: {name}}}" for name in names)
    found = documents(pipeline(specs, "[named]", f"[{stages}]"))
    assert [str(s.monitor.for_) for s in found.pipeline.stages if s.monitor] == ["1m", "3m", "2m"]
    stages = ", ".join(f"{{environment: production, name: {name}}}" for name in reversed(names[:2]))
    found = documents(pipeline(specs, "[named]", f"[{stages}]"))
    assert [str(s.monitor.for_) for s in found.pipeline.stages if s.monitor] == ["3m", "2m"]


def test_only_policies_that_are_named_are_read(specs: Path) -> None:
    path = pipeline(specs, "[agile]")
    for name in set(SHIPPED) - {"agile"}:
        (specs / "policies" / f"{name}.yaml").write_text("broken: [")
    documents(path)
    assert validate([specs]) == ()


class TestDigest:
    def test_it_covers_what_the_policies_give(self, specs: Path) -> None:
        path = pipeline(specs, "[regulated]")
        before = documents(path)
        text = (specs / "policies" / "regulated.yaml").read_text()
        (specs / "policies" / "regulated.yaml").write_text(text.replace("quorum: 2", "quorum: 1"))
        assert documents(path).digest != before.digest
        (specs / "policies" / "regulated.yaml").write_text(text)
        signals = specs / "policies" / "golden-signals.yaml"
        signals.write_text(signals.read_text().replace("max: 0.01", "max: 0.02"))
        assert documents(path).digest != before.digest

    def test_what_a_policy_says_for_others_changes_nothing(self, specs: Path) -> None:
        path = pipeline(specs, "[regulated]")
        before = documents(path).digest
        with (specs / "policies" / "regulated.yaml").open("a") as file:
            file.write("\nstages:\n  elsewhere: {strategy: recreate}\n")
        assert documents(path).digest == before

    def test_a_pipeline_without_policies_has_the_digest_it_always_had(self, specs: Path) -> None:
        before = documents(specs / "checkout.yaml").digest
        shutil.rmtree(specs / "policies")
        assert documents(specs / "checkout.yaml").digest == before


def test_nothing_that_was_read_is_changed_by_merging(specs: Path) -> None:
    policy(specs, "timed", "every_suite: {timeout: 5m}\nsuites: {a: {timeout: 1m}}\n")
    path = pipeline(specs, "[timed]", "[{environment: qa, suites: [a, b]}]")
    with path.open("a") as file:
        file.write("suites:\n  a: &a {command: [t], junit: t.xml}\n  b: *a\n")
    suites = documents(path).pipeline.suites
    assert (str(suites["a"].timeout), str(suites["b"].timeout)) == ("1m", "5m")


def test_more_policies_than_anybody_needs_are_refused(specs: Path) -> None:
    for n in range(MOST + 1):
        policy(specs, f"p{n}", extends=f"[p{n + 1}]" if n < MOST else "[]")
    (found,) = load_pipeline(pipeline(specs, "[p0]")).diagnostics
    assert (found.code, Path(found.path).name, found.line) == ("RM210", f"p{MOST - 1}.yaml", 4)
    assert documents(pipeline(specs, "[p1]"))


def test_policies_stay_in_the_folder(specs: Path) -> None:
    outside = specs.parent / "outside.yaml"
    (specs / "policies" / "agile.yaml").rename(outside)
    (specs / "policies" / "agile.yaml").symlink_to(outside)
    assert [d.code for d in load_pipeline(pipeline(specs, "[agile]")).diagnostics] == ["RM008"]


def test_with_a_broken_policy_only_the_policy_is_blamed(specs: Path) -> None:
    policy(specs, "golden-signals", "analysis: {}\n")
    found = load_pipeline(pipeline(specs, "[regulated]")).diagnostics
    assert [(d.code, Path(d.path).name) for d in found] == [("RM102", "golden-signals.yaml")]
