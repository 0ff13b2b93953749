"""The guide to a releasable service: the service in it runs."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from relman_plugins.domain.state import Revision
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms import archive

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "releasable-service.md"
FILE = re.compile(r"<!-- file (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def written(folder: Path, old: str = "", new: str = "") -> Revision:
    """Write the guide's files, with one change, and archive them."""
    files = dict(FILE.findall(GUIDE.read_text()))
    assert set(files) == {"relman.json", "service.py"}
    assert old in files["service.py"]
    (folder / "service").mkdir()
    for name, text in files.items():
        (folder / "service" / name).write_text(text.replace(old, new) if old else text)
    return archive.pack(folder / "service", folder / "store").revision("1.0.0")


def test_the_guides_service_can_be_released(shared, tmp_path):
    seen = shared.converge("guide", stable=written(tmp_path), stable_replicas=2)
    assert "quote" in httpx.get(seen.url).json()


def test_a_service_without_its_digest_is_told_what_to_answer(shared, tmp_path):
    silent = written(tmp_path, old=', "digest": os.environ["RELMAN_DIGEST"]')
    with pytest.raises(PlatformRejected) as refused:
        shared.converge("silent", stable=silent, stable_replicas=1)
    for words in ('"version" "1.0.0"', '"digest" null', silent.digest, "what RELMAN_DIGEST holds"):
        assert words in str(refused.value)
