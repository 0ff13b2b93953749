"""Room `operators`."""
