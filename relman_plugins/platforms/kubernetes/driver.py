"""The driver of Kubernetes: `observe` and `converge` for one service's workload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.identity import NAME_PATTERN
from relman_plugins.domain.image import is_image
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.domain.workload import RESERVED, Workload
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.api import Kube
from relman_plugins.platforms.kubernetes.converge import Converging
from relman_plugins.platforms.kubernetes.jobs import KubernetesJobs
from relman_plugins.platforms.kubernetes.objects import Objects
from relman_plugins.platforms.kubernetes.preview import preview
from relman_plugins.platforms.kubernetes.records import Records
from relman_plugins.platforms.kubernetes.seen import Seen

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

LOOK_S = 30.0
"""Seconds that a look may take."""


class KubernetesPlatform:
    """Runs one service of one environment in a cluster. Safe in threads; remembers nothing."""

    rolls = True
    """It replaces pods one by one by itself, within the bounds it is given."""

    def __init__(self, client: ApiClient | None = None, workload: Workload | None = None, **_: Any) -> None:
        """Keep what is needed; nothing is asked.

        Args:
            client: of the cluster, with its address and login.
            workload: the service's manifests, and where they belong.
            _: other fields of a connection, not used.

        Raises:
            ValueError: one of them is missing.
        """
        if client is None or workload is None:
            raise ValueError("it needs an API client and a workload: `kubernetes:` of the environment")
        self._client, self._workload = client, workload

    def observe(self, environment: str, service: str) -> ObservedState:
        """Say what runs; see `Platform.observe`."""
        objects = self._objects(environment, service)
        kube = Kube(self._client, LOOK_S)
        return Seen.look(kube, objects, Records(kube, objects)).state()

    def converge(
        self, environment: str, service: str, desired: DesiredState, *, token: int, timeout_s: float = 60
    ) -> ObservedState:
        """Make it so; see `Platform.converge`."""
        objects = self._objects(environment, service, desired.config)
        _check(desired)
        if (desired.stable or desired.candidate) is not None and not desired.returning:
            _named(self._workload)
        return Converging(Kube(self._client, timeout_s), objects, desired, token).run()

    def preview(self, environment: str, service: str, desired: DesiredState) -> tuple[str, ...]:
        """Say what would change; see `Previews.preview`."""
        objects = self._objects(environment, service, desired.config)
        _check(desired)
        return tuple(preview(Kube(self._client, LOOK_S), objects, desired))

    def jobs(self) -> KubernetesJobs:
        """Return what runs suites in the namespace; see `RunsJobs`."""
        return KubernetesJobs(self._client, self._workload.namespace)

    def _objects(self, environment: str, service: str, config: Mapping[str, str] | None = None) -> Objects:
        for name in (environment, service):
            if not re.fullmatch(NAME_PATTERN, name):
                raise PlatformRejected(f"{name!r}: environment and service must be lower-case DNS labels")
        return Objects(self._workload, environment, service, config)


def _named(workload: Workload) -> None:
    """Raise PlatformRejected for a manifest that has one of relman's own names; a way back leaves it out."""
    for obj in workload.objects:
        if str(obj["metadata"]["name"]).startswith(RESERVED):
            raise PlatformRejected(
                f"{obj['kind']} {obj['metadata']['name']}: names that begin with {RESERVED} are relman's "
                "own; give the object in the manifests another name"
            )


def _check(desired: DesiredState) -> None:
    """Raise PlatformRejected for what makes no sense, and for what can't be run here."""
    if desired.baseline:
        raise PlatformRejected(
            "relman runs no fresh baseline on Kubernetes; write baseline: stable in the canary"
        )
    sides = (
        ("stable", desired.stable, desired.stable_replicas, 100 - desired.candidate_weight),
        ("candidate", desired.candidate, desired.candidate_replicas, desired.candidate_weight),
    )
    for name, revision, replicas, weight in sides:
        if revision is None:
            if replicas:
                raise PlatformRejected(f"{replicas} replicas of no {name} revision")
            continue
        _image(revision)
        if weight and not replicas:
            raise PlatformRejected(
                f"the {name} revision is to have {weight} % of the traffic with 0 replicas"
            )
    for variable in desired.config:
        if variable.startswith("RELMAN_"):
            raise PlatformRejected(f"{variable} is relman's own; give the variable another name")


def _image(revision: Revision) -> None:
    if revision.image is None:
        raise PlatformRejected(
            f"version {revision.version} has no container image; let the build write one, and name the file "
            "by image: of the artifact"
        )
    if not is_image(revision.image):
        raise PlatformRejected(
            f"{revision.image!r} is no image by digest; expected REPOSITORY@sha256: and 64 hex digits"
        )
