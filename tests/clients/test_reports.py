"""Every kind of report, cut off or garbled anywhere: a reason, never a traceback, never green."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.clients.reports import source
from relman_plugins.clients.reports.gates import examine
from tests.clients.test_findings import log, result
from tests.clients.test_load import exported

WRITTEN = Path(__file__).parent / "written"
GOOD: dict[tuple[str, str], bytes] = {
    ("coverage", "cobertura"): (WRITTEN / "cobertura.xml").read_bytes(),
    ("coverage", "lcov"): (WRITTEN / "lcov.info").read_bytes(),
    ("findings", "sarif"): log(result(), result("R2", level="note"), rules=[{"id": "R1"}]),
    ("load", "k6"): json.dumps(exported(False)).encode(),
    ("load", "locust"): (WRITTEN / "locust.json").read_bytes(),
    ("load", "locust table"): (WRITTEN / "locust_stats.csv").read_bytes(),
}
KINDS = pytest.mark.parametrize(("kind", "form"), GOOD, ids=[form for _, form in GOOD])


def read(folder: Path, kind: str, form: str, content: bytes, **more: Any) -> Any:
    (folder / "report").write_bytes(content)
    return examine(kind, {"format": form.split()[0], "path": "report"}, folder, more.get("since"), None)


@KINDS
def test_a_whole_report_is_green(tmp_path: Path, kind: str, form: str) -> None:
    reading = read(tmp_path, kind, form, GOOD[kind, form])
    assert reading.passed, reading.reason
    json.dumps([reading.data, reading.remembered], allow_nan=False)


@KINDS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_report_cut_off_anywhere_is_not_green(
    tmp_path: Path, kind: str, form: str, data: st.DataObject
) -> None:
    whole = GOOD[kind, form]
    cut = data.draw(st.integers(0, len(whole.rstrip()) - 1))
    reading = read(tmp_path, kind, form, whole[:cut])
    assert not reading.passed
    assert reading.reason
    assert str(tmp_path) not in reading.reason


@KINDS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
@given(data=st.data())
def test_a_garbled_report_says_why_and_raises_nothing(
    tmp_path: Path, kind: str, form: str, data: st.DataObject
) -> None:
    content = bytearray(GOOD[kind, form])
    bits = [
        b"",
        b"-",
        b"9" * 5000,
        b"NaN",
        b"Infinity",
        b"null",
        b"[]",
        b'"',
        b"<",
        b"\xff",
        b"\x00",
        b",",
        b"\n",
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 6))] = data.draw(st.sampled_from(bits))
    reading = read(tmp_path, kind, form, bytes(content))
    assert len(reading.reason) < 2000
    json.dumps([reading.data, reading.remembered], allow_nan=False)


BOMB = b"""<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><coverage>&b;</coverage>"""
HOSTILE = {
    "empty": b"",
    "blank": b" \r\n",
    "zeros": b"\x00" * 100,
    "null": b"null",
    "number": b"1",
    "bomb": BOMB,
    "external": b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><coverage>&x;</coverage>',
    "deep xml": b"<coverage>" + b"<a>" * 100_000,
    "deep json": b'{"a":' * 100_000,
    "deep list": b"[" * 100_000,
    "utf-16": "<coverage/>".encode("utf-16"),
    "an endless attribute": b'<coverage><class filename="' + b"a" * 11_000_000 + b'"/></coverage>',
}


@KINDS
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_content_is_red(tmp_path: Path, kind: str, form: str, content: bytes) -> None:
    reading = read(tmp_path, kind, form, content)
    assert not reading.passed
    assert 0 < len(reading.reason) < 1000


@KINDS
def test_no_file_another_kind_of_file_and_another_runs_file_are_red(
    tmp_path: Path, kind: str, form: str
) -> None:
    limits = {"format": form.split()[0], "path": "report"}
    assert "is not a file; check its path" in examine(kind, limits, tmp_path, None, None).reason
    os.mkfifo(tmp_path / "report")
    assert "is not a file" in examine(kind, limits, tmp_path, None, None).reason
    (tmp_path / "report").unlink()
    with (tmp_path / "report").open("wb") as file:
        file.truncate(source.MAX_BYTES * 20)
    assert "larger than 50 MB" in examine(kind, limits, tmp_path, None, None).reason
    assert read(tmp_path, kind, form, GOOD[kind, form], since=None).passed
    os.utime(tmp_path / "report", (1000, 1000))
    assert "older than this run" in examine(kind, limits, tmp_path, 2000.0, None).reason


def test_an_unknown_format_is_red(tmp_path: Path) -> None:
    reading = examine("load", {"format": "gatling", "path": "x"}, tmp_path, None, None)
    assert not reading.passed
    assert "not known to this version" in reading.reason


@pytest.mark.parametrize("form", sorted(source.LIBRARIES))
def test_a_library_that_is_not_installed_is_named_with_the_command_that_adds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name in source.LIBRARIES.values() else there(name, *a),
    )
    kind = next(kind for kind, name in GOOD if name == form)
    reading = read(tmp_path, kind, form, GOOD[kind, form])
    assert not reading.passed
    assert (
        "not installed on this worker; add it with: python -m pip install 'relman[reports]'" in reading.reason
    )
