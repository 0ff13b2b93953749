"""The store of snapshots: what is removed, and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from relman_plugins.bundles.store import Store
from relman_plugins.errors import BundleError

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(store: Store, tmp_path: Path, text: str, days_ago: float = 0) -> str:
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "source" / "spec").write_text(text)
    version = store.publish(tmp_path / "source", ["."], max_bytes=1024)
    used = time.time() - days_ago * DAY_S
    os.utime(store.folder / f"sha256-{version}.tar.gz", (used, used))
    return version


def has(store: Store, version: str, tmp_path: Path) -> bool:
    try:
        store.unpack(version, tmp_path / "out" / version)
    except BundleError:
        return False
    return True


def test_what_is_old_and_not_needed_is_removed(store: Store, tmp_path: Path) -> None:
    old = publish(store, tmp_path, "old", days_ago=40)
    needed = publish(store, tmp_path, "needed", days_ago=35)
    young = publish(store, tmp_path, "young", days_ago=29)
    assert store.sweep(lambda: {needed}, 30 * DAY_S) == [old]
    assert [has(store, v, tmp_path) for v in (old, needed, young)] == [False, True, True]


def test_the_newest_stays_however_old(store: Store, tmp_path: Path) -> None:
    newest = publish(store, tmp_path, "newest", days_ago=400)
    assert store.sweep(set, DAY_S) == []
    assert store.newest() == newest


def test_who_needs_what_is_not_known_so_all_stays(store: Store, tmp_path: Path) -> None:
    old, new = publish(store, tmp_path, "old", days_ago=40), publish(store, tmp_path, "new")

    def unknown() -> set[str]:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError):
        store.sweep(unknown, DAY_S)
    assert [has(store, v, tmp_path) for v in (old, new)] == [True, True]


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_a_version_in_use_again_counts_from_then(store: Store, tmp_path: Path, scale: float) -> None:
    again = publish(store, tmp_path, "again", days_ago=4 * scale)
    other = publish(store, tmp_path, "other", days_ago=2 * scale)
    assert store.touch(again)
    assert store.newest() == again
    assert store.sweep(set, scale * DAY_S) == [other]
    assert store.touch(other) is False


def test_a_folder_that_is_being_written_gives_no_snapshot(store: Store, tmp_path: Path) -> None:
    (tmp_path / "spec").write_text("half")
    with pytest.raises(BundleError, match="was changed while it was read; it is taken when it is at rest"):
        store.publish(tmp_path, ["."], max_bytes=1024, unchanged=lambda: False)
    assert store.newest() is None


def test_what_a_killed_process_left_is_removed(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path, "new")
    left = store.folder / ".taking-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    store.sweep(set, DAY_S)
    assert not left.exists()
