"""A bundle of a plain folder: a release has the files it started with, whatever came since."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from relman_plugins.bundles.snapshot import SnapshotDagBundle
from relman_plugins.errors import BundleError

SPEC = "release_specs/shop.yaml"


class Machine:
    """A machine with its own copy of the folder and its own disk; the store is shared."""

    def __init__(self, home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source, self._disk = home / name / "source", home / name / "disk"
        self._store, self._monkeypatch = home / "store", monkeypatch

    def has(self, spec: str) -> Machine:
        for name, text in {"dags/releases.py": "# airflow DAG", SPEC: spec}.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def bundle(self, version: str | None = None, **kwargs: Any) -> SnapshotDagBundle:
        key = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"
        self._monkeypatch.setenv(key, str(self._disk))
        given = {"path": str(self.source), "store": str(self._store), **kwargs}
        return SnapshotDagBundle(name="releases", version=version, **given)

    def refreshed(self, **kwargs: Any) -> SnapshotDagBundle:
        """Do what a DAG processor does when it starts."""
        bundle = self.bundle(**kwargs)
        bundle.initialize()
        bundle.refresh()
        return bundle

    def at(self, version: str | None) -> SnapshotDagBundle:
        """Do what a worker does before it runs a task."""
        bundle = self.bundle(version)
        bundle.initialize()
        return bundle

    def snapshots(self) -> dict[str, int]:
        return {p.name[7:71]: p.stat().st_ino for p in self._store.glob("*.tar.gz")}

    def archive(self, version: str) -> Path:
        return self._store / f"sha256-{version}.tar.gz"


def spec_in(bundle: SnapshotDagBundle) -> str:
    return (bundle.path.parent / SPEC).read_text()


def version_of(bundle: SnapshotDagBundle) -> str:
    version = bundle.get_current_version()
    assert version is not None
    return version.version


@contextmanager
def later(**ago: float) -> Iterator[None]:
    with time_machine.travel(datetime.now(UTC) + timedelta(**ago), tick=True):
        yield


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, Machine]:
    """Give the machine of the DAG processor, which has the folder, and one of a worker, which hasn't."""
    return Machine(tmp_path, "processor", monkeypatch).has("old"), Machine(tmp_path, "worker", monkeypatch)


def test_a_run_keeps_the_spec_it_started_with(machines: tuple[Machine, Machine]) -> None:
    processor, worker = machines
    bundle = processor.refreshed()
    old, path = version_of(bundle), bundle.path
    processor.has("new")
    bundle.refresh()
    assert version_of(bundle) != old
    assert spec_in(bundle) == "new"
    assert bundle.path == path, (
        "Airflow queues files by path: a parse of the old one would count as the new one"
    )
    for machine in machines:
        assert spec_in(machine.at(old)) == "old"
        assert spec_in(machine.at(version_of(bundle))) == "new"
    assert (worker.at(old).path / "releases.py").is_file()


def test_what_a_parse_resolves_stays_while_the_folder_changes(machines: tuple[Machine, Machine]) -> None:
    bundle = machines[0].refreshed()
    resolved = bundle.path.resolve()
    machines[0].has("new")
    bundle.refresh()
    assert (resolved.parent / SPEC).read_text() == "old"
    with later(hours=2):
        replaced = bundle.path.resolve()
        machines[0].has("newer")
        bundle.refresh()
        assert resolved.parent.exists() is False
        assert (replaced.parent / SPEC).read_text() == "new", "a parse may have begun just now"
        assert spec_in(bundle) == "newer"


def test_a_workers_own_copy_of_the_folder_does_not_matter(machines: tuple[Machine, Machine]) -> None:
    processor, worker = machines
    bundle = processor.refreshed()
    worker.has("another copy")
    assert spec_in(worker.at(version_of(bundle))) == "old"
    assert spec_in(worker.at(None)) == "old", "a run without a version gets what the DAG processor took last"
    assert list(worker.snapshots()) == [version_of(bundle)]


def test_the_same_content_again_is_the_same_version(machines: tuple[Machine, Machine]) -> None:
    bundle = machines[0].refreshed()
    old = version_of(bundle)
    for spec in ("new", "old"):
        machines[0].has(spec)
        bundle.refresh()
    assert version_of(bundle) == old
    assert spec_in(bundle) == "old"
    assert spec_in(machines[1].at(None)) == "old"


def test_an_untouched_folder_is_not_read_again(machines: tuple[Machine, Machine]) -> None:
    with later(seconds=10):
        bundle = machines[0].refreshed()
        taken = machines[0].snapshots()
        bundle.refresh()
        assert machines[0].snapshots() == taken, "the archive was written again"


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_change_that_leaves_size_and_time_alone_is_seen(
    machines: tuple[Machine, Machine], seconds: float
) -> None:
    with later(seconds=seconds):
        bundle = machines[0].refreshed()
        file = machines[0].source / SPEC
        about = file.stat()
        file.write_text("odd")
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
        bundle.refresh()
        assert spec_in(bundle) == "odd"


