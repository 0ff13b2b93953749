"""How sure a judge may be asked to be: the same for specs and for judges."""

from __future__ import annotations

SUREST = 0.999_999
"""The highest confidence of anything that is judged."""

EARLY_SHARE = 0.1
"""Part of the chance of a false alarm that the looks before the last share, with ``early_fail``."""
