"""The same daemon and builds as the platform's own tests."""

from tests.platforms.conftest import builds, revisions, shared

__all__ = ["builds", "revisions", "shared"]
