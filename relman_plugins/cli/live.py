"""``relman plan --live``: what the manifests would change in a cluster, by its own dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relman_plugins.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relman_plugins.domain.state import Revision
    from relman_plugins.plan.model import Shape

TO_BE_BUILT = "sha256:" + "0" * 64
"""Stands for an image that is not built yet; where a version runs, its image is taken instead."""


def changes(shape: Shape, kubeconfig: Path) -> dict[str, list[str]]:
    """Return what changes in each environment on Kubernetes, line by line, for the cluster of a kubeconfig.

    Raises:
        Stop: the client is not installed, the file is no kubeconfig, or no environment is on Kubernetes.
        PlatformError: as `Previews.preview`.
    """
    on_it = [e for e in shape.environments if e.workload is not None]
    if not on_it:
        raise Stop(Exit.USAGE, f"--live: no environment of {shape.pipeline} is on Kubernetes")
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, new_client_from_config
    except ImportError as error:
        raise Stop(Exit.ENVIRONMENT, f"--live needs relman[kubernetes]: {error}") from error
    try:
        client = new_client_from_config(str(kubeconfig), client_configuration=Configuration())
    except (ConfigException, OSError, ValueError) as error:
        raise Stop(Exit.USAGE, f"--live: {kubeconfig} gives no access to a cluster: {error}") from error
    from relman_plugins.platforms.base import Previews
    from relman_plugins.platforms.registry import platform
    from relman_plugins.strategies.api import promoted

    found: dict[str, list[str]] = {}
    for environment in on_it:
        driver = platform(environment.platform, client=client, workload=environment.workload)
        if isinstance(driver, Previews):
            runs = driver.observe(environment.name, shape.service).stable
            revision = _revision(runs.revision if runs else None)
            desired = promoted(revision, environment.replicas, environment.config)
            found[environment.name] = list(driver.preview(environment.name, shape.service, desired))
    return found


def lines(found: dict[str, list[str]]) -> Iterator[str]:
    """Yield it as people read it."""
    for environment, changed in found.items():
        yield f"in the cluster, {environment}, but for the image that is to be built:"
        yield from (f"  {line}" for line in changed or ["nothing changes"])


def _revision(runs: Revision | None) -> Revision:
    from relman_plugins.domain.state import Revision

    return runs or Revision(version="0", digest=TO_BE_BUILT, uri="", image=f"to.be/built@{TO_BE_BUILT}")
