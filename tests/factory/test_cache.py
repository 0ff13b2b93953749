"""What is kept of a compiled spec gives the same DAG, or is not used: it can be missed, not be wrong."""

from __future__ import annotations

import hashlib
import json
import logging
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pydantic
import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relman_plugins
from relman_plugins.factory.cache import code_state, trouble
from relman_plugins.factory.kept import NAME
from relman_plugins.factory.loader import load_dags
from relman_plugins.settings import compiled_folder
from tests.factory.conftest import ROOT
from tests.factory.fakes import CATALOG, FakeMaintenance

DAGS = {"release__checkout": True, "release__hello": False}
POISON = "This is what an entry says that nobody compiled"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def kept() -> Path:
    folder = compiled_folder()
    assert folder is not None
    return folder


def load(folder: Path) -> dict[str, DAG]:
    dags: dict[str, Any] = {}
    load_dags(dags, folder, catalog=CATALOG, maintenance_operator=FakeMaintenance)
    return dags


def written(dags: dict[str, DAG]) -> dict[str, Any]:
    return {name: json.loads(json.dumps(DagSerialization.to_dict(dag))) for name, dag in dags.items()}


def database() -> Path:
    return kept() / NAME


def rows(query: str, *values: object) -> list[Any]:
    """Look into the database, or change it, as its owner could."""
    with closing(sqlite3.connect(database())) as connection, connection:
        return connection.execute(query, values).fetchall()


def entry(pipeline: str = "checkout") -> bytes:
    [(found,)] = rows("SELECT body FROM entry WHERE CAST(name AS TEXT) LIKE ?", f"%/{pipeline}.yaml")
    return bytes(found)


def rewritten(body: bytes, pipeline: str = "checkout") -> None:
    rows("UPDATE entry SET body = ? WHERE CAST(name AS TEXT) LIKE ?", body, f"%/{pipeline}.yaml")


