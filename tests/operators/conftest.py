"""What tests of steps share: a world to run in, a train, an emulated cluster."""

from collections.abc import Iterator

import pytest

from relman_plugins.testing.kube import Cluster
from tests.operators.train_line import line  # noqa: F401
from tests.steps.fixtures import *  # noqa: F403


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("shop") as cluster:
        yield cluster
