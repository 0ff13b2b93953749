"""The image that a build writes down becomes part of the version; without one by digest nothing is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind
from tests.steps import world as worlds
from tests.steps.world import World

GOOD = f"registry.example:5000/shop/checkout:1.1.0@sha256:{'a' * 64}"


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "build: [python, build.py]}", "image: image.txt}"
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", worlds.SPECS["checkout.yaml"].replace(old, new))


@pytest.fixture
def built(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build a folder with these files; return the revision that was recorded."""
    source = world.home / "specs" / "examples" / "checkout"
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(world.home / "specs" / "release_specs"))

    def build(**files: str) -> dict[str, Any]:
        (source / "main.py").write_text("")
        for name, text in files.items():
            Path(source, name.replace("_", ".")).write_text(text)
        release = world.open().finished("open")
        release.run("build")
        (event,) = release.events(Kind.ARTIFACT_BUILT)
        revision: dict[str, Any] = event.data["revision"]
        return revision

    return build


def test_the_image_is_recorded_with_the_artifact_that_names_it(built: Any) -> None:
    assert built(image_txt=f"{GOOD}\n")["image"] == GOOD


@pytest.mark.parametrize(
    "text", ["", "shop/checkout:1.1.0", f"{GOOD}\n{GOOD}", f"shop/checkout@sha256:{'A' * 64}", "x" * 5000]
)
def test_what_is_no_image_by_digest_fails_the_build(built: Any, text: str) -> None:
    with pytest.raises(AirflowFailException, match="expected REPOSITORY@sha256:DIGEST"):
        built(image_txt=text)


def test_a_build_that_wrote_none_says_what_was_expected(built: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"wrote no image to image\.txt"):
        built()
