"""Other people's text on a terminal: what a server, a suite or somebody's spec says must not steer it."""

from __future__ import annotations

from relman_plugins.spec.words import visible


def shown(text: object) -> str:
    r"""Return text whose lines are lines and in which nothing else moves, hides or recolours what is shown.

    Control, bidirectional and other invisible characters become ``\u001b`` and the like: whoever approves
    "exactly what is shown" must see what there is.
    """
    lines = str(text).replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n".join(map(visible, lines))


def continued(text: object, margin: int) -> str:
    """Return ``shown`` text whose further lines are indented, so that none passes for a new entry."""
    return shown(text).replace("\n", "\n" + " " * margin)
