"""Reading the files of specs: none from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman_plugins.spec.files import Unreadable, bytes_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret.yaml").write_text("password")
    (tmp_path / "outside" / "secret.yaml").write_text("password")
    (tmp_path / "specs" / "environments").mkdir(parents=True)
    (tmp_path / "specs" / "here.yaml").write_text("here")
    return tmp_path / "specs"


@pytest.mark.parametrize(
    "way",
    ["../secret.yaml", "environments/../../secret.yaml", "../outside/secret.yaml", "../specs/../secret.yaml"],
)
def test_no_way_up_leads_out_of_the_folder(root: Path, way: str) -> None:
    with pytest.raises(Unreadable):
        bytes_of(root / way, root)


@pytest.mark.parametrize("name", ["link.yaml", "linked/secret.yaml", "environments/link.yaml"])
def test_no_link_leads_out_of_the_folder(root: Path, name: str) -> None:
    (root / "linked").symlink_to(root.parent / "outside")
    for link in (root / "link.yaml", root / "environments" / "link.yaml"):
        link.symlink_to(root.parent / "secret.yaml")
    with pytest.raises(Unreadable):
        bytes_of(root / name, root)


@pytest.mark.parametrize("way", ["here.yaml", "environments/../here.yaml"])
def test_what_is_in_the_folder_is_read(root: Path, way: str) -> None:
    assert bytes_of(root / way, root) == b"here"
