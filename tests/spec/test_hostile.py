"""Files that mean harm, and noise: never an exception, never a wait, always a diagnostic."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman_plugins.spec.api import load_pipeline
from relman_plugins.spec.render import render_github, render_json, render_text

HEAD = "apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {name: p, owner: o}\nartifact: {source: .}\n"
GOOD = (Path(__file__).parents[2] / "release_specs" / "checkout.yaml").read_bytes()


def codes(folder: Path) -> list[str]:
    loaded = load_pipeline(folder / "p.yaml")
    assert loaded.documents is None
    text = render_text(loaded.diagnostics, loaded.sources)
    assert len(text) < 100_000
    return [d.code for d in loaded.diagnostics]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stages: " + "[" * 200_000, "RM005"),
        ("{a: " * 200_000, "RM005"),
        ("- " * 200_000, "RM005"),
        ("? " * 200_000, "RM005"),
        ("a: " + "x" * 1_000_001, "RM005"),
        ("a: [" + "x, " * 30_000 + "]", "RM005"),
        ("a: &a x\nb: [" + "*a, " * 200 + "]", "RM004"),
        ("a: " + "9" * 100_000 + "\n", "RM010"),
        ("%YAML 3.0\n---\na: b\n", "RM001"),
        ("!<tag:evil> a: b\n", "RM003"),
        ('a: "\\ud800"\n', "RM001"),
        ("a: b\n...\nc: d\n", "RM001"),
        ("\x01", "RM001"),
    ],
)
def test_bombs_are_refused(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    assert code in codes(tmp_path)


def test_many_mistakes_are_all_said(tmp_path: Path) -> None:
    keys = "".join(f"k{i}: 1\n" for i in range(300))
    (tmp_path / "p.yaml").write_text(HEAD + keys)
    assert codes(tmp_path).count("RM102") == 300


def test_thousands_of_unknown_names_are_not_all_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def near(word: str, names: list[str], **_: object) -> list[str]:
        compared.append(len(names))
        return []

    monkeypatch.setattr("difflib.get_close_matches", near)
    suites = "suites: {" + ", ".join(f"a{i}: {{}}" for i in range(3000)) + "}\n"
    wanted = ", ".join(f"b{i}" for i in range(3000))
    (tmp_path / "p.yaml").write_text(f"{HEAD}{suites}stages: [{{environment: qa, suites: [{wanted}]}}]\n")
    assert [d.code for d in load_pipeline(tmp_path / "p.yaml").diagnostics].count("RM202") == 100
    assert sum(compared) < 1_000_000


def test_what_is_no_file_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert codes(tmp_path) == ["RM008"]
    os.mkfifo(path)
    assert codes(tmp_path) == ["RM008"]
    path.unlink()
    path.mkdir()
    assert codes(tmp_path) == ["RM008"]
    path.rmdir()
    path.symlink_to("p.yaml")
    assert codes(tmp_path) == ["RM008"]


def test_links_stay_in_the_folder(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside.yaml", tmp_path / "specs"
    outside.write_text("password: hunter2\n")
    (inside / "environments").mkdir(parents=True)
    (inside / "p.yaml").symlink_to(outside)
    assert codes(inside) == ["RM008"]
    (inside / "p.yaml").unlink()
    (inside / "p.yaml").write_text(HEAD + "stages: [{environment: e}]\n")
    (inside / "environments" / "e.yaml").symlink_to(outside)
    loaded = load_pipeline(inside / "p.yaml")
    assert [d.code for d in loaded.diagnostics] == ["RM008"]
    assert "hunter2" not in render_text(loaded.diagnostics, loaded.sources)
    environment = "apiVersion: relman/v1\nkind: Environment\nmetadata: {name: e, owner: o}\n"
    environment += "platform: x\nconnection: c\n"
    (inside / "environments" / "e.yaml").unlink()
    (inside / "data").mkdir()
    (inside / "data" / "e").write_text(environment)
    (inside / "environments" / "e.yaml").symlink_to("../data/e")  # as mounted configuration does it
    assert load_pipeline(inside / "p.yaml").diagnostics == ()


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    suites = (
        "suites:\n  u: {command: [a], junit: r, env: {T_TOKEN: hunter2, PIN_SECRET: 31337, RELMAN_X: a}}\n"
    )
    (tmp_path / "p.yaml").write_text(HEAD + suites + "stages: []\n")
    loaded = load_pipeline(tmp_path / "p.yaml")
    for text in (
        render_text(loaded.diagnostics, loaded.sources),
        render_json(loaded.diagnostics),
        render_github(loaded.diagnostics),
    ):
        assert "RM310" in text
        assert "hunter2" not in text
        assert "31337" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("DJANGO_SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "postgresql://shop:hunter2@db/shop"),
        ("CACHE", "redis://:hunter2@cache:6379/0"),
        ("LOGIN", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ],
)
def test_a_secret_by_another_name_is_one(tmp_path: Path, name: str, value: str) -> None:
    suites = f"suites: {{u: {{command: [a], junit: r, env: {{{name}: '{value}'}}}}}}\n"
    (tmp_path / "p.yaml").write_text(HEAD + suites + "stages: [{environment: e, suites: [u]}]\n")
    loaded = load_pipeline(tmp_path / "p.yaml")
    assert "RM310" in {d.code for d in loaded.diagnostics}
    assert value not in render_text(loaded.diagnostics, loaded.sources)


@pytest.mark.parametrize("value", ["https://example.org:8443/a@b", "http://db:80", "key", "a:b@c"])
def test_an_address_is_no_secret(tmp_path: Path, value: str) -> None:
    suites = f"suites: {{u: {{command: [a], junit: r, env: {{ADDRESS: '{value}'}}}}}}\n"
    (tmp_path / "p.yaml").write_text(HEAD + suites + "stages: [{environment: e, suites: [u]}]\n")
    assert "RM310" not in {d.code for d in load_pipeline(tmp_path / "p.yaml").diagnostics}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_noise_never_raises(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "p.yaml").write_bytes(noise)
    loaded = load_pipeline(tmp_path / "p.yaml")
    render_text(loaded.diagnostics, loaded.sources)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_good_spec_with_a_piece_replaced_never_raises(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 40))
    piece = data.draw(
        st.sampled_from(
            [b"", b"[]", b"{}", b"null", b"1", b"- ", b"x: y\n", b"&a ", b"*a", b"'", b"\n\n", b"!x "]
        )
    )
    (tmp_path / "p.yaml").write_bytes(GOOD[:start] + piece + GOOD[start + length :])
    loaded = load_pipeline(tmp_path / "p.yaml")
    assert loaded.diagnostics
    for found in loaded.diagnostics:
        assert "\n" not in found.message + found.hint
        assert found.line >= 1
        assert found.column >= 1
    render_text(loaded.diagnostics, loaded.sources)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 200)
    | st.sampled_from(["qa", "unit", "", "tue", "10:00", "5m"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "canary", "a"]), inner)
    ),
    max_leaves=5,
)
PLACES = ("stages", "suites", "analyses", "artifact", "metadata", "notify", "schedule")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(PLACES), values), st.lists(values, max_size=2))
def test_values_of_any_shape_never_raise(
    tmp_path: Path, value: dict[str, object], stages: list[object]
) -> None:
    inner = {
        "environment": "qa",
        "strategy": {"canary": {"steps": stages, "analysis": value}},
        "gates": stages,
    }
    document = {"apiVersion": "relman/v1", "kind": "ReleasePipeline", "stages": [inner, *stages]} | value
    (tmp_path / "p.yaml").write_text(json.dumps(document))
    loaded = load_pipeline(tmp_path / "p.yaml")
    assert loaded.documents is None
    render_text(loaded.diagnostics, loaded.sources)
