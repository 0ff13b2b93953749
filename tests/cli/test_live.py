"""``relman plan --live``: beside the plan, what it changes in a cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import load_pipeline
from relman_plugins.strategies.api import promoted
from relman_plugins.testing.kube import Cluster
from tests.cli.command import ROOT, relman
from tests.platforms.places import driver, revision

OK = ROOT / "tests" / "spec" / "ok"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    for name in ("kubernetes.yaml", "environments/cluster.yaml", "manifests/kubernetes.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(OK / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("shop") as cluster:
        yield cluster


@pytest.fixture
def login(cluster: Cluster, tmp_path: Path) -> Path:
    path = tmp_path / "login.kubeconfig"
    path.write_text(yaml.safe_dump(cluster.kubeconfig()))
    return path


def test_an_empty_cluster_gets_everything(specs: Path, login: Path) -> None:
    done = relman("plan", specs / "kubernetes.yaml", "--live", login)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4:] == [
        "in the cluster, cluster, but for the image that is to be built:",
        "  + Deployment checkout",
        "  + Service checkout",
        "  + HTTPRoute checkout",
    ]


def test_beside_what_runs_only_what_the_manifests_change_is_shown(
    specs: Path, cluster: Cluster, login: Path
) -> None:
    loaded = load_pipeline(specs / "kubernetes.yaml")
    assert loaded.documents is not None
    environment = compile_shape(loaded.documents).environment("cluster")
    assert environment.workload is not None
    platform = driver(cluster.kubeconfig(), environment.workload.model_copy(update={"drain_s": 0}))
    desired = promoted(revision(1), environment.replicas, environment.config)
    platform.converge("cluster", "kubernetes", desired, token=1)
    file = specs / "manifests" / "kubernetes.yaml"
    args = ("plan", specs / "kubernetes.yaml", "--live", login)
    assert relman(*args).stdout.endswith("to be built:\n  nothing changes\n")
    file.write_text(file.read_text().replace("{port: 80}", "{port: 80, targetPort: 9090}"))
    told = json.loads(relman(*args, "--format", "json").stdout)
    assert told["live"] == {"cluster": ["~ Service checkout spec.ports[80].targetPort: none -> 9090"]}


def test_what_can_not_be_asked_is_said(specs: Path, cluster: Cluster, login: Path) -> None:
    (specs / "no.kubeconfig").write_text("{}")
    done = relman("plan", specs / "kubernetes.yaml", "--live", specs / "no.kubeconfig")
    assert (done.returncode, "gives no access to a cluster" in done.stderr) == (2, True)
    cluster.token = "renewed"
    done = relman("plan", specs / "kubernetes.yaml", "--live", login)
    assert (done.returncode, "may have expired" in done.stderr) == (3, True)
    done = relman("plan", ROOT / "release_specs" / "checkout.yaml", "--live", login)
    assert (done.returncode, "no environment of checkout is on Kubernetes" in done.stderr) == (2, True)
