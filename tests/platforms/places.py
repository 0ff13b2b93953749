"""Where the conformance tests run: a sandbox, the emulated cluster, or a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import yaml

from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.domain.workload import Workload
from relman_plugins.platforms.base import Platform
from relman_plugins.platforms.registry import platform
from relman_plugins.testing.kube import Cluster

NAMESPACE = os.environ.get("RELMAN_TEST_NAMESPACE", "relman-test")
KUBECONFIG = os.environ.get("RELMAN_TEST_KUBECONFIG")
IMAGES = os.environ.get("RELMAN_TEST_IMAGES", "").split(",")
"""Two images by digest that serve HTTP on port 8080, and can be pulled by the real cluster."""

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout}
spec:
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          ports: [{containerPort: 8080}]
          env: [{name: WRITTEN, value: in the manifest}]
---
apiVersion: v1
kind: Service
metadata: {name: checkout}
spec: {ports: [{port: 80, targetPort: 8080}]}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: checkout}
spec:
  parentRefs: [{name: web}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /pay}}]
      backendRefs: [{name: checkout, port: 80}]
    - backendRefs: [{name: checkout, port: 80}]
"""
VIRTUAL = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: checkout}}
spec:
  hosts: [shop.example]
  gateways: [infra/web]
  http:
    - match: [{{uri: {{prefix: /pay}}}}]
      timeout: 5s
      route: [{{destination: {{host: checkout, port: {{number: 80}}}}}}]
    - route: [{{destination: {{host: checkout.{NAMESPACE}.svc.cluster.local}}}}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: checkout, annotations: {relman/router: ingress-nginx}}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example], secretName: shop}]
  rules:
    - host: shop.example
      http:
        paths:
          - {path: /pay, pathType: Prefix, backend: {service: {name: checkout, port: {number: 80}}}}
          - {path: /, pathType: Prefix, backend: {service: {name: checkout, port: {number: 80}}}}
"""
ROUTERS = {"routed": ROUTE, "istio": VIRTUAL, "nginx": INGRESS}
"""What a router goes by, by its name in tests."""


class Place(NamedTuple):
    """A platform, and three revisions for it."""

    driver: Platform
    old: Revision
    new: Revision
    broken: Revision
    """One that never starts."""

    def converge(
        self, environment: str, token: int = 1, timeout_s: float = 30, **fields: Any
    ) -> ObservedState:
        """Converge, and leave out how much was served."""
        seen = self.driver.converge(
            environment, "checkout", DesiredState(**fields), token=token, timeout_s=timeout_s
        )
        return seen.model_copy(update={"served": {}})

    def observe(self, environment: str) -> ObservedState:
        """Observe, and leave out how much was served."""
        return self.driver.observe(environment, "checkout").model_copy(update={"served": {}})


def revision(number: int, image: str | None = None) -> Revision:
    """Return a revision with an image that only the emulated cluster has."""
    digest = f"sha256:{number:064x}"
    return Revision(
        version=f"{number}.0.0",
        digest=digest,
        uri=f"file:///{number}",
        image=image or f"registry.example/shop/checkout@{digest}",
    )


def workload(*documents: str, manifests: str = MANIFESTS, **fields: Any) -> Workload:
    """Return the example service's workload."""
    objects = [o for d in (manifests, *documents) for o in yaml.safe_load_all(d)]
    return Workload(**{"namespace": NAMESPACE, "objects": objects, "container": "app", "drain_s": 0} | fields)


def driver(config: dict[str, Any], work: Workload) -> Platform:
    """Return a driver for the cluster of a kubeconfig."""
    from kubernetes.config import new_client_from_config_dict

    return platform("kubernetes", client=new_client_from_config_dict(config), workload=work)


@contextmanager
def emulated(*documents: str) -> Iterator[Place]:
    """Yield an emulated cluster."""
    broken = revision(666)
    with Cluster(NAMESPACE) as cluster:
        cluster.image(str(broken.image), "crash")
        yield Place(driver(cluster.kubeconfig(), workload(*documents)), revision(1), revision(2), broken)


@contextmanager
def real() -> Iterator[Place]:
    """Yield the cluster that the environment names."""
    with open(str(KUBECONFIG)) as file:
        config = yaml.safe_load(file)
    missing = IMAGES[0].partition("@")[0] + "@sha256:" + "0" * 64
    revisions = (revision(1, IMAGES[0]), revision(2, IMAGES[1]), revision(3, missing))
    yield Place(driver(config, workload()), *revisions)
