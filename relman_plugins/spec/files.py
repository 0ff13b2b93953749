"""Which files are pipelines: without reading them, and without what reading takes."""

from __future__ import annotations

from pathlib import Path

NOT_PIPELINES = frozenset({"people.yaml"})


def pipeline_files(folder: Path) -> list[Path]:
    """Return the pipeline files at the top of ``folder``, sorted; none if there is no such folder.

    The files are not read: a broken one is listed too.
    """
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.glob("*.yaml") if p.name not in NOT_PIPELINES and not p.name.startswith(".")
    )
