"""Bad specs and the exact text they get; good specs and silence.

A case in ``err/`` is ``<case>.yaml``, or a folder ``<case>/`` with a pipeline of that name; ``<case>.out`` is
what ``relman validate`` prints. A case in ``ok/`` is ``<case>.yaml``; ``<case>.json`` is the pipeline that
other rooms get, with what its policies give.
``RELMAN_UPDATE_GOLDEN=1 pytest tests/spec/test_golden.py`` writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from relman_plugins.spec.api import load_pipeline, pipeline_files
from relman_plugins.spec.render import render_text

HERE = Path(__file__).parent
ERR = HERE / "err"
OK = HERE / "ok"


def cases() -> list[str]:
    folders = [p.name for p in ERR.iterdir() if (p / f"{p.name}.yaml").is_file()]
    return sorted([*(p.stem for p in pipeline_files(ERR)), *folders])


@pytest.mark.parametrize("case", cases())
def test_bad_specs_get_this_text(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ERR / case if (ERR / case).is_dir() else ERR
    monkeypatch.chdir(folder)
    loaded = load_pipeline(Path(f"{case}.yaml"))
    text = render_text(loaded.diagnostics, loaded.sources)
    assert (loaded.documents is None) == any(d.is_error for d in loaded.diagnostics)
    golden = ERR / f"{case}.out"
    if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert loaded.diagnostics
    assert text == golden.read_text()


@pytest.mark.parametrize("case", [p.stem for p in pipeline_files(OK)])
def test_good_specs_give_this_pipeline(case: str) -> None:
    loaded = load_pipeline(OK / f"{case}.yaml")
    assert render_text(loaded.diagnostics, loaded.sources) == ""
    assert loaded.documents is not None
    text = loaded.documents.pipeline.model_dump_json(indent=1, by_alias=True, exclude_unset=True) + "\n"
    golden = OK / f"{case}.json"
    if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_golden_file_has_its_case() -> None:
    assert sorted(p.stem for p in ERR.glob("*.out")) == cases()
    assert sorted(p.stem for p in OK.glob("*.json")) == sorted(p.stem for p in pipeline_files(OK))
    assert len(cases()) >= 60
    assert len(pipeline_files(OK)) >= 15


def test_every_code_has_an_example() -> None:
    package = Path(load_pipeline.__code__.co_filename).parent
    written = {code for p in package.rglob("*.py") for code in re.findall(r'"(RM\d{3})"', p.read_text())}
    shown = {code for p in ERR.glob("*.out") for code in re.findall(r"\[(RM\d{3})\]", p.read_text())}
    assert written - shown == {"RM008"}  # files that cannot be read: test_hostile.py makes them
