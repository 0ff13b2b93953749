"""Room `sensors`."""