def checked(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def poisoned(pipeline: str = "checkout") -> None:
    """Change an entry: whoever uses it shows that it was used."""
    about, _, shape = entry(pipeline).partition(b"\n")[2].partition(b"\n")
    rewritten(checked(json.dumps(json.loads(about) | {"docs": POISON}).encode() + b"\n" + shape), pipeline)


def is_used(folder: Path) -> bool:
    return load(folder)["release__checkout"].doc_md == POISON


def test_what_is_kept_gives_the_same_dags(specs: Path) -> None:
    first = load(specs)
    assert rows("SELECT count(*) FROM entry") == [(2,)]
    assert written(load(specs)) == written(first)
    poisoned()
    assert is_used(specs)


def test_warnings_are_said_each_time(specs: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            load(specs)
        said.append([r.message for r in caplog.records])
    assert said[0] == said[1]
    assert "no such directory on this machine" in said[0][0]


@pytest.mark.parametrize("name", ["checkout.yaml", "environments/production.yaml", "people.yaml"])
def test_a_changed_document_counts_at_once(specs: Path, name: str) -> None:
    load(specs)
    poisoned()
    path = specs / name
    path.write_text(path.read_text() + "\n# another byte\n")
    assert not is_used(specs)


def test_a_changed_policy_counts_at_once(specs: Path) -> None:
    file = specs / "checkout.yaml"
    file.write_text(file.read_text().replace("artifact:", "extends: [hotfix]\nartifact:", 1))
    load(specs)
    policy = specs / "policies" / "hotfix.yaml"
    policy.write_text(policy.read_text().replace("timeout: 30m", "timeout: 29m"))
    assert "29m" in str(load(specs)["release__checkout"].doc_md)


def test_a_file_that_comes_or_goes_counts_at_once(specs: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(specs)
    assert "no such directory" in caplog.text
    caplog.clear()
    (specs.parent / "examples" / "checkout").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        load(specs)
    assert "no such directory" not in caplog.text


def test_a_spec_that_breaks_is_shown_as_broken_and_never_kept(specs: Path) -> None:
    load(specs)
    file = specs / "checkout.yaml"
    good = file.read_text()
    file.write_text(good.replace("stages:", "stagges:"))
    assert "relman_invalid__checkout" in load(specs)
    assert "relman_invalid__checkout" in load(specs)
    file.write_text(good)
    assert "release__checkout" in load(specs)


def test_a_file_behind_a_link_out_of_the_folder_is_refused_though_its_content_is_known(specs: Path) -> None:
    load(specs)
    file = specs / "checkout.yaml"
    file.rename(specs.parent / "elsewhere.yaml")
    file.symlink_to(specs.parent / "elsewhere.yaml")
    assert "leads out of the folder" in str(load(specs)["relman_invalid__checkout"].doc_md)


def test_other_code_does_not_use_it(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(specs)
    poisoned()
    assert is_used(specs)
    monkeypatch.setattr(relman_plugins, "__version__", "0.1.1")
    code_state.cache_clear()
    try:
        assert not is_used(specs)
    finally:
        code_state.cache_clear()


def test_other_libraries_do_not_use_it(specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads YAML and calendars decides, too, what a spec comes to: pip changes the folder of all."""
    load(specs)
    poisoned()
    assert is_used(specs)
    (tmp_path / "site" / "pydantic").mkdir(parents=True)
    monkeypatch.setattr(pydantic, "__file__", str(tmp_path / "site" / "pydantic" / "__init__.py"))
    code_state.cache_clear()
    try:
        assert not is_used(specs)
    finally:
        code_state.cache_clear()


def _group(folder: Path) -> None:
    folder.chmod(0o770)


def _everybody(folder: Path) -> None:
    folder.chmod(0o707)


def _link(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to(folder.with_name("real"))


@pytest.mark.parametrize("spoil", [_group, _everybody, _link])
def test_a_folder_that_others_may_write_is_not_used(specs: Path, spoil: Callable[[Path], None]) -> None:
    load(specs)
    poisoned()
    assert is_used(specs)
    spoil(kept())
    assert not is_used(specs)


def test_a_folder_of_somebody_else_is_not_used(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(specs)
    poisoned()
    before = kept()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    before.rename(kept())
    assert not is_used(specs)


def test_the_folder_is_its_owners_alone(specs: Path) -> None:
    load(specs)
    assert kept().stat().st_mode & 0o777 == 0o700
    assert database().stat().st_mode & 0o777 == 0o600


def test_why_nothing_is_kept_is_told(specs: Path, home: Path) -> None:
    assert trouble(kept()) == ""
    assert not home.exists()
    load(specs)
    assert trouble(kept()) == ""
    kept().chmod(0o770)
    assert "somebody else owns or may write it" in trouble(kept())
    kept().rename(home / "real")
    kept().symlink_to(home / "real")
    assert "it is a link" in trouble(kept())
    assert "can't be made" in trouble(Path("/proc/self/status/relman/compiled-0"))


def test_without_a_place_to_keep_it_dags_are_built_all_the_same(
    specs: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert "release__checkout" in load(specs)
    assert "nothing can be kept" in caplog.text


def test_a_full_disk_costs_no_dag_and_leaves_nothing_behind(specs: Path, home: Path) -> None:
    code = (
        "import resource; from pathlib import Path; from relman_plugins.factory.loader import load_dags; "
        "import airflow.sdk; dags = {}; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        f"load_dags(dags, Path({str(specs)!r})); print(sorted(dags))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "release__checkout" in run.stdout.splitlines()[-1]
    assert not database().stat().st_size
    load(specs)
    poisoned()
    assert is_used(specs)


def test_a_full_disk_spoils_nothing_that_is_kept(specs: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(specs)
    poisoned()
    other = specs / "returns.yaml"
    text = (specs / "checkout.yaml").read_text().replace("name: checkout", "name: returns", 1)
    other.write_text(f"{text}# {'too much for the room that is left in the file ' * 999}\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database().stat().st_size, before[1]))
    try:
        dags = load(specs)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "release__returns" in dags
    assert "nothing can be kept" in caplog.text
    assert is_used(specs)


@pytest.mark.parametrize("content", [b"", b"no database" * 999, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_spoilt_database_costs_one_load(specs: Path, content: bytes) -> None:
    whole = written(load(specs))
    database().write_bytes(content)
    assert written(load(specs)) == whole
    assert written(load(specs)) == whole
    poisoned()
    assert is_used(specs)


def test_pages_that_are_spoilt_or_gone_cost_no_dag(specs: Path) -> None:
    whole = written(load(specs))
    raw = database().read_bytes()
    for at in range(0, len(raw), 2048):
        for spoilt in (raw[:at], raw[:at] + b"\x5a" * 512 + raw[at + 512 :]):
            database().write_bytes(spoilt)
            assert written(load(specs)) == whole


def test_a_load_does_without_what_another_process_locks(
    specs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(specs)
    poisoned()
    with closing(sqlite3.connect(database(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not is_used(specs)
    assert "database is locked" in caplog.text
    assert is_used(specs)


def _names_loaded(specs: Path) -> list[str]:
    return sorted(load(specs))


def test_two_processes_keep_what_they_compiled_side_by_side(specs: Path) -> None:
    for number in range(30):
        text = (specs / "checkout.yaml").read_text().replace("name: checkout", f"name: p{number}", 1)
        (specs / f"p{number}.yaml").write_text(text)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        both = list(pool.map(_names_loaded, [specs, specs]))
    assert both[0] == both[1] == sorted(load(specs))
    assert rows("SELECT count(*) FROM entry") == [(32,)]
    assert rows("PRAGMA integrity_check") == [("ok",)]


def test_what_is_gone_does_not_stay_for_ever(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relman_plugins.factory.cache.MOST", 1)
    load(specs)
    (specs / "checkout.yaml").unlink()
    file = specs / "hello.yaml"
    file.write_text(file.read_text() + "\n# another byte\n")
    load(specs)
    assert rows("SELECT count(*) FROM entry") == [(1,)]


def test_it_can_be_switched_off(specs: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPEC_CACHE", "off")
    load(specs)
    assert not home.exists()


def test_two_folders_of_one_home_do_not_disturb_each_other(specs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "release_specs"
    other.parent.mkdir()
    subprocess.run(["cp", "-r", specs, other], check=True)
    load(specs)
    poisoned()
    load(other)
    assert is_used(specs)


@pytest.mark.parametrize("digits", [40, 64])
def test_the_next_version_of_a_bundle_uses_what_is_as_it_was(
    specs: Path, tmp_path: Path, digits: int
) -> None:
    old, new = (tmp_path / "versions" / (digit * digits) / "release_specs" for digit in "0a")
    for folder in (old, new):
        shutil.copytree(specs, folder)
    (new / "hello.yaml").write_text((new / "hello.yaml").read_text() + "\n# another byte\n")
    load(old)
    poisoned("checkout")
    poisoned("hello")
    assert {name: dag.doc_md == POISON for name, dag in load(new).items() if name in DAGS} == DAGS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_spoilt_entry_is_none(specs: Path, data: st.DataObject) -> None:
    whole = written(load(specs))
    raw = entry()
    at = data.draw(st.integers(0, len(raw) - 1))
    spoilt = data.draw(
        st.sampled_from([raw[:at], raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], b"", raw + b"x"])
    )
    rewritten(spoilt)
    assert written(load(specs)) == whole


@pytest.mark.parametrize(
    "about", ["[]", "1", "{}", "null", '{"code": 1, "documents": [], "files": 3}', "[" * 99999]
)
def test_an_entry_of_another_shape_is_none(specs: Path, about: str) -> None:
    whole = written(load(specs))
    rewritten(checked(about.encode() + b"\n{}"))
    assert written(load(specs)) == whole


def test_a_task_whose_spec_was_compiled_imports_nothing_that_reads_specs(specs: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from relman_plugins.factory.loader import load_dags; "
        f"load_dags({{}}, Path({str(specs)!r})); "
        "print(sorted(m for m in sys.modules if m.startswith(('relman_plugins.spec.', 'yaml', 'httpx'))))"
    )
    run = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        for _ in range(2)
    )
    assert "relman_plugins.spec.models" in first
    assert "relman_plugins.spec.models" not in second
    assert "relman_plugins.spec.parse" not in second
