"""The name of a container image by digest."""

from __future__ import annotations

import re

IMAGE_PATTERN = r"[a-z0-9][a-zA-Z0-9._:/-]{0,250}@sha256:[0-9a-f]{64}"


def is_image(text: str) -> bool:
    """Say whether it is a repository, maybe with a tag, and a digest: what no push can change."""
    return re.fullmatch(IMAGE_PATTERN, text) is not None
