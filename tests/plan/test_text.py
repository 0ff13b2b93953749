"""The example's plan as people read it, and plans in other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.plan import window_words, words
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options
from relman_plugins.plan.options import plan_release
from relman_plugins.plan.text import render_mermaid, render_text
from relman_plugins.spec.api import load_pipeline
from relman_plugins.spec.models import Duration
from tests.plan.make import any_documents, documents, environment, pipeline

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
SCRIPT = """
import sys
from pathlib import Path
from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import load_pipeline
print(compile_shape(load_pipeline(Path(sys.argv[1])).documents).hash)
"""


@pytest.fixture
def example():
    loaded = load_pipeline(ROOT / "release_specs" / "checkout.yaml")
    assert loaded.documents, loaded.diagnostics
    shape = compile_shape(loaded.documents)
    return plan_release(shape, Options(version="1.1.0", changes="Faster receipts\nFewer retries"))


def golden(name: str, text: str) -> None:
    """Compare with the file; ``RELMAN_GOLDEN=1`` writes it instead."""
    path = GOLDEN / name
    if os.environ.get("RELMAN_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_examples_plan_as_text(example):
    golden("checkout.txt", render_text(example).replace(example.hash, "<hash>"))


def test_the_examples_plan_as_mermaid(example):
    golden("checkout.mmd", render_mermaid(example))


def test_the_hash_is_the_same_in_every_process(example):
    hashes = set()
    for seed in ("1", "4711"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SCRIPT, "release_specs/checkout.yaml"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        hashes.add(done.stdout.strip())
    assert hashes == {example.shape.hash}


def test_options_that_matter_are_printed():
    shape = compile_shape(documents(pipeline([{"environment": "a"}]), [environment("a")]))
    text = render_text(
        plan_release(shape, Options(version="1", emergency=True, emergency_reason="down", dry_run=True))
    )
    assert "\nemergency: down\n" in text
    assert "\ndry run: nothing is changed in any environment\n" in text
    assert "nothing watches this release" in text


@given(any_documents())
def test_every_step_is_in_both_renderings(docs):
    shape = compile_shape(docs)
    text = render_text(plan_release(shape, Options(version="1")))
    mermaid = render_mermaid(shape)
    assert len(
        [
            line
            for line in text.splitlines()
            if line.lstrip().split(" ")[0] in {words.short_id(s) for s in shape.steps}
        ]
    ) >= len(shape.steps)
    for n, step in enumerate(shape.steps):
        assert f"s{n}" in mermaid
        assert f'"{words.short_id(step)}"' in mermaid
    assert mermaid.count("-->") + mermaid.count("-. failed .->") == sum(len(s.needs) for s in shape.steps)


@given(st.integers(1, 366 * 86400))
def test_durations_are_written_as_specs_write_them(seconds):
    assert Duration.parse(words.duration(seconds).replace(" ", "")).seconds == seconds


def test_windows_are_short():
    every = {"days": ["wed", "mon", "tue"], "from": "09:00", "to": "17:00", "zone": "UTC"}
    assert window_words.weekly(every) == "mon-wed 09:00-17:00 UTC"
    assert window_words.weekly({**every, "days": ["sat", "mon"]}) == "mon, sat 09:00-17:00 UTC"


def test_a_ticket_that_is_required_is_said_where_it_is_needed():
    spec = pipeline([{"environment": "a", "gates": [{"change_ticket": "required"}], "soak": "30m"}])
    shape = compile_shape(documents(spec, [environment("a")]))
    text = render_text(plan_release(shape, Options(version="1")))
    assert "by the new version, 1 replica; only when the release carries a ticket\n" in text
    assert "waits 30m before the release goes on\n" in text
