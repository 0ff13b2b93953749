"""Airflow writes its configuration file at import: into a folder of the tests, not of whoever runs them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="relman-airflow-"))

ROOT = Path(__file__).parents[2]


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A copy of the repository's own specs."""
    return Path(shutil.copytree(ROOT / "release_specs", tmp_path / "release_specs"))
