"""A DAG bundle of a plain folder that keeps versions: snapshots of DAG files and specs by their content.

In Airflow's configuration::

    [dag_processor]
    dag_bundle_config_list = [{"name": "releases",
        "classpath": "relman_plugins.bundles.snapshot.SnapshotDagBundle",
        "kwargs": {"path": "/opt/airflow", "folders": ["dags", "release_specs"]}}]

The DAG processor alone reads the folder. When something in it is another, it puts a snapshot into the store,
and runs that start from then on have its digest as their version. Workers take that snapshot from the store,
whatever their own copy of the folder says.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

from relman_plugins import settings
from relman_plugins.bundles.in_use import in_use
from relman_plugins.bundles.store import Store
from relman_plugins.errors import BundleError, PlatformRejected
from relman_plugins.platforms import archive

log = logging.getLogger(__name__)

AT_REST_NS = 2_000_000_000
"""Times say nothing of a second write in the same tick of the clock, which file systems have every 2 s."""

SWEPT_EVERY_S = 3600.0
TREE_KEPT_S = 3600.0
"""How long the DAG processor's copy stays when there is a newer one: a parse may still read it."""


class SnapshotDagBundle(BaseDagBundle):
    """Versions of a folder by content.

    Args:
        path: The folder; default is the one that ``[core] dags_folder`` lies in.
        folders: What of it is taken: DAG files, specs, and what specs name by paths, as a service's source.
        subdir: Where the DAG files are.
        store: Where snapshots are kept, shared by DAG processors and workers; default
            ``<[relman] home>/snapshots/<name of the bundle>``.
        keep_days: A snapshot stays so long after it was last the newest, and longer while a run needs it.
        max_megabytes: The most that a snapshot may hold.
        kwargs: What every bundle has: ``name``, ``refresh_interval``, ``version``, ``view_url_template``.
    """

    supports_versioning = True

    def __init__(
        self,
        *,
        path: str | None = None,
        folders: Sequence[str] = ("dags", "release_specs"),
        subdir: str = "dags",
        store: str | None = None,
        keep_days: float = 30,
        max_megabytes: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._source = Path(path) if path else Path(conf.get_mandatory_value("core", "dags_folder")).parent
        self._folders = tuple(folders)
        self._subdir = subdir
        self._store = Store(Path(store) if store else settings.home() / "snapshots" / self.name)
        self._keep = timedelta(days=max(1.0, keep_days))
        self._max_bytes = max_megabytes * 1024 * 1024
        self._current = self.base_dir / "current"
        self._tree = self._current
        self._seen: str | None = None
        self._looked: object = None
        self._swept = 0.0

    def initialize(self) -> None:
        """Bring the files of this version here; without a version those of the newest snapshot.

        Only an empty store is given a first snapshot of the folder, which may be another one on each machine.
        A version that is nowhere any more is replaced by the newest: its release's forward steps stop, since
        the plan is another one, and its way back stays open.
        """
        if self.version is not None:
            self._tree = self.versions_dir / self._at(self.version)
        else:
            self._seen, self._tree = self._begin()
        super().initialize()

    def refresh(self) -> None:
        """Take a snapshot if the folder is another one; called by DAG processors only.

        Raises:
            BundleError: It can't be taken now. What was taken before goes on.
        """
        if self.version is not None:
            raise BundleError(f"the bundle {self.name} is bound to {self.version} and has nothing to refresh")
        with self.lock():
            seen = self._taken()
            try:
                tree = self._as_tree(seen)
            except BundleError:
                self._looked = None  # what is in the store is no good: take it anew
                raise
            self._point_to(tree)
            self._clear_away(tree)
        if self._tree != self._current and settings.specs_base() is not None:  # said once
            log.warning(
                "relman: [relman] specs_folder is set, so specs have no versions though the bundle %s has; "
                "empty it",
                self.name,
            )
        self._seen, self._tree = seen, self._current
        self._sweep()

    def get_current_version(self) -> BundleVersion | None:
        """Return the digest of what is at `path`; None before there is anything."""
        version = self.version or self._seen
        return BundleVersion(version) if version else None

    @property
    def path(self) -> Path:
        """Return where the DAG files are."""
        return self._tree / self._subdir

    def _begin(self) -> tuple[str, Path]:
        """Return the newest snapshot and its folder; the first one is taken here."""
        newest = self._store.newest()
        if newest is not None:
            try:
                return newest, self._as_tree(newest)
            except BundleError as error:
                log.error("relman: %s. Taking the snapshot anew", error)
        taken = self._take()
        return taken, self._as_tree(taken)

    def _at(self, version: str) -> str:
        """Have a version in its folder here, or the newest instead; return which."""
        # A version is a part of a path only once the store has taken it for one.
        try:
            return self._unpacked(version, self.versions_dir)
        except BundleError as error:
            newest = self._store.newest()
            # One that is there and good can't be had here just now: a full disk is no reason for other specs.
            if newest is None or newest == version or self._store.holds(version):
                raise
            log.error(
                "relman: %s. Running with the newest snapshot instead, %s: forward steps of a release stop "
                "unless its plan is the same; rollback, abort and close go on",
                *(error, newest),
            )
            self.version = newest
            return self._unpacked(newest, self.versions_dir)

    def _as_tree(self, version: str) -> Path:
        """Have a version where Airflow does not remove it for having been used by no task for hours."""
        trees = self.base_dir / "trees"
        return trees / self._unpacked(version, trees)

    def _unpacked(self, version: str, above: Path) -> str:
        self._store.check(version)
        if not (above / version).is_dir():
            with self.lock():
                if not (above / version).is_dir():
                    self._store.unpack(version, above / version)
        return version

    def _taken(self) -> str:
        """Return the version of what the folder holds now; looks at content only where times changed."""
        looked = self._look()
        if looked is not None and looked == self._looked and self._seen and self._store.touch(self._seen):
            return self._seen
        version = self._take()
        self._looked = looked
        return version

    def _take(self) -> str:
        before = self._times()
        return self._store.publish(
            *(self._source, self._folders),
            max_bytes=self._max_bytes,
            unchanged=lambda: self._times() == before,
        )

    def _look(self) -> object:
        """Return what is equal as long as the folder is; None while it was written just now."""
        now, times = time.time_ns(), self._times()
        newest = max((max(modified, changed) for *_, modified, changed in times), default=0)
        return times if now - newest > AT_REST_NS else None

    def _times(self) -> list[tuple[str, int, int, int, int]]:
        try:
            about = [(str(p), p.lstat()) for p in archive.entries(self._source, self._folders)]
        except (PlatformRejected, OSError) as error:
            raise BundleError(f"no snapshot of {self._source} was taken: {error}") from error
        return [(name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in about]

    def _point_to(self, tree: Path) -> None:
        """Let ``current`` be a tree, in one step: the path of the DAG files stays one and the same."""
        before = self._current.resolve()
        if before == tree.resolve():
            return
        if before.is_dir():
            os.utime(before, (time.time(), time.time()))
        fresh = self.base_dir / f".current-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(tree)
        fresh.replace(self._current)

    def _clear_away(self, current: Path) -> None:
        oldest = time.time() - TREE_KEPT_S
        for tree in current.parent.iterdir():
            if tree != current and tree.stat().st_mtime < oldest:
                shutil.rmtree(tree, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove old snapshots that nobody needs. Never raises: a full store stops no parse."""
        if self._swept and time.monotonic() - self._swept < SWEPT_EVERY_S:
            return
        self._swept = time.monotonic()
        try:
            gone = self._store.sweep(lambda: in_use(self.name), self._keep.total_seconds())
        except Exception:
            log.exception("relman: old snapshots in %s were not removed", self._store.folder)
        else:
            for version in gone:
                log.info("relman: removed the snapshot %s of %s", version, self.name)
