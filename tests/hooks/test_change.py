"""What counts as serving: traffic, and the very revision."""

from __future__ import annotations

import pytest

from relman_plugins.domain.state import ObservedRevision, ObservedState, Revision
from relman_plugins.hooks.change import serves

OLD, NEW = (Revision(version=v, digest=f"sha256:{v}", uri="file:///a") for v in ("1.0.0", "1.1.0"))


def seen(stable: int, candidate: int, new: Revision = NEW) -> ObservedState:
    sides = (
        ObservedRevision(revision=r, replicas=1, ready=1, weight=w)
        for r, w in ((OLD, stable), (new, candidate))
    )
    return ObservedState(**dict(zip(("stable", "candidate"), sides, strict=True)))


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (seen(50, 50), True),
        (seen(99, 1), True),
        (seen(100, 0), False),
        (seen(50, 50, NEW.model_copy(update={"digest": "sha256:other"})), False),
        (ObservedState(), False),
    ],
)
def test_a_revision_serves_while_it_has_traffic(state: ObservedState, counts: bool) -> None:
    assert serves(state, NEW) is counts
