"""Room 1: from the current state and a new revision to the desired states on the way. Pure functions."""

from relman_plugins.strategies.api import abort, promoted, rollback, stable_of, state_for_weight, withdrawn

__all__ = ["abort", "promoted", "rollback", "stable_of", "state_for_weight", "withdrawn"]
