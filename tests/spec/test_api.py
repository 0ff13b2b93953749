"""What other rooms get from a spec."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from relman_plugins.spec.api import Shared, load_pipeline, pipeline_files, validate
from relman_plugins.spec.models import Canary, Documents, Duration, Recreate

SPECS = Path(__file__).parents[2] / "release_specs"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A copy of the example specs, to be broken."""
    folder = tmp_path / "release_specs"
    shutil.copytree(SPECS, folder)
    (tmp_path / "examples" / "checkout").mkdir(parents=True)
    return folder


def documents(path: Path) -> Documents:
    loaded = load_pipeline(path)
    assert loaded.diagnostics == ()
    assert loaded.documents is not None
    return loaded.documents


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_examples_are_good(specs: Path) -> None:
    found = documents(specs / "checkout.yaml")
    qa, staging, production = found.pipeline.stages
    assert [s.id for s in found.pipeline.stages] == ["qa", "staging", "production"]
    assert (qa.strategy, staging.strategy) == (Recreate(), Recreate())
    assert production.strategy == Canary(
        steps=(10, 50, 100), analysis="errors-and-speed", interval=Duration(2), count=3
    )
    assert production.monitor is not None
    assert production.monitor.for_.seconds == 8
    assert {name: e.replicas for name, e in found.environments.items()} == {
        "qa": 1,
        "staging": 1,
        "production": 2,
    }
    assert found.environments["qa"].ephemeral
    assert found.environments["production"].windows[0].from_ == "00:00"
    assert found.people is not None
    assert [p.airflow for p in found.people.members("release-managers")] == ["alice", "bob", "carol"]


def test_the_smallest_pipeline_is_short_and_reads_only_what_it_names(specs: Path) -> None:
    path = specs / "hello.yaml"
    assert len(path.read_text().splitlines()) < 20
    (specs / "people.yaml").write_text("broken: [")
    (specs / "environments" / "production.yaml").write_text("broken: [")
    (specs / "checkout.yaml").write_text("broken: [")
    found = documents(path)
    assert sorted(found.texts) == ["environments/staging.yaml", "hello.yaml"]
    assert found.texts["hello.yaml"] == path.read_text()
    assert found.people is None


def test_pipelines_are_found_by_file_name_alone(specs: Path) -> None:
    (specs / "broken.yaml").write_text("]")
    (specs / ".hidden.yaml").write_text("]")
    (specs / "notes.txt").write_text("]")
    assert [p.name for p in pipeline_files(specs)] == ["broken.yaml", "checkout.yaml", "hello.yaml"]
    assert pipeline_files(specs / "absent") == []


def test_validate_takes_files_and_folders_and_says_shared_things_once(specs: Path) -> None:
    assert validate([specs]) == ()
    edit(specs / "environments" / "staging.yaml", "replicas: 1", "replicas: none")
    found = validate([specs, specs / "hello.yaml"])
    assert [(d.code, Path(d.path).name) for d in found] == [("RM104", "staging.yaml")]
    assert [d.code for d in validate([specs / "absent.yaml"])] == ["RM008"]


class TestDigest:
    def test_it_is_a_sha256_of_what_is_said_not_of_how(self, specs: Path) -> None:
        path = specs / "hello.yaml"
        before = documents(path).digest
        value = {
            "pipeline": {
                "apiVersion": "relman/v1",
                "kind": "ReleasePipeline",
                "metadata": {"name": "hello", "owner": "team-payments"},
                "artifact": {"source": "../examples/checkout", "build": ["python", "build.py"]},
                "stages": [{"environment": "staging"}],
            },
            "environments": {
                "staging": {
                    "apiVersion": "relman/v1",
                    "kind": "Environment",
                    "metadata": {
                        "name": "staging",
                        "owner": "platform",
                        "description": "Always there, like production but small",
                    },
                    "platform": "sandbox",
                    "connection": "relman_sandbox",
                    "replicas": 1,
                    "config": {"LOG_LEVEL": "info"},
                }
            },
            "people": None,
        }
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
        assert before == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
        edit(path, "stages:\n  - environment: staging", "# same\nstages: [{'environment': \"staging\"}]")
        assert documents(path).digest == before

    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("checkout.yaml", "max: 0.05", "max: 0.06"),
            ("environments/production.yaml", "replicas: 2", "replicas: 3"),
            ("people.yaml", "[alice, bob, carol]", "[carol, bob, alice]"),
            ("people.yaml", "airflow: bob", "airflow: robert"),
        ],
    )
    def test_it_changes_with_what_is_named(self, specs: Path, file: str, old: str, new: str) -> None:
        before = documents(specs / "checkout.yaml").digest
        edit(specs / file, old, new)
        assert documents(specs / "checkout.yaml").digest != before

    def test_a_new_colleague_changes_nothing(self, specs: Path) -> None:
        before = documents(specs / "checkout.yaml").digest
        edit(specs / "people.yaml", "groups:\n", "  eve: {airflow: eve}\ngroups:\n  others: [eve]\n")
        assert documents(specs / "checkout.yaml").digest == before


def test_what_a_group_nobody_asks_gets_wrong_only_warns(specs: Path) -> None:
    edit(specs / "people.yaml", "groups:\n", "groups:\n  others: [eve]\n")
    loaded = load_pipeline(specs / "checkout.yaml")
    assert [(d.code, d.severity) for d in loaded.diagnostics] == [("RM504", "warning")]
    assert loaded.documents is not None


def test_a_diagnostic_knows_its_place_and_its_trail(specs: Path) -> None:
    edit(specs / "checkout.yaml", "[10, 50, 100]", "[10, 5, 100]")
    (found,) = load_pipeline(specs / "checkout.yaml").diagnostics
    line = (specs / "checkout.yaml").read_text().splitlines()[found.line - 1]
    assert line[found.column - 1 : found.end_column - 1] == "5"
    assert found.breadcrumb == 'stage "production" > "strategy" > "canary" > "steps" > item 2'


def test_models_are_frozen() -> None:
    canary = Canary(steps=(100,))
    with pytest.raises(ValidationError):
        canary.count = 3


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90m", 5400), ("1h30m", 5400), ("7d", 604_800), ("1d1h1m1s", 90_061)]
)
def test_durations_are_read_and_written_the_same_way(text: str, seconds: int) -> None:
    duration = Duration.parse(text)
    assert duration.seconds == seconds
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    "text", ["", "0s", "5", "-1s", "1.5h", "1m1h", "1h1h", "1 h", "٣s", "367d", "9" * 40 + "s"]
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not "):
        Duration.parse(text)


def test_an_environment_that_no_rule_reached_is_not_taken_for_right(specs: Path) -> None:
    text = (specs / "environments" / "staging.yaml").read_text()
    window = '  - {days: [mon], from: "09:00", to: "10:00", zone: Mars/Base}\n'
    for name, windows in (("aa", 100), ("bb", 1)):
        named = text.replace("name: staging", f"name: {name}")
        (specs / "environments" / f"{name}.yaml").write_text(named + "windows:\n" + window * windows)
    pipeline = (specs / "hello.yaml").read_text()
    for name, stages in (("one", ("aa", "bb")), ("two", ("bb",))):
        listed = "".join(f"  - environment: {stage}\n" for stage in stages)
        said = pipeline.replace("name: hello", f"name: {name}").split("stages:")[0] + f"stages:\n{listed}"
        (specs / f"{name}.yaml").write_text(said)
    shared = Shared()
    load_pipeline(specs / "one.yaml", shared)
    assert load_pipeline(specs / "two.yaml", shared).documents is None
    assert load_pipeline(specs / "two.yaml").documents is None
