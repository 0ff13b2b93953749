"""Which resources the cluster knows, and the shape of its errors.

Shapes: Kubernetes API reference 1.36, *API conventions* ("Response Status Kind").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
"""An object of the API as JSON."""


@dataclass(frozen=True)
class Resource:
    """One kind of object."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    counted: bool = False
    """Whether its spec has a generation."""
    has_status: bool = False

    @property
    def api_version(self) -> str:
        """Return ``group/version``, or ``version`` of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """Return ``plural.group``, as errors and access rules call it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RESOURCES = (
    Resource("", "v1", "Namespace", "namespaces", namespaced=False),
    Resource("", "v1", "Pod", "pods", has_status=True),
    Resource("", "v1", "Service", "services"),
    Resource("", "v1", "ConfigMap", "configmaps"),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "ServiceAccount", "serviceaccounts"),
    Resource("", "v1", "Event", "events"),
    Resource("apps", "v1", "Deployment", "deployments", counted=True, has_status=True),
    Resource("apps", "v1", "StatefulSet", "statefulsets", counted=True, has_status=True),
    Resource("apps", "v1", "ReplicaSet", "replicasets", counted=True, has_status=True),
    Resource("batch", "v1", "Job", "jobs", counted=True, has_status=True),
    Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", counted=True, has_status=True),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", counted=True),
    Resource("networking.k8s.io", "v1", "Ingress", "ingresses", counted=True, has_status=True),
    Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", counted=True, has_status=True),
    Resource("networking.istio.io", "v1", "VirtualService", "virtualservices", counted=True),
)

BY_KIND = {r.kind: r for r in RESOURCES}


class ApiError(Exception):
    """An answer that is a ``Status`` of failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        causes: list[Obj] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.retry_after = code, reason, retry_after
        self.causes = causes or []

    def status(self) -> Obj:
        """Return it as the API says it."""
        details: Obj = {"causes": self.causes} if self.causes else {}
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }


def not_found(resource: Resource, name: str) -> ApiError:
    """Return the error for an object that is not there."""
    return ApiError(404, "NotFound", f'{resource.name} "{name}" not found')


def outdated(resource: Resource, name: str) -> ApiError:
    """Return the error for a change to what was changed meanwhile."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource.name} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again",
    )


def invalid(resource: Resource, name: str, message: str) -> ApiError:
    """Return the error for an object that breaks a rule of its kind."""
    return ApiError(422, "Invalid", f'{resource.kind}.{resource.group} "{name}" is invalid: {message}')


def selects(selector: str, labels: Obj) -> bool:
    """Say whether labels match a selector of ``a=b``, ``a!=b``, ``a in (b,c)``, ``a`` and ``!a``."""
    for raw in _terms(selector):
        term = raw.strip()
        if not term:
            continue
        if " in (" in term:
            key, _, values = term.partition(" in (")
            good = labels.get(key.strip()) in [v.strip() for v in values.rstrip(")").split(",")]
        elif "!=" in term:
            key, _, value = term.partition("!=")
            good = labels.get(key) != value
        elif "=" in term:
            key, _, value = term.replace("==", "=").partition("=")
            good = labels.get(key) == value
        else:
            good = (term[1:] not in labels) if term.startswith("!") else (term in labels)
        if not good:
            return False
    return True


def _terms(selector: str) -> list[str]:
    terms, depth, start = [], 0, 0
    for i, char in enumerate(selector):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            terms.append(selector[start:i])
            start = i + 1
    return [*terms, selector[start:]]
