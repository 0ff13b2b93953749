"""A connection to a cluster, by the provider's own hook."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.sdk import Connection

from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.hooks.kubernetes import client_of
from relman_plugins.testing.kube import Cluster
from tests.platforms.places import NAMESPACE, workload


def connection(conn_type: str = "kubernetes", **extra: Any) -> Connection:
    return Connection(conn_id="cluster", conn_type=conn_type, extra=json.dumps(extra))


def kubeconfig(number: int) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"https://c{number}.example"}}],
        "users": [{"name": "u", "user": {"token": f"token-{number}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    return json.dumps(document)


def test_a_kubeconfig_leads_to_its_cluster() -> None:
    from relman_plugins.platforms.registry import platform

    with Cluster(NAMESPACE) as cluster:
        client = client_of(connection(kube_config=json.dumps(cluster.kubeconfig())))
        driver = platform("kubernetes", client=client, workload=workload())
        assert not driver.observe("production", "checkout").exists


def test_two_clusters_in_two_threads_are_not_mixed_up() -> None:
    def host(number: int) -> tuple[str, dict[str, str]]:
        client = client_of(connection(kube_config=kubeconfig(number)))
        headers: dict[str, str] = {}
        client.update_params_for_auth(headers, [], ["BearerToken"])
        return client.configuration.host, headers

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(host, range(40)))
    assert found == [(f"https://c{n}.example", {"authorization": f"Bearer token-{n}"}) for n in range(40)]


def test_another_type_of_connection_is_refused() -> None:
    with pytest.raises(PlatformRejected, match="is of type 'http'; expected 'kubernetes'"):
        client_of(connection("http"))


@pytest.mark.parametrize("extra", [{"kube_config": "{"}, {"kube_config_path": "/no/such/file"}])
def test_a_connection_that_leads_nowhere_says_so(extra: dict[str, str]) -> None:
    with pytest.raises(PlatformUnavailable, match="connection 'cluster' gives no access to a cluster"):
        client_of(connection(**extra))
