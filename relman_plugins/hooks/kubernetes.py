"""Airflow's connection to a cluster → the API client of Kubernetes, by the provider's own hook."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from relman_plugins.errors import PlatformRejected, PlatformUnavailable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

CONN_TYPE = "kubernetes"


def client_of(connection: Any) -> ApiClient:
    """Return a new client for the cluster that a connection leads to, with a login that is fresh.

    Blocking: a kubeconfig may name a program that fetches the login.

    Raises:
        PlatformRejected: the extra is not installed, or the connection is of another type.
        PlatformUnavailable: its configuration can't be read, or its login can't be had.
    """
    if connection.conn_type != CONN_TYPE:
        raise PlatformRejected(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}; expected {CONN_TYPE!r}"
        )
    try:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
        from kubernetes.client import Configuration
    except ImportError as error:
        raise PlatformRejected(
            f"platform kubernetes needs relman[kubernetes], on every worker and triggerer: {error}"
        ) from error

    class Hook(KubernetesHook):
        """The provider's hook, with a connection that has been read already."""

        @cached_property
        def conn_extras(self) -> Any:
            return connection.extra_dejson

    inside = connection.extra_dejson.get("in_cluster")
    # Without one of its own, the library keeps what a connection says for the whole process: of two clusters
    # in two threads, one could get the other's address. Inside a cluster there is one, and it takes none.
    own = None if inside else Configuration()
    try:
        return Hook(conn_id=connection.conn_id, client_configuration=own).get_conn()
    except Exception as error:
        raise PlatformUnavailable(
            f"connection {connection.conn_id!r} gives no access to a cluster: {type(error).__name__}: {error}"
        ) from error
