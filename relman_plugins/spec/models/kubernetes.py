"""What an environment on Kubernetes says of its cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from relman_plugins.spec.models.base import Name, PathInside, SpecModel
from relman_plugins.spec.models.duration import Duration

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+[^\s?#]*$", max_length=300)]


class Kubernetes(SpecModel):
    """Where in the cluster services live, and what they are made of."""

    namespace: Name
    """The namespace; it must exist."""
    manifests: PathInside = "manifests"
    """Folder with a file `<pipeline>.yaml` for each service, relative to the folder of the pipelines.

    A file has one Deployment or StatefulSet, one Service, at most one HTTPRoute or VirtualService, and
    ConfigMaps, ServiceAccounts, PodDisruptionBudgets, NetworkPolicies and Ingresses. It becomes part of the
    plan.
    """
    container: Name | None = None
    """The container that gets the image and `config`; may be left out where there is only one."""
    url: Url | None = None
    """Where the suites find the service; its address inside the cluster unless given."""
    timeout: Duration = Duration(120)
    """How long new pods may take to be ready, in one try; a step is tried four times."""
    drain: Duration = Duration(30)
    """How long the pods of an old version stay when the traffic has left them: routers learn it late."""
