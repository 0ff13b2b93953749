from tests.operators.train_line import line  # noqa: F401
from tests.steps.fixtures import *  # noqa: F403
