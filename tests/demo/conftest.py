from tests.steps.fixtures import *  # noqa: F403
