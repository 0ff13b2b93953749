"""A suite that runs as a pod in the environment's cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from relman_plugins.domain.image import IMAGE_PATTERN
from relman_plugins.spec.models.base import Name, SpecModel

CPU_PATTERN = r"^([1-9][0-9]{0,2}(\.[0-9]{1,3})?|0\.[0-9]{1,3}|[1-9][0-9]{0,5}m)$"
MEMORY_PATTERN = r"^[1-9][0-9]{0,5}(Mi|Gi)$"

Image = Annotated[str, StringConstraints(pattern=rf"^{IMAGE_PATTERN}$")]
"""A container image by digest, which no push can change."""

Cpu = Annotated[str, StringConstraints(pattern=CPU_PATTERN)]
"""Cores: ``2``, ``0.5``, ``500m``."""

Memory = Annotated[str, StringConstraints(pattern=MEMORY_PATTERN)]
"""Memory: ``512Mi``, ``2Gi``."""


class Pod(SpecModel):
    """What a suite runs in on Kubernetes: a Job with one pod in the environment's namespace."""

    image: Image | None = None
    """The image that has the command and the tests, by digest: `<repository>@sha256:<hex>`.

    The release's own unless given.
    """
    collector: Image | None = None
    """The image beside it that hands the reports over; the suite's own unless given.

    It has `sh`, `tar`, `gzip`, `head`, `base64` and `sleep`, as most images do that have a system.
    """
    cpu: Cpu | None = None
    """Cores that the command is given, and may use at most: `2`, `0.5`, `500m`."""
    memory: Memory | None = None
    """Memory that the command is given, and may use at most: `512Mi`, `2Gi`."""
    service_account: Name | None = None
    """The account in the namespace that the pod runs as, with its token. Without one there is no token."""
    user: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)] | None = None
    """The number of the user that all in the pod runs as; the images' own unless given."""