@pytest.mark.parametrize("version", ["..", "../../escaped", "/escaped", "a" * 40, "0" * 64])
def test_a_version_that_is_nowhere_gives_the_newest(
    machines: tuple[Machine, Machine], tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    newest = version_of(machines[1].at(version_of(machines[0].refreshed())))
    bundle = machines[1].at(version)
    assert spec_in(bundle) == "old"
    assert version_of(bundle) == newest == bundle.version, "the record says what really ran"
    assert "forward steps of a release stop unless its plan is the same" in caplog.text
    assert not list(tmp_path.rglob("*escaped*"))


def test_what_can_not_be_unpacked_here_is_no_reason_for_other_specs(
    machines: tuple[Machine, Machine],
) -> None:
    processor, worker = machines
    bundle = processor.refreshed()
    old = version_of(bundle)
    processor.has("new")
    bundle.refresh()
    (place := worker.bundle(old).versions_dir).mkdir(parents=True)
    (place / old).write_text("in the way, as a full disk would be")
    with pytest.raises(BundleError, match="can't be had"):
        worker.at(old)
    (place / old).unlink()
    assert spec_in(worker.at(old)) == "old"


def test_nothing_at_all_is_said_in_words(machines: tuple[Machine, Machine]) -> None:
    with pytest.raises(BundleError, match=r"DAG processor and workers must share this folder"):
        machines[1].at("0" * 64)
    with pytest.raises(BundleError, match=r"no snapshot of .*/source was taken: cannot read .*/dags"):
        machines[1].at(None)


def test_a_changed_archive_is_not_unpacked(machines: tuple[Machine, Machine]) -> None:
    processor, worker = machines
    version = version_of(processor.refreshed())
    processor.has("evil")
    evil = version_of(processor.refreshed())
    processor.archive(version).write_bytes(processor.archive(evil).read_bytes())
    processor.archive(evil).unlink()
    with pytest.raises(BundleError, match="its digest is"):
        worker.at(version)
    processor.has("old")
    assert spec_in(processor.refreshed()) == "old"
    assert spec_in(worker.at(version)) == "old", "taking it anew mended the store"


def test_a_damaged_store_is_mended_while_the_dag_processor_runs(machines: tuple[Machine, Machine]) -> None:
    with later(seconds=10):
        bundle = machines[0].refreshed()
        bundle.refresh()
        machines[0].archive(version_of(bundle)).write_bytes(b"")
        shutil.rmtree(bundle.path.resolve().parent)
        with pytest.raises(BundleError, match="its digest is"):
            bundle.refresh()
        bundle.refresh()
        assert spec_in(bundle) == spec_in(machines[1].at(version_of(bundle))) == "old"


def test_a_link_takes_nothing_from_outside(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    bundle = machines[0].refreshed()
    (tmp_path / "secret").write_text("secret")
    link = machines[0].source / "release_specs" / "link.yaml"
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match=r"link\.yaml is neither a file nor a directory"):
        bundle.refresh()
    assert spec_in(bundle) == "old", "what was taken before goes on"
    link.unlink()
    bundle.refresh()
    for folders in (["dags", "../worker"], ["dags", "linked"]):
        (machines[0].source / "linked").unlink(missing_ok=True)
        (machines[0].source / "linked").symlink_to(tmp_path)
        with pytest.raises(BundleError, match="is a link, or leaves"):
            machines[0].refreshed(folders=folders)


def test_the_folder_itself_may_be_a_link_that_moves(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """git-sync puts a new checkout beside the old one and moves a link."""
    link = tmp_path / "link"
    link.symlink_to(machines[0].source)
    bundle = machines[0].refreshed(path=str(link))
    machines[1].has("new")
    link.unlink()
    link.symlink_to(machines[1].source)
    bundle.refresh()
    assert spec_in(bundle) == "new"


def test_too_large_a_folder_is_refused(machines: tuple[Machine, Machine]) -> None:
    (machines[0].source / "dags" / "model.bin").write_bytes(b"0" * (1024 * 1024))
    with pytest.raises(BundleError, match="an archive may have 20000 and 1048576"):
        machines[0].refreshed(max_megabytes=1)


def test_a_store_that_others_may_write_is_refused(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    with pytest.raises(BundleError, match=r"others may write it .* \(mode 700\)"):
        machines[0].refreshed()


def test_many_tasks_begin_at_once(machines: tuple[Machine, Machine]) -> None:
    version = version_of(machines[0].refreshed())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: spec_in(machines[1].at(version)), range(16)))
    assert found == ["old"] * 16


def test_specs_elsewhere_are_said_once(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", "/elsewhere")
    bundle = machines[0].refreshed()
    bundle.refresh()
    assert caplog.text.count("specs have no versions though the bundle releases has; empty it") == 1


def test_a_bound_bundle_has_nothing_to_refresh(machines: tuple[Machine, Machine]) -> None:
    version = version_of(machines[0].refreshed())
    with pytest.raises(BundleError, match="nothing to refresh"):
        machines[0].at(version).refresh()
