"""``relman judge replay``: the verdicts of a release, again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.evidence.dsse import sealed
from relman_plugins.evidence.statement import PAYLOAD_TYPE, payload_of
from tests.cli.command import ROOT, relman
from tests.evidence.conftest import Book
from tests.evidence.make import Story, compared

SAMPLE = ROOT / "examples" / "evidence" / "checkout-1.2.0-1.intoto.json"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Have what is recorded of a release that was compared with the old version, and passed."""
    book = Book(f"sqlite:///{tmp_path_factory.mktemp('compared') / 'ledger.db'}")
    story = Story(book.ledger, book.clock, planned=compared()).build().approve().shift()
    story.compare(((1, 200), (1, 200)), ((2, 400), (2, 400))).promote().close("succeeded")
    yield book.statement(story)
    book.ledger.close()


def written(folder: Path, statement: dict[str, Any]) -> Path:
    file = folder / "release.intoto.json"
    file.write_text(json.dumps(sealed(PAYLOAD_TYPE, payload_of(statement), None)))
    return file


def test_limits_give_the_same_verdicts_again() -> None:
    done = relman("judge", "replay", SAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as recorded" in done.stdout
    assert "(thresholds)" in done.stdout


def test_a_comparison_gives_the_same_verdict_again(record: dict[str, Any], tmp_path: Path) -> None:
    done = relman("judge", "replay", written(tmp_path, record))
    assert done.returncode == 0, done.stdout + done.stderr
    first, _, what, recorded, given = done.stdout.splitlines()
    assert first.endswith(": 1 analysis judged again, all as recorded")
    assert what == "production.canary_100 at 50 %: beside (sequential), 2 looks"
    told = "pass: errors: no harm found in 2 looks: 2 of 400 (0.5 %) bad, of the old version 2 of 400 (0.5 %)"
    assert recorded.startswith(f"  recorded  {told}")
    assert given.startswith(f"  again     {told}")


def test_what_comes_out_otherwise_is_said_with_an_exit_code(record: dict[str, Any], tmp_path: Path) -> None:
    forged = json.loads(json.dumps(record))
    look = next(e for e in forged["predicate"]["events"] if e["kind"] == "analysis.measured")
    look["data"]["metrics"][0]["experiment"] = [60, 200]
    file = written(tmp_path, forged)
    done = relman("judge", "replay", file)
    assert done.returncode == 1
    assert "1 analysis judged again, 1 otherwise than recorded" in done.stdout
    assert "  again     fail: errors: harm is certain after 1 look: 60 of 200" in done.stdout
    data = json.loads(relman("judge", "replay", file, "--format", "json").stdout)
    assert data["same"] is False
    (analysis,) = data["analyses"]
    assert (analysis["recorded"], analysis["given"], analysis["judge"]) == ("pass", "fail", "sequential")


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"payload": "e30=", "payloadType": "x", "signatures": []}']
)
def test_a_file_that_is_none_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_text(text)
    done = relman("judge", "replay", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "this is no evidence of a release: " in done.stderr
    assert "Error(" not in done.stderr
    assert relman("judge", "replay", tmp_path / "none.json").returncode == 2


def test_a_file_of_numbers_needs_no_word_before_it() -> None:
    file = ROOT / "examples" / "judge" / "threshold.json"
    assert relman("judge", file).stdout == relman("judge", "file", file).stdout != ""
    assert relman("judge", "--format", "json", file).returncode == 0
