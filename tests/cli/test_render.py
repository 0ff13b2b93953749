"""``relman render``: Kustomize by kubectl where it is, Helm by a program that says what it was asked."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import check, load_pipeline
from tests.cli.command import relman
from tests.conftest import missing

OK = Path(__file__).parents[1] / "spec" / "ok"
BASE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout}
spec:
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec: {containers: [{name: app, envFrom: [{configMapRef: {name: settings}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: checkout}
spec: {ports: [{port: 80, targetPort: 8080}]}
"""
OVERLAY = """
resources: [base.yaml]
configMapGenerator: [{name: settings, literals: [colour=green]}]
patches:
  - target: {kind: Deployment}
    patch: |-
      - {op: add, path: /spec/template/spec/terminationGracePeriodSeconds, value: 7}
"""
HELM = """
import json, sys
print("---")
print("# Source: checkout/templates/all.yaml")
print(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asked"},
                  "data": {"asked": " ".join(sys.argv[1:])}}))
"""


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A pipeline on Kubernetes without any manifests."""
    for name in ("kubernetes.yaml", "environments/cluster.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(OK / name, tmp_path / name)
    (tmp_path / "manifests" / "kubernetes").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def kustomized(specs: Path) -> Path:
    if shutil.which("kubectl") is None and shutil.which("kustomize") is None:
        missing("kubectl", "apt-get install kubectl")
    source = specs / "manifests" / "kubernetes"
    (source / "base.yaml").write_text(BASE)
    (source / "kustomization.yaml").write_text(OVERLAY)
    return specs


@pytest.fixture
def charted(specs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A chart, and a folder with a program ``helm``."""
    (specs / "manifests" / "kubernetes" / "Chart.yaml").write_text(
        "{apiVersion: v2, name: x, version: 1.0.0}"
    )
    bin_ = tmp_path_factory.mktemp("bin")
    (bin_ / "helm").write_text(f"#!{sys.executable}\n{HELM}")
    (bin_ / "helm").chmod(0o755)
    return specs, str(bin_)


