"""Room `hooks`."""