def test_what_kustomize_makes_is_written_is_valid_and_becomes_the_plan(kustomized: Path) -> None:
    done = relman("render", "--folder", kustomized)
    file = kustomized / "manifests" / "kubernetes.yaml"
    assert (done.returncode, done.stdout) == (0, f"{file} is written\n"), done.stderr
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text().startswith("# Rendered from kubernetes/ by `relman render`")
    assert [d for d in check([kustomized / "kubernetes.yaml"]).diagnostics if d.is_error] == []
    loaded = load_pipeline(kustomized / "kubernetes.yaml")
    assert loaded.documents is not None
    workload = compile_shape(loaded.documents).environment("cluster").workload
    assert workload is not None
    pods = workload.pods["spec"]["template"]["spec"]
    (settings,) = workload.extras
    assert pods["terminationGracePeriodSeconds"] == 7
    assert pods["containers"][0]["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]
    again = relman("render", "--folder", kustomized)
    assert again.stdout == f"{file} is up to date\n"


def test_a_check_writes_nothing_and_shows_what_would_change(kustomized: Path) -> None:
    file = kustomized / "manifests" / "kubernetes.yaml"
    assert relman("render", "--folder", kustomized, "--check").returncode == 1
    assert not file.exists()
    relman("render", "--folder", kustomized)
    assert relman("render", "--folder", kustomized, "--check").returncode == 0
    before = file.read_text()
    overlay = kustomized / "manifests" / "kubernetes" / "kustomization.yaml"
    overlay.write_text(OVERLAY.replace("value: 7", "value: 8"))
    done = relman("render", "--folder", kustomized, "--check")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{file} is not up to date\n")
    assert "-      terminationGracePeriodSeconds: 7\n+      terminationGracePeriodSeconds: 8\n" in done.stdout
    assert "render them by `relman render`" in done.stderr
    assert file.read_text() == before
    (told,) = json.loads(relman("render", "--folder", kustomized, "--check", "--format", "json").stdout)
    assert (told["file"], told["state"]) == (str(file), "not up to date")
    assert "+      terminationGracePeriodSeconds: 8" in told["difference"]


def test_what_kustomize_refuses_is_said_in_its_words(kustomized: Path) -> None:
    (kustomized / "manifests" / "kubernetes" / "base.yaml").unlink()
    done = relman("render", "--folder", kustomized)
    assert done.returncode == 1
    assert "can't be rendered by" in done.stderr
    assert "base.yaml" in done.stderr


def test_a_chart_is_rendered_by_helm_for_the_namespace(charted: tuple[Path, str]) -> None:
    specs, tools = charted
    assert relman("render", "--folder", specs, PATH=tools).returncode == 0
    text = (specs / "manifests" / "kubernetes.yaml").read_text()
    asked = json.loads(text.splitlines()[-1])["data"]["asked"]
    source = specs / "manifests" / "kubernetes"
    assert asked == f"template --namespace shop --skip-tests --no-hooks -- kubernetes {source}"


def test_a_folder_whose_name_is_an_option_is_no_chart(charted: tuple[Path, str]) -> None:
    specs, tools = charted
    odd = specs / "manifests" / "--post-renderer=evil.sh"
    (specs / "manifests" / "kubernetes").rename(odd)
    done = relman("render", "--folder", specs, PATH=tools)
    assert done.returncode == 2
    assert "no environment on Kubernetes has a folder" in done.stderr
    assert not odd.with_name(f"{odd.name}.yaml").exists()


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_link_at_the_place_of_the_manifests_is_neither_followed_nor_shown(
    charted: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory, options: tuple[str, ...]
) -> None:
    specs, tools = charted
    other = tmp_path_factory.mktemp("other") / "secret"
    other.write_text("s3cr3t\n")
    (specs / "manifests" / "kubernetes.yaml").symlink_to(other)
    done = relman("render", "--folder", specs, *options, PATH=tools)
    assert done.returncode == 1
    assert "is a symbolic link" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
    assert other.read_text() == "s3cr3t\n"


def test_a_folder_of_manifests_behind_a_link_that_leads_out_is_not_written_to(
    charted: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    specs, tools = charted
    other = tmp_path_factory.mktemp("other") / "manifests"
    (specs / "manifests").rename(other)
    (specs / "manifests").symlink_to(other)
    done = relman("render", "--folder", specs, PATH=tools)
    assert done.returncode == 1
    assert "leads out of" in done.stderr
    assert not (other / "kubernetes.yaml").exists()


def test_a_chart_for_two_namespaces_is_refused(charted: tuple[Path, str]) -> None:
    specs, tools = charted
    other = (specs / "environments" / "cluster.yaml").read_text()
    other = other.replace("name: cluster", "name: second").replace("namespace: shop", "namespace: shop-2")
    (specs / "environments" / "second.yaml").write_text(other)
    done = relman("render", "--folder", specs, PATH=tools)
    assert done.returncode == 1
    assert "is rendered for the namespaces shop and shop-2; give each environment a folder" in done.stderr


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("Chart.yaml", "helm is not installed here; install helm (https://helm.sh"),
        ("kustomization.yaml", "kubectl is not installed here; install kubectl, or kustomize"),
    ],
)
def test_without_the_tool_it_is_said_what_to_install(
    specs: Path, tmp_path: Path, file: str, wanted: str
) -> None:
    (specs / "manifests" / "kubernetes" / file).write_text("{}")
    done = relman("render", "--folder", specs, PATH=str(tmp_path))
    assert done.returncode == 3
    assert wanted in done.stderr


def test_nothing_to_render_says_where_it_looked(specs: Path) -> None:
    done = relman("render", "--folder", specs)
    assert done.returncode == 2
    assert "a folder <manifests>/<pipeline> with a kustomization.yaml or a Chart.yaml" in done.stderr
